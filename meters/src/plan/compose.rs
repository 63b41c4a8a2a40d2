//! Compose files: the services of `docker compose`, in YAML or JSON.
//!
//! Must never know: weights. Invariant: a file is judged by itself; what it names elsewhere (`env_file`, `include`,
//! `extends` with a `file`) is noted, not fetched. A service that extends another of this file has what that one has.
//!
//! A service counts once, whatever its `profiles` and however many replicas of it run; one that is null, as an override
//! takes it out (`!reset null`), does not. Variables (`${NAME}`) are not filled in. A published range of ports is one.
//! Domains are those of Traefik `Host(…)` rules, Caddy labels and `VIRTUAL_HOST`. Volumes are distinct sources, named
//! or bound. A service depends on those in `depends_on` and `links`, and on those whose network, processes or volumes
//! it shares. A reference is another service's name standing as a word in a variable's value (`postgres://db:5432`).

use std::sync::Arc;

use serde_json::{Map, Value};

use super::design::{Design, is_database};
use super::score::Score;
use super::{RESOURCES_MAX, YAML_BYTES_MAX};
use crate::{MeasureError, plain};

/// A service's name: what is made of it repeats it.
const NAME_BYTES_MAX: usize = 255;

/// Services of this file that one may extend, one after another.
const LINEAGE_MAX: usize = 16;
/// What services have of those that they extend, together, as long as it is when it is made.
const EXTENDED_BYTES_MAX: usize = 64 << 20;
/// What is made of the shortest part: `1` in the file is an entry with its owner here.
const PART_BYTES: usize = 64;
/// References: one word of a value makes one, for each service that has the value.
const REFERENCES_MAX: usize = 1_000_000;

/// Of YAML.
pub fn score(text: &str) -> Result<Score, MeasureError> {
    if YAML_BYTES_MAX < text.len() {
        return Err(MeasureError::PlanTooLarge { what: "bytes of YAML", max: YAML_BYTES_MAX as u64 });
    }
    // The parser's default budget bounds depth, aliases and what aliases expand to; a doubled key is an error. How many
    // aliases one anchor has says nothing: large files have two hundred of ten.
    let options = serde_saphyr::options! { budget: serde_saphyr::budget! { enforce_alias_anchor_ratio: false } };
    let read = serde_saphyr::from_str_with_options(text, options);
    score_of(&read.map_err(|error| MeasureError::UnknownPlan { problem: of_yaml(&error) })?)
}

/// Of JSON, which writes some characters as no YAML does.
pub fn score_json(text: &str) -> Result<Score, MeasureError> {
    if YAML_BYTES_MAX < text.len() {
        return Err(MeasureError::PlanTooLarge { what: "bytes of a compose file", max: YAML_BYTES_MAX as u64 });
    }
    score_of(
        &serde_json::from_str(text).map_err(|error| MeasureError::UnknownPlan { problem: plain::of_json(&error) })?,
    )
}

/// What is wrong with a document of YAML, and where.
fn of_yaml(error: &serde_saphyr::Error) -> String {
    let said = error.without_snippet().to_string();
    let said = said.split(" at line ").next().unwrap_or(&said);
    let place = error.location().map(|it| format!(" (line {}, column {})", it.line(), it.column()));
    format!("{}{}", plain::words(said), place.unwrap_or_default())
}

fn score_of(file: &Value) -> Result<Score, MeasureError> {
    let services = match file.get("services") {
        Some(Value::Object(services)) if services.values().any(|it| !it.is_null()) => services,
        Some(Value::Object(_) | Value::Null) => return Err(invalid("services", "it is empty")),
        Some(_) => return Err(invalid("services", "it is not a map of services")),
        None => {
            let elsewhere =
                if file.get("include").is_some() { ", only those of the files that it includes" } else { "" };
            return Err(MeasureError::UnknownPlan { problem: format!("it has no services{elsewhere}") });
        }
    };
    if RESOURCES_MAX < services.len() {
        return Err(MeasureError::PlanTooLarge { what: "services", max: RESOURCES_MAX as u64 });
    }
    let named = services.iter().filter(|(_, service)| !service.is_null()).map(|(name, _)| name.clone());
    let mut design = Design { services: named.collect(), ..Design::default() };
    let mut notes = Vec::new();
    let mut extended_bytes = 0;
    for (name, service) in services.iter().filter(|(_, service)| !service.is_null()) {
        let Value::Object(service) = service else {
            return Err(invalid(&format!("services.{name}"), "it is not a map"));
        };
        if NAME_BYTES_MAX < name.len() {
            return Err(invalid("services", "a name is longer than 255 bytes"));
        }
        let lineage = lineage(services, name, service)?;
        extended_bytes += lineage[1..].iter().map(|it| bytes_of_map(it)).sum::<usize>();
        if EXTENDED_BYTES_MAX < extended_bytes {
            return Err(MeasureError::PlanTooLarge {
                what: "bytes of extended services",
                max: EXTENDED_BYTES_MAX as u64,
            });
        }
        add(&mut design, name, &lineage);
        if REFERENCES_MAX < design.references.len() {
            return Err(MeasureError::PlanTooLarge { what: "references between services", max: REFERENCES_MAX as u64 });
        }
        let other_file = service.get("extends").is_some_and(|it| it.get("file").is_some());
        for (elsewhere, is_there) in [("env_file", service.contains_key("env_file")), ("extends", other_file)] {
            if is_there {
                notes.push(format!("services.{name}.{elsewhere} names another file, which was not counted"));
            }
        }
    }
    if file.get("include").is_some() {
        notes.push("include names other files, which were not counted".to_owned());
    }
    let mut score = design.score("compose");
    score.notes = notes;
    Ok(score)
}

