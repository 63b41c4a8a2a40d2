//! *Settings > Usage*: what there is, how long it lasts, where it went, and every entry behind it.
mod breakdown;
mod budgets;
mod chart;
mod entry;
mod export;
mod fleet;
mod outlook;
mod parts;
mod project;
mod receipt;
mod short;
mod standing;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use billing::id::Name;
use billing::rating::Text;

use super::frame::{Frame, Rate};
use super::range::{Choice, Query, Range, only};
use super::visit::Visitor;
use super::{Paged, message, page, show};
use crate::app::App;
use crate::http::Site;
use crate::service::{
    BudgetView, Dimension, EntryFilter, EntryPage, Error, Overview, OverviewQuery, ProjectNames, ServerView,
};

pub use breakdown::project_label;
pub use budgets::{form as budget_form, save as save_budget};
pub use entry::{EntryRow, Reader, lower};
pub use outlook::dismiss as dismiss_tip;
pub use parts::all as all_parts;
pub use project::{ask as ask_of_project, change as change_project};
pub use receipt::{ReceiptLine, evidence, lines};

use breakdown::{CategoryRow, PartRow};
use budgets::BudgetRow;
use chart::Chart;
use export::As;
use fleet::ServerRow;
use outlook::Ahead;
use project::ProjectView;
use short::Short;
use standing::Standing;

const PATH: &str = "/settings/usage";
const ACTIVITY: &str = "/settings/activity";
/// Entries at the foot of the usage page, and on a page of their own.
const LATEST: usize = 8;
const PAGE: usize = 50;
/// Rows of a table before the rest is summed up in one: a page of their own has them all.
const ROWS_MAX: usize = 10;

/// A choice of one from a list: its value, what it is called, and whether it is the one.
type Choices = Vec<(&'static str, &'static str, bool)>;

#[derive(Template)]
#[template(path = "usage.html")]
struct UsagePage {
    frame: Frame,
    standing: Standing,
    range: Range,
    presets: Vec<Choice>,
    filters: Filters,
    total: String,
    total_exact: String,
    total_money: String,
    before: String,
    before_total: String,
    change: Option<show::Change>,
    project: Option<ProjectView>,
    categories: Vec<CategoryRow>,
    chart: Chart,
    projects: Vec<PartRow>,
    servers: Vec<ServerRow>,
    models: Vec<PartRow>,
    actors: Vec<PartRow>,
    budgets: Vec<BudgetRow>,
    ahead: Ahead,
    latest: Vec<EntryRow>,
    short: Option<Short>,
    activity_href: String,
    exports: Exports,
    is_new: bool,
}

#[derive(Template)]
#[template(path = "activity.html")]
struct ActivityPage {
    frame: Frame,
    range: Range,
    presets: Vec<Choice>,
    filters: Filters,
    entries: Vec<EntryRow>,
    short: Option<Short>,
    newer: Option<String>,
    older: Option<String>,
    exports: Exports,
}

