//! The tables: categories, projects, servers, models, people, each adding up to the total.
use billing::money::Credits;
use jiff::tz::TimeZone;

use super::show;
use crate::service::{Dimension, Overview, PartLine, ProjectNames};
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

/// A piece of a bar, in thousandths of the whole table: a bar is as long as its share is great.
pub struct Piece {
    pub class: String,
    pub start: u64,
    pub width: u64,
}

#[derive(Default)]
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
    /// Rows of a table before the others are summed up in one.
    pub rows_max: usize,
}

pub fn class(place: usize) -> String {
    format!("c{}", place.min(4))
}

/// What a project is called.
pub fn project_label(id: Option<&str>, names: &ProjectNames) -> String {
    let Some(id) = id else { return "Unassigned".to_owned() };
    let Some(found) = names.get(id) else { return id.to_owned() };
    let name = found.name.clone().unwrap_or_else(|| id.to_owned());
    if found.is_deleted { format!("Removed: {name}") } else { name }
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
        let parts: Vec<Credits> = self.overview.categories.iter().map(|it| it.1.credits).collect();
        let rows = self.overview.categories.iter().zip(self.rate.of_parts(&parts)).enumerate();
        rows.map(|(place, ((category, part), money))| {
            let is_on = self.query.get("category") == Some(category.as_str());
            let to = if is_on { "" } else { category.as_str() };
            CategoryRow {
                name: category.as_str().to_owned(),
                class: class(place),
                credits: show::used(part.credits),
                exact: part.credits.to_string(),
                money,
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

    /// What is used of a dimension, most used first; where nobody was named, no table of people.
    pub fn lines(&self, of: Dimension) -> Vec<PartLine> {
        let all = match of {
            Dimension::Server => &self.overview.servers,
            Dimension::Model => &self.overview.models,
            Dimension::Actor if self.overview.actors.iter().all(|it| it.id.is_none()) => return Vec::new(),
            Dimension::Actor => &self.overview.actors,
            _ => &self.overview.projects,
        };
        // What is no server's and no model's is other work.
        let is_named_only = matches!(of, Dimension::Server | Dimension::Model);
        all.iter().filter(|it| it.id.is_some() || !is_named_only).cloned().collect()
    }

    pub fn label(&self, of: Dimension, id: Option<&str>) -> String {
        match of {
            Dimension::Project => project_label(id, self.names),
            Dimension::Actor => id.unwrap_or("No person named").to_owned(),
            _ => id.unwrap_or_default().to_owned(),
        }
    }

    /// The largest as rows, and all others as one that leads to them.
    pub fn rows(&self, of: Dimension) -> Vec<PartRow> {
        let lines = self.lines(of);
        let (shown, rest) = parted(&lines, self.rows_max);
        let (rest_label, rest) = rest.unzip();
        let all: Vec<PartLine> = shown.iter().cloned().chain(rest).collect();
        let money = self.money(&all);
        let mut rows: Vec<PartRow> = all.iter().zip(money).map(|(it, money)| self.row(of, it, money)).collect();
        if let (Some(label), Some(row)) = (rest_label, rows.last_mut()) {
            (row.label, row.href) = (label, Some(self.all(of)));
        }
        rows
    }

    /// What each line is worth, so that together they are what the table is worth.
    pub fn money(&self, lines: &[PartLine]) -> Vec<String> {
        let parts: Vec<Credits> = lines.iter().map(|it| it.part.credits).collect();
        self.rate.of_parts(&parts)
    }

    /// Where all of a table is.
    pub fn all(&self, of: Dimension) -> String {
        self.query.with(&[("of", of.as_str()), ("cursor", "")]).href(super::parts::PATH)
    }

    /// What the usage page itself is asked for.
    fn page(&self) -> Query {
        self.query.with(&[("of", ""), ("find", ""), ("sort", ""), ("page", ""), ("cursor", "")])
    }

    /// The usage page of one of them; of all again, where it is of that one.
    pub fn narrowed_to(&self, of: Dimension, id: &str) -> String {
        let is_on = self.query.get(of.as_str()) == Some(id);
        self.page().with(&[(of.as_str(), if is_on { "" } else { id })]).href(super::PATH)
    }

    pub fn row(&self, of: Dimension, line: &PartLine, money: String) -> PartRow {
        let total = self.overview.total.credits;
        PartRow {
            label: self.label(of, line.id.as_deref()),
            href: line.id.as_deref().map(|id| self.narrowed_to(of, id)),
            credits: show::used(line.part.credits),
            exact: line.part.credits.to_string(),
            money,
            percent: show::percent(line.part.credits, total),
            change: show::change(line.part.credits, line.part.before),
            count: show::thousands(line.part.count),
            pieces: pieces(&line.by_category, total),
            made_of: self.made_of(&line.by_category),
            cells: line.by_category.iter().map(Cell::of).collect(),
            last: if line.part.count == 0 { String::new() } else { show::minute(line.last_at, self.zone) },
            export: match &line.id {
                Some(id) => self.page().with(&[(of.as_str(), id)]).href("/settings/usage.csv"),
                None => String::new(),
            },
        }
    }

    fn made_of(&self, credits: &[Credits]) -> String {
        let named = credits.iter().zip(&self.overview.categories).filter(|(it, _)| !it.is_zero());
        let said: Vec<String> =
            named.map(|(it, (category, _))| format!("{} {}", category.as_str(), show::used(*it))).collect();
        said.join(", ")
    }
}

/// The lines of a table that are shown, and all others as one with its label: a table adds up however long it is. One
/// line more is shown by itself.
pub fn parted(lines: &[PartLine], rows_max: usize) -> (&[PartLine], Option<(String, PartLine)>) {
    let is_whole = lines.len() <= rows_max + 1;
    let (shown, others) = lines.split_at(if is_whole { lines.len() } else { rows_max });
    let label = format!("{} more", show::thousands(others.len() as u64));
    (shown, sum(others).map(|it| (label, it)))
}

/// All of them as one; none of none.
pub fn sum(lines: &[PartLine]) -> Option<PartLine> {
    let (first, more) = lines.split_first()?;
    let mut all = PartLine { id: None, ..first.clone() };
    for line in more {
        all.part.credits = all.part.credits.saturating_add(line.part.credits);
        all.part.before += line.part.before;
        all.part.count += line.part.count;
        all.by_category.iter_mut().zip(&line.by_category).for_each(|(sum, it)| *sum += *it);
        all.last_at = all.last_at.max(line.last_at);
        all.set_up += line.set_up;
        all.seconds += line.seconds;
    }
    Some(all)
}

/// A row's bar, cut by category.
pub fn pieces(by_category: &[Credits], whole: Credits) -> Vec<Piece> {
    let mut start = 0;
    let mut pieces = Vec::new();
    for (place, credits) in by_category.iter().enumerate() {
        let width = show::thousandths(*credits, whole);
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
