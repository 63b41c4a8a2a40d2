//! Names and ids: those the platform chooses, checked where they are read; those Scrip makes, shown with their pattern.
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use billing::id::{ChargeId, EntryId, GrantId, HoldId, Name};
use billing::rating::Text;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::text_schema;

/// What a name looks like, for schemas.
pub const NAME_PATTERN: &str = "^[A-Za-z0-9._:@-]{1,128}$";

/// A name in a request.
#[derive(Clone, Debug)]
pub struct NameIn(pub Name);

/// A short text in a request, of any characters.
#[derive(Clone, Debug)]
pub struct TextIn(pub Text);

/// A name in a reply.
#[derive(Clone, Copy, Debug)]
pub struct AccountId<'a>(pub &'a Name);

struct NameReader;
impl Visitor<'_> for NameReader {
    type Value = Name;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name: 1 to 128 characters of A-Z a-z 0-9 . _ : @ -")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
        text.parse().map_err(E::custom)
    }
}

struct TextReader;
impl Visitor<'_> for TextReader {
    type Value = Text;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        Ok(Arc::from(text))
    }
}

impl<'de> Deserialize<'de> for NameIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NameIn, D::Error> {
        deserializer.deserialize_str(NameReader).map(NameIn)
    }
}
impl<'de> Deserialize<'de> for TextIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TextIn, D::Error> {
        deserializer.deserialize_str(TextReader).map(TextIn)
    }
}
impl Serialize for AccountId<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

fn name_schema() -> RefOr<Schema> {
    RefOr::T(text_schema("A name that the platform chose.", NAME_PATTERN, "acct_ada").into())
}

impl PartialSchema for NameIn {
    fn schema() -> RefOr<Schema> {
        name_schema()
    }
}
impl ToSchema for NameIn {
    fn name() -> Cow<'static, str> {
        "Name".into()
    }
}
impl PartialSchema for AccountId<'_> {
    fn schema() -> RefOr<Schema> {
        name_schema()
    }
}
impl ToSchema for AccountId<'_> {
    fn name() -> Cow<'static, str> {
        "Name".into()
    }
}
impl PartialSchema for TextIn {
    fn schema() -> RefOr<Schema> {
        RefOr::T(ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).into())
    }
}
impl ToSchema for TextIn {}

macro_rules! ids { ($($(#[$doc:meta])* $name:ident $id:ident $shown:literal)*) => { $(
    $(#[$doc])*
    #[derive(Clone, Copy, Debug)]
    pub struct $name(pub $id);

    impl Serialize for $name {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(&self.0.text())
        }
    }
    impl PartialSchema for $name {
        fn schema() -> RefOr<Schema> {
            let pattern = format!("^{}_[0-9a-hjkmnp-tv-z]{{26}}$", $id::PREFIX);
            let example = format!("{}_01kb6kzv400000000000000001", $id::PREFIX);
            RefOr::T(text_schema("An id that Scrip made; ids sort by time.", &pattern, &example).into())
        }
    }
    impl ToSchema for $name {
        fn name() -> Cow<'static, str> {
            $shown.into()
        }
    }
)* } }

ids! {
    ChargeRef ChargeId "ChargeId"
    HoldRef HoldId "HoldId"
    GrantRef GrantId "GrantId"
    EntryRef EntryId "EntryId"
}
