//! Terraform and OpenTofu plans: the output of `terraform show -json`.
//!
//! Must never know: what a resource type is worth (`weights`). Invariant: the order of the plan's lists changes
//! nothing.
//!
//! Format: <https://developer.hashicorp.com/terraform/internals/json-format>: "reject any input which reports an
//! unsupported major version", and ignore what a minor version adds. Counted are `resource_changes` of mode `managed`,
//! an object that an earlier replacement left over (`deposed`) as one of its own; data sources are reads, and weigh
//! nothing. Nor do drift, checks, outputs and what is put off. References come from `configuration`, once per pair,
//! from resources that change.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::score::Score;
use super::weights::{CHILDREN_OF_A_PARENT_MAX, Class, class, is_skipped};
use super::{RESOURCES_MAX, or_none};
use crate::{MeasureError, plain};

const SUPPORTED: &str = "1.x";
/// What a plan refers to is written out in full; together at most this.
const GATHERED_BYTES_MAX: usize = 64 << 20;
/// Hundredths of a point per reference.
const REFERENCE: u64 = 50;

#[derive(Deserialize)]
struct Plan {
    #[serde(default, deserialize_with = "or_none")]
    errored: bool,
    planned_values: Option<IgnoredAny>,
    values: Option<IgnoredAny>,
    resource_changes: Option<Vec<ResourceChange>>,
    /// What cannot be planned yet.
    #[serde(default, deserialize_with = "or_none")]
    deferred_changes: Vec<IgnoredAny>,
    #[serde(default, deserialize_with = "or_none")]
    configuration: Configuration,
}

#[derive(Deserialize)]
struct Version {
    format_version: Value,
}

#[derive(Deserialize)]
struct ResourceChange {
    address: String,
    #[serde(default, deserialize_with = "or_none")]
    module_address: String,
    #[serde(default)]
    mode: String,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    previous_address: Option<String>,
    change: Change,
}

#[derive(Deserialize)]
struct Change {
    actions: Vec<String>,
    importing: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct Configuration {
    #[serde(default, deserialize_with = "or_none")]
    root_module: Module,
}

#[derive(Default, Deserialize)]
struct Module {
    #[serde(default, deserialize_with = "or_none")]
    resources: Vec<Configured>,
    #[serde(default, deserialize_with = "or_none")]
    module_calls: BTreeMap<String, ModuleCall>,
}

#[derive(Deserialize)]
struct ModuleCall {
    #[serde(default, deserialize_with = "or_none")]
    module: Module,
}

#[derive(Deserialize)]
struct Configured {
    #[serde(default)]
    mode: String,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    #[serde(default, deserialize_with = "or_none")]
    expressions: Value,
    #[serde(default, deserialize_with = "or_none")]
    depends_on: Vec<String>,
}

/// What a plan does to a resource, and how much of its weight that is, in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Created,
    Replaced,
    Updated,
    Deleted,
    /// Imported, moved or forgotten: the state changes, the infrastructure does not.
    Moved,
}

impl Action {
    fn percent(self) -> u64 {
        match self {
            Self::Created => 100,
            Self::Replaced => 150,
            Self::Updated => 60,
            Self::Deleted => 30,
            Self::Moved => 20,
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Replaced => "replaced",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Moved => "imported, moved or forgotten",
        }
    }
}

pub fn score(text: &str) -> Result<Score, MeasureError> {
    let plan = read(text)?;
    let changes = changes(plan.resource_changes.unwrap_or_default())?;
    let mut gathered = Gathered::default();
    gathered.module(&plan.configuration.root_module, "")?;
    let references = gathered.references;

    let mut score = Score::new("terraform");
    score.resources = changes.len() as u64;
    score.notes = match plan.deferred_changes.len() {
        0 => Vec::new(),
        1 => vec!["1 change is put off by the plan until more is known, and was not counted".to_owned()],
        count => vec![format!("{count} changes are put off by the plan until more is known, and were not counted")],
    };
    add_parents(&mut score, &changes);
    add_children(&mut score, &changes, &references);
    add_references(&mut score, &changes, &references);
    Ok(score)
}

fn read(text: &str) -> Result<Plan, MeasureError> {
    let wrong = |error: serde_json::Error| invalid("plan", plain::of_json(&error));
    let version: Version = serde_json::from_str(text).map_err(wrong)?;
    let found = version.format_version.as_str().unwrap_or_default();
    if found.split_once('.').map(|(major, _)| major) != Some("1") {
        return Err(MeasureError::UnsupportedPlanVersion {
            // A text as it reads, anything else as it is written.
            found: version.format_version.as_str().map_or_else(|| version.format_version.to_string(), str::to_owned),
            supported: SUPPORTED,
        });
    }
    let plan: Plan = serde_json::from_str(text).map_err(wrong)?;
    if plan.errored {
        return Err(invalid("errored", "the plan says that planning failed".to_owned()));
    }
    if plan.planned_values.is_none() && plan.resource_changes.is_none() {
        let problem = match plan.values {
            Some(_) => "it is a state, not a plan",
            None => "it has neither planned_values nor resource_changes",
        };
        return Err(MeasureError::UnknownPlan { problem: problem.to_owned() });
    }
    Ok(plan)
}

