//! A document as a tree of values that remember where they stood, whichever notation they were written in.
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use meters::plain;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A card is five levels deep; what is much deeper is not one.
const DEPTH_MAX: usize = 16;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Byte offset in the document.
    pub at: usize,
    pub value: Value,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    Text(String),
    Integer(i64),
    /// A number with a point or exponent, or a whole one beyond 64 bits, as it was written.
    Inexact(String),
    Boolean(bool),
    Null,
    List(Vec<Node>),
    /// In the order of the document.
    Table(Vec<Entry>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub key: String,
    pub key_at: usize,
    pub node: Node,
}

/// A fault with its place as an offset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flaw {
    pub at: Option<usize>,
    pub field: String,
    pub why: String,
}

impl Flaw {
    pub fn new(at: Option<usize>, field: impl Into<String>, why: impl Into<String>) -> Flaw {
        Flaw { at, field: field.into(), why: why.into() }
    }
}

impl Value {
    /// What it is, as a fault calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a text",
            Value::Integer(_) => "a whole number",
            Value::Inexact(_) => "a floating-point number",
            Value::Boolean(_) => "true or false",
            Value::Null => "null",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

pub fn from_toml(text: &str) -> Result<Node, Flaw> {
    match DeTable::parse(text) {
        Ok(root) => toml_table(root.get_ref(), root.span().start, 0),
        Err(error) => Err(Flaw::new(error.span().map(|it| it.start), "", format!("is not TOML: {}", error.message()))),
    }
}

fn toml_node(node: &Spanned<DeValue<'_>>, depth: usize) -> Result<Node, Flaw> {
    let at = node.span().start;
    let value = match node.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            i64::from_str_radix(&digits, number.radix()).map_or(Value::Inexact(digits), Value::Integer)
        }
        DeValue::Float(number) => Value::Inexact(number.as_str().to_owned()),
        DeValue::Boolean(is) => Value::Boolean(*is),
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(items) => {
            let depth = deeper(at, depth)?;
            Value::List(items.iter().map(|it| toml_node(it, depth)).collect::<Result<_, Flaw>>()?)
        }
        DeValue::Table(table) => return toml_table(table, at, depth),
    };
    Ok(Node { at, value })
}

fn toml_table(table: &DeTable<'_>, at: usize, depth: usize) -> Result<Node, Flaw> {
    let depth = deeper(at, depth)?;
    let entry = |(key, node): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let key_at = key.span().start;
        Ok(Entry { key: ToString::to_string(key.get_ref()), key_at, node: toml_node(node, depth)? })
    };
    let mut entries: Vec<Entry> = table.iter().map(entry).collect::<Result<_, Flaw>>()?;
    entries.sort_by_key(|it| it.key_at);
    Ok(Node { at, value: Value::Table(entries) })
}

fn deeper(at: usize, depth: usize) -> Result<usize, Flaw> {
    if depth < DEPTH_MAX { Ok(depth + 1) } else { Err(Flaw::new(Some(at), "", "is nested too deeply")) }
}

pub fn from_json(text: &str) -> Result<Node, Flaw> {
    let root: &RawValue = serde_json::from_str(text).map_err(|error| not_json(text, 0, &error))?;
    json_node(text, root, 0)
}

fn json_node(document: &str, raw: &RawValue, depth: usize) -> Result<Node, Flaw> {
    let text = raw.get();
    // `raw` borrows from `document`: the distance of their beginnings is where it stands.
    let at = text.as_ptr().addr() - document.as_ptr().addr();
    let wrong = |error: serde_json::Error| not_json(document, at, &error);
    let value = match text.as_bytes().first() {
        Some(b'{') => {
            let depth = deeper(at, depth)?;
            let pairs: Pairs<'_> = serde_json::from_str(text).map_err(wrong)?;
            Value::Table(json_entries(document, at, pairs, depth)?)
        }
        Some(b'[') => {
            let depth = deeper(at, depth)?;
            let items: Items<'_> = serde_json::from_str(text).map_err(wrong)?;
            Value::List(items.0.into_iter().map(|it| json_node(document, it, depth)).collect::<Result<_, Flaw>>()?)
        }
        Some(b'"') => Value::Text(serde_json::from_str(text).map_err(wrong)?),
        Some(b't' | b'f') => Value::Boolean(text == "true"),
        Some(b'n') => Value::Null,
        _ => text.parse().map_or_else(|_| Value::Inexact(text.to_owned()), Value::Integer),
    };
    Ok(Node { at, value })
}

fn json_entries(document: &str, at: usize, pairs: Pairs<'_>, depth: usize) -> Result<Vec<Entry>, Flaw> {
    let mut entries: Vec<Entry> = Vec::new();
    let (mut seen, mut end) = (BTreeSet::new(), at);
    for (key, raw) in pairs.0 {
        let node = json_node(document, raw, depth)?;
        // Between two values stands one key and nothing else in quotes, however it is escaped.
        let key_at = document[end..node.at].find('"').map_or(node.at, |it| end + it);
        end = node.at + raw.get().len();
        if !seen.insert(key.clone()) {
            return Err(Flaw::new(Some(key_at), key, "is given twice"));
        }
        entries.push(Entry { key: key.into_owned(), key_at, node });
    }
    Ok(entries)
}

/// serde_json counts lines and columns from where it began to read, which was at offset `base`.
fn not_json(document: &str, base: usize, error: &serde_json::Error) -> Flaw {
    let lines = document[base..].split_inclusive('\n').take(error.line().saturating_sub(1));
    let line_start = base + lines.map(str::len).sum::<usize>();
    let mut at = (line_start + error.column().saturating_sub(1)).min(document.len());
    while !document.is_char_boundary(at) {
        at -= 1;
    }
    let text = error.to_string();
    let why = text.split(" at line ").next().unwrap_or(&text);
    Flaw::new(Some(at), "", format!("is not JSON: {}", plain::broken(why)))
}

/// The pairs of an object, repeated keys and all.
struct Pairs<'text>(Vec<(Cow<'text, str>, &'text RawValue)>);
struct Items<'text>(Vec<&'text RawValue>);

/// A key, borrowed unless it is escaped.
#[derive(Deserialize)]
struct Key<'text>(#[serde(borrow)] Cow<'text, str>);

/// No document has more entries in one table or list.
const ENTRIES_MAX: usize = 10_000;

impl<'text> Deserialize<'text> for Pairs<'text> {
    fn deserialize<D: Deserializer<'text>>(reader: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'text> Visitor<'text> for Reader {
            type Value = Pairs<'text>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'text>>(self, mut map: A) -> Result<Pairs<'text>, A::Error> {
                let mut pairs = Vec::new();
                while let Some((Key(key), raw)) = map.next_entry()? {
                    if ENTRIES_MAX <= pairs.len() {
                        return Err(A::Error::custom("too many entries"));
                    }
                    pairs.push((key, raw));
                }
                Ok(Pairs(pairs))
            }
        }
        reader.deserialize_map(Reader)
    }
}

impl<'text> Deserialize<'text> for Items<'text> {
    fn deserialize<D: Deserializer<'text>>(reader: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'text> Visitor<'text> for Reader {
            type Value = Items<'text>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'text>>(self, mut list: A) -> Result<Items<'text>, A::Error> {
                let mut items = Vec::new();
                while let Some(raw) = list.next_element()? {
                    if ENTRIES_MAX <= items.len() {
                        return Err(A::Error::custom("too many items"));
                    }
                    items.push(raw);
                }
                Ok(Items(items))
            }
        }
        reader.deserialize_seq(Reader)
    }
}
