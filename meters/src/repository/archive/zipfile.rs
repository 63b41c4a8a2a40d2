//! Zip.
//!
//! Must never know: tar. Invariant: the directory is walked where it lies, and nothing is kept of an entry but what is
//! listed; no two entries share a byte, and none gives more bytes than its directory entry says. So the work is linear
//! in the archive and in what it says it expands to, which the limits allow or do not.

use std::io::Read;

use flate2::Crc;
use flate2::read::DeflateDecoder;

use super::super::census::{Kind, Listed, OnContent};
use super::directory::{self, Entry};
use super::names::{Names, check_link, folder, is_top, plain, refuse, shown};
use super::{Limits, invalid};
use crate::MeasureError;

/// Bytes of a link's target.
const TARGET_BYTES_MAX: u64 = 4096;
/// File type bits of a Unix mode, and the types that are neither file nor link nor folder.
const TYPE: u32 = 0o170_000;
const PLAIN: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
/// Ways of packing.
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

pub fn list(bytes: &[u8], limits: Limits) -> Result<Vec<Listed>, MeasureError> {
    let directory = directory::of(bytes, limits)?;
    let mut names = Names::default();
    let mut listed = Vec::new();
    let mut places = Vec::new();
    let mut total = 0_u64;
    for (handle, entry) in directory.entries().enumerate() {
        let entry = entry?;
        places.push(directory.place(&entry)?.0);
        total = total.saturating_add(entry.bytes);
        if limits.bytes < total {
            return Err(limits.too_many_bytes());
        }
        if entry.is_encrypted() {
            return Err(MeasureError::EncryptedArchive { path: shown(entry.name) });
        }
        let Some(kind) = kind(&entry)? else { continue };
        let path = names.admit(entry.name)?;
        if kind == Kind::Link && TARGET_BYTES_MAX < entry.bytes {
            return Err(refuse(&path, "is a link with too long a target"));
        }
        listed.push(Listed { path, kind, bytes: entry.bytes, handle });
    }
    // Nothing is expanded before this is sure: entries over the same bytes would expand them as often as they are.
    places.sort_unstable_by_key(|place| place.start);
    if places.windows(2).any(|two| two[1].start < two[0].end) {
        return Err(refuse("", "or another shares its bytes with a third"));
    }
    let links: Vec<&Listed> = listed.iter().filter(|entry| entry.kind == Kind::Link).collect();
    let mut each = links.iter();
    read(bytes, limits, &links, &mut |_, target| {
        let link = each.next().expect("each is read once, in order");
        check_link(&link.path, folder(&link.path), &target)
    })?;
    Ok(listed)
}

/// None for a folder.
fn kind(entry: &Entry<'_>) -> Result<Option<Kind>, MeasureError> {
    if entry.name.ends_with(b"/") && is_top(entry.name) {
        return Ok(None);
    }
    if entry.name.ends_with(b"/") || entry.name.ends_with(b"\\") {
        return plain(entry.name).map(|_| None);
    }
    match entry.unix_mode() & TYPE {
        0 | PLAIN => Ok(Some(Kind::File)),
        LINK => Ok(Some(Kind::Link)),
        FOLDER => Ok(None),
        _ => Err(refuse(&shown(entry.name), "is a device or a pipe")),
    }
}

pub fn read(bytes: &[u8], limits: Limits, wanted: &[&Listed], on_content: OnContent<'_>) -> Result<(), MeasureError> {
    let directory = directory::of(bytes, limits)?;
    let mut wanted = wanted.iter().peekable();
    for (handle, entry) in directory.entries().enumerate() {
        let Some(next) = wanted.next_if(|next| next.handle == handle) else { continue };
        let entry = entry?;
        on_content(handle, content(directory.packed(&entry)?, &entry, &next.path)?)?;
    }
    Ok(())
}

/// What an entry holds, exactly as long as it says.
fn content(packed: &[u8], entry: &Entry<'_>, path: &str) -> Result<Vec<u8>, MeasureError> {
    // One more would be too many.
    let most = entry.bytes.saturating_add(1);
    let mut content = Vec::new();
    match entry.method() {
        STORED => packed.take(most).read_to_end(&mut content),
        DEFLATED => DeflateDecoder::new(packed).take(most).read_to_end(&mut content),
        _ => return Err(invalid(format!("{path:?} is packed in a way that is not known here; deflate it"))),
    }
    .map_err(invalid)?;
    if entry.bytes < content.len() as u64 {
        return Err(refuse(path, "is larger than it says"));
    }
    let mut checksum = Crc::new();
    checksum.update(&content);
    if content.len() as u64 != entry.bytes || checksum.sum() != entry.checksum() {
        return Err(invalid(format!("{path:?} is not what was packed")));
    }
    Ok(content)
}