/// A service, and those of this file that it extends, nearest first.
fn lineage<'v>(
    services: &'v Map<String, Value>,
    name: &str,
    service: &'v Map<String, Value>,
) -> Result<Vec<&'v Map<String, Value>>, MeasureError> {
    let field = || format!("services.{name}.extends");
    let mut lineage = vec![service];
    loop {
        let last = lineage[lineage.len() - 1];
        let extended = match last.get("extends") {
            Some(Value::String(extended)) => extended,
            Some(Value::Object(place)) if !place.contains_key("file") => match place.get("service") {
                Some(Value::String(extended)) => extended,
                _ => return Err(invalid(&field(), "it names no service")),
            },
            _ => return Ok(lineage),
        };
        if lineage.len() == LINEAGE_MAX {
            return Err(invalid(&field(), "it goes on for more than 16 services, or for ever"));
        }
        match services.get(extended) {
            Some(Value::Object(next)) => lineage.push(next),
            _ => return Err(invalid(&field(), "it names no service of this file")),
        }
    }
}

fn bytes_of_map(map: &Map<String, Value>) -> usize {
    map.iter().map(|(name, value)| name.len() + bytes_of(value)).sum()
}

/// Of what is made of it, not of what is written.
fn bytes_of(value: &Value) -> usize {
    PART_BYTES
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(bytes_of).sum(),
            Value::Object(map) => bytes_of_map(map),
            _ => 0,
        }
}

/// Adds a service: its own image and check, or else those of the nearest that it extends; of all else what they all
/// have.
fn add(design: &mut Design, name: &str, lineage: &[&Map<String, Value>]) {
    let first = |field: &str| lineage.iter().find_map(|service| service.get(field));
    if first("image").and_then(Value::as_str).is_some_and(is_database) {
        design.databases.insert(name.to_owned());
    }
    if first("healthcheck").is_some_and(checks_health) {
        design.health_checks.insert(name.to_owned());
    }
    let shared = Arc::<str>::from(name);
    for service in lineage {
        add_parts(design, &shared, service);
    }
}

/// Whether a check is one: not null, and not one of the two ways to turn off that of the image.
fn checks_health(check: &Value) -> bool {
    let none = match check.get("test") {
        Some(Value::Array(words)) => words.first().and_then(Value::as_str) == Some("NONE"),
        _ => false,
    };
    !check.is_null() && !none && check.get("disable") != Some(&Value::Bool(true))
}

fn add_parts(design: &mut Design, shared: &Arc<str>, service: &Map<String, Value>) {
    design.ports.extend(items(service, "ports").into_iter().map(|port| (Arc::clone(shared), port_of(port))));
    design.volumes.extend(items(service, "volumes").into_iter().filter_map(|volume| volume_of(shared, volume)));
    for (label, value) in pairs(service, "labels") {
        design.domains.extend(domains_of_label(&label, &value));
    }
    let links = items(service, "links")
        .into_iter()
        .filter_map(Value::as_str)
        .map(|link| link.split(':').next().unwrap_or(link));
    let depends = match service.get("depends_on") {
        Some(Value::Object(map)) => map.keys().map(String::as_str).collect(),
        _ => items(service, "depends_on").into_iter().filter_map(Value::as_str).collect::<Vec<_>>(),
    };
    for target in depends.into_iter().chain(links).chain(shares(service)) {
        design.dependencies.insert((Arc::clone(shared), target.to_owned()));
    }
    for (variable, value) in pairs(service, "environment") {
        add_references(design, shared, &value);
        if ["VIRTUAL_HOST", "LETSENCRYPT_HOST"].contains(&variable.as_str()) {
            design.domains.extend(value.split(',').map(|host| host.trim().to_ascii_lowercase()));
        }
        design.variables.insert((Arc::clone(shared), variable));
    }
}