/// What the page is narrowed to, and to what it could be.
struct Filters {
    categories: Vec<Pick>,
    /// Everything else one can choose from.
    fields: Vec<Field>,
    /// How wide the bars are, where the range leaves a choice.
    intervals: Vec<Pick>,
    /// Carried along by the form.
    hidden: Vec<(&'static str, String)>,
    clear: Option<String>,
}

/// What is shown, as files.
struct Exports {
    csv: String,
    ndjson: String,
}

impl Exports {
    fn of(query: &Query, path: &str) -> Exports {
        let href = |ending: &str| query.with(&[("cursor", "")]).href(&format!("{path}.{ending}"));
        Exports { csv: href("csv"), ndjson: href("ndjson") }
    }
}

struct Field {
    name: &'static str,
    label: &'static str,
    picks: Vec<Pick>,
}

struct Pick {
    value: String,
    label: String,
    is_on: bool,
}

/// All that is read for the page, in one visit to the threads that read.
struct Read {
    frame: Frame,
    standing: Standing,
    overview: Overview,
    project: Option<ProjectView>,
    names: ProjectNames,
    fleet: Vec<ServerView>,
    budgets: Vec<BudgetView>,
    entries: EntryPage,
    is_new: bool,
}

fn read(app: &App, visitor: &Visitor, range: &Range) -> Result<Read, Error> {
    let account = &visitor.session.account;
    let balance = app.balance(account, None)?;
    let filter = filter(app, visitor, range);
    let fleet = app.servers(account)?;
    Ok(Read {
        frame: Frame::of(app, visitor, &balance, PATH)?,
        standing: Standing::of(app, visitor, &balance, &fleet)?,
        overview: app.overview(&overview_query(visitor, range))?,
        project: ProjectView::of(app, visitor)?,
        names: app.project_names(account)?,
        fleet,
        budgets: app.budgets(account)?,
        entries: app.entries(account, &filter, None, LATEST)?,
        is_new: balance.burn_per_day.is_zero() && is_unused(app, account)?,
    })
}

/// Whether nothing has happened to an account but that it was given credits: whatever the page is narrowed to.
fn is_unused(app: &App, account: &Name) -> Result<bool, Error> {
    let all = EntryFilter { is_for_people: true, ..EntryFilter::default() };
    let newest = app.entries(account, &all, None, LATEST)?;
    Ok(newest.next.is_none() && newest.entries.iter().all(|it| it.granted().is_some()))
}

fn overview_query(visitor: &Visitor, range: &Range) -> OverviewQuery {
    OverviewQuery {
        account: visitor.session.account.clone(),
        from: range.from,
        to: range.to,
        interval: range.interval,
        category: visitor.query.get("category").map(str::to_owned),
        only: only(&visitor.query),
        compared: Some(range.compared),
    }
}

/// The entries of the range, narrowed as the page is.
fn filter(app: &App, visitor: &Visitor, range: &Range) -> EntryFilter {
    let query = &visitor.query;
    let name = |dimension: Dimension| query.get(dimension.as_str()).and_then(|it| it.parse().ok());
    let cards = app.cards();
    let meters = query.get("category").map(|wanted| {
        let all = cards.latest().into_iter().flat_map(|it| it.meters());
        let all = all.filter(|it| it.category.as_str() == wanted).map(|it| Arc::clone(&it.name));
        let mut meters: Vec<Text> = all.collect();
        // A meter that is not on the price list any more is a category of its own name. None at all would be any.
        if meters.is_empty() {
            meters.push(wanted.into());
        }
        meters
    });
    EntryFilter {
        from: Some(range.from),
        to: Some(range.to).filter(|it| *it <= visitor.now),
        is_by_work: true,
        is_for_people: true,
        meters: meters.unwrap_or_default(),
        project: name(Dimension::Project),
        server: name(Dimension::Server),
        model: query.get("model").map(Into::into),
        actor: name(Dimension::Actor),
    }
}

pub async fn show(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    let range = Range::of(&visitor.query, visitor.now, &visitor.known.zone);
    let beside = visitor.clone();
    // What was and what will be need nothing of each other: they are read at once.
    let asked = site.look(move |app| usage_page(app, &visitor, range));
    let (usage, ahead) = tokio::join!(asked, site.look(move |app| Ahead::of(app, &beside)));
    let mut usage = usage.map_err(|it| message::failed(&site, it))?;
    usage.ahead = ahead.map_err(|it| message::failed(&site, it))?;
    fleet::of_month(&mut usage.servers, &usage.ahead.servers);
    Ok(page(StatusCode::OK, &usage))
}

fn usage_page(app: &App, visitor: &Visitor, range: Range) -> Result<UsagePage, Error> {
    let Read { frame, standing, overview, project, names, fleet, budgets, entries, is_new } =
        read(app, visitor, &range)?;
    let query = &visitor.query;
    let zone = &visitor.known.zone;
    let rate = Rate { app, currency: visitor.known.account.currency };
    let tables = breakdown::Tables { overview: &overview, names: &names, query, rate: &rate, zone, rows_max: ROWS_MAX };
    let reader = Reader::of(app, zone, &names);
    let activity = query.with(&[("cursor", ""), ("by", "")]);
    Ok(UsagePage {
        frame,
        standing,
        presets: range.presets(query, PATH),
        filters: filters(query, &overview, &names, &range),
        total: show::used(overview.total.credits),
        total_exact: overview.total.credits.to_string(),
        total_money: rate.of(overview.total.credits),
        before: overview.earlier.map(|it| range.before(&it, zone)).unwrap_or_default(),
        before_total: show::used(overview.total.before),
        change: show::change(overview.total.credits, overview.total.before),
        categories: tables.categories(),
        chart: Chart::of(&overview, zone, query),
        project,
        projects: tables.rows(Dimension::Project),
        servers: fleet::rows(&tables, &fleet),
        models: tables.rows(Dimension::Model),
        actors: tables.rows(Dimension::Actor),
        // Looked at beside all this, and put in its place by whoever asked for both.
        ahead: Ahead::default(),
        budgets: budgets.iter().map(|it| BudgetRow::of(it, app, &names, &rate, visitor)).collect(),
        latest: reader.rows(&entries.entries)?,
        short: Short::of(&entries, LATEST, true, |it| activity.with(&[("cursor", it)]).href(ACTIVITY)),
        activity_href: activity.href(ACTIVITY),
        exports: Exports::of(query, PATH),
        is_new,
        range,
    })
}

pub async fn activity(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    let asked = site.look(move |app| activity_page(app, &visitor));
    let activity = asked.await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &activity))
}

