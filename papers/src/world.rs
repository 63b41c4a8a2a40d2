//! The typesetter's world: one template, one file of values, our fonts; no clock, no disk, no network.
use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::{Value, json};
use typst::diag::{FileError, FileResult, SourceDiagnostic};
use typst::foundations::{Bytes, Datetime, Duration, Smart};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt, World};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, PdfStandard, PdfStandards};

use crate::fonts::{FONTS, families};
use crate::text::{is_plain, plain, printable};
use crate::{Attachment, Column, Failure, Logo, Paper, Party, Sum, Table};

/// What the typesetter remembers of papers it has set is kept for so many more.
const REMEMBERED: usize = 2;

static LIBRARY: LazyLock<LazyHash<Library>> = LazyLock::new(|| LazyHash::new(Library::default()));
static TEMPLATE: LazyLock<Source> =
    LazyLock::new(|| Source::new(file("template.typ"), include_str!("../template.typ").to_owned()));
static VALUES: LazyLock<FileId> = LazyLock::new(|| file("values.json"));
static LOGO: LazyLock<FileId> = LazyLock::new(|| file("logo"));
static ATTACHED: LazyLock<FileId> = LazyLock::new(|| file("attached"));

fn file(name: &str) -> FileId {
    let path = VirtualPath::new(name).expect("a plain name is a path");
    RootedPath::new(VirtualRoot::Project, path).intern()
}

/// Texts of one paper that are tried by themselves. One that has more has more made plain.
const TRIED_MAX: usize = 64;

/// Which letters are let onto the paper.
#[derive(Clone, Copy)]
pub enum Letters<'a> {
    /// All that some font draws.
    Drawn,
    /// The same, but for these texts.
    PlainIn(&'a BTreeSet<String>),
    /// Those that can be set whatever stands beside them.
    Plain,
}

impl Letters<'_> {
    fn fit(self, text: &str) -> String {
        match self {
            Letters::PlainIn(texts) if texts.contains(text) => plain(text),
            Letters::Drawn | Letters::PlainIn(_) => printable(text),
            Letters::Plain => plain(text),
        }
    }
}

/// The texts of a paper that cannot be set even where nothing else is on it.
pub fn unfit(paper: &Paper) -> BTreeSet<String> {
    let mut texts = BTreeSet::new();
    gather(&serde_json::to_value(paper).expect("a paper is plain JSON"), &mut texts);
    texts.retain(|it| !is_plain(it));
    let mut tried = 0;
    texts.retain(|it| {
        tried += 1;
        TRIED_MAX < tried || typeset(&alone(it), None, None, Letters::Drawn).is_err()
    });
    texts
}

/// A paper that says one text, in each of the ways that something is said.
fn alone(text: &str) -> Paper {
    let text = || text.to_owned();
    let column = |is_number| Column { title: text(), is_number };
    Paper {
        title: text(),
        headline: text(),
        parties: vec![Party { role: text(), name: text(), lines: vec![text()] }],
        tables: vec![Table {
            columns: vec![column(false), column(true)],
            rows: vec![vec![text(), text()]],
            sums: vec![Sum { label: text(), value: text(), is_total: true }],
            ..Table::default()
        }],
        notes: vec![text()],
        footer: vec![text()],
        ..Paper::default()
    }
}

fn gather(value: &Value, texts: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => _ = texts.insert(text.clone()),
        Value::Array(items) => items.iter().for_each(|it| gather(it, texts)),
        Value::Object(members) => members.values().for_each(|it| gather(it, texts)),
        _ => {}
    }
}

pub fn typeset(
    paper: &Paper,
    attachment: Option<&Attachment>,
    logo: Option<&Logo>,
    letters: Letters<'_>,
) -> Result<Vec<u8>, Failure> {
    let desk = Desk {
        values: Bytes::new(values(paper, attachment, logo, letters)),
        attached: attachment.map(|it| Bytes::new(it.bytes.clone())),
        logo: logo.map(|it| Bytes::new(it.bytes.clone())),
    };
    let document = typst::compile::<PagedDocument>(&desk).output.map_err(|it| told(&it))?;
    let standards = PdfStandards::new(&[PdfStandard::A_3b]).map_err(|it| Failure(it.message().to_string()))?;
    let options = PdfOptions {
        ident: Smart::Custom(format!("{} {}", paper.title, paper.number)),
        creator: Smart::Custom(Some("Scrip".to_owned())),
        standards,
        ..PdfOptions::default()
    };
    let bytes = typst_pdf::pdf(&document, &options).map_err(|it| told(&it));
    typst::comemo::evict(REMEMBERED);
    bytes
}

fn told(faults: &[SourceDiagnostic]) -> Failure {
    let messages: Vec<&str> = faults.iter().map(|it| it.message.as_str()).collect();
    Failure(messages.join("; "))
}

/// The paper as JSON, every text in it printable.
fn values(paper: &Paper, attachment: Option<&Attachment>, logo: Option<&Logo>, letters: Letters<'_>) -> Vec<u8> {
    let mut values = serde_json::to_value(paper).expect("a paper is plain JSON");
    clean(&mut values, letters);
    values["fonts"] = json!(families());
    values["logo"] = json!(logo.map(|it| if it.is_svg { "svg" } else { "png" }));
    values["attached"] = json!(attachment.map(|it| json!({"name": it.name, "type": it.media_type})));
    serde_json::to_vec(&values).expect("a paper is plain JSON")
}

fn clean(value: &mut Value, letters: Letters<'_>) {
    match value {
        Value::String(text) => *text = letters.fit(text),
        Value::Array(items) => items.iter_mut().for_each(|it| clean(it, letters)),
        Value::Object(members) => members.values_mut().for_each(|it| clean(it, letters)),
        _ => {}
    }
}

struct Desk {
    values: Bytes,
    attached: Option<Bytes>,
    logo: Option<Bytes>,
}

impl World for Desk {
    fn library(&self) -> &LazyHash<Library> {
        &LIBRARY
    }
    fn book(&self) -> &LazyHash<FontBook> {
        &FONTS.book
    }
    fn main(&self) -> FileId {
        TEMPLATE.id()
    }
    fn source(&self, id: FileId) -> FileResult<Source> {
        if id == TEMPLATE.id() { Ok(TEMPLATE.clone()) } else { Err(FileError::AccessDenied) }
    }
    fn file(&self, id: FileId) -> FileResult<Bytes> {
        let found = match id {
            it if it == *VALUES => Some(&self.values),
            it if it == *ATTACHED => self.attached.as_ref(),
            it if it == *LOGO => self.logo.as_ref(),
            _ => None,
        };
        found.cloned().ok_or(FileError::AccessDenied)
    }
    fn font(&self, index: usize) -> Option<Font> {
        FONTS.all.get(index).cloned()
    }
    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_that_cannot_be_set_is_made_plain() {
        // A mark that has no letter to belong to.
        let name = "\u{5b0} & Ödön €5 株";
        let paper = Paper { headline: "€60.50 paid – 株".to_owned(), ..alone(name) };
        assert!(typeset(&paper, None, None, Letters::Drawn).is_err());
        let unfit = unfit(&paper);
        assert_eq!(unfit, BTreeSet::from([name.to_owned()]));
        let letters = Letters::PlainIn(&unfit);
        assert_eq!((&*letters.fit(name), &*letters.fit(&paper.headline)), ("□ & Ödön €5 □", "€60.50 paid – 株"));
        assert!(typeset(&paper, None, None, letters).is_ok());
    }
}