/// A resource that the plan changes.
struct Changed {
    address: String,
    /// Where it is configured: the address without instance keys.
    configured: String,
    kind: String,
    class: Class,
    action: Action,
}

impl Changed {
    fn points(&self) -> u64 {
        // Exact: every weight is a multiple of 10 hundredths, every percentage of 10.
        self.class.weight() * self.action.percent() / 100
    }
}

fn changes(all: Vec<ResourceChange>) -> Result<Vec<Changed>, MeasureError> {
    if RESOURCES_MAX < all.len() {
        return Err(MeasureError::PlanTooLarge { what: "resources", max: RESOURCES_MAX as u64 });
    }
    let mut changed = Vec::new();
    for (index, resource) in all.into_iter().enumerate() {
        if resource.mode != "managed" || is_skipped(&resource.kind) {
            continue;
        }
        if let Some(action) = action(&resource, index)? {
            changed.push(Changed {
                configured: configured_address(&resource.module_address, &resource.kind, &resource.name),
                address: resource.address,
                class: class(&resource.kind),
                kind: resource.kind,
                action,
            });
        }
    }
    changed.sort_by(|a, b| (&a.address, a.action).cmp(&(&b.address, b.action)));
    Ok(changed)
}

/// What happens to a resource; none when nothing does.
fn action(resource: &ResourceChange, index: usize) -> Result<Option<Action>, MeasureError> {
    let actions: Vec<&str> = resource.change.actions.iter().map(String::as_str).collect();
    let action = match actions.as_slice() {
        ["create"] => Action::Created,
        ["update"] => Action::Updated,
        ["delete"] => Action::Deleted,
        ["delete", "create"] | ["create", "delete" | "forget"] => Action::Replaced,
        ["forget"] => Action::Moved,
        ["no-op"] if resource.change.importing.is_some() || resource.previous_address.is_some() => Action::Moved,
        ["no-op" | "read" | "open"] => return Ok(None),
        _ => {
            let field = format!("resource_changes[{index}].change.actions");
            return Err(invalid(&field, format!("{} is no known action", quoted(&actions))));
        }
    };
    Ok(Some(action))
}

/// `module.a[0].module.b["x"]` and `aws_x`, `y` give `module.a.module.b.aws_x.y`.
fn configured_address(module: &str, kind: &str, name: &str) -> String {
    let mut address = without_keys(module);
    if !address.is_empty() {
        address.push('.');
    }
    address + kind + "." + name
}

/// An address without its instance keys. Keys may hold brackets and dots inside their quotes.
fn without_keys(address: &str) -> String {
    let mut kept = String::with_capacity(address.len());
    let (mut in_key, mut in_quotes, mut escaped) = (false, false, false);
    for character in address.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' if in_quotes => escaped = true,
            '"' if in_key => in_quotes = !in_quotes,
            '[' if !in_quotes => in_key = true,
            ']' if in_key && !in_quotes => in_key = false,
            _ if in_key => {}
            _ => kept.push(character),
        }
    }
    kept
}

/// What each configured resource refers to, by configured address.
type References = BTreeMap<String, BTreeSet<String>>;

/// References, each written out in full: module by module, however long these are called.
#[derive(Default)]
struct Gathered {
    references: References,
    bytes: usize,
}

impl Gathered {
    /// Makes room for what is written out.
    fn admit(&mut self, bytes: usize) -> Result<(), MeasureError> {
        self.bytes += bytes;
        let too_large = MeasureError::PlanTooLarge { what: "bytes of references", max: GATHERED_BYTES_MAX as u64 };
        if self.bytes <= GATHERED_BYTES_MAX { Ok(()) } else { Err(too_large) }
    }

    /// Walks the modules. Their depth is bounded by the JSON parser's own limit on nesting.
    fn module(&mut self, module: &Module, path: &str) -> Result<(), MeasureError> {
        for resource in module.resources.iter().filter(|resource| resource.mode == "managed") {
            let address = format!("{path}{}.{}", resource.kind, resource.name);
            self.admit(address.len())?;
            let mut targets = BTreeSet::new();
            self.expression(&resource.expressions, path, &mut targets)?;
            for target in &resource.depends_on {
                self.target(target, path, &mut targets)?;
            }
            targets.remove(&address);
            self.references.entry(address).or_default().extend(targets);
        }
        for (name, call) in &module.module_calls {
            let path = format!("{path}module.{name}.");
            self.admit(path.len())?;
            self.module(&call.module, &path)?;
        }
        Ok(())
    }

