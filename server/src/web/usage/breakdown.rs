//! The tables: categories, projects, servers, models, people, each adding up to the total.
use billing::money::Credits;
use jiff::tz::TimeZone;

use super::show;
use crate::service::{Overview, PartLine, ProjectNames};
use crate::web::frame::Rate;
use crate::web::range::Query;

pub struct CategoryRow {
    pub name: String,
    /// Names its colour: `c0` to `c3` for the four of the page, `c4` for others.
    pub class: String,
    pub credits: String,
    pub exact: String,
    pub money: String,
    pub percent: String,
    pub width: u64,
    pub change: Option<show::Change>,
    pub href: String,
    pub is_on: bool,
    pub count: String,
    pub hint: &'static str,
}

pub struct PartRow {
    pub label: String,
    /// Narrows the page to it; none for what belongs to none.
    pub href: Option<String>,
    pub credits: String,
    pub exact: String,
    pub money: String,
    pub percent: String,
    pub change: Option<show::Change>,
    pub count: String,
    pub pieces: Vec<Piece>,
    /// The categories it is made of, for those who do not see the bar.
    pub made_of: String,
    /// By category, for tables.
    pub cells: Vec<Cell>,
    pub last: String,
    /// To all of it as a file.
    pub export: String,
}

/// A piece of a bar, in thousandths of the largest row.
pub struct Piece {
    pub class: String,
    pub start: u64,
    pub width: u64,
}

pub struct Cell {
    pub text: String,
    pub exact: String,
    pub is_zero: bool,
}

impl Cell {
    pub fn of(credits: &Credits) -> Cell {
        Cell { text: show::used(*credits), exact: credits.to_string(), is_zero: credits.is_zero() }
    }
}

pub struct Tables<'a> {
    pub overview: &'a Overview,
    pub names: &'a ProjectNames,
    pub query: &'a Query,
    pub rate: &'a Rate<'a>,
    pub zone: &'a TimeZone,
}

pub fn class(place: usize) -> String {
    format!("c{}", place.min(4))
}

/// What a project is called.
pub fn project_label(id: Option<&str>, names: &ProjectNames) -> String {
    let Some(id) = id else { return "Unassigned".to_owned() };
    let Some(found) = names.get(id) else { return id.to_owned() };
    let name = found.name.clone().unwrap_or_else(|| id.to_owned());
    if found.is_deleted { format!("Deleted: {name}") } else { name }
}

fn hint(place: usize) -> &'static str {
    match place {
        0 => "by message length and model",
        1 => "by repository size",
        2 => "by plan complexity",
        3 => "by tier and duration",
        _ => "",
    }
}

