//! Tar, plain or gzipped.
//!
//! Must never know: zip. Invariant: an entry's handle is its place in the archive; listing and reading walk alike. What
//! stands before an entry and belongs to it (a long name, attributes) is read only as far as an honest one is long.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType, PaxExtensions};

use super::super::census::{Kind, Listed, OnContent};
use super::names::{Names, check_link, folder, is_top, plain, refuse, shown};
use super::{Limits, invalid};
use crate::MeasureError;

/// Expands, up to the limit. Headers and padding count as well: they are work too.
pub fn gunzip(bytes: &[u8], limits: Limits) -> impl Read {
    Bounded { inner: MultiGzDecoder::new(bytes), left: limits.bytes }
}

/// A reader that fails after so many bytes.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::ErrorKind::FileTooLarge.into()),
        }
        Ok(read)
    }
}

/// Bytes of what stands before an entry: a name, or attributes with what some system or other keeps in them.
const AHEAD_BYTES_MAX: u64 = 1 << 20;

/// What was said before an entry.
#[derive(Default)]
struct Ahead {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    attributes: Option<Vec<u8>>,
}

type Entry<'a, R> = tar::Entry<'a, R>;

impl Ahead {
    /// Takes in what is no entry of its own, and says whether it was that.
    fn takes<R: Read>(&mut self, entry: &mut Entry<'_, R>, limits: Limits) -> Result<bool, MeasureError> {
        let header = entry.header();
        let place = match header.entry_type() {
            _ if header.as_gnu().is_none() && header.as_ustar().is_none() => return Ok(false),
            EntryType::GNULongName => &mut self.name,
            EntryType::GNULongLink => &mut self.link,
            EntryType::XHeader => &mut self.attributes,
            _ => return Ok(false),
        };
        if place.is_some() {
            return Err(invalid("two names or attributes stand before one entry"));
        }
        if AHEAD_BYTES_MAX < entry.size() {
            return Err(refuse("", "has too long a name, or too much before it"));
        }
        let mut said = Vec::new();
        entry.read_to_end(&mut said).map_err(|error| broken(&error, limits))?;
        *place = Some(said);
        Ok(true)
    }

    fn is_empty(&self) -> bool {
        self.name.is_none() && self.link.is_none() && self.attributes.is_none()
    }

    fn attribute(&self, name: &str) -> Option<&[u8]> {
        let all = PaxExtensions::new(self.attributes.as_deref().unwrap_or_default());
        all.filter_map(Result::ok).find(|it| it.key_bytes() == name.as_bytes()).map(|it| it.value_bytes())
    }

    fn path<R: Read>(&self, entry: &Entry<'_, R>) -> Vec<u8> {
        let said = self.name.as_deref().map(without_nul).or_else(|| self.attribute("path"));
        said.map_or_else(|| entry.path_bytes().into_owned(), <[u8]>::to_vec)
    }

    fn target<R: Read>(&self, entry: &Entry<'_, R>) -> Vec<u8> {
        let said = self.link.as_deref().map(without_nul).or_else(|| self.attribute("linkpath"));
        said.map(<[u8]>::to_vec).or_else(|| entry.link_name_bytes().map(|it| it.into_owned())).unwrap_or_default()
    }

    /// Whether attributes give an entry another length than its head does: who reads one of the two sees other files
    /// than who reads the other.
    fn contradicts<R: Read>(&self, entry: &Entry<'_, R>) -> bool {
        self.attribute("size").is_some_and(|it| it != entry.size().to_string().as_bytes())
    }
}

fn without_nul(name: &[u8]) -> &[u8] {
    name.strip_suffix(b"\0").unwrap_or(name)
}

/// What to do with an entry; false to stop.
type OnEntry<'c, R> = &'c mut dyn FnMut(usize, &Ahead, &mut Entry<'_, R>) -> Result<bool, MeasureError>;

fn walk<R: Read>(from: R, limits: Limits, on_entry: OnEntry<'_, R>) -> Result<(), MeasureError> {
    let mut archive = Archive::new(from);
    let (mut ahead, mut handle) = (Ahead::default(), 0);
    // Raw, because the reader itself would take in whatever stands before an entry, however much it is.
    for entry in archive.entries().map_err(|error| broken(&error, limits))?.raw(true) {
        let mut entry = entry.map_err(|error| broken(&error, limits))?;
        if ahead.takes(&mut entry, limits)? {
            continue;
        }
        if !on_entry(handle, &std::mem::take(&mut ahead), &mut entry)? {
            return Ok(());
        }
        handle += 1;
    }
    if ahead.is_empty() { Ok(()) } else { Err(invalid("a name stands before no entry")) }
}

fn broken(error: &io::Error, limits: Limits) -> MeasureError {
    match error.kind() {
        io::ErrorKind::FileTooLarge => limits.too_many_bytes(),
        _ => invalid(error),
    }
}

pub fn list(from: impl Read, limits: Limits) -> Result<Vec<Listed>, MeasureError> {
    let mut names = Names::default();
    let mut listed = Vec::new();
    walk(from, limits, &mut |handle, ahead, entry| {
        limits.check_entries(handle as u64 + 1)?;
        let raw = ahead.path(entry);
        let kind = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Symlink | EntryType::Link => Kind::Link,
            EntryType::Directory if is_top(&raw) => return Ok(true),
            EntryType::Directory => {
                plain(&raw)?;
                return Ok(true);
            }
            EntryType::XGlobalHeader => return Ok(true),
            EntryType::Char | EntryType::Block => return Err(refuse(&shown(&raw), "is a device")),
            EntryType::Fifo => return Err(refuse(&shown(&raw), "is a pipe")),
            EntryType::GNUSparse => return Err(refuse(&shown(&raw), "is a sparse file")),
            _ => return Err(refuse(&shown(&raw), "is neither file, folder nor link")),
        };
        let path = names.admit(&raw)?;
        if ahead.contradicts(entry) {
            return Err(refuse(&path, "has two sizes"));
        }
        if kind == Kind::Link {
            // A symbolic link starts from its own folder, a hard link from the top.
            let hard = entry.header().entry_type() == EntryType::Link;
            check_link(&path, if hard { "" } else { folder(&path) }, &ahead.target(entry))?;
        }
        listed.push(Listed { path, kind, bytes: entry.size(), handle });
        Ok(true)
    })?;
    Ok(listed)
}

pub fn read(
    from: impl Read,
    limits: Limits,
    wanted: &[&Listed],
    on_content: OnContent<'_>,
) -> Result<(), MeasureError> {
    let mut wanted = wanted.iter().peekable();
    walk(from, limits, &mut |handle, _, entry| {
        let Some(next) = wanted.peek() else { return Ok(false) };
        if next.handle == handle {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(invalid)?;
            on_content(handle, content)?;
            wanted.next();
        }
        Ok(true)
    })
}
