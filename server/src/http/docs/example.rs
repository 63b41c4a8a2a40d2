//! Examples made from schemas: what a request could look like, where its author gave no better one.
use serde_json::{Map, Value, json};

/// How deep an example goes; the API's own nest less.
const DEPTH_MAX: u32 = 6;

/// The schema a reference leads to, or the schema itself.
pub fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
    reference.and_then(|it| document.pointer(it)).unwrap_or(schema)
}

/// One value that fits `schema`.
pub fn of(document: &Value, schema: &Value) -> Value {
    value(document, schema, 0)
}

fn value(document: &Value, schema: &Value, depth: u32) -> Value {
    let schema = resolved(document, schema);
    let given = schema.get("example").or_else(|| schema["examples"].get(0));
    if let Some(given) = given {
        return given.clone();
    }
    if DEPTH_MAX < depth {
        return Value::Null;
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut all = Map::new();
        for part in parts {
            if let Value::Object(entries) = value(document, part, depth + 1) {
                all.extend(entries);
            }
        }
        return Value::Object(all);
    }
    if let Some(choices) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        let chosen = choices.iter().find(|it| it["type"] != "null");
        return chosen.map_or(Value::Null, |it| value(document, it, depth + 1));
    }
    let kind = schema["type"]
        .as_str()
        .or_else(|| schema["type"].as_array()?.iter().filter_map(Value::as_str).find(|it| *it != "null"));
    match kind {
        Some("object") => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            Value::Object(properties.map(|(name, it)| (name.clone(), value(document, it, depth + 1))).collect())
        }
        Some("array") => json!([value(document, &schema["items"], depth + 1)]),
        Some("integer") => json!(schema["minimum"].as_u64().unwrap_or(1).max(1)),
        Some("boolean") => json!(true),
        Some("string") => json!("text"),
        _ => json!({}),
    }
}