fn activity_page(app: &App, visitor: &Visitor) -> Result<ActivityPage, Error> {
    let account = &visitor.session.account;
    let query = &visitor.query;
    let range = Range::of(query, visitor.now, &visitor.known.zone);
    let cursor = query.get("cursor").and_then(|it| it.parse().ok());
    let entries = app.entries(account, &filter(app, visitor, &range), cursor, PAGE)?;
    let balance = app.balance(account, None)?;
    let names = app.project_names(account)?;
    // For what can be chosen from.
    let overview = app.overview(&OverviewQuery { compared: None, ..overview_query(visitor, &range) })?;
    let reader = Reader::of(app, &visitor.known.zone, &names);
    let at = |cursor: &str| query.with(&[("cursor", cursor)]).href(ACTIVITY);
    let short = Short::of(&entries, PAGE, cursor.is_none(), at);
    // Here are no bars to be wide or narrow.
    let filters = Filters { intervals: Vec::new(), ..filters(query, &overview, &names, &range) };
    Ok(ActivityPage {
        frame: Frame::of(app, visitor, &balance, ACTIVITY)?,
        presets: range.presets(query, ACTIVITY),
        filters,
        entries: reader.rows(&entries.entries)?,
        newer: cursor.map(|_: u64| at("")),
        // Where the page says why it is short, it says how to go on.
        older: entries.next.filter(|_| short.is_none()).map(|it| at(&it.to_string())),
        short,
        exports: Exports::of(query, ACTIVITY),
        range,
    })
}

/// What a page may be narrowed by.
const NARROWED: [&str; 5] = ["project", "model", "category", "server", "actor"];

/// Whether the page shows a part of what was used.
fn is_narrowed(query: &Query) -> bool {
    NARROWED.iter().any(|it| query.get(it).is_some())
}

