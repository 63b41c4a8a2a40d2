//! Typesetting: what an invoice, a credit note or a statement says, as a PDF that looks it.
//!
//! One function, [`typeset`], from values to bytes. Must never know what a number on a paper means, nor where it came
//! from. Invariants: whatever is on a paper is text and never markup; the same paper gives the same bytes, on any
//! machine and at any time; what no font of ours can draw is shown as a box and stops nothing.
//!
//! The PDF is PDF/A-3b, so that it can be kept for the ten years the law wants, and carries its structured twin as an
//! attachment. Fonts are inside: nothing is looked for on the machine.
mod fonts;
mod text;
mod world;

use std::fmt;

use serde::Serialize;
use world::Letters;

/// A paper: everything that is printed on it, in the order it is printed, and nothing else.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Paper {
    /// `Invoice`: what kind of paper it is.
    pub title: String,
    /// `INV-2026-000042`: which one.
    pub number: String,
    /// `Paid`, or nothing.
    pub state: String,
    /// The day it was issued, as the PDF's own date.
    pub issued: Day,
    /// One line that says it all: `€60.50 paid on 26 November 2026`.
    pub headline: String,
    pub facts: Vec<Fact>,
    pub parties: Vec<Party>,
    pub tables: Vec<Table>,
    /// What the law, or anybody, wants it to say.
    pub notes: Vec<String>,
    /// What whoever keeps it may want to find again, in small print after everything else.
    pub closing: Vec<Fact>,
    /// Small print at the foot of every page, a part each.
    pub footer: Vec<String>,
    pub brand: Brand,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Day {
    pub year: i32,
    pub month: u8,
    pub day: u8,
}

impl Default for Day {
    fn default() -> Day {
        Day { year: 1970, month: 1, day: 1 }
    }
}

/// A label and its value.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Fact {
    pub label: String,
    pub value: String,
}

/// Somebody the paper is from or to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Party {
    pub role: String,
    pub name: String,
    pub lines: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Table {
    /// Nothing where the paper has but one.
    pub title: String,
    pub columns: Vec<Column>,
    /// Each as long as there are columns.
    pub rows: Vec<Vec<String>>,
    pub sums: Vec<Sum>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Column {
    pub title: String,
    /// Set to the right, in figures of one width.
    pub is_number: bool,
}

/// A line under a table.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sum {
    pub label: String,
    pub value: String,
    /// The one that people look for.
    pub is_total: bool,
}

/// How the operator presents itself.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Brand {
    pub name: String,
    /// Red, green, blue.
    pub accent: [u8; 3],
    #[serde(skip)]
    pub logo: Option<Logo>,
}

#[derive(Clone, Debug)]
pub struct Logo {
    pub is_svg: bool,
    pub bytes: Vec<u8>,
}

/// A file that travels inside the PDF: the same paper, for machines.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// `INV-2026-000042.xml`.
    pub name: String,
    pub media_type: &'static str,
    pub bytes: Vec<u8>,
}

/// Why there is no PDF. Not for customers: they did nothing wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "typesetting failed: {}", self.0)
    }
}
impl std::error::Error for Failure {}

/// The paper as PDF/A-3b, with its attachment inside.
///
/// # Errors
/// When the typesetter does not manage. A logo that cannot be drawn is left out instead, and of a text that cannot be
/// set, such as a mark without the letter it belongs to, what is not plain is shown as boxes.
pub fn typeset(paper: &Paper, attachment: Option<&Attachment>) -> Result<Vec<u8>, Failure> {
    let logo = paper.brand.logo.as_ref();
    let set = |logo: Option<&Logo>, letters: Letters<'_>| world::typeset(paper, attachment, logo, letters);
    set(logo, Letters::Drawn).or_else(|_| set(None, Letters::Drawn)).or_else(|_| {
        let unfit = world::unfit(paper);
        let letters = Letters::PlainIn(&unfit);
        set(logo, letters).or_else(|_| set(None, letters)).or_else(|_| set(None, Letters::Plain))
    })
}
