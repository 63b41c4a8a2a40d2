//! Servers: what setting them up and running them cost in the range, and how they stand now.
use billing::money::Credits;
use billing::server::Phase;
use jiff::tz::TimeZone;

use super::breakdown::{Cell, Tables, parted, project_label};
use super::show;
use crate::service::{PartLine, ServerView};

pub struct ServerRow {
    pub label: String,
    /// Narrows the page to it; none for all that are not shown.
    pub href: Option<String>,
    /// Tier and region; of servers that are only charged for, nothing is known but that.
    pub kind: String,
    pub project: String,
    pub state: &'static str,
    /// Names its colour.
    pub class: &'static str,
    pub since: String,
    pub hours: String,
    pub set_up: Cell,
    pub runtime: Cell,
    pub total: Cell,
    /// Runtime of this calendar month so far, and at its end should it run on; of servers that stand.
    pub so_far: Option<String>,
    pub month: Option<String>,
    /// The most it can cost in a month, and whether that is reached.
    pub cap: Option<String>,
}

/// Those that were used in the range, most used first; then those that stand and were not.
pub fn rows(tables: &Tables<'_>, fleet: &[ServerView], zone: &TimeZone) -> Vec<ServerRow> {
    let is_narrowed = ["project", "model", "actor", "category"].iter().any(|it| tables.query.get(it).is_some());
    let used: Vec<PartLine> = tables.overview.servers.iter().filter(|it| it.id.is_some()).cloned().collect();
    let (shown, rest) = parted(&used);
    let mut all: Vec<(&str, Option<&PartLine>)> =
        shown.iter().filter_map(|line| Some((line.id.as_deref()?, Some(line)))).collect();
    let standing = fleet.iter().filter(|it| !it.server.run.phase.is_over() && !is_narrowed);
    for it in standing {
        let id = it.server.id.as_str();
        let is_used = used.iter().any(|it| it.id.as_deref() == Some(id));
        if !is_used && tables.query.get("server").is_none_or(|it| it == id) {
            all.push((id, None));
        }
    }
    let row = |(id, line): &(&str, Option<&PartLine>)| {
        let view = fleet.iter().find(|it| it.server.id.as_str() == *id);
        row(tables, (id, *line, view), zone)
    };
    let mut rows: Vec<ServerRow> = all.iter().take(super::ROWS_MAX).map(row).collect();
    rows.extend(rest.map(|(label, line)| ServerRow { label, href: None, ..row(&("", Some(&line))) }));
    rows
}

fn row(
    tables: &Tables<'_>,
    (id, line, view): (&str, Option<&PartLine>, Option<&ServerView>),
    zone: &TimeZone,
) -> ServerRow {
    let is_on = tables.query.get("server") == Some(id);
    let (total, set_up) = line.map_or_else(Default::default, |it| (it.part.credits, it.set_up));
    let seconds = line.map_or(0, |it| it.seconds);
    let mut row = ServerRow {
        label: id.to_owned(),
        href: Some(tables.query.with(&[("server", if is_on { "" } else { id }), ("cursor", "")]).href(super::PATH)),
        kind: String::new(),
        project: String::new(),
        state: "",
        class: "",
        since: String::new(),
        hours: hours(seconds),
        set_up: Cell::of(&set_up),
        runtime: Cell::of(&(total - set_up)),
        total: Cell::of(&total),
        so_far: None,
        month: None,
        cap: None,
    };
    if let Some(view) = view {
        let (server, run) = (&view.server, &view.server.run);
        let kind = [Some(&run.tariff.tier), run.tariff.region.as_ref()];
        row.kind = kind.into_iter().flatten().map(|it| &**it).collect::<Vec<_>>().join(", ");
        row.project = project_label(server.project.as_ref().map(|it| it.as_str()), tables.names);
        (row.state, row.class) = state(run.phase);
        row.since = run.started_at.map(|it| show::day(it, zone)).unwrap_or_default();
        row.so_far = Some(show::used(view.month_so_far));
        row.month = (!run.phase.is_over()).then(|| show::used(view.projected_month));
        row.cap = run.tariff.monthly_cap.map(|cap| capped(cap, view.is_capped));
    }
    row
}

fn capped(cap: Credits, is_reached: bool) -> String {
    let cap = show::used(cap);
    if is_reached { format!("{cap}, the month’s most, is reached") } else { format!("never more than {cap}") }
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
