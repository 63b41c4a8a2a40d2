//! The reference page and the page of problems, as HTML.
use std::fmt::Write;

use serde_json::Value;

use super::super::catalogue::Kind;
use super::example::{self, resolved};
use super::{escaped, prose};

const STYLE: &str = include_str!("style.css");
const TOOK: &str = "a text takes more text";

fn page(title: &str, menu: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title}</title><style>{STYLE}</style></head><body><a class=\"skip\" href=\"#main\">Skip to content</a>\
         <nav aria-label=\"Contents\">{menu}</nav><main id=\"main\">{body}</main></body></html>"
    )
}

/// The whole reference.
pub fn reference(document: &Value) -> String {
    let mut menu = String::from("<p class=\"brand\"><a href=\"/docs\">Scrip</a></p><ul>");
    let mut body = String::new();
    let description = document["info"]["description"].as_str().unwrap_or_default();
    write!(body, "<h1>Scrip <small>{}</small></h1>{}", text(&document["info"]["version"]), prose(description))
        .expect(TOOK);
    body.push_str(START);
    for tag in document["tags"].as_array().into_iter().flatten() {
        let name = text(&tag["name"]);
        let id = name.to_lowercase().replace(' ', "-");
        write!(menu, "<li><a href=\"#{id}\">{name}</a><ul>").expect(TOOK);
        write!(body, "<section aria-labelledby=\"{id}\"><h2 id=\"{id}\">{name}</h2>").expect(TOOK);
        body.push_str(&prose(tag["description"].as_str().unwrap_or_default()));
        for (path, method, operation) in operations(document).filter(|it| it.2["tags"][0] == tag["name"]) {
            let (id, title) = (text(&operation["operationId"]), text(&operation["summary"]));
            write!(menu, "<li><a href=\"#{id}\">{title}</a></li>").expect(TOOK);
            body.push_str(&shown(document, path, method, operation));
        }
        menu.push_str("</ul></li>");
        body.push_str("</section>");
    }
    menu.push_str(
        "<li><a href=\"/docs/problems\">Problem codes</a></li><li><a href=\"/openapi.json\">openapi.json</a></li></ul>",
    );
    page("Scrip: API reference", &menu, &body)
}

const START: &str = "<section class=\"start\"><h2>Start</h2><p>Register an account, which comes with its welcome \
    credits; charge it; look at what is left. <code>SCRIP_KEY</code> is the API key that <code>scrip serve</code> \
    printed.</p>\
    <pre><code>export SCRIP_URL=http://127.0.0.1:8080 SCRIP_KEY=scrip_…\n\
    curl -sX PUT $SCRIP_URL/v1/accounts/acct_ada -H \"Authorization: Bearer $SCRIP_KEY\" \\\n  \
    -H 'Content-Type: application/json' -d '{\"name\":\"Ada\"}'</code></pre></section>";

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

fn shown(document: &Value, path: &str, method: &str, operation: &Value) -> String {
    let mut html = String::new();
    let (id, title) = (text(&operation["operationId"]), text(&operation["summary"]));
    write!(html, "<article id=\"{id}\"><h3><a href=\"#{id}\">{title}</a></h3>").expect(TOOK);
    let verb = method.to_uppercase();
    write!(html, "<p class=\"line\"><b class=\"{method}\">{verb}</b> <code>{}</code>", escaped(path)).expect(TOOK);
    match operation["security"][0]["api_key"][0].as_str() {
        Some(scope) => write!(html, " <span class=\"scope\">scope <code>{scope}</code></span></p>").expect(TOOK),
        None => html.push_str(" <span class=\"scope\">no key needed</span></p>"),
    }
    html.push_str(&prose(operation["description"].as_str().unwrap_or_default()));
    let line = escaped(&curl(document, path, method, operation));
    write!(html, "<pre><code>{line}</code></pre>").expect(TOOK);
    parameters(&mut html, operation);
    body_of(&mut html, document, operation);
    responses(&mut html, document, operation);
    html.push_str("</article>");
    html
}

fn parameters(html: &mut String, operation: &Value) {
    let Some(parameters) = operation["parameters"].as_array().filter(|it| !it.is_empty()) else { return };
    html.push_str("<div class=\"wide\"><table><caption>Parameters</caption><tbody>");
    for it in parameters {
        let needed = if it["required"] == true { " <i>required</i>" } else { "" };
        let (name, place, what) = (text(&it["name"]), text(&it["in"]), it["description"].as_str().unwrap_or_default());
        write!(html, "<tr><th scope=\"row\"><code>{name}</code> <small>{place}</small>{needed}</th>").expect(TOOK);
        write!(html, "<td>{}</td></tr>", prose(what)).expect(TOOK);
    }
    html.push_str("</tbody></table></div>");
}

