//! What scoped credits pay for, in the customer's words.
use billing::ledger::Scope;
use billing::usage::SERVER_METER;

use super::usage::lower;
use crate::app::App;

/// The work a scope admits: `servers`, `AI conversations and code analysis`, `servers of shop`. Nothing for any work.
pub fn work(app: &App, scope: &Scope) -> String {
    let meter = |it: &str| match it {
        SERVER_METER => "servers".to_owned(),
        other => lower(app.category_of(other).as_str()),
    };
    let mut meters: Vec<String> = scope.meters.iter().map(|it| meter(it)).collect();
    meters.dedup();
    let projects: Vec<String> = scope.projects.iter().map(ToString::to_string).collect();
    match (meters.is_empty(), projects.is_empty()) {
        (false, false) => format!("{} of {}", meters.join(" and "), projects.join(" and ")),
        _ => [meters, projects].concat().join(" and "),
    }
}
