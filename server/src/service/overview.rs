//! One look at an account's usage: by category, day, project, server, model and person, beside the period before.
//!
//! Everything a page shows of a range comes of one pass over its hours, so its parts cannot disagree: each grouping
//! adds up to the total, to the micro-credit.
use std::collections::BTreeMap;

use billing::id::Name;
use billing::money::Credits;
use billing::rating::{Category, Text};
use billing::server::RUNTIME_SECONDS;
use billing::time::{Span, Timestamp};
use billing::usage::{SET_UP_MICROS, TAKEN_BACK, UsageSum};
use jiff::ToSpan;
use jiff::tz::TimeZone;
use store::UsageRow;

use super::compared::{Compared, Earlier};
use super::usage::{RANGE_MAX, bucket_start};
use super::{Dimension, Error, Interval};
use crate::app::App;
use billing::Refusal;

/// Buckets a chart can show.
const BUCKETS_MAX: usize = 120;

#[derive(Clone, Debug)]
pub struct OverviewQuery {
    pub account: Name,
    pub from: Timestamp,
    pub to: Timestamp,
    pub interval: Interval,
    /// Only this heading of the page.
    pub category: Option<String>,
    /// Only usage with these values.
    pub only: Vec<(Dimension, String)>,
    /// Compare with a range before: twice the hours to look at.
    pub compared: Option<Compared>,
}

/// Credits of a range, and of the one before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    pub credits: Credits,
    pub before: Credits,
    /// Charges, free ones included.
    pub count: u64,
}

/// A project, server, model or person, with what was used of each category, in the order of [`Overview::categories`].
#[derive(Clone, Debug)]
pub struct PartLine {
    /// None for what belongs to none.
    pub id: Option<String>,
    pub part: Part,
    pub by_category: Vec<Credits>,
    /// The hour it was last used in, within the range.
    pub last_at: Timestamp,
    /// Of its credits, those for setting servers up; and how long its servers ran, in seconds.
    pub set_up: Credits,
    pub seconds: u64,
}

impl PartLine {
    /// Of what is there and was not used.
    pub fn unused(id: String, by_category: Vec<Credits>) -> PartLine {
        let (part, set_up) = (Part::default(), Credits::ZERO);
        PartLine { id: Some(id), part, by_category, last_at: Timestamp::EPOCH, set_up, seconds: 0 }
    }
}

/// One bar of the chart.
#[derive(Clone, Debug)]
pub struct Bar {
    pub start: Timestamp,
    pub end: Timestamp,
    pub by_category: Vec<Credits>,
    /// Used as long before; none where nothing is compared, as with hours that are still to come. Together they are
    /// what the range before used.
    pub before: Option<Credits>,
}

#[derive(Clone, Debug)]
pub struct Overview {
    pub interval: Interval,
    /// The four of the page, then a platform's own that were used.
    pub categories: Vec<(Category, Part)>,
    /// Every bucket of the range, also those in which nothing was used.
    pub bars: Vec<Bar>,
    /// Most used first, as are the others.
    pub projects: Vec<PartLine>,
    pub servers: Vec<PartLine>,
    pub models: Vec<PartLine>,
    pub actors: Vec<PartLine>,
    pub total: Part,
    /// What it is compared with.
    pub earlier: Option<Earlier>,
    /// What can be chosen from, whatever is chosen now.
    pub all_projects: Vec<String>,
    pub all_servers: Vec<String>,
    pub all_models: Vec<String>,
    pub all_actors: Vec<String>,
}

/// What a platform calls its projects.
pub type ProjectNames = BTreeMap<String, ProjectName>;

#[derive(Clone, Debug)]
pub struct ProjectName {
    pub name: Option<String>,
    pub is_deleted: bool,
}

impl App {
    pub fn overview(&self, query: &OverviewQuery) -> Result<Overview, Error> {
        let known = self.known(&query.account)?;
        let number = known.account.number;
        let lasts = Span::from_millis(query.to.millis() - query.from.millis());
        if query.to <= query.from || RANGE_MAX < lasts {
            return Err(Refusal::invalid("to", "must be after `from`, and at most 800 days").into());
        }
        let bars = bars(query, &known.zone)?;
        let hour_end = known.hour_of(self.now()) + Span::HOUR;
        let range = (query.from, query.to);
        let earlier = query.compared.map(|it| Earlier::of(it, range, hour_end, &known.zone));
        let mut sums = Sums::new(self, query, bars.len());
        let rows = self.usage_of(number, earlier.map_or(query.from, |it| it.from), query.to)?;
        let place = |at: Timestamp| rows.partition_point(|it| it.key.hour < at);
        if let Some(earlier) = &earlier {
            let mut bar = Reached::of(earlier.starts(bars.iter().map(|it| it.0), &known.zone));
            rows[..place(earlier.to)].iter().for_each(|row| sums.add_before(row, bar.at(row.key.hour)));
        }
        let mut bar = Reached::of(bars.iter().map(|it| it.0).collect());
        rows[place(query.from)..].iter().for_each(|row| sums.add(row, bar.at(row.key.hour)));
        Ok(sums.into_overview(bars, earlier))
    }

