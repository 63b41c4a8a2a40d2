//! The rows of a file, one at a time, each with where it stands: CSV by its header, or a JSON object a line.
//!
//! Must never know what a row is for. Invariant: whatever the file's size, one row is in memory, of at most
//! [`ROW_BYTES_MAX`], and a few bytes of each that has no name of its own; and reading from where a row ends goes on
//! with the next, or is refused where the file is no longer what it was up to there.
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use meters::plain;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The longest row. A longer one is a quote that is never closed, or no row at all.
const ROW_BYTES_MAX: u64 = 1 << 20;
const TOO_LONG: &str = "is longer than 1 MiB";

/// A place between two rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Place {
    pub offset: u64,
    /// That begins here, from 1.
    pub line: u64,
    /// SHA-256 of all that stands before it.
    pub digest: [u8; 32],
}

#[derive(Debug)]
pub struct Row {
    pub line: u64,
    /// Where the one before ended, and where the next one begins.
    pub start: Place,
    pub next: Place,
    /// What it says in this file, where it has no name of its own.
    pub saying: Option<Saying>,
    /// What is wrong with it, where it is none.
    pub members: Result<Map<String, Value>, String>,
}

/// What a row says, told from what all others say and from those that say the same; wherever in the file it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Saying {
    /// Of its members, in whatever order they came.
    pub digest: [u8; 32],
    /// The how-many-eth it is of those that say the same, from 1.
    pub nth: u32,
}

/// What the rows of a file may be made of.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// Their names, or how they begin where they end in a full stop.
    pub known: &'a [&'a str],
    /// The one that names a row.
    pub name: &'a str,
}

/// The rows of a file that is open.
pub struct Rows {
    reader: BufReader<File>,
    offset: u64,
    line: u64,
    /// Of all that was read.
    hash: Sha256,
    /// Names of the columns; none in a file of JSON.
    header: Option<Vec<String>>,
    /// The column that names a row.
    name: String,
    /// How many rows said the same, by the beginning of its digest; of those without a name.
    said: HashMap<u64, u32>,
}

/// The line a row begins on, and its text or what is wrong with it.
type Text = (u64, Result<Vec<u8>, String>);

impl Rows {
    /// Opens a file at `from`, or at its first row. Of CSV the header is read first.
    pub fn open(path: &Path, columns: Columns<'_>, from: Option<Place>) -> Result<Rows, String> {
        let said = |it: std::io::Error| format!("cannot read {}: {it}", path.display());
        let ending = path.extension().and_then(|it| it.to_str()).unwrap_or_default().to_ascii_lowercase();
        if !["csv", "ndjson", "jsonl"].contains(&&*ending) {
            return Err(format!("{} must end in .csv, .ndjson or .jsonl, as what it is", path.display()));
        }
        let reader = BufReader::new(File::open(path).map_err(said)?);
        let (name, said_so) = (columns.name.to_owned(), HashMap::new());
        let mut rows = Rows { reader, offset: 0, line: 1, hash: Sha256::new(), header: None, name, said: said_so };
        if ending == "csv" {
            let text = rows.text(true)?.map_or(Ok(Vec::new()), |it| it.1.map_err(|why| format!("the header {why}")))?;
            rows.header = Some(header(&text, columns.known)?);
        }
        if let Some(from) = from {
            rows.go_to(from).then_some(()).ok_or_else(|| changed(path, from))?;
        }
        Ok(rows)
    }

    /// Goes on to a place where a row ended, and says whether the file is up to there what it was then. The rows before
    /// it are read: those after it may say the same.
    fn go_to(&mut self, place: Place) -> bool {
        while self.offset < place.offset {
            if !matches!(self.next(), Ok(Some(_))) {
                return false;
            }
        }
        self.place() == place
    }

    fn place(&self) -> Place {
        Place { offset: self.offset, line: self.line, digest: self.hash.clone().finalize().into() }
    }

    /// The next row, if there is one.
    ///
    /// # Errors
    /// What makes the rest of the file unreadable.
    pub fn next(&mut self) -> Result<Option<Row>, String> {
        let start = self.place();
        let Some((line, text)) = self.text(self.header.is_some())? else { return Ok(None) };
        let members = match (text, &self.header) {
            (Err(why), Some(_)) => return Err(format!("line {line}: {why}; is a quote not closed?")),
            (Err(why), None) => Err(why),
            (Ok(text), Some(header)) => cells(&text).and_then(|it| members(header, &it)),
            (Ok(text), None) => serde_json::from_slice(&text).map_err(|it| {
                if it.is_data() {
                    "is not a JSON object".to_owned()
                } else {
                    format!("is not JSON: {}", plain::of_json(&it))
                }
            }),
        };
        let saying = members.as_ref().ok().filter(|it| !it.contains_key(&self.name)).map(|it| self.saying(it));
        Ok(Some(Row { line, start, next: self.place(), saying, members }))
    }