fn filters(query: &Query, overview: &Overview, names: &ProjectNames, range: &Range) -> Filters {
    let pick = |name: &str, value: &str, label: String| Pick {
        value: value.to_owned(),
        label,
        is_on: query.get(name) == Some(value),
    };
    let categories = overview.categories.iter().map(|(it, _)| it.as_str());
    let field = |name: &'static str, label: &'static str, all: &[String]| {
        let named = |it: &String| match name {
            "project" => project_label(Some(it), names),
            _ => it.clone(),
        };
        let mut picks: Vec<Pick> = all.iter().map(|it| pick(name, it, named(it))).collect();
        // What is chosen can be seen and taken away, even if nothing of it was used.
        if let Some(it) = query.get(name).filter(|it| !all.iter().any(|one| one == it)) {
            picks.push(pick(name, it, named(&it.to_owned())));
        }
        Field { name, label, picks }
    };
    let fields = [
        field("project", "Project", &overview.all_projects),
        field("model", "Model", &overview.all_models),
        field("server", "Server", &overview.all_servers),
        field("actor", "Person or key", &overview.all_actors),
    ];
    let carried = ["range", "from", "to", "back"];
    let clear = query.with(&NARROWED.map(|it| (it, "")));
    let intervals = range.intervals().into_iter();
    Filters {
        categories: categories.map(|it| pick("category", it, it.to_owned())).collect(),
        fields: fields.into_iter().filter(|it| !it.picks.is_empty()).collect(),
        intervals: intervals
            .map(|(value, label)| Pick {
                value: value.to_owned(),
                label: label.to_owned(),
                is_on: value == overview.interval.as_str(),
            })
            .collect(),
        hidden: carried.iter().filter_map(|it| Some((*it, query.get(it)?.to_owned()))).collect(),
        clear: is_narrowed(query).then(|| format!("?{}", clear.href("").trim_start_matches('?'))),
    }
}

pub async fn export(State(site): State<Arc<Site>>, visitor: Visitor, uri: Uri) -> Paged {
    let range = Range::of(&visitor.query, visitor.now, &visitor.known.zone);
    let (form, name) = named("usage", &uri, &range);
    let asked = site.look(move |app| {
        let overview = app.overview(&overview_query(&visitor, &range))?;
        let names = app.project_names(&visitor.session.account)?;
        Ok(export::usage(form, &overview, &names, &visitor.known))
    });
    let text = asked.await.map_err(|it| message::failed(&site, it))?;
    Ok(file(&name, form, text))
}

pub async fn export_activity(State(site): State<Arc<Site>>, visitor: Visitor, uri: Uri) -> Paged {
    let range = Range::of(&visitor.query, visitor.now, &visitor.known.zone);
    let (form, name) = named("activity", &uri, &range);
    let origin = site.origin(&visitor.headers);
    let asked = site.look(move |app| {
        let names = app.project_names(&visitor.session.account)?;
        let reader = Reader::of(app, &visitor.known.zone, &names);
        let (account, query) = (&visitor.session.account, &visitor.query);
        let before = query.get("cursor").and_then(|it| it.parse().ok());
        let which = export::Which { account, filter: &filter(app, &visitor, &range), before };
        let activity = export::Activity::read(form, app, &reader, &which, &export::BOUNDS)?;
        let path = format!("{origin}{ACTIVITY}.{}", form.ending());
        let at = |cursor: u64| query.with(&[("cursor", &cursor.to_string())]).href(&path);
        let incomplete = if activity.is_whole() { "" } else { "incomplete-" };
        let continued = if before.is_none() { "" } else { "continued-" };
        Ok((format!("{incomplete}{continued}{name}"), activity.text(at)))
    });
    let (name, text) = asked.await.map_err(|it| message::failed(&site, it))?;
    Ok(file(&name, form, text))
}

/// As the address ends, so is the file.
fn named(what: &str, uri: &Uri, range: &Range) -> (As, String) {
    let form = if uri.path().ends_with(".ndjson") { As::Ndjson } else { As::Csv };
    (form, format!("{what}-{}-{}.{}", range.first, range.last, form.ending()))
}

fn file(name: &str, form: As, text: String) -> Response {
    use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
    use axum::response::IntoResponse;
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(CONTENT_TYPE, form.media_type().to_owned()), (CONTENT_DISPOSITION, disposition)], text).into_response()
}
