//! Instants: RFC 3339 in UTC with milliseconds out; RFC 3339 with any offset in.
use std::borrow::Cow;
use std::fmt;

use billing::time::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// An instant in a reply.
#[derive(Clone, Copy, Debug)]
pub struct Instant(pub Timestamp);

/// An instant in a request.
#[derive(Clone, Copy, Debug)]
pub struct InstantIn(pub Timestamp);

impl Instant {
    /// What never ends has no end to show.
    pub fn unless_never(at: Timestamp) -> Option<Instant> {
        (at < Timestamp::NEVER).then_some(Instant(at))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = jiff::Timestamp::from_millisecond(self.0.millis()).unwrap_or(jiff::Timestamp::MAX);
        PRINTER.print_timestamp(&instant, jiff::fmt::StdFmtWrite(f)).map_err(|_| fmt::Error)
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::str::FromStr for InstantIn {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<InstantIn, &'static str> {
        let instant: jiff::Timestamp =
            text.parse().map_err(|_| "must be a time with its offset, such as 2026-12-01T09:30:00Z")?;
        // Ids and buckets hold what lies between 1970 and 2500; nothing older or later is anybody's usage.
        let millis = instant.as_millisecond();
        if !(0..16_725_225_600_000).contains(&millis) {
            return Err("must be between the years 1970 and 2500");
        }
        Ok(InstantIn(Timestamp::from_millis(millis)))
    }
}

impl<'de> Deserialize<'de> for InstantIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<InstantIn, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = InstantIn;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time with its offset, such as 2026-12-01T09:30:00Z")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<InstantIn, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

fn schema(description: &str) -> RefOr<Schema> {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some(description))
        .examples(["2026-12-01T09:30:00.000Z"]);
    RefOr::T(schema.into())
}

impl PartialSchema for Instant {
    fn schema() -> RefOr<Schema> {
        schema("An instant: RFC 3339, UTC, with milliseconds.")
    }
}
impl ToSchema for Instant {
    fn name() -> Cow<'static, str> {
        "Instant".into()
    }
}
impl PartialSchema for InstantIn {
    fn schema() -> RefOr<Schema> {
        schema("An instant: RFC 3339 with any offset.")
    }
}
impl ToSchema for InstantIn {
    fn name() -> Cow<'static, str> {
        "InstantIn".into()
    }
}
