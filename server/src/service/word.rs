//! Words of the rules within documents, such as a currency or how a payment stands: `#[serde(with = "super::word")]`.
//!
//! Kept as the text they are shown as. Invariant: a word nobody here knows is a fault and never a guess, for money in a
//! currency that cannot be read is not euros.
use std::fmt::Display;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

pub fn serialize<T: Display, S: Serializer>(word: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(word)
}

pub fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| D::Error::custom(format_args!("`{text}` is no word that is known here")))
}