impl Tables<'_> {
    pub fn categories(&self) -> Vec<CategoryRow> {
        let total = self.overview.total.credits;
        let rows = self.overview.categories.iter().enumerate();
        rows.map(|(place, (category, part))| {
            let is_on = self.query.get("category") == Some(category.as_str());
            let to = if is_on { "" } else { category.as_str() };
            CategoryRow {
                name: category.as_str().to_owned(),
                class: class(place),
                credits: show::used(part.credits),
                exact: part.credits.to_string(),
                money: self.rate.of(part.credits),
                percent: show::percent(part.credits, total),
                width: show::thousandths(part.credits, total),
                change: show::change(part.credits, part.before),
                href: self.query.with(&[("category", to), ("cursor", "")]).href(super::PATH),
                is_on,
                count: count(part.count, place),
                hint: hint(place),
            }
        })
        .collect()
    }

    pub fn projects(&self) -> Vec<PartRow> {
        self.rows("project", &self.overview.projects, |id| project_label(id, self.names))
    }
    pub fn models(&self) -> Vec<PartRow> {
        let own: Vec<PartLine> = self.overview.models.iter().filter(|it| it.id.is_some()).cloned().collect();
        self.rows("model", &own, |id| id.unwrap_or_default().to_owned())
    }
    pub fn actors(&self) -> Vec<PartRow> {
        if self.overview.actors.iter().all(|it| it.id.is_none()) {
            return Vec::new();
        }
        self.rows("actor", &self.overview.actors, |id| id.unwrap_or("No person named").to_owned())
    }

    fn rows(&self, dimension: &str, lines: &[PartLine], label: impl Fn(Option<&str>) -> String) -> Vec<PartRow> {
        let most = lines.iter().map(|it| it.part.credits).max().unwrap_or(Credits::ZERO);
        let row = |line: &PartLine| {
            let to = |id: &String| {
                let is_on = self.query.get(dimension) == Some(id);
                self.query.with(&[(dimension, if is_on { "" } else { id }), ("cursor", "")]).href(super::PATH)
            };
            PartRow {
                label: label(line.id.as_deref()),
                href: line.id.as_ref().map(to),
                credits: show::used(line.part.credits),
                exact: line.part.credits.to_string(),
                money: self.rate.of(line.part.credits),
                percent: show::percent(line.part.credits, self.overview.total.credits),
                change: show::change(line.part.credits, line.part.before),
                count: show::thousands(line.part.count),
                pieces: pieces(&line.by_category, most),
                made_of: self.made_of(&line.by_category),
                cells: line.by_category.iter().map(Cell::of).collect(),
                last: if line.part.count == 0 { String::new() } else { show::minute(line.last_at, self.zone) },
                export: match &line.id {
                    Some(id) => self.query.with(&[(dimension, id)]).href("/settings/usage.csv"),
                    None => String::new(),
                },
            }
        };
        let (shown, rest) = parted(lines);
        let mut rows: Vec<PartRow> = shown.iter().map(row).collect();
        rows.extend(rest.map(|(label, line)| PartRow { label, href: None, ..row(&line) }));
        rows
    }

    fn made_of(&self, credits: &[Credits]) -> String {
        let named = credits.iter().zip(&self.overview.categories).filter(|(it, _)| !it.is_zero());
        let said: Vec<String> =
            named.map(|(it, (category, _))| format!("{} {}", category.as_str(), show::used(*it))).collect();
        said.join(", ")
    }
}

/// The lines of a table that are shown, and all others as one with its label: a table adds up however long it is.
pub fn parted(lines: &[PartLine]) -> (&[PartLine], Option<(String, PartLine)>) {
    let (shown, others) = lines.split_at(lines.len().min(super::ROWS_MAX));
    let Some((first, more)) = others.split_first() else { return (shown, None) };
    let mut rest = PartLine { id: None, ..first.clone() };
    for line in more {
        rest.part.credits = rest.part.credits.saturating_add(line.part.credits);
        rest.part.before += line.part.before;
        rest.part.count += line.part.count;
        rest.by_category.iter_mut().zip(&line.by_category).for_each(|(sum, it)| *sum += *it);
        rest.last_at = rest.last_at.max(line.last_at);
        rest.set_up += line.set_up;
        rest.seconds += line.seconds;
    }
    (shown, Some((format!("{} more, in the export", show::thousands(others.len() as u64)), rest)))
}

/// A row's bar, cut by category.
pub fn pieces(by_category: &[Credits], most: Credits) -> Vec<Piece> {
    let mut start = 0;
    let mut pieces = Vec::new();
    for (place, credits) in by_category.iter().enumerate() {
        let width = show::thousandths(*credits, most);
        if 0 < width {
            pieces.push(Piece { class: class(place), start, width });
            start += width;
        }
    }
    pieces
}

fn count(count: u64, place: usize) -> String {
    let (one, many) = match place {
        0 => ("message", "messages"),
        1 => ("analysis", "analyses"),
        2 => ("plan", "plans"),
        _ => ("entry", "entries"),
    };
    format!("{} {}", show::thousands(count), if count == 1 { one } else { many })
}
