//! How far an import has come: written beside its file after every group, so that one that was interrupted goes on; and
//! the report of the rows that were refused.
//!
//! It saves time and never changes meaning: what is sent twice is done once, because every row has a name of its own.
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::rows::Place;
use crate::csv;

/// Of a file's beginning, as much as tells it from another.
const HEAD_BYTES_MAX: u64 = 64 << 10;

const HEADER: &str = "line,code,field,detail\n";

/// What came of the rows so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    pub rows: u64,
    pub accepted: u64,
    /// Done before, and not again.
    pub duplicates: u64,
    pub refused: u64,
    /// Micro-credits of what was accepted.
    pub micros: i64,
}

/// As it is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Kept {
    /// What is imported, and where to.
    what: String,
    head_bytes: u64,
    head: String,
    offset: u64,
    line: u64,
    /// Length of the report so far.
    report_bytes: u64,
    tally: Tally,
}

pub struct Journey {
    path: PathBuf,
    report_path: PathBuf,
    report: Option<File>,
    kept: Kept,
    /// Where to go on; none for a journey that begins.
    pub from: Option<Place>,
    /// It leaves no trace: a dry run.
    is_dry: bool,
}

/// Why a row was refused.
#[derive(Clone, Debug)]
pub struct Refused {
    pub line: u64,
    pub code: String,
    pub field: String,
    pub detail: String,
}

impl Journey {
    /// Goes on with an import of this file to the same place, or begins one. `what` says both.
    pub fn open(file: &Path, report: Option<&Path>, what: &str, is_dry: bool) -> Result<Journey, String> {
        let path = beside(file, "import.json");
        let report_path = report.map_or_else(|| beside(file, "errors.csv"), Path::to_owned);
        let (head_bytes, head) = head(file, HEAD_BYTES_MAX)?;
        let blank = Kept {
            what: what.to_owned(),
            head_bytes,
            head,
            offset: 0,
            line: 0,
            report_bytes: 0,
            tally: Tally::default(),
        };
        let before = std::fs::read(&path).ok().filter(|_| !is_dry);
        let before = before.and_then(|it| serde_json::from_slice::<Kept>(&it).ok());
        let is_same = |it: &Kept| {
            let beginning = head_of(file, it.head_bytes);
            it.what == what && beginning.is_ok_and(|(length, hash)| length == it.head_bytes && hash == it.head)
        };
        let (kept, from) = match before.filter(is_same) {
            Some(kept) => {
                let place = Place { offset: kept.offset, line: kept.line };
                // A report that somebody has taken away begins anew.
                let is_there = std::fs::metadata(&report_path).is_ok_and(|it| kept.report_bytes <= it.len());
                (Kept { report_bytes: if is_there { kept.report_bytes } else { 0 }, ..kept }, Some(place))
            }
            None => {
                // A report of another time says nothing of this one.
                let _ = std::fs::remove_file(&report_path);
                (blank, None)
            }
        };
        Ok(Journey { path, report_path, report: None, kept, from, is_dry })
    }

    pub fn tally(&self) -> Tally {
        self.kept.tally
    }
    pub fn report_path(&self) -> &Path {
        &self.report_path
    }

