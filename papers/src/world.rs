//! The typesetter's world: one template, one file of values, our fonts; no clock, no disk, no network.
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
use crate::text::{plain, printable};
use crate::{Attachment, Failure, Logo, Paper};

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

/// Which letters are let onto the paper.
#[derive(Clone, Copy)]
pub enum Letters {
    /// All that some font draws.
    Drawn,
    /// Those that can be set whatever stands beside them.
    Plain,
}

pub fn typeset(
    paper: &Paper,
    attachment: Option<&Attachment>,
    logo: Option<&Logo>,
    letters: Letters,
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
fn values(paper: &Paper, attachment: Option<&Attachment>, logo: Option<&Logo>, letters: Letters) -> Vec<u8> {
    let mut values = serde_json::to_value(paper).expect("a paper is plain JSON");
    clean(
        &mut values,
        match letters {
            Letters::Drawn => printable,
            Letters::Plain => plain,
        },
    );
    values["fonts"] = json!(families());
    values["logo"] = json!(logo.map(|it| if it.is_svg { "svg" } else { "png" }));
    values["attached"] = json!(attachment.map(|it| json!({"name": it.name, "type": it.media_type})));
    serde_json::to_vec(&values).expect("a paper is plain JSON")
}

fn clean(value: &mut Value, fit: fn(&str) -> String) {
    match value {
        Value::String(text) => *text = fit(text),
        Value::Array(items) => items.iter_mut().for_each(|it| clean(it, fit)),
        Value::Object(members) => members.values_mut().for_each(|it| clean(it, fit)),
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