    /// Every `references` list in an expression tree.
    fn expression(
        &mut self,
        expression: &Value,
        path: &str,
        targets: &mut BTreeSet<String>,
    ) -> Result<(), MeasureError> {
        match expression {
            Value::Array(items) => items.iter().try_for_each(|item| self.expression(item, path, targets)),
            Value::Object(fields) => fields.iter().try_for_each(|(name, value)| match value {
                Value::Array(items) if name == "references" => {
                    items.iter().filter_map(Value::as_str).try_for_each(|item| self.target(item, path, targets))
                }
                _ => self.expression(value, path, targets),
            }),
            _ => Ok(()),
        }
    }

    fn target(&mut self, reference: &str, path: &str, targets: &mut BTreeSet<String>) -> Result<(), MeasureError> {
        let Some(target) = referred(reference, path) else { return Ok(()) };
        self.admit(target.len())?;
        targets.insert(target);
        Ok(())
    }
}

/// The resource or module that a reference names: `aws_x.y[0].id` is `aws_x.y`; `var.z` is none.
fn referred(reference: &str, path: &str) -> Option<String> {
    let plain = without_keys(reference);
    let mut parts = plain.split('.');
    let (first, second) = (parts.next()?, parts.next()?);
    let elsewhere = ["var", "local", "data", "each", "count", "path", "terraform", "self", "ephemeral"];
    if elsewhere.contains(&first) || is_skipped(first) {
        return None;
    }
    Some(format!("{path}{first}.{second}"))
}

/// Everything but children: count by type and action.
fn add_parents(score: &mut Score, changes: &[Changed]) {
    let mut counts: BTreeMap<(&str, Action), u64> = BTreeMap::new();
    for changed in changes.iter().filter(|changed| changed.class != Class::Child) {
        *counts.entry((&changed.kind, changed.action)).or_default() += 1;
    }
    for ((kind, action), count) in counts {
        let weight = class(kind).weight() * action.percent() / 100;
        score.add(format!("{kind} × {count} {}", action.told()), count, weight);
    }
}

/// Children: as parents, but those of one parent add at most one point, first come by address.
fn add_children(score: &mut Score, changes: &[Changed], references: &References) {
    // Of a configured resource once: it may have as many instances as it refers to others, and its parent's address
    // may be long.
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut place_of: BTreeMap<&str, usize> = BTreeMap::new();
    let mut left: Vec<u64> = Vec::new();
    let mut lines: BTreeMap<(&str, Action), (u64, u64)> = BTreeMap::new();
    for changed in changes.iter().filter(|changed| changed.class == Class::Child) {
        let place = *place_of.entry(&changed.configured).or_insert_with(|| {
            *places.entry(parent(changed, references)).or_insert_with(|| {
                left.push(CHILDREN_OF_A_PARENT_MAX);
                left.len() - 1
            })
        });
        let points = changed.points().min(left[place]);
        left[place] -= points;
        let (count, sum) = lines.entry((&changed.kind, changed.action)).or_default();
        *count += 1;
        *sum += points;
    }
    for ((kind, action), (count, points)) in lines {
        let weight = Class::Child.weight() * action.percent() / 100;
        let capped = if points < count * weight { ", at most 1 point a parent" } else { "" };
        score.add_capped(format!("{kind} × {count} {}{capped}", action.told()), count, weight, points);
    }
}

/// A child's parent: of the resources it refers to, the one whose type its own type's name continues the longest
/// (`aws_security_group_rule` and `aws_security_group`), else the first by address; without any, all children of its
/// type in its module share one.
fn parent(child: &Changed, references: &References) -> String {
    let shared = |target: &str| {
        let kind = target.rsplit('.').nth(1).unwrap_or_default();
        kind.bytes().zip(child.kind.bytes()).take_while(|(a, b)| a == b).count()
    };
    let targets = references.get(&child.configured).into_iter().flatten();
    let best = targets.max_by(|a, b| shared(a).cmp(&shared(b)).then_with(|| b.cmp(a)));
    best.cloned().unwrap_or_else(|| child.configured.rsplit_once('.').map_or("", |(head, _)| head).to_owned())
}

/// Each pair of a changed resource and what it refers to, once, however many instances it has.
fn add_references(score: &mut Score, changes: &[Changed], references: &References) {
    let sources: BTreeSet<&str> = changes.iter().map(|changed| changed.configured.as_str()).collect();
    let count: usize = sources.iter().filter_map(|source| references.get(*source)).map(BTreeSet::len).sum();
    score.add("references between resources", count as u64, REFERENCE);
}

/// Words in quotes, with commas between.
fn quoted(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|it| format!("{it:?}")).collect();
    if quoted.is_empty() { "an empty list".to_owned() } else { quoted.join(", ") }
}

fn invalid(field: &str, problem: String) -> MeasureError {
    MeasureError::InvalidPlan { field: field.to_owned(), problem }
}
