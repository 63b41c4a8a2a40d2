//! How things are written down: JSON that a stranger can read, the same in every adapter.
//!
//! The rules' own types stay without any notion of being written; what mirrors them lives here. Credits are whole
//! micro-credits, instants whole milliseconds. What was written reads back equal, and what was not written here is
//! [`Malformed`], never a panic.
mod block;
mod book;
mod budget;
mod burn;
mod json;
mod money;
mod notice;
mod numbered;
mod pairs;
mod transaction;
mod usage;
mod work;

pub(crate) use block::{Block, BlockWriter, Kind, Spot as BlockSpot, Told, told_whole};
pub(crate) use book::{
    read as read_book, read_apart as read_terms, read_lean as read_lean_book, write as write_book,
    write_apart as write_terms, write_lean as write_lean_book,
};
pub(crate) use json::Json;
pub(crate) use numbered::{Met, Numbered, Numbers, Rate, read_shape, work_in, write_shape};
pub(crate) use transaction::{Columns, Row, read as read_transaction, write_body};
pub(crate) use usage::{read as read_usage, write as write_usage};

use std::fmt;

/// Why a stored text is not what it should be.
#[derive(Debug)]
pub struct Malformed(String);

impl Malformed {
    pub(crate) fn lacks(field: &'static str) -> Malformed {
        Malformed(format!("it lacks `{field}`"))
    }
    pub(crate) fn not(what: &'static str, text: &str) -> Malformed {
        Malformed(format!("`{text}` is not {what}"))
    }
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Malformed {
        Malformed(error.to_string())
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
mod tests;
