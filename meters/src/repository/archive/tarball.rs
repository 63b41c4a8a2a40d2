//! Tar, plain or gzipped.
//!
//! Must never know: zip. Invariant: an entry's handle is its place in the archive; listing and reading walk alike.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

use super::super::census::{Kind, Listed, OnContent};
use super::names::{Names, check_link, folder, plain, refuse, shown};
use super::{Limits, invalid};
use crate::MeasureError;

/// Expands, up to the limit. Headers and padding count as well: they are work too.
pub fn gunzip(bytes: &[u8], limits: Limits) -> impl Read {
    Bounded { inner: MultiGzDecoder::new(bytes), left: limits.bytes, max: limits.bytes }
}

/// A reader that fails after so many bytes.
struct Bounded<R> {
    inner: R,
    left: u64,
    max: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::new(io::ErrorKind::FileTooLarge, self.max.to_string())),
        }
        Ok(read)
    }
}

fn broken(error: &io::Error, limits: Limits) -> MeasureError {
    match error.kind() {
        io::ErrorKind::FileTooLarge => MeasureError::ArchiveTooLarge { what: "bytes", max: limits.bytes },
        _ => invalid(error),
    }
}

pub fn list(from: impl Read, limits: Limits) -> Result<Vec<Listed>, MeasureError> {
    let mut archive = Archive::new(from);
    let mut names = Names::default();
    let mut listed = Vec::new();
    for (handle, entry) in archive.entries().map_err(|error| broken(&error, limits))?.enumerate() {
        let entry = entry.map_err(|error| broken(&error, limits))?;
        if handle as u64 >= limits.entries {
            return Err(MeasureError::ArchiveTooLarge { what: "entries", max: limits.entries });
        }
        let raw = entry.path_bytes();
        let kind = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Symlink | EntryType::Link => Kind::Link,
            // `./` is a folder without a name.
            EntryType::Directory if raw.iter().all(|byte| b"./".contains(byte)) && !raw.starts_with(b"..") => continue,
            EntryType::Directory => {
                plain(&raw)?;
                continue;
            }
            EntryType::XGlobalHeader => continue,
            EntryType::Char | EntryType::Block => return Err(refuse(&shown(&raw), "is a device")),
            EntryType::Fifo => return Err(refuse(&shown(&raw), "is a pipe")),
            EntryType::GNUSparse => return Err(refuse(&shown(&raw), "is a sparse file")),
            _ => return Err(refuse(&shown(&raw), "is neither file, folder nor link")),
        };
        let path = names.admit(&raw)?;
        if kind == Kind::Link {
            let target = entry.link_name_bytes().unwrap_or_default();
            // A symbolic link starts from its own folder, a hard link from the top.
            let hard = entry.header().entry_type() == EntryType::Link;
            check_link(&path, if hard { "" } else { folder(&path) }, &target)?;
        }
        listed.push(Listed { path, kind, bytes: entry.size(), handle });
    }
    Ok(listed)
}

pub fn read(from: impl Read, wanted: &[&Listed], on_content: OnContent<'_>) -> Result<(), MeasureError> {
    let mut archive = Archive::new(from);
    let mut wanted = wanted.iter().peekable();
    for (handle, entry) in archive.entries().map_err(invalid)?.enumerate() {
        let mut entry = entry.map_err(invalid)?;
        let Some(next) = wanted.peek() else { break };
        if next.handle != handle {
            continue;
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(invalid)?;
        on_content(handle, content)?;
        wanted.next();
    }
    Ok(())
}
