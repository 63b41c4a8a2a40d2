//! Servers: what setting them up and running them cost in the range, and how they stand now.
use billing::money::Credits;
use billing::server::Phase;

use super::breakdown::{Cell, Tables, parted, project_label};
use super::show;
use crate::service::{Dimension, PartLine, ServerForecast, ServerView};

#[derive(Default)]
pub struct ServerRow {
    pub id: String,
    pub label: String,
    /// Narrows the page to it; none for all that are not shown.
    pub href: Option<String>,
    /// Tier and region; of servers that are only charged for, nothing is known but that.
    pub kind: String,
    pub project: String,
    pub state: &'static str,
    /// Names its colour.
    pub class: &'static str,
    pub is_over: bool,
    pub since: String,
    pub hours: String,
    pub set_up: Cell,
    pub runtime: Cell,
    pub total: Cell,
    /// What it cost in this calendar month so far, and at its end should it run on; of servers that stand.
    pub so_far: Option<String>,
    pub month: Option<String>,
    /// The most it can cost in a month, and whether that is reached.
    pub cap: Option<String>,
}

/// A table's lines, most used first, then those that stand and were not used in the range.
pub fn lines(tables: &Tables<'_>, fleet: &[ServerView]) -> Vec<PartLine> {
    let is_narrowed = ["project", "model", "actor", "category"].iter().any(|it| tables.query.get(it).is_some());
    let mut all = tables.lines(Dimension::Server);
    let standing = fleet.iter().filter(|it| !it.server.run.phase.is_over() && !is_narrowed);
    for it in standing {
        let id = it.server.id.as_str();
        let is_used = all.iter().any(|it| it.id.as_deref() == Some(id));
        if !is_used && tables.query.get("server").is_none_or(|it| it == id) {
            let unused = tables.overview.categories.iter().map(|_| Credits::ZERO).collect();
            all.push(PartLine::unused(id.to_owned(), unused));
        }
    }
    all
}

/// The largest as rows, and all others as one that leads to them.
pub fn rows(tables: &Tables<'_>, fleet: &[ServerView]) -> Vec<ServerRow> {
    let lines = lines(tables, fleet);
    let (shown, rest) = parted(&lines, tables.rows_max);
    let mut rows: Vec<ServerRow> = shown.iter().map(|it| row(tables, it, fleet)).collect();
    let to_all = |label| ServerRow { label, href: Some(tables.all(Dimension::Server)), ..ServerRow::default() };
    rows.extend(rest.map(|(label, line)| to_all(label).with(&line)));
    rows
}

/// Puts what the forecast knows of the month beside its servers: one number, wherever it is read.
pub fn of_month(rows: &mut [ServerRow], months: &[ServerForecast]) {
    for row in rows.iter_mut().filter(|it| !it.state.is_empty()) {
        let month = months.iter().find(|it| it.server.as_str() == row.id);
        let (spent, credits) = month.map_or_else(Default::default, |it| (it.spent, it.credits));
        row.so_far = Some(show::used(spent));
        row.month = (!row.is_over).then(|| show::used(credits));
    }
}

impl ServerRow {
    /// What it cost in the range.
    fn with(self, line: &PartLine) -> ServerRow {
        let (total, set_up) = (line.part.credits, line.set_up);
        ServerRow {
            hours: hours(line.seconds),
            set_up: Cell::of(&set_up),
            runtime: Cell::of(&(total - set_up)),
            total: Cell::of(&total),
            ..self
        }
    }
}

pub fn row(tables: &Tables<'_>, line: &PartLine, fleet: &[ServerView]) -> ServerRow {
    let id = line.id.clone().unwrap_or_default();
    let mut row = ServerRow {
        label: id.clone(),
        href: line.id.as_deref().map(|it| tables.narrowed_to(Dimension::Server, it)),
        ..ServerRow::default().with(line)
    };
    if let Some(view) = fleet.iter().find(|it| it.server.id.as_str() == id) {
        let (server, run) = (&view.server, &view.server.run);
        let kind = [Some(&run.tariff.tier), run.tariff.region.as_ref()];
        row.kind = kind.into_iter().flatten().map(|it| &**it).collect::<Vec<_>>().join(", ");
        row.project = project_label(server.project.as_ref().map(|it| it.as_str()), tables.names);
        (row.state, row.class) = state(run.phase);
        row.is_over = run.phase.is_over();
        row.since = run.started_at.map(|it| show::day(it, tables.zone)).unwrap_or_default();
        row.cap = run.tariff.monthly_cap.map(|cap| capped(&run.tariff.tier, cap, view.is_capped));
    }
    row.id = id;
    row
}

/// Each tier has a most of its own: one that was resized may come to more than that of its last.
fn capped(tier: &str, cap: Credits, is_reached: bool) -> String {
    let cap = show::used(cap);
    if is_reached { format!("{cap}, the most as {tier}, is reached") } else { format!("as {tier} {cap} at most") }
}

fn state(phase: Phase) -> (&'static str, &'static str) {
    match phase {
        Phase::Provisioning => ("being set up", "warn"),
        Phase::Running => ("running", "good"),
        // Nobody shall think that it costs nothing because it does not run, or the other way round.
        Phase::Stopped => ("stopped, not charged", ""),
        Phase::Released => ("released", ""),
        Phase::Failed => ("failed, not charged", ""),
    }
}

/// `719.5 h`, to a tenth.
fn hours(seconds: u64) -> String {
    let tenths = (seconds + 180) / 360;
    format!("{}.{} h", show::thousands(tenths / 10), tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_said_to_a_tenth() {
        assert_eq!([0, 179, 180, 3_600, 2_590_200].map(hours), ["0.0 h", "0.0 h", "0.1 h", "1.0 h", "719.5 h"]);
    }
}