    fn saying(&mut self, members: &Map<String, Value>) -> Saying {
        let digest: [u8; 32] = Sha256::digest(serde_json::to_vec(members).unwrap_or_default()).into();
        let beginning = digest.first_chunk().map_or(0, |it| u64::from_be_bytes(*it));
        let nth = self.said.entry(beginning).or_default();
        *nth += 1;
        Saying { digest, nth: *nth }
    }

    /// The text of the next row that is not empty, and its line. A row of CSV goes on while a quote is open.
    fn text(&mut self, is_csv: bool) -> Result<Option<Text>, String> {
        loop {
            let (line, mut text) = (self.line, Vec::new());
            let said = |it: std::io::Error| format!("line {line}: {it}");
            loop {
                let before = text.len();
                let room = ROW_BYTES_MAX.saturating_sub(before as u64);
                let read = self.reader.by_ref().take(room).read_until(b'\n', &mut text).map_err(said)? as u64;
                self.hash.update(&text[before..]);
                self.offset += read;
                if text.ends_with(b"\n") {
                    self.line += 1;
                } else if read == room {
                    self.skip_line().map_err(said)?;
                    return Ok(Some((line, Err(TOO_LONG.to_owned()))));
                }
                let is_open = is_csv && !text.iter().filter(|it| **it == b'"').count().is_multiple_of(2);
                if read == 0 || !is_open {
                    break;
                }
            }
            let is_end = text.is_empty();
            let text = text.trim_ascii();
            if is_end {
                return Ok(None);
            }
            if !text.is_empty() {
                return Ok(Some((line, Ok(text.to_vec()))));
            }
        }
    }

    /// Reads what is left of a line, and keeps none of it.
    fn skip_line(&mut self) -> std::io::Result<()> {
        loop {
            let there = self.reader.fill_buf()?;
            let end = there.iter().position(|it| *it == b'\n').map(|it| it + 1);
            let length = end.unwrap_or(there.len());
            self.hash.update(&there[..length]);
            self.offset += length as u64;
            self.reader.consume(length);
            if end.is_some() || length == 0 {
                self.line += 1;
                return Ok(());
            }
        }
    }
}

/// Why nothing goes on, and what to do.
fn changed(path: &Path, from: Place) -> String {
    format!(
        "{} is no longer what it was up to line {}, where its import was interrupted, so nothing was sent. With --anew \
         it is imported from its first row: a row that has an idempotency_key is done once; one that has none is named \
         by what it says, so one that says something else than when it was charged is other work",
        path.display(),
        from.line
    )
}

fn cells(text: &[u8]) -> Result<Vec<String>, String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).buffer_capacity(text.len() + 1).from_reader(text);
    let mut record = csv::StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(_) => Ok(record.iter().map(|it| it.trim().to_owned()).collect()),
        Err(_) => Err("is not UTF-8".to_owned()),
    }
}

fn header(text: &[u8], columns: &[&str]) -> Result<Vec<String>, String> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let header = cells(text).map_err(|why| format!("the header {why}"))?;
    let is_known = |name: &str| {
        let of_map = |it: &&str| it.ends_with('.') && it.len() < name.len() && name.starts_with(it);
        columns.iter().any(|it| of_map(it) || (*it == name && !it.ends_with('.')))
    };
    if let Some(unknown) = header.iter().find(|it| !is_known(it)) {
        let shown = |it: &&str| if it.ends_with('.') { format!("{it}NAME") } else { (*it).to_owned() };
        let known: Vec<String> = columns.iter().map(shown).collect();
        return Err(format!("the header has a column `{unknown}`; known are {}", known.join(", ")));
    }
    if let Some(twice) = header.iter().enumerate().find(|(place, it)| header[..*place].contains(it)) {
        return Err(format!("the header has a column `{}` twice", twice.1));
    }
    Ok(header)
}

