//! Names in archives: the part of an archive that attacks.
//!
//! Must never know: formats. Invariant: a name that passed has no empty, `.` or `..` part, and was not there before.

use std::collections::HashSet;

use super::super::census::Listed;
use super::super::directory::readable;
use crate::MeasureError;

/// Bytes of a path.
const PATH_BYTES_MAX: usize = 4096;
/// Bytes of all paths together, as they are read: what is no text becomes three times as long.
const NAMES_BYTES_MAX: usize = 128 << 20;
/// Folders in folders.
const DEPTH_MAX: usize = 256;

/// The names met so far.
#[derive(Default)]
pub struct Names {
    seen: HashSet<String>,
    bytes: usize,
}

impl Names {
    /// A safe path for a file's raw name, not met before.
    pub fn admit(&mut self, raw: &[u8]) -> Result<String, MeasureError> {
        let path = plain(raw)?;
        self.bytes += path.len();
        if NAMES_BYTES_MAX < self.bytes {
            return Err(MeasureError::ArchiveTooLarge { what: "bytes of names", max: NAMES_BYTES_MAX as u64 });
        }
        if !self.seen.insert(path.clone()) {
            return Err(refuse(&path, "is there twice"));
        }
        Ok(path)
    }
}

/// A raw name, as far as somebody would read it.
pub fn shown(raw: &[u8]) -> String {
    const SHOWN_BYTES: usize = 200;
    readable(&raw[..raw.len().min(SHOWN_BYTES)])
}

/// A raw name as a path from the top. Backslashes, which Windows tools write, separate names too.
pub fn plain(raw: &[u8]) -> Result<String, MeasureError> {
    if PATH_BYTES_MAX < raw.len() {
        return Err(refuse(&shown(raw), "has too long a name"));
    }
    let name = readable(raw);
    let refuse = |problem| Err(refuse(&name, problem));
    if name.contains('\0') {
        return refuse("has a NUL in its name");
    }
    let drive = matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    if name.starts_with(['/', '\\']) || drive {
        return refuse("has an absolute path");
    }
    let mut parts = Vec::new();
    for part in name.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => return refuse("leads out of the archive"),
            part => parts.push(part),
        }
    }
    if parts.is_empty() || DEPTH_MAX < parts.len() {
        return refuse("has no usable name");
    }
    Ok(parts.join("/"))
}

/// Whether a folder of this raw name is the top itself, as `./` is.
pub fn is_top(raw: &[u8]) -> bool {
    raw.split(|byte| *byte == b'/').all(|name| name.is_empty() || name == b".")
}

/// Refuses a link whose target is absolute or climbs above the top. `from` is the folder its target starts from.
pub fn check_link(path: &str, from: &str, target: &[u8]) -> Result<(), MeasureError> {
    if PATH_BYTES_MAX < target.len() {
        return Err(refuse(path, "is a link with too long a target"));
    }
    let target = readable(target);
    let mut depth = from.split('/').filter(|part| !part.is_empty()).count();
    let escapes = || refuse(path, "is a link that points out of the archive");
    if target.starts_with(['/', '\\']) || target.contains(':') {
        return Err(escapes());
    }
    for part in target.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => depth = depth.checked_sub(1).ok_or_else(escapes)?,
            _ => depth += 1,
        }
    }
    Ok(())
}

/// The folder of a path, without its last slash.
pub fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Beside everything that macOS packs stands what it knows of it, in a folder of this name.
const SHADOWS: &str = "__MACOSX";

/// Takes off the one folder around everything, if there is one.
pub fn strip_top_folder(listed: &mut [Listed]) {
    let top = |entry: &Listed| entry.path.split_once('/').map(|(top, _)| top.to_owned());
    let is_shadow = |entry: &Listed| top(entry).is_some_and(|top| top == SHADOWS);
    let Some(first) = listed.iter().find(|entry| !is_shadow(entry)).and_then(top) else { return };
    // In a folder that has one of that name itself, two entries would become one path.
    let is_inner = |entry: &Listed| entry.path.split('/').nth(1) == Some(SHADOWS);
    if listed.iter().any(is_shadow) && listed.iter().any(|entry| !is_shadow(entry) && is_inner(entry)) {
        return;
    }
    if listed.iter().all(|entry| is_shadow(entry) || top(entry).as_ref() == Some(&first)) {
        for entry in listed.iter_mut().filter(|entry| !is_shadow(entry)) {
            entry.path.drain(..=first.len());
        }
    }
}

pub fn refuse(path: &str, problem: &'static str) -> MeasureError {
    MeasureError::UnsafeArchive { path: path.to_owned(), problem }
}
