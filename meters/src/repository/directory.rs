//! A directory as a source.
//!
//! Must never know: attributes, languages. Invariant: nothing outside the directory is read: links are listed, never
//! followed, and a file is opened again only where it was seen to be a plain file.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::census::{Kind, Listed, OnContent, Source};
use crate::MeasureError;

/// Folders in folders; deeper ones are refused.
const DEPTH_MAX: usize = 256;
/// Entries met while walking, whatever they are.
const ENTRIES_MAX: usize = 10_000_000;

pub struct Directory {
    root: PathBuf,
    paths: Vec<PathBuf>,
}

impl Directory {
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), paths: Vec::new() }
    }
}

impl Source for Directory {
    fn list(&mut self) -> Result<Vec<Listed>, MeasureError> {
        let mut listed = Vec::new();
        let mut folders = vec![(self.root.clone(), String::new(), 0)];
        while let Some((folder, prefix, depth)) = folders.pop() {
            let entries = fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))?;
            for entry in entries {
                let entry = entry.map_err(|error| unreadable(&folder, &error))?;
                let path = entry.path();
                let seen = fs::symlink_metadata(&path).map_err(|error| unreadable(&path, &error))?;
                let name = readable(entry.file_name().as_encoded_bytes());
                if name == ".git" {
                    continue;
                }
                let full = format!("{prefix}{name}");
                if seen.is_dir() {
                    if depth == DEPTH_MAX {
                        return Err(MeasureError::RepositoryTooLarge {
                            what: "folders in folders",
                            max: DEPTH_MAX as u64,
                        });
                    }
                    folders.push((path, full + "/", depth + 1));
                    continue;
                }
                if listed.len() == ENTRIES_MAX {
                    return Err(MeasureError::RepositoryTooLarge { what: "files", max: ENTRIES_MAX as u64 });
                }
                // Sockets, pipes and devices are no more source than links are.
                let kind = if seen.is_file() { Kind::File } else { Kind::Link };
                listed.push(Listed { path: full, kind, bytes: seen.len(), handle: self.paths.len() });
                self.paths.push(path);
            }
        }
        Ok(listed)
    }

    fn read(&mut self, wanted: &[&Listed], on_content: OnContent<'_>) -> Result<(), MeasureError> {
        for entry in wanted {
            let path = &self.paths[entry.handle];
            let file = File::open(path).map_err(|error| unreadable(path, &error))?;
            let mut content = Vec::new();
            // A file that grows meanwhile is read as long as it was when it was listed.
            file.take(entry.bytes).read_to_end(&mut content).map_err(|error| unreadable(path, &error))?;
            on_content(entry.handle, content)?;
        }
        Ok(())
    }
}

/// A name as text; bytes that are not UTF-8 stand as `%FF`, so that it can be shown and stays distinct.
pub(super) fn readable(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("%{byte:02X}")));
    }
    text
}

fn unreadable(path: &Path, error: &std::io::Error) -> MeasureError {
    MeasureError::UnreadableRepository { path: path.display().to_string(), problem: error.to_string() }
}