    /// What the platform calls this account's projects, of those it has named.
    pub fn project_names(&self, account: &Name) -> Result<ProjectNames, Error> {
        let number = self.known(account)?.account.number;
        let named = self.store.projects(number)?.into_iter();
        Ok(named
            .map(|it| (it.id.to_string(), ProjectName { name: it.name, is_deleted: it.deleted_at.is_some() }))
            .collect())
    }

    /// The heading a meter counts under, by the latest prices.
    pub fn category_of(&self, meter: &str) -> Category {
        let cards = self.cards();
        let found = cards.latest().and_then(|it| it.meter(meter).map(|it| it.category.clone()));
        found.unwrap_or_else(|| Category::Custom(meter.into()))
    }
}

/// Which bar an hour falls in, of hours that come one after the other as the bars do.
struct Reached {
    starts: Vec<Timestamp>,
    bar: usize,
}

impl Reached {
    fn of(starts: Vec<Timestamp>) -> Reached {
        Reached { starts, bar: 0 }
    }
    fn at(&mut self, hour: Timestamp) -> usize {
        while self.starts.get(self.bar + 1).is_some_and(|it| *it <= hour) {
            self.bar += 1;
        }
        self.bar
    }
}

/// Starts and ends of the buckets between the two ends of the range.
fn bars(query: &OverviewQuery, zone: &TimeZone) -> Result<Vec<(Timestamp, Timestamp)>, Error> {
    let mut bars = Vec::new();
    let mut start = bucket_start(query.from, query.interval, zone, query.from);
    while start < query.to {
        if bars.len() == BUCKETS_MAX {
            return Err(Refusal::invalid("interval", "is too short for the range: 120 of them at most").into());
        }
        let end = next(start, query.interval, zone, query.to);
        bars.push((start, end));
        start = end;
    }
    Ok(bars)
}

fn next(start: Timestamp, interval: Interval, zone: &TimeZone, to: Timestamp) -> Timestamp {
    let span = match interval {
        Interval::Hour => return start + Span::HOUR,
        Interval::Total => return to,
        Interval::Day => 1.day(),
        Interval::Week => 1.week(),
        Interval::Month => 1.month(),
    };
    let instant = jiff::Timestamp::from_millisecond(start.millis()).unwrap_or(jiff::Timestamp::MAX);
    let next = instant.to_zoned(zone.clone()).checked_add(span);
    let millis = next.map_or(i64::MAX, |it| it.timestamp().as_millisecond());
    // A calendar that did not advance would never end.
    Timestamp::from_millis(millis.max(start.millis() + 1))
}

#[derive(Default)]
struct Sum {
    part: Part,
    by_category: Vec<Credits>,
    last_at: Timestamp,
    /// Of servers.
    ran: Ran,
}

/// How servers were used: micro-credits of set-up and seconds of runtime, corrections taken off.
#[derive(Clone, Copy, Default)]
struct Ran {
    set_up: i64,
    seconds: i64,
}

impl Ran {
    fn add(&mut self, sum: &UsageSum) {
        for (name, count) in &sum.quantities {
            let (name, is_back) = match name.strip_suffix(TAKEN_BACK) {
                Some(name) => (name, true),
                None => (&**name, false),
            };
            let count = i64::try_from(*count).unwrap_or(i64::MAX) * if is_back { -1 } else { 1 };
            match name {
                SET_UP_MICROS => self.set_up += count,
                RUNTIME_SECONDS => self.seconds += count,
                _ => {}
            }
        }
    }
}

/// The sums of a pass over the rows.
struct Sums<'a> {
    app: &'a App,
    query: &'a OverviewQuery,
    categories: Vec<(Category, Part)>,
    /// Which category each meter that came by counts under.
    meters: Vec<(Text, usize)>,
    by_bar: Vec<Vec<Credits>>,
    before_by_bar: Vec<Credits>,
    groups: [Grouped; GROUPS.len()],
    total: Part,
}

/// Sums by the values of one dimension. Rows are many and values few: a value is copied when it first comes by.
#[derive(Default)]
struct Grouped {
    named: BTreeMap<String, Sum>,
    nameless: Sum,
}

impl Grouped {
    fn of(&mut self, value: Option<&str>) -> &mut Sum {
        let Some(value) = value else { return &mut self.nameless };
        if !self.named.contains_key(value) {
            self.named.insert(value.to_owned(), Sum::default());
        }
        self.named.get_mut(value).expect("it is there now")
    }
}

const GROUPS: [Dimension; 4] = [Dimension::Project, Dimension::Server, Dimension::Model, Dimension::Actor];

