//! An uploaded archive as a source: tar, tar.gz or zip, in memory.
//!
//! Must never know: attributes, languages. Invariant: nothing is written to disk, and no more is expanded than the
//! limits allow, whatever the archive says of itself.
//!
//! A single top folder around everything (as Git hosts pack) is taken off. Links that stay inside are listed and not
//! followed; links that point outside, absolute paths, `..`, devices, pipes, sparse files and doubled names are
//! refused: no honest tool packs source that way.

mod directory;
mod names;
mod tarball;
mod zipfile;

use super::Options;
use super::census::{Listed, OnContent, Source};
use crate::MeasureError;

/// Below this an archive may expand by any ratio: small text compresses very well.
const RATIO_FREE_BYTES: u64 = 16 << 20;

/// An archive's bytes, and how to take them apart.
pub struct Archive<'a> {
    bytes: &'a [u8],
    format: Format,
    limits: Limits,
}

#[derive(Clone, Copy)]
enum Format {
    Tar,
    TarGz,
    Zip,
}

/// What an archive may cost.
#[derive(Clone, Copy)]
struct Limits {
    entries: u64,
    /// Of everything expanded.
    bytes: u64,
    /// Whether that is less than a repository may have, because the archive is so small.
    is_by_ratio: bool,
}

impl Limits {
    /// An archive that expands too far for its size is a bomb; what is honestly so large is too large a repository.
    fn too_many_bytes(self) -> MeasureError {
        let (what, max) = ("bytes", self.bytes);
        if self.is_by_ratio {
            MeasureError::ArchiveTooLarge { what, max }
        } else {
            MeasureError::RepositoryTooLarge { what, max }
        }
    }

    fn check_entries(self, count: u64) -> Result<(), MeasureError> {
        if count <= self.entries {
            return Ok(());
        }
        Err(MeasureError::RepositoryTooLarge { what: "files", max: self.entries })
    }
}

impl<'a> Archive<'a> {
    /// Recognises the format by the first bytes.
    pub fn of(bytes: &'a [u8], options: &Options) -> Result<Self, MeasureError> {
        let tar_mark = bytes.get(257..262);
        let format = match bytes {
            [0x1f, 0x8b, ..] => Format::TarGz,
            [b'P', b'K', 3 | 5 | 7, ..] => Format::Zip,
            _ if tar_mark == Some(b"ustar") => Format::Tar,
            // A tar of nothing is only its end mark.
            _ if 1024 <= bytes.len() && bytes[..1024].iter().all(|byte| *byte == 0) => Format::Tar,
            _ => return Err(invalid("it begins like neither tar, gzip nor zip")),
        };
        let by_ratio = (bytes.len() as u64).saturating_mul(options.ratio_max).max(RATIO_FREE_BYTES);
        let limits = Limits {
            entries: options.entries_max,
            bytes: options.total_bytes_max.min(by_ratio),
            is_by_ratio: by_ratio < options.total_bytes_max,
        };
        Ok(Self { bytes, format, limits })
    }
}

impl Source for Archive<'_> {
    fn list(&mut self) -> Result<Vec<Listed>, MeasureError> {
        let mut listed = match self.format {
            Format::Tar => tarball::list(self.bytes, self.limits),
            Format::TarGz => tarball::list(tarball::gunzip(self.bytes, self.limits), self.limits),
            Format::Zip => zipfile::list(self.bytes, self.limits),
        }?;
        names::strip_top_folder(&mut listed);
        Ok(listed)
    }

    fn read(&mut self, wanted: &[&Listed], on_content: OnContent<'_>) -> Result<(), MeasureError> {
        if wanted.is_empty() {
            return Ok(());
        }
        match self.format {
            Format::Tar => tarball::read(self.bytes, self.limits, wanted, on_content),
            Format::TarGz => tarball::read(tarball::gunzip(self.bytes, self.limits), self.limits, wanted, on_content),
            Format::Zip => zipfile::read(self.bytes, self.limits, wanted, on_content),
        }
    }
}

fn invalid(problem: impl ToString) -> MeasureError {
    MeasureError::InvalidArchive { problem: problem.to_string() }
}
