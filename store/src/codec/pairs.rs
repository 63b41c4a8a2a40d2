//! Shapes that serde's derive has no word for: an object read as a list of pairs, and a draw.
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

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
