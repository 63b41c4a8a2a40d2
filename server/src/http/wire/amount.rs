//! Credits: decimal strings out; decimal strings or integers in. Never a float, in either direction.
use std::borrow::Cow;
use std::fmt;

use billing::money::Credits;
use billing::total::TotalCredits;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{RefOr, schema};
use utoipa::{PartialSchema, ToSchema};

use super::text_schema;

/// Credits in a reply.
#[derive(Clone, Copy, Debug)]
pub struct Amount(pub Credits);

/// Credits of many accounts, or of a long time, in a reply: said as an amount is.
#[derive(Clone, Copy, Debug)]
pub struct TotalAmount(pub TotalCredits);

/// Credits in a request.
#[derive(Clone, Copy, Debug)]
pub struct AmountIn(pub Credits);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.text())
    }
}
impl Serialize for TotalAmount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AmountIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AmountIn, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Credits;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal string such as \"12.5\" or a whole number")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Credits, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_i64<E: Error>(self, whole: i64) -> Result<Credits, E> {
                itoa::Buffer::new().format(whole).parse().map_err(E::custom)
            }
            fn visit_u64<E: Error>(self, whole: u64) -> Result<Credits, E> {
                itoa::Buffer::new().format(whole).parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Reader).map(AmountIn)
    }
}

impl PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        let description = "Credits as an exact decimal with at most six places.";
        RefOr::T(text_schema(description, r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,6})?$", "12.5").into())
    }
}
impl ToSchema for Amount {
    fn name() -> Cow<'static, str> {
        "Credits".into()
    }
}

impl PartialSchema for TotalAmount {
    fn schema() -> RefOr<Schema> {
        Amount::schema()
    }
}
impl ToSchema for TotalAmount {
    fn name() -> Cow<'static, str> {
        Amount::name()
    }
}

impl PartialSchema for AmountIn {
    fn schema() -> RefOr<Schema> {
        let text = text_schema("A decimal string, at most six places.", r"^[0-9]{1,9}(\.[0-9]{1,6})?$", "12.5");
        let whole = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0))
            .maximum(Some(1_000_000_000))
            .description(Some("A whole number of credits."));
        let description =
            "An amount of credits: a decimal string or a whole number. Floating-point numbers are refused.";
        let one_of: schema::OneOf = OneOfBuilder::new().item(text).item(whole).description(Some(description)).build();
        RefOr::T(one_of.into())
    }
}
impl ToSchema for AmountIn {
    fn name() -> Cow<'static, str> {
        "CreditsIn".into()
    }
}