/// Services whose network, processes, memory or volumes a service shares.
fn shares(service: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let text = |field: &str| service.get(field).and_then(Value::as_str);
    let modes = ["network_mode", "ipc", "pid"].into_iter().filter_map(text);
    let volumes = items(service, "volumes_from").into_iter().filter_map(Value::as_str);
    // `name` or `name:ro`, unless it is of a container.
    let volumes = volumes.filter(|it| !it.starts_with("container:")).map(|it| it.split(':').next().unwrap_or(it));
    modes.filter_map(|mode| mode.strip_prefix("service:")).chain(volumes)
}

fn add_references(design: &mut Design, name: &Arc<str>, value: &str) {
    let words = value.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.'));
    for word in words.filter(|word| *word != &**name) {
        if design.services.contains(word) {
            design.references.insert((Arc::clone(name), word.to_owned()));
        }
    }
}

/// A list field, or the one value written without a list.
fn items<'v>(service: &'v Map<String, Value>, field: &str) -> Vec<&'v Value> {
    match service.get(field) {
        None | Some(Value::Null | Value::Object(_)) => Vec::new(),
        Some(Value::Array(items)) => items.iter().collect(),
        Some(one) => vec![one],
    }
}

/// A field of names and values, written as a map or as a list of `name=value`.
fn pairs(service: &Map<String, Value>, field: &str) -> Vec<(String, String)> {
    if let Some(Value::Object(map)) = service.get(field) {
        return map.iter().map(|(name, value)| (name.clone(), plain(value))).collect();
    }
    let text = |item: &Value| {
        let item = plain(item);
        let (name, value) = item.split_once('=').unwrap_or((&item, ""));
        (name.to_owned(), value.to_owned())
    };
    items(service, field).into_iter().map(text).collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What tells two published ports apart: the short form whole, the long form's published, target and protocol.
fn port_of(port: &Value) -> String {
    let Value::Object(long) = port else { return plain(port) };
    let part = |name: &str| long.get(name).map(plain).unwrap_or_default();
    format!("{}:{}:{}/{}", part("host_ip"), part("published"), part("target"), part("protocol"))
}

/// A volume's source; an anonymous one is known by its service and target. Memory-backed mounts keep nothing.
fn volume_of(service: &str, volume: &Value) -> Option<String> {
    let anonymous = |target: &str| format!("{service}:{target}");
    match volume {
        Value::Object(long) => {
            let part = |name: &str| long.get(name).and_then(Value::as_str);
            if part("type") == Some("tmpfs") {
                return None;
            }
            part("source").map(str::to_owned).or_else(|| part("target").map(anonymous))
        }
        short => {
            let text = short.as_str()?;
            // `C:\data:/data`: the first colon is the drive's.
            let drive = match text.as_bytes() {
                [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic() && text[2..].contains(':') => 2,
                _ => 0,
            };
            let source = colon(&text[drive..]).map(|colon| &text[..drive + colon]);
            Some(source.map_or_else(|| anonymous(text), str::to_owned))
        }
    }
}

/// The first colon that is not in a variable (`${NAME:-default}`).
fn colon(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut last = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' if last == b'$' || 0 < depth => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b':' if depth == 0 => return Some(at),
            _ => {}
        }
        last = byte;
    }
    None
}

/// Hosts in a reverse proxy's label.
fn domains_of_label(label: &str, value: &str) -> Vec<String> {
    if label == "caddy" || label.strip_prefix("caddy_").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())) {
        let hosts = value.split([',', ' ']).filter(|host| !host.is_empty());
        return hosts.map(|host| host.trim_start_matches("https://").to_ascii_lowercase()).collect();
    }
    if !(label.starts_with("traefik.") && label.ends_with(".rule")) {
        return Vec::new();
    }
    let arguments = value.split("Host(").skip(1).filter_map(|rest| rest.split(')').next());
    let hosts = arguments.flat_map(|list| list.split(','));
    hosts.map(|host| host.trim_matches([' ', '`', '"', '\'']).to_ascii_lowercase()).filter(|h| !h.is_empty()).collect()
}

fn invalid(field: &str, problem: &str) -> MeasureError {
    MeasureError::InvalidPlan { field: field.to_owned(), problem: problem.to_owned() }
}
