//! Scrip's own plan: the smallest form in which a platform can say what it is going to build.
//!
//! ```json
//! {"scrip_plan": 1,
//!  "servers":  [{"name": "main", "tier": "business"}],
//!  "services": [{"name": "web", "image": "ghcr.io/acme/web", "kind": "service", "ports": [443],
//!                "volumes": ["uploads"], "domains": ["acme.example"], "env": ["DATABASE_URL"], "health_check": true,
//!                "depends_on": ["db"], "references": ["db"]},
//!               {"name": "db", "image": "postgres:17"}]}
//! ```
//! `kind` is `service`, `database` or `cache`; left out, the image's name decides. `env` may be a map or a list of
//! names. Names must be unique; `depends_on` and `references` must name services of the plan.
//!
//! Must never know: weights. Invariant: an unknown field is refused, because it would be scored as nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::design::{Design, is_database};
use super::{RESOURCES_MAX, or_none, score::Score};
use crate::{MeasureError, plain};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    scrip_plan: u64,
    #[serde(default, deserialize_with = "or_none")]
    servers: Vec<Server>,
    #[serde(default, deserialize_with = "or_none")]
    services: Vec<Service>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    name: String,
    #[serde(default, rename = "tier")]
    _tier: Option<String>,
    #[serde(default, rename = "region")]
    _region: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    name: String,
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    kind: Option<Kind>,
    #[serde(default, deserialize_with = "or_none")]
    ports: Vec<u16>,
    #[serde(default, deserialize_with = "or_none")]
    volumes: Vec<String>,
    #[serde(default, deserialize_with = "or_none")]
    domains: Vec<String>,
    #[serde(default, deserialize_with = "or_none")]
    env: Env,
    #[serde(default)]
    health_check: Option<Value>,
    #[serde(default, deserialize_with = "or_none")]
    depends_on: Vec<String>,
    #[serde(default, deserialize_with = "or_none")]
    references: Vec<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Service,
    Database,
    Cache,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Env {
    Names(Vec<String>),
    Map(BTreeMap<String, Value>),
}

impl Default for Env {
    fn default() -> Self {
        Self::Names(Vec::new())
    }
}

pub fn score(text: &str) -> Result<Score, MeasureError> {
    let version: Version = serde_json::from_str(text).map_err(|error| invalid("scrip_plan", plain::of_json(&error)))?;
    if version.scrip_plan != 1 {
        return Err(MeasureError::UnsupportedPlanVersion { found: version.scrip_plan.to_string(), supported: "1" });
    }
    let plan: Plan = serde_json::from_str(text).map_err(|error| invalid("plan", plain::of_json(&error)))?;
    assert_eq!(plan.scrip_plan, 1, "the version was looked at first");
    if RESOURCES_MAX < plan.servers.len() + plan.services.len() {
        return Err(MeasureError::PlanTooLarge { what: "servers and services", max: RESOURCES_MAX as u64 });
    }
    Ok(design(plan)?.score("scrip"))
}

/// Read alone and first, so that a later version is told as such and not as an unknown field.
#[derive(Deserialize)]
struct Version {
    scrip_plan: Value,
}

fn design(plan: Plan) -> Result<Design, MeasureError> {
    let mut design = Design::default();
    for (index, server) in plan.servers.into_iter().enumerate() {
        unique(design.servers.insert(server.name), &format!("servers[{index}].name"))?;
    }
    for (index, service) in plan.services.iter().enumerate() {
        unique(design.services.insert(service.name.clone()), &format!("services[{index}].name"))?;
    }
    for (index, service) in plan.services.into_iter().enumerate() {
        add(&mut design, service, index)?;
    }
    Ok(design)
}

fn add(design: &mut Design, service: Service, index: usize) -> Result<(), MeasureError> {
    let (name, shared) = (service.name.clone(), Arc::<str>::from(service.name));
    let by_image = service.image.as_deref().is_some_and(is_database);
    if service.kind.map_or(by_image, |kind| kind != Kind::Service) {
        design.databases.insert(name.clone());
    }
    design.volumes.extend(service.volumes);
    design.domains.extend(service.domains.iter().map(|domain| domain.to_ascii_lowercase()));
    design.ports.extend(service.ports.iter().map(|port| (Arc::clone(&shared), port.to_string())));
    if !matches!(service.health_check, None | Some(Value::Null | Value::Bool(false))) {
        design.health_checks.insert(name.clone());
    }
    let variables = match service.env {
        Env::Names(names) => names,
        Env::Map(map) => map.into_keys().collect(),
    };
    design.variables.extend(variables.into_iter().map(|variable| (Arc::clone(&shared), variable)));
    for (field, targets) in [("depends_on", service.depends_on), ("references", service.references)] {
        for target in targets {
            if !design.services.contains(&target) {
                return Err(invalid(&format!("services[{index}].{field}"), format!("{target:?} is not a service")));
            }
            let edges = if field == "depends_on" { &mut design.dependencies } else { &mut design.references };
            edges.insert((Arc::clone(&shared), target));
        }
    }
    Ok(())
}

fn unique(new: bool, field: &str) -> Result<(), MeasureError> {
    if new { Ok(()) } else { Err(invalid(field, "the name is used twice".to_owned())) }
}

fn invalid(field: &str, problem: String) -> MeasureError {
    MeasureError::InvalidPlan { field: field.to_owned(), problem }
}
