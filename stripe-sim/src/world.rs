//! Everything the simulator knows, and the one place where a request meets it.
//!
//! Invariant: the same requests in the same order at the same times give the same answers, ids included.
use std::collections::HashMap;

use serde_json::{Value, json};

use crate::card_table::Plastic;
use crate::clock::Clock;
use crate::notices::Notices;
use crate::objects;
use crate::params::Params;
use crate::problem::Problem;
use crate::shelf::Shelf;

pub type Outcome = Result<Value, Problem>;

#[derive(Debug)]
pub struct World {
    pub clock: Clock,
    pub shelf: Shelf,
    pub notices: Notices,
    /// What each payment method stands for.
    pub cards: HashMap<String, Plastic>,
    /// Where the simulator's own pages are.
    pub url: String,
    /// The key of the request being answered, which its events name.
    pub key: Option<String>,
    /// What the operator's balance is kept in, where it is one currency for all.
    pub settlement: Option<Settlement>,
    /// Customers that the search shows still, though they were deleted; none where it is never late.
    pub shown_still: Option<Vec<Value>>,
}

/// Money of other currencies is converted into this one when it reaches the operator's balance.
#[derive(Clone, Debug)]
pub struct Settlement {
    pub currency: String,
    /// Its minor units for a thousand of another's.
    pub per_mille: i64,
}

impl World {
    pub fn new(clock: Clock, url: String) -> World {
        World {
            clock,
            shelf: Shelf::default(),
            notices: Notices::default(),
            cards: HashMap::new(),
            url,
            key: None,
            settlement: None,
            shown_still: None,
        }
    }

    pub fn now(&self) -> i64 {
        self.clock.now()
    }

    /// An object by its id. `name` is the parameter that named it.
    pub fn find(&self, kind: &str, id: &str, name: &str) -> Outcome {
        // What was deleted is shown to whoever asks for it, and is no good for anything else.
        let found = self.shelf.get(id).filter(|it| it["object"] == kind && it["deleted"] != true);
        found.cloned().ok_or_else(|| Problem::no_such(kind, id, name))
    }

    /// Tells of what has just become of an object.
    pub fn tell(&mut self, kind: &str, object: &Value) {
        self.tell_change(kind, object, &Value::Null);
    }

    /// The same of a change, with the members that were something else before.
    pub fn tell_change(&mut self, kind: &str, object: &Value, before: &Value) {
        let id = self.shelf.new_id("evt");
        let mut event = objects::event(&id, self.now(), kind, &shown(object));
        if !before.is_null() {
            event["data"]["previous_attributes"] = before.clone();
        }
        event["request"]["idempotency_key"] = json!(self.key);
        self.shelf.put(&event);
        self.notices.add(&event);
    }

    /// What time alone brings about.
    pub fn tick(&mut self) {
        let now = self.now();
        let is_over =
            |it: &&Value| it["status"] == "open" && it["expires_at"].as_i64().is_some_and(|expires| expires <= now);
        let over: Vec<Value> = self.shelf.all("checkout.session").rev().filter(is_over).cloned().collect();
        for session in over {
            self.expire_session(session);
        }
    }

    /// A page of a list, newest first, of those that `is_wanted` by the caller's own filters.
    pub fn list(&self, kind: &str, url: &str, params: &mut Params, is_wanted: impl Fn(&Value) -> bool) -> Outcome {
        let limit = params.whole("limit")?.unwrap_or(10);
        if !(1..=100).contains(&limit) {
            return Err(Problem::parameter("limit", "parameter_invalid_integer", "limit must be from 1 to 100"));
        }
        let limit = usize::try_from(limit).expect("from 1 to 100");
        let (after, before) = (params.text("starting_after"), params.text("ending_before"));
        let created = created(params)?;
        let wanted = |it: &&Value| {
            let at = it["created"].as_i64().unwrap_or_default();
            it["deleted"] != true
                && is_wanted(it)
                && created.iter().all(|(relation, bound)| holds(at, relation, *bound))
        };
        let all: Vec<&Value> = self.shelf.all(kind).filter(wanted).collect();
        let place = |id: &str, name: &str| {
            all.iter().position(|it| it["id"] == id).ok_or_else(|| Problem::no_such(kind, id, name))
        };
        let from = after.map(|it| place(&it, "starting_after")).transpose()?.map_or(0, |it| it + 1);
        let to = before.map(|it| place(&it, "ending_before")).transpose()?;
        let (from, to) = match to {
            Some(to) => (to.saturating_sub(limit), to),
            None => (from, (from + limit).min(all.len())),
        };
        let has_more = to < all.len() && from < to;
        let page: Vec<Value> = all[from..to].iter().map(|it| (*it).clone()).collect();
        Ok(json!({"object": "list", "data": page, "has_more": has_more, "url": url}))
    }

    /// Puts whole objects where a request asked to have them instead of their ids.
    pub fn expand(&self, answer: &mut Value, wanted: &[String]) {
        for path in wanted {
            let steps: Vec<&str> = path.split('.').collect();
            self.expand_one(answer, &steps);
        }
    }

    fn expand_one(&self, value: &mut Value, steps: &[&str]) {
        if let Value::Array(items) = value {
            items.iter_mut().for_each(|it| self.expand_one(it, steps));
            return;
        }
        let Some((first, rest)) = steps.split_first() else { return };
        if *first == "line_items" && value["object"] == "checkout.session" {
            value["line_items"] = self.line_items_of(value);
        }
        let Some(member) = value.get_mut(*first) else { return };
        if let Some(thing) = member.as_str().and_then(|id| self.shelf.get(id)) {
            *member = shown(thing);
        }
        self.expand_one(member, rest);
    }
}

/// An object as others see it: members that begin with `_` are the simulator's own.
pub fn shown(thing: &Value) -> Value {
    match thing {
        Value::Object(members) => {
            members.iter().filter(|it| !it.0.starts_with('_')).map(|(name, it)| (name.clone(), shown(it))).collect()
        }
        Value::Array(items) => items.iter().map(shown).collect(),
        other => other.clone(),
    }
}

/// `created=5` or `created[gte]=5`.
fn created(params: &mut Params) -> Result<Vec<(String, i64)>, Problem> {
    if let Some(exact) = params.whole("created")? {
        return Ok(vec![("eq".to_owned(), exact)]);
    }
    let mut bounds = Vec::new();
    let mut tree = params.tree("created");
    for relation in ["gt", "gte", "lt", "lte"] {
        if let Some(bound) = tree.whole(relation)? {
            bounds.push((relation.to_owned(), bound));
        }
    }
    tree.finish()?;
    Ok(bounds)
}

fn holds(at: i64, relation: &str, bound: i64) -> bool {
    match relation {
        "gt" => bound < at,
        "gte" => bound <= at,
        "lt" => at < bound,
        "lte" => at <= bound,
        _ => at == bound,
    }
}

/// A member as text; empty where there is none.
pub fn text(object: &Value, member: &str) -> String {
    object[member].as_str().unwrap_or_default().to_owned()
}
