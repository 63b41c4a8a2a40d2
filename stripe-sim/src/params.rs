//! A request's form, with its nested names: `metadata[id]=x&expand[]=customer&line_items[0][quantity]=1`.
//!
//! Whoever answers takes what it knows; what is left over nobody knows, and is refused as the provider does.
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::problem::Problem;

#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    Text(String),
    Tree(BTreeMap<String, Field>),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params {
    /// What its names stand in: `payment_intent_data`.
    inside: String,
    fields: BTreeMap<String, Field>,
}

impl Params {
    /// Reads a form or a query; of a name that comes twice, the last counts.
    pub fn read(form: &str) -> Params {
        let mut params = Params::default();
        for (name, value) in form_urlencoded::parse(form.as_bytes()) {
            let (first, rest) = name.split_once('[').unwrap_or((&name, ""));
            let mut steps = vec![first.to_owned()];
            steps.extend(rest.split('[').filter(|it| !it.is_empty()).map(|it| it.trim_end_matches(']').to_owned()));
            put(&mut params.fields, &steps, value.into_owned());
        }
        params
    }

    pub fn extend(&mut self, other: Params) {
        self.fields.extend(other.fields);
    }

    fn named(&self, name: &str) -> String {
        if self.inside.is_empty() { name.to_owned() } else { format!("{}[{name}]", self.inside) }
    }

    /// A text; an empty one stands for none.
    pub fn text(&mut self, name: &str) -> Option<String> {
        match self.fields.get(name) {
            Some(Field::Text(_)) => match self.fields.remove(name) {
                Some(Field::Text(text)) if !text.is_empty() => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// A text that is there and empty asks for the thing to be taken away.
    pub fn is_cleared(&self, name: &str) -> bool {
        matches!(self.fields.get(name), Some(Field::Text(text)) if text.is_empty())
    }

    pub fn required(&mut self, name: &str) -> Result<String, Problem> {
        self.text(name).ok_or_else(|| Problem::missing(&self.named(name)))
    }

    pub fn whole(&mut self, name: &str) -> Result<Option<i64>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let wrong = || {
            let message = format!("Invalid integer: {text}");
            Problem::parameter(&self.named(name), "parameter_invalid_integer", message)
        };
        text.parse().map(Some).map_err(|_| wrong())
    }

    pub fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.text(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => {
                let message = format!("Invalid boolean: {other}");
                Err(Problem::parameter(&self.named(name), "", message))
            }
        }
    }

    /// One of the words allowed.
    pub fn choice(&mut self, name: &str, allowed: &[&str]) -> Result<Option<String>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if allowed.contains(&&*text) {
            return Ok(Some(text));
        }
        let message = format!("Invalid {name}: must be one of {}", allowed.join(", "));
        Err(Problem::parameter(&self.named(name), "", message))
    }

    /// What is nested under a name; empty where nothing is.
    pub fn tree(&mut self, name: &str) -> Params {
        let inside = self.named(name);
        match self.fields.get(name) {
            Some(Field::Tree(_)) => match self.fields.remove(name) {
                Some(Field::Tree(fields)) => Params { inside, fields },
                _ => Params::default(),
            },
            _ => Params { inside, fields: BTreeMap::new() },
        }
    }

    /// The items of a list, in the order of their numbers.
    pub fn items(&mut self, name: &str) -> Vec<Params> {
        let list = self.tree(name);
        let mut numbered: Vec<(usize, Params)> = Vec::new();
        for (index, (number, field)) in list.fields.into_iter().enumerate() {
            let inside = format!("{}[{number}]", list.inside);
            let fields = match field {
                Field::Tree(fields) => fields,
                text => BTreeMap::from([(String::new(), text)]),
            };
            numbered.push((number.parse().unwrap_or(index), Params { inside, fields }));
        }
        numbered.sort_by_key(|it| it.0);
        numbered.into_iter().map(|it| it.1).collect()
    }

    /// The texts of a list: `expand[]=a&expand[]=b`.
    pub fn texts(&mut self, name: &str) -> Vec<String> {
        self.items(name).into_iter().filter_map(|mut it| it.text("")).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// All that is left, as texts: metadata.
    pub fn to_texts(&self) -> Map<String, Value> {
        let texts = self.fields.iter().filter_map(|(name, field)| match field {
            Field::Text(text) => Some((name.clone(), Value::from(text.clone()))),
            Field::Tree(_) => None,
        });
        texts.collect()
    }

    /// Merges metadata as the provider does: an empty text takes the name away.
    pub fn merge_into(&mut self, name: &str, object: &mut Value) {
        for (name, text) in self.tree(name).to_texts() {
            if text == "" {
                object.as_object_mut().expect("metadata is an object").remove(&name);
            } else {
                object[name] = text;
            }
        }
    }

    /// # Errors
    /// Names the first parameter nobody took.
    pub fn finish(&self) -> Result<(), Problem> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(name) => {
                let name = self.named(name);
                let message = format!("Received unknown parameter: {name}");
                Err(Problem::parameter(&name, "parameter_unknown", message))
            }
        }
    }
}

fn put(fields: &mut BTreeMap<String, Field>, steps: &[String], value: String) {
    let (first, rest) = (&steps[0], &steps[1..]);
    // `name[]=` appends.
    let name = if first.is_empty() { fields.len().to_string() } else { first.clone() };
    if rest.is_empty() {
        fields.insert(name, Field::Text(value));
        return;
    }
    let below = fields.entry(name).or_insert_with(|| Field::Tree(BTreeMap::new()));
    if let Field::Text(_) = below {
        *below = Field::Tree(BTreeMap::new());
    }
    if let Field::Tree(tree) = below {
        put(tree, rest, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_names() {
        let mut params =
            Params::read("metadata[a b]=x%20y&line_items[1][n]=2&line_items[0][n]=1&expand[]=p&expand[]=q");
        assert_eq!(params.texts("expand"), ["p", "q"]);
        let lines: Vec<_> = params.items("line_items").iter_mut().map(|it| it.whole("n").unwrap()).collect();
        assert_eq!(lines, [Some(1), Some(2)]);
        assert_eq!(params.finish().unwrap_err().error["message"], "Received unknown parameter: metadata");
        assert_eq!(params.tree("metadata").to_texts()["a b"], "x y");
        assert_eq!(params.finish().map_err(|it| it.status), Ok(()));
    }
}
