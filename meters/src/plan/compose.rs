//! Compose files: the services of `docker compose`, in YAML or JSON.
//!
//! Must never know: weights. Invariant: a file is judged by itself; what it names elsewhere (`env_file`, `include`,
//! `extends`) is noted, not fetched.
//!
//! Domains are those of Traefik `Host(…)` rules, Caddy labels and `VIRTUAL_HOST`. Volumes are distinct sources, named
//! or bound. A reference is another service's name standing as a word in a variable's value (`postgres://db:5432`).

use std::sync::Arc;

use serde_json::{Map, Value};

use super::design::{Design, is_database};
use super::score::Score;
use super::{RESOURCES_MAX, YAML_BYTES_MAX};
use crate::MeasureError;

/// A service's name: what is made of it repeats it.
const NAME_BYTES_MAX: usize = 255;

pub fn score(text: &str) -> Result<Score, MeasureError> {
    if text.len() > YAML_BYTES_MAX {
        return Err(MeasureError::PlanTooLarge { what: "bytes of YAML", max: YAML_BYTES_MAX as u64 });
    }
    // The parser's default budget bounds depth, aliases and what aliases expand to; a doubled key is an error.
    let file: Value =
        serde_saphyr::from_str(text).map_err(|error| MeasureError::UnknownPlan { problem: error.to_string() })?;
    let services = match file.get("services") {
        Some(Value::Object(services)) if !services.is_empty() => services,
        Some(Value::Object(_) | Value::Null) => return Err(invalid("services", "it is empty")),
        Some(_) => return Err(invalid("services", "it is not a map of services")),
        None => return Err(MeasureError::UnknownPlan { problem: "it has no services".to_owned() }),
    };
    if services.len() > RESOURCES_MAX {
        return Err(MeasureError::PlanTooLarge { what: "services", max: RESOURCES_MAX as u64 });
    }
    let mut design = Design { services: services.keys().cloned().collect(), ..Design::default() };
    let mut notes = Vec::new();
    for (name, service) in services {
        let Value::Object(service) = service else {
            return Err(invalid(&format!("services.{name}"), "it is not a map"));
        };
        if NAME_BYTES_MAX < name.len() {
            return Err(invalid("services", "a name is longer than 255 bytes"));
        }
        add(&mut design, name, service);
        for elsewhere in ["env_file", "extends"] {
            if service.contains_key(elsewhere) {
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

fn add(design: &mut Design, name: &str, service: &Map<String, Value>) {
    let shared = Arc::<str>::from(name);
    if service.get("image").and_then(Value::as_str).is_some_and(is_database) {
        design.databases.insert(name.to_owned());
    }
    design.ports.extend(items(service, "ports").into_iter().map(|port| (Arc::clone(&shared), port_of(port))));
    design.volumes.extend(items(service, "volumes").into_iter().filter_map(|volume| volume_of(name, volume)));
    let off = service.get("healthcheck").is_none_or(|check| check.get("disable") == Some(&Value::Bool(true)));
    if !off {
        design.health_checks.insert(name.to_owned());
    }
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
    for target in depends.into_iter().chain(links) {
        design.dependencies.insert((Arc::clone(&shared), target.to_owned()));
    }
    for (variable, value) in pairs(service, "environment") {
        add_references(design, &shared, &value);
        if ["VIRTUAL_HOST", "LETSENCRYPT_HOST"].contains(&variable.as_str()) {
            design.domains.extend(value.split(',').map(|host| host.trim().to_ascii_lowercase()));
        }
        design.variables.insert((Arc::clone(&shared), variable));
    }
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
            Some(text.split_once(':').map_or_else(|| anonymous(text), |(source, _)| source.to_owned()))
        }
    }
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
