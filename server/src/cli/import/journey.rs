//! How far an import has come: written beside its file after every group, so that one that was interrupted goes on; and
//! the report of the rows that were refused.
//!
//! It saves time and never changes meaning: what is sent twice is done once, because every row has a name of its own.
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::rows::Place;
use crate::csv;

const HEADER: &str = "line,code,field,detail\n";

/// What came of the rows so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    pub rows: u64,
    pub accepted: u64,
    /// Done before, and not again.
    pub duplicates: u64,
    pub refused: u64,
    /// Micro-credits of what was accepted, of all accounts.
    pub micros: i128,
}

impl Tally {
    fn add(&mut self, done: &[Done], refused: usize) {
        let duplicates = done.iter().filter(|it| it.is_duplicate).count();
        self.rows += (done.len() + refused) as u64;
        self.accepted += (done.len() - duplicates) as u64;
        self.duplicates += duplicates as u64;
        self.refused += refused as u64;
        self.micros += done.iter().map(|it| i128::from(it.micros)).sum::<i128>();
    }
}

/// A row that was done, or was before.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    pub is_duplicate: bool,
    /// Micro-credits of what was done now.
    pub micros: i64,
}

/// As it is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Kept {
    /// What is imported, and where to.
    what: String,
    #[serde(flatten)]
    place: Option<Place>,
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

/// How an import stands to one before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    GoingOn,
    Anew,
    /// Only rehearsed: it leaves no trace.
    Dry,
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
    /// Goes on with an import of this file to the same place, or begins one; `what` says both.
    pub fn open(file: &Path, report: Option<&Path>, what: &str, manner: Manner) -> Result<Journey, String> {
        let path = beside(file, "import.json");
        let report_path = report.map_or_else(|| beside(file, "errors.csv"), Path::to_owned);
        let blank = Kept { what: what.to_owned(), place: None, report_bytes: 0, tally: Tally::default() };
        let before = std::fs::read(&path).ok().filter(|_| manner == Manner::GoingOn);
        let before = before.and_then(|it| serde_json::from_slice::<Kept>(&it).ok());
        let kept = match before.filter(|it| it.what == what && it.place.is_some()) {
            Some(kept) => {
                // A report that somebody has taken away begins anew.
                let is_there = std::fs::metadata(&report_path).is_ok_and(|it| kept.report_bytes <= it.len());
                Kept { report_bytes: if is_there { kept.report_bytes } else { 0 }, ..kept }
            }
            None => {
                // A report of another time says nothing of this one.
                let _ = std::fs::remove_file(&report_path);
                blank
            }
        };
        let from = kept.place;
        Ok(Journey { path, report_path, report: None, kept, from, is_dry: manner == Manner::Dry })
    }

    pub fn tally(&self) -> Tally {
        self.kept.tally
    }
    pub fn report_path(&self) -> &Path {
        &self.report_path
    }

    /// Notes what came of a group of rows that ends at `place`.
    pub fn advance(&mut self, place: Place, done: &[Done], refused: &[Refused]) -> Result<(), String> {
        self.kept.tally.add(done, refused.len());
        self.write_report(refused)?;
        self.kept.place = Some(place);
        if self.is_dry {
            return Ok(());
        }
        // Put in place whole: a reader finds the one state or the other.
        let said = |it: std::io::Error| format!("cannot write {}: {it}", self.path.display());
        let text = serde_json::to_vec(&self.kept).map_err(|it| it.to_string())?;
        let new = self.path.with_extension("new");
        std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &self.path)).map_err(said)
    }

    /// Stops at a row that was refused, which begins at `place`: the next time it is the first. What was done stands
    /// before it.
    pub fn stop(&mut self, place: Place, done: &[Done], refused: &[Refused]) -> Result<(), String> {
        self.advance(place, done, &[])?;
        self.kept.tally.add(&[], refused.len());
        self.write_report(refused)
    }

    /// The end of the file was reached: nothing is left to go on with, nor a report of rows that were mended since.
    pub fn arrived(&self) {
        let _ = std::fs::remove_file(&self.path);
        if self.kept.report_bytes == 0 {
            let _ = std::fs::remove_file(&self.report_path);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: u64, line: u64) -> Place {
        Place { offset, line, digest: [7; 32] }
    }

    #[test]
    fn an_interrupted_journey_goes_on_and_another_begins_anew() {
        let directory = tempfile::TempDir::new().unwrap();
        let file = directory.path().join("usage.csv");
        let open = |what: &str| Journey::open(&file, None, what, Manner::GoingOn).unwrap();
        let refused =
            Refused { line: 2, code: "unpriced".to_owned(), field: "=x".to_owned(), detail: "a, b".to_owned() };
        let mut journey = open("usage to x");
        assert_eq!(journey.from, None);
        journey.advance(place(10, 3), &[], std::slice::from_ref(&refused)).unwrap();
        // Of the next group only the report was written when it died.
        journey.write_report(std::slice::from_ref(&refused)).unwrap();

        let mut journey = open("usage to x");
        let tally = Tally { rows: 1, refused: 1, ..Tally::default() };
        assert_eq!((journey.from, journey.tally()), (Some(place(10, 3)), tally));
        journey.advance(place(12, 4), &[], &[Refused { line: 3, ..refused }]).unwrap();
        let report = std::fs::read_to_string(journey.report_path()).unwrap();
        assert_eq!(report, "line,code,field,detail\n2,unpriced,\"'=x\",\"a, b\"\n3,unpriced,\"'=x\",\"a, b\"\n");
        assert_eq!(open("usage to x").from, Some(place(12, 4)));
        assert_eq!(Journey::open(&file, None, "usage to x", Manner::Anew).unwrap().from, None);
        assert_eq!(open("usage to y").from, None);
        journey.arrived();
        assert!(!file.with_file_name("usage.csv.import.json").exists());
    }

    #[test]
    fn a_journey_that_stops_at_a_row_goes_on_at_it() {
        let directory = tempfile::TempDir::new().unwrap();
        let file = directory.path().join("usage.csv");
        let open = || Journey::open(&file, None, "usage to x", Manner::GoingOn).unwrap();
        // More than 64 bits hold, after two rows.
        let done = |is_duplicate: bool| Done { is_duplicate, micros: i64::MAX };
        let micros = 2 * i128::from(i64::MAX);
        let refused = Refused { line: 4, code: String::new(), field: String::new(), detail: String::new() };
        let mut journey = open();
        journey.stop(place(20, 4), &[done(true), done(false)], &[refused]).unwrap();
        let all = Tally { rows: 3, accepted: 1, duplicates: 1, refused: 1, micros };
        assert_eq!((journey.tally(), journey.report_path().exists()), (all, true));
        let journey = open();
        let before = Tally { rows: 2, accepted: 1, duplicates: 1, refused: 0, micros };
        assert_eq!((journey.from, journey.tally()), (Some(place(20, 4)), before));
        // Mended, it is no longer reported.
        journey.arrived();
        assert!(!journey.report_path().exists());
    }
}