    /// Notes what came of a group of rows that ends at `place`.
    pub fn advance(&mut self, place: Place, group: Tally, refused: &[Refused]) -> Result<(), String> {
        let tally = &mut self.kept.tally;
        tally.rows += group.rows;
        tally.accepted += group.accepted;
        tally.duplicates += group.duplicates;
        tally.refused += group.refused;
        tally.micros = tally.micros.saturating_add(group.micros);
        self.write_report(refused)?;
        (self.kept.offset, self.kept.line) = (place.offset, place.line);
        if self.is_dry {
            return Ok(());
        }
        // Put in place whole: a reader finds the one state or the other.
        let said = |it: std::io::Error| format!("cannot write {}: {it}", self.path.display());
        let text = serde_json::to_vec(&self.kept).map_err(|it| it.to_string())?;
        let new = self.path.with_extension("new");
        std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &self.path)).map_err(said)
    }

    /// The end of the file was reached: nothing is left to go on with.
    pub fn arrived(&self) {
        let _ = std::fs::remove_file(&self.path);
    }

    fn write_report(&mut self, refused: &[Refused]) -> Result<(), String> {
        if refused.is_empty() {
            return Ok(());
        }
        let said = |it: std::io::Error| format!("cannot write the report {}: {it}", self.report_path.display());
        let mut text = String::new();
        if self.kept.report_bytes == 0 {
            text.push_str(HEADER);
        }
        for it in refused {
            csv::line(&mut text, [it.line.to_string().as_str(), &it.code, &it.field, &it.detail]);
            text.push('\n');
        }
        let report = match &mut self.report {
            Some(report) => report,
            none => {
                let file = OpenOptions::new()
                    .create(true)
                    .truncate(false)
                    .write(true)
                    .open(&self.report_path)
                    .map_err(said)?;
                // What an interrupted group has said of itself is said again.
                file.set_len(self.kept.report_bytes).map_err(said)?;
                none.insert(file)
            }
        };
        report.seek(SeekFrom::Start(self.kept.report_bytes)).map_err(said)?;
        report.write_all(text.as_bytes()).map_err(said)?;
        self.kept.report_bytes += text.len() as u64;
        Ok(())
    }
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{ending}"));
    file.with_file_name(name)
}

fn head(file: &Path, most: u64) -> Result<(u64, String), String> {
    head_of(file, most).map_err(|it| format!("cannot read {}: {it}", file.display()))
}

fn head_of(file: &Path, most: u64) -> std::io::Result<(u64, String)> {
    let mut bytes = Vec::new();
    File::open(file)?.take(most).read_to_end(&mut bytes)?;
    let hash: String = Sha256::digest(&bytes).iter().map(|it| format!("{it:02x}")).collect();
    Ok((bytes.len() as u64, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_journey_goes_on_and_another_file_begins_anew() {
        let directory = tempfile::TempDir::new().unwrap();
        let file = directory.path().join("usage.csv");
        std::fs::write(&file, "account\na\nb\n").unwrap();
        let open = |what: &str| Journey::open(&file, None, what, false).unwrap();
        let refused =
            Refused { line: 2, code: "unpriced".to_owned(), field: "=x".to_owned(), detail: "a, b".to_owned() };
        let mut journey = open("usage to x");
        assert_eq!(journey.from, None);
        let place = Place { offset: 10, line: 3 };
        let group = Tally { rows: 1, refused: 1, ..Tally::default() };
        journey.advance(place, group, std::slice::from_ref(&refused)).unwrap();
        // Of the next group only the report was written when it died.
        journey.write_report(std::slice::from_ref(&refused)).unwrap();

        let mut journey = open("usage to x");
        assert_eq!((journey.from, journey.tally()), (Some(place), group));
        journey.advance(Place { offset: 12, line: 4 }, group, &[Refused { line: 3, ..refused }]).unwrap();
        let report = std::fs::read_to_string(journey.report_path()).unwrap();
        assert_eq!(report, "line,code,field,detail\n2,unpriced,\"'=x\",\"a, b\"\n3,unpriced,\"'=x\",\"a, b\"\n");
        // What is appended is read on; what was changed is another file.
        std::fs::write(&file, "account\na\nb\nc\n").unwrap();
        assert!(open("usage to x").from.is_some());
        std::fs::write(&file, "account\nx\nb\nc\n").unwrap();
        assert_eq!(open("usage to x").from, None);
        std::fs::write(&file, "account\na\nb\n").unwrap();
        assert_eq!(open("usage to y").from, None);
        journey.arrived();
        assert!(!file.with_file_name("usage.csv.import.json").exists());
    }
}
