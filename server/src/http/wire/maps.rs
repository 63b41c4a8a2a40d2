//! Quantities and dimensions: JSON objects of whole numbers and of texts.
use std::fmt;
use std::sync::Arc;

use billing::rating::Text;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::TextIn;

/// Entries read into one map. A meter has at most 32 quantities and 16 dimensions.
const ENTRIES_MAX: usize = 64;

#[derive(Clone, Debug, Default)]
pub struct QuantitiesIn(pub Vec<(Text, u64)>);
#[derive(Clone, Debug, Default)]
pub struct DimensionsIn(pub Vec<(Text, Text)>);
#[derive(Clone, Copy, Debug)]
pub struct Quantities<'a>(pub &'a [(Text, u64)]);
#[derive(Clone, Copy, Debug)]
pub struct Dimensions<'a>(pub &'a [(Text, Text)]);

/// A quantity: no sign, no fraction, no exponent.
struct Whole(u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Whole, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Whole;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number from 0 to 18446744073709551615")
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
                Ok(Whole(number))
            }
        }
        deserializer.deserialize_u64(Reader)
    }
}

struct Pairs<'a, T>(&'a mut Vec<(Text, T)>);

impl<T> Pairs<'_, T> {
    fn add<E: Error>(&mut self, name: TextIn, value: T) -> Result<(), E> {
        if self.0.len() == ENTRIES_MAX {
            return Err(E::custom(format_args!("must have at most {ENTRIES_MAX} entries")));
        }
        if self.0.iter().any(|(it, _)| *it == name.0) {
            return Err(E::custom(format_args!("names `{}` twice", name.0)));
        }
        self.0.push((name.0, value));
        Ok(())
    }
}

impl<'de> Deserialize<'de> for QuantitiesIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<QuantitiesIn, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = QuantitiesIn;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of quantities")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<QuantitiesIn, A::Error> {
                let mut read = Vec::with_capacity(4);
                while let Some((name, Whole(quantity))) = map.next_entry::<TextIn, Whole>()? {
                    Pairs(&mut read).add(name, quantity)?;
                }
                Ok(QuantitiesIn(read))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl<'de> Deserialize<'de> for DimensionsIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DimensionsIn, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = DimensionsIn;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DimensionsIn, A::Error> {
                let mut read = Vec::with_capacity(2);
                while let Some((name, value)) = map.next_entry::<TextIn, TextIn>()? {
                    Pairs(&mut read).add(name, value.0)?;
                }
                Ok(DimensionsIn(read))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl Serialize for Quantities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, quantity)| (&**name, quantity)))
    }
}
impl Serialize for Dimensions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (&**name, &**value)))
    }
}

fn quantities(description: &str) -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(u64::MAX));
    let names = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[a-z0-9_]{1,64}$"));
    let schema = ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(RefOr::T(Schema::from(number))))
        .property_names(Some(Schema::from(names)))
        .max_properties(Some(ENTRIES_MAX))
        .description(Some(description))
        .examples([serde_json::json!({"input_tokens": 1200, "output_tokens": 350})]);
    RefOr::T(schema.into())
}

fn dimensions(description: &str) -> RefOr<Schema> {
    let value = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(256));
    let schema = ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(RefOr::T(Schema::from(value))))
        .max_properties(Some(ENTRIES_MAX))
        .description(Some(description))
        .examples([serde_json::json!({"model": "gpt-6.1-terra"})]);
    RefOr::T(schema.into())
}

impl PartialSchema for QuantitiesIn {
    fn schema() -> RefOr<Schema> {
        quantities("How much was used, by the meter's quantities: whole numbers.")
    }
}
impl ToSchema for QuantitiesIn {
    fn name() -> std::borrow::Cow<'static, str> {
        "Quantities".into()
    }
}
impl PartialSchema for Quantities<'_> {
    fn schema() -> RefOr<Schema> {
        QuantitiesIn::schema()
    }
}
impl ToSchema for Quantities<'_> {
    fn name() -> std::borrow::Cow<'static, str> {
        "Quantities".into()
    }
}
impl PartialSchema for DimensionsIn {
    fn schema() -> RefOr<Schema> {
        dimensions("What kind of usage it was, by the meter's dimensions: they choose the price.")
    }
}
impl ToSchema for DimensionsIn {
    fn name() -> std::borrow::Cow<'static, str> {
        "Dimensions".into()
    }
}
impl PartialSchema for Dimensions<'_> {
    fn schema() -> RefOr<Schema> {
        DimensionsIn::schema()
    }
}
impl ToSchema for Dimensions<'_> {
    fn name() -> std::borrow::Cow<'static, str> {
        "Dimensions".into()
    }
}

/// Borrowed texts as one map.
pub fn texts<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> Vec<(Text, Text)> {
    pairs.into_iter().map(|(name, value)| (Arc::from(&**name), Arc::from(&**value))).collect()
}