fn members(header: &[String], cells: &[String]) -> Result<Map<String, Value>, String> {
    if cells.len() != header.len() {
        return Err(format!("has {} values, and the header {}", cells.len(), header.len()));
    }
    let mut members = Map::new();
    for (name, value) in header.iter().zip(cells).filter(|it| !it.1.is_empty()) {
        match name.split_once('.') {
            None => drop(members.insert(name.clone(), value.as_str().into())),
            Some((map, name)) => {
                let inner = members.entry(map).or_insert_with(|| Value::Object(Map::new()));
                let number = value.parse::<u64>().ok().filter(|_| map == "quantities").map(Value::from);
                inner[name] = number.unwrap_or_else(|| value.as_str().into());
            }
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: Columns<'_> =
        Columns { known: &["account", "meter", "quantities.", "dimensions.", "key"], name: "key" };

    fn read(name: &str, text: &[u8], from: Option<Place>) -> Result<Vec<Row>, String> {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mut rows = Rows::open(&path, COLUMNS, from)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(row);
        }
        Ok(all)
    }

    #[test]
    fn a_file_goes_on_where_a_row_ended() {
        let csv = b"\xef\xbb\xbfaccount,quantities.tokens,dimensions.model\r\na,12,\"m\n1\"\r\n\r\nb,x,m\nc,1\n\
            d,,\"a \"\"b\"\"\"\n";
        let ndjson = b"{\"account\": \"a\"}\n\n{\"account\"\n[1]\n{\"account\": \"d\"}";
        for (name, text, lines) in [("x.csv", &csv[..], [2, 5, 6, 7]), ("x.ndjson", &ndjson[..], [1, 3, 4, 5])] {
            let whole = read(name, text, None).unwrap();
            assert_eq!(whole.iter().map(|it| it.line).collect::<Vec<_>>(), lines, "{name}");
            for (count, row) in whole.iter().enumerate() {
                let rest = read(name, text, Some(row.next)).unwrap();
                let seen = |it: &Row| (it.line, it.next, it.saying, it.members.clone());
                let expected: Vec<_> = whole[count + 1..].iter().map(seen).collect();
                assert_eq!(rest.iter().map(seen).collect::<Vec<_>>(), expected, "{name} after {}", row.line);
            }
        }
        let whole = read("x.csv", csv, None).unwrap();
        let first = whole[0].members.as_ref().unwrap();
        assert_eq!(
            Value::Object(first.clone()),
            serde_json::json!({
            "account": "a", "quantities": {"tokens": 12}, "dimensions": {"model": "m\n1"}})
        );
        assert_eq!(whole[1].members.as_ref().unwrap()["quantities"]["tokens"], "x");
        assert_eq!(whole[2].members.as_ref().unwrap_err(), "has 2 values, and the header 3");
    }

    /// Told from each other by what they say, and where that is the same by their number; and so also when it goes on
    /// after any of them.
    #[test]
    fn what_a_row_says_does_not_depend_on_where_it_stands() {
        let sayings = |text: &str, from| -> Vec<Option<Saying>> {
            read("x.csv", text.as_bytes(), from).unwrap().iter().map(|it| it.saying).collect()
        };
        let text = "account,meter,key\nada,chat,\nbob,chat,\nada,chat,\nada,chat,k\nada,chat,\n";
        let all = sayings(text, None);
        assert_eq!(
            all.iter().map(|it| it.map(|it| it.nth)).collect::<Vec<_>>(),
            [1, 1, 2, 0, 3].map(|it| (it != 0).then_some(it))
        );
        assert_eq!(all[0].unwrap().digest, all[4].unwrap().digest);
        assert_ne!(all[0].unwrap().digest, all[1].unwrap().digest);
        // Another order of rows and of columns, and one row less.
        let moved = sayings("meter,key,account\nchat,,ada\nchat,,ada\n\nchat,,ada\n", None);
        assert_eq!(moved, [all[0], all[2], all[4]]);
        let after = read("x.csv", text.as_bytes(), None).unwrap()[2].next;
        assert_eq!(sayings(text, Some(after)), all[3..]);
    }

    #[test]
    fn what_is_no_file_of_rows_says_so() {
        assert!(read("x.txt", b"", None).unwrap_err().contains(".csv"));
        assert!(read("x.csv", b"account,modle\n", None).unwrap_err().contains("`modle`"));
        assert!(read("x.csv", b"account,quantities.\n", None).unwrap_err().contains("`quantities.`"));
        assert!(read("x.csv", b"account,account\n", None).unwrap_err().contains("twice"));
        let endless = [b"account,meter\na,\"".to_vec(), vec![b'x'; 3 << 20]].concat();
        assert!(read("x.csv", &endless, None).unwrap_err().contains("line 2: is longer than 1 MiB"));
        let long = [vec![b'x'; 3 << 20], b"\n{\"account\": \"a\"}\n".to_vec()].concat();
        let rows = read("x.ndjson", &long, None).unwrap();
        assert_eq!((rows.len(), rows[1].line), (2, 2));
        assert!(rows[0].members.is_err() && rows[1].members.is_ok());
        assert_eq!(read("x.ndjson", &long, Some(rows[0].next)).unwrap().len(), 1);
    }

    /// Wherever it was edited, a file is not read on from the middle of what is now another row.
    #[test]
    fn a_file_that_was_changed_before_a_place_is_not_read_on_from_it() {
        let csv = b"account,meter\nacct_ada,chat\nacct_bob,chat\nacct_cyd,chat\n";
        let after_bob = read("x.csv", csv, None).unwrap()[1].next;
        let open = |text: &str| read("x.csv", text.as_bytes(), Some(after_bob)).map(|it| it.len());
        assert_eq!(open("account,meter\nacct_ada,chat\nacct_bob,chat\nacct_dan,chat\nacct_eve,chat\n"), Ok(2));
        for changed in [
            "account,meter\nacct_ada,chat\nacct_ben,chat\nacct_cyd,chat\n",
            "account,meter\nacct_adalbert,chat\nacct_bob,chat\nacct_cyd,chat\n",
            "account,meter\nacct_ada,chat\n",
            "meter,account\nacct_ada,chat\nacct_bob,chat\nacct_cyd,chat\n",
        ] {
            let why = open(changed).unwrap_err();
            assert!(why.contains("up to line 4") && why.contains("--anew"), "{why}");
        }
    }
}