impl<'a> Sums<'a> {
    fn new(app: &'a App, query: &'a OverviewQuery, bars: usize) -> Sums<'a> {
        Sums {
            app,
            query,
            categories: Category::NAMED.into_iter().map(|it| (it, Part::default())).collect(),
            meters: Vec::new(),
            by_bar: vec![Vec::new(); bars],
            before_by_bar: vec![Credits::ZERO; bars],
            groups: Default::default(),
            total: Part::default(),
        }
    }

    fn category(&mut self, meter: &Text) -> usize {
        if let Some((_, place)) = self.meters.iter().find(|(it, _)| it == meter) {
            return *place;
        }
        let category = self.app.category_of(meter);
        let place = self.categories.iter().position(|(it, _)| *it == category).unwrap_or_else(|| {
            self.categories.push((category, Part::default()));
            self.categories.len() - 1
        });
        self.meters.push((meter.clone(), place));
        place
    }

    fn admits(&self, row: &UsageRow, category: usize) -> bool {
        let of_category = self.query.category.as_ref().is_none_or(|it| self.categories[category].0.as_str() == it);
        of_category && self.query.only.iter().all(|(dimension, it)| dimension.of(&row.key) == Some(it))
    }

    fn add_before(&mut self, row: &UsageRow, bar: usize) {
        let category = self.category(&row.key.meter);
        if !self.admits(row, category) {
            return;
        }
        self.categories[category].1.before += row.sum.credits;
        self.total.before += row.sum.credits;
        self.before_by_bar[bar] += row.sum.credits;
        for (group, dimension) in self.groups.iter_mut().zip(GROUPS) {
            group.of(dimension.of(&row.key)).part.before += row.sum.credits;
        }
    }

    fn add(&mut self, row: &UsageRow, bar: usize) {
        let category = self.category(&row.key.meter);
        if !self.admits(row, category) {
            // It can still be chosen.
            for (group, dimension) in self.groups.iter_mut().zip(GROUPS) {
                group.of(dimension.of(&row.key));
            }
            return;
        }
        let count = |part: &mut Part| {
            part.credits = part.credits.saturating_add(row.sum.credits);
            part.count += row.sum.count;
        };
        count(&mut self.categories[category].1);
        count(&mut self.total);
        add_at(&mut self.by_bar[bar], category, row.sum.credits);
        for (group, dimension) in self.groups.iter_mut().zip(GROUPS) {
            let sum = group.of(dimension.of(&row.key));
            count(&mut sum.part);
            add_at(&mut sum.by_category, category, row.sum.credits);
            sum.last_at = sum.last_at.max(row.key.hour);
            if row.key.server.is_some() && matches!(dimension, Dimension::Server) {
                sum.ran.add(&row.sum);
            }
        }
    }

    fn into_overview(self, bars: Vec<(Timestamp, Timestamp)>, earlier: Option<Earlier>) -> Overview {
        let width = self.categories.len();
        let filled = |mut it: Vec<Credits>| {
            it.resize(width, Credits::ZERO);
            it
        };
        let names = |it: &Grouped| it.named.keys().cloned().collect();
        let [all_projects, all_servers, all_models, all_actors] = [0, 1, 2, 3].map(|it| names(&self.groups[it]));
        let lines = |sums: Grouped| {
            let named = sums.named.into_iter().map(|(name, it)| (Some(name), it));
            let used =
                named.chain([(None, sums.nameless)]).filter(|(_, it)| 0 < it.part.count || !it.part.before.is_zero());
            let mut lines: Vec<PartLine> = used
                .map(|(id, it)| PartLine {
                    id,
                    part: it.part,
                    by_category: filled(it.by_category),
                    last_at: it.last_at,
                    set_up: Credits::from_micros(it.ran.set_up),
                    seconds: u64::try_from(it.ran.seconds).unwrap_or(0),
                })
                .collect();
            lines.sort_by_key(|it| (-it.part.credits, -it.part.before));
            lines
        };
        let [projects, servers, models, actors] = self.groups.map(lines);
        let compared = |start: Timestamp| earlier.is_some_and(|it| start < it.until);
        let bars = bars.into_iter().zip(self.by_bar).zip(self.before_by_bar);
        Overview {
            interval: self.query.interval,
            bars: bars
                .map(|(((start, end), it), before)| Bar {
                    start,
                    end,
                    by_category: filled(it),
                    before: compared(start).then_some(before),
                })
                .collect(),
            earlier,
            categories: self.categories,
            projects,
            servers,
            models,
            actors,
            total: self.total,
            all_projects,
            all_servers,
            all_models,
            all_actors,
        }
    }
}

fn add_at(sums: &mut Vec<Credits>, place: usize, credits: Credits) {
    if sums.len() <= place {
        sums.resize(place + 1, Credits::ZERO);
    }
    sums[place] += credits;
}
