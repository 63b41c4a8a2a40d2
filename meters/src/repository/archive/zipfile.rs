//! Zip.
//!
//! Must never know: tar. Invariant: no entry gives more bytes than its directory entry says, and all say together no
//! more than the limits allow; so entries that share one stream of data (a flat bomb) are bounded too.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use super::super::census::{Kind, Listed, OnContent};
use super::names::{Names, check_link, folder, refuse};
use super::{Limits, invalid};
use crate::MeasureError;

/// Bytes of a link's target.
const TARGET_BYTES_MAX: u64 = 4096;
/// File type bits of a Unix mode, and the types that are neither file nor link nor folder.
const TYPE: u32 = 0o170_000;
const PLAIN: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

pub fn list(bytes: &[u8], limits: Limits) -> Result<Vec<Listed>, MeasureError> {
    let told = entries_told(bytes);
    limits.check_entries(told.unwrap_or_default())?;
    // Opening reads every entry of the directory, whatever number it tells.
    limits.check_entries(bytes.windows(4).filter(|window| window == b"PK\x01\x02").count() as u64)?;
    let mut archive = open(bytes)?;
    // The reader keeps entries by name, so a doubled name shows only in the number.
    if told.is_some_and(|told| told != archive.len() as u64) {
        return Err(refuse("", "or another is there twice"));
    }
    let mut names = Names::default();
    let mut listed = Vec::new();
    let mut total = 0_u64;
    for handle in 0..archive.len() {
        let entry = archive.by_index_raw(handle).map_err(|error| broken(&error, ""))?;
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        total = total.saturating_add(entry.size());
        if total > limits.bytes {
            return Err(limits.too_many_bytes());
        }
        if entry.encrypted() {
            return Err(MeasureError::EncryptedArchive { path: name });
        }
        let kind = match entry.unix_mode().map_or(0, |mode| mode & TYPE) {
            _ if entry.is_dir() => {
                super::names::plain(entry.name_raw())?;
                continue;
            }
            0 | PLAIN => Kind::File,
            LINK => Kind::Link,
            FOLDER => continue,
            _ => return Err(refuse(&name, "is a device or a pipe")),
        };
        let path = names.admit(entry.name_raw())?;
        listed.push(Listed { path, kind, bytes: entry.size(), handle });
    }
    for link in listed.iter().filter(|entry| entry.kind == Kind::Link) {
        let target = content(&mut archive, link, TARGET_BYTES_MAX)?;
        check_link(&link.path, folder(&link.path), &target)?;
    }
    Ok(listed)
}

pub fn read(bytes: &[u8], wanted: &[&Listed], on_content: OnContent<'_>) -> Result<(), MeasureError> {
    let mut archive = open(bytes)?;
    for entry in wanted {
        let content = content(&mut archive, entry, u64::MAX - 1)?;
        on_content(entry.handle, content)?;
    }
    Ok(())
}

fn open(bytes: &[u8]) -> Result<ZipArchive<Cursor<&[u8]>>, MeasureError> {
    ZipArchive::new(Cursor::new(bytes)).map_err(|error| broken(&error, ""))
}

fn content(archive: &mut ZipArchive<Cursor<&[u8]>>, entry: &Listed, max: u64) -> Result<Vec<u8>, MeasureError> {
    let file = archive.by_index(entry.handle).map_err(|error| broken(&error, &entry.path))?;
    let bytes = entry.bytes.min(max);
    let mut content = Vec::new();
    file.take(bytes + 1).read_to_end(&mut content).map_err(invalid)?;
    if content.len() as u64 > bytes {
        return Err(refuse(&entry.path, "is larger than it says"));
    }
    Ok(content)
}

/// The number of entries in the end record, unless it is the mark for "see the 64-bit record".
fn entries_told(bytes: &[u8]) -> Option<u64> {
    let at = bytes.windows(4).rposition(|window| window == b"PK\x05\x06")?;
    let told = u16::from_le_bytes([*bytes.get(at + 10)?, *bytes.get(at + 11)?]);
    (told != u16::MAX).then_some(u64::from(told))
}

fn broken(error: &ZipError, path: &str) -> MeasureError {
    match error {
        ZipError::UnsupportedArchive(problem) if problem.contains("assword") => {
            MeasureError::EncryptedArchive { path: path.to_owned() }
        }
        _ => invalid(error),
    }
}