fn body_of(html: &mut String, document: &Value, operation: &Value) {
    let content = operation["requestBody"]["content"].as_object();
    let Some((media_type, body)) =
        content.and_then(|it| it.get_key_value("application/json").or_else(|| it.iter().next()))
    else {
        return;
    };
    let mut schema = resolved(document, &body["schema"]);
    if schema["type"] == "array" {
        let items = &schema["items"];
        schema = resolved(document, items["anyOf"].get(0).unwrap_or(items));
    }
    fields(html, document, schema, &format!("Body <small>{}</small>", escaped(media_type)));
}

/// A table of an object's fields.
fn fields(html: &mut String, document: &Value, schema: &Value, caption: &str) {
    let Some(properties) = schema["properties"].as_object().filter(|it| !it.is_empty()) else { return };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    write!(html, "<div class=\"wide\"><table><caption>{caption}</caption><tbody>").expect(TOOK);
    for (name, field) in properties {
        let needed = if required.contains(&name.as_str()) { " <i>required</i>" } else { "" };
        write!(html, "<tr><th scope=\"row\"><code>{}</code>{needed}</th><td>", escaped(name)).expect(TOOK);
        let choice = field["oneOf"].as_array().and_then(|it| it.iter().find(|it| it["type"] != "null"));
        let own = field["description"].as_str().or_else(|| choice?["description"].as_str());
        let of_type = resolved(document, choice.unwrap_or(field))["description"].as_str();
        html.push_str(&prose(own.or(of_type).unwrap_or_default()));
        html.push_str("</td></tr>");
    }
    html.push_str("</tbody></table></div>");
}

fn responses(html: &mut String, document: &Value, operation: &Value) {
    html.push_str("<details><summary>Answers</summary><div class=\"wide\"><table><tbody>");
    let mut example = None;
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let response = resolved(document, response);
        let description = prose(response["description"].as_str().unwrap_or_default());
        write!(html, "<tr><th scope=\"row\"><code>{status}</code></th><td>{description}</td></tr>").expect(TOOK);
        let schema = &response["content"]["application/json"]["schema"];
        if status.starts_with('2') && !schema.is_null() {
            example = Some(example::of(document, schema));
        }
    }
    html.push_str("</tbody></table></div>");
    if let Some(example) = example {
        write!(html, "<pre><code>{}</code></pre>", escaped(&format!("{example:#}"))).expect(TOOK);
    }
    html.push_str("</details>");
}

/// The operation as a line for a terminal.
fn curl(document: &Value, path: &str, method: &str, operation: &Value) -> String {
    let mut url = path.replace("{account}", "acct_ada").replace("{project}", "shop").replace("{version}", "1");
    for (name, value) in [("{charge}", "$CHARGE"), ("{hold}", "$HOLD"), ("{grant}", "$GRANT"), ("{key}", "$KEY_ID")] {
        url = url.replace(name, value);
    }
    let verb = if method == "get" { String::new() } else { format!("X {}", method.to_uppercase()) };
    let mut line = format!("curl -s{verb} \"$SCRIP_URL{url}\"");
    if operation["security"][0].get("api_key").is_some() {
        line.push_str(" \\\n  -H \"Authorization: Bearer $SCRIP_KEY\"");
    }
    let takes_key =
        operation["parameters"].as_array().is_some_and(|it| it.iter().any(|it| it["name"] == "Idempotency-Key"));
    if takes_key {
        line.push_str(" \\\n  -H 'Idempotency-Key: request-8412'");
    }
    let content = &operation["requestBody"]["content"];
    if content["application/json"]["schema"].is_object() && operation["operationId"] != "uploadRateCard" {
        let body = example::of(document, &content["application/json"]["schema"]);
        write!(line, " \\\n  -H 'Content-Type: application/json' \\\n  -d '{body}'").expect(TOOK);
    } else if let Some((media_type, _)) =
        content.as_object().and_then(|it| it.iter().rev().find(|it| *it.0 != "text/plain"))
    {
        write!(line, " \\\n  -H 'Content-Type: {media_type}' \\\n  --data-binary @FILE").expect(TOOK);
    }
    line
}

/// Every code, what it means, what to do.
pub fn problems(kinds: &[&Kind]) -> String {
    let menu =
        "<p class=\"brand\"><a href=\"/docs\">Scrip</a></p><ul><li><a href=\"/docs\">API reference</a></li></ul>";
    let mut body = String::from("<h1>Problem codes</h1>");
    body.push_str(&prose(
        "A failed request is answered with `application/problem+json`. Branch on `code`, which never changes its \
         meaning; show `detail`, which says what to do. A refused request has changed nothing.",
    ));
    body.push_str(
        "<div class=\"wide\"><table><thead><tr><th>Code</th><th>Status</th><th>Meaning</th></tr></thead><tbody>",
    );
    for kind in kinds {
        let Kind { code, status, title, meaning } = kind;
        write!(body, "<tr id=\"{code}\"><th scope=\"row\"><a href=\"#{code}\"><code>{code}</code></a></th>")
            .expect(TOOK);
        write!(body, "<td>{status}</td><td><b>{}</b>{}</td></tr>", escaped(title), prose(meaning)).expect(TOOK);
    }
    body.push_str("</tbody></table></div>");
    page("Scrip: problem codes", menu, &body)
}
