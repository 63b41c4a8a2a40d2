//! Shapes that serde's derive has no word for: an object read as a list of pairs, a draw, a price line.
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::numbered::Rate;

/// An object as its fields, in the order they stand.
pub struct Pairs<V>(pub Vec<(Arc<str>, V)>);

impl<V> Default for Pairs<V> {
    fn default() -> Pairs<V> {
        Pairs(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs<V>, D::Error> {
        struct Fields<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Fields<V> {
            type Value = Pairs<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<V>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// `["grant_…", 250]`, or with the pot: `["grant_…", 250, "held"]`.
pub struct DrawJson {
    pub grant: Arc<str>,
    pub credits: i64,
    pub pot: Option<Arc<str>>,
}

impl<'de> Deserialize<'de> for DrawJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DrawJson, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = DrawJson;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a draw: a grant, credits, and a pot unless it is the free one")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<DrawJson, A::Error> {
                let grant = seq.next_element()?.ok_or_else(|| Error::invalid_length(0, &self))?;
                let credits = seq.next_element()?.ok_or_else(|| Error::invalid_length(1, &self))?;
                Ok(DrawJson { grant, credits, pot: seq.next_element()? })
            }
        }
        deserializer.deserialize_seq(Parts)
    }
}

/// A price line, with its quantity and credits: `["Input", 1830, "token", 250000000, 1000000, 457500]`, or with the
/// number of its rate: `[7, 1830, 457500]`.
pub enum LineJson {
    Whole(Rate, u64, i64),
    Numbered(u32, u64, i64),
}

/// What a price line begins with.
enum First {
    Item(Arc<str>),
    Number(u32),
}

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<First, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = First;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an item, or the number of a rate")
            }
            fn visit_str<E: Error>(self, item: &str) -> Result<First, E> {
                Ok(First::Item(item.into()))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<First, E> {
                u32::try_from(number).map(First::Number).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for LineJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LineJson, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = LineJson;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a price line")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<LineJson, A::Error> {
                fn next<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(seq: &mut A) -> Result<T, A::Error> {
                    seq.next_element()?.ok_or_else(|| Error::invalid_length(0, &"a price line"))
                }
                let (first, quantity) = (next(&mut seq)?, next(&mut seq)?);
                let item = match first {
                    First::Number(number) => return Ok(LineJson::Numbered(number, quantity, next(&mut seq)?)),
                    First::Item(item) => item,
                };
                let rate = Rate { item, unit: next(&mut seq)?, unit_price: next(&mut seq)?, per: next(&mut seq)? };
                Ok(LineJson::Whole(rate, quantity, next(&mut seq)?))
            }
        }
        deserializer.deserialize_seq(Parts)
    }
}
