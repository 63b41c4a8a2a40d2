//! All projects, servers, models or people of a range, however many there are: found by name, in an order of one's
//! choice, a page at a time.
//!
//! It needs no script: what is looked for, the order and the page are in the address. Invariant: the last line is the
//! sum of all that was found, whichever page of it is shown.
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;

use super::breakdown::{self, PartRow, Tables};
use super::fleet::{self, ServerRow};
use super::{Choices, overview_query, show};
use crate::app::App;
use crate::http::Site;
use crate::service::{Dimension, Error, PartLine, ServerForecast};
use crate::web::frame::{Frame, Rate};
use crate::web::range::{Choice, Query, Range};
use crate::web::visit::Visitor;
use crate::web::{Paged, message, page};

pub const PATH: &str = "/settings/usage/all";
/// Rows of a page.
const PAGE: usize = 50;
/// The orders one may choose, the first by itself.
const ORDERS: [(&str, &str); 4] =
    [("used", "Most used"), ("name", "Name"), ("last", "Last used"), ("change", "Most more than before")];

#[derive(Template)]
#[template(path = "parts-all.html")]
struct PartsPage {
    frame: Frame,
    /// Above the table, and in its name.
    title: &'static str,
    one: &'static str,
    range: Range,
    presets: Vec<Choice>,
    categories: Vec<String>,
    parts: Vec<PartRow>,
    servers: Vec<ServerRow>,
    sum: Option<Sum>,
    find: String,
    orders: Choices,
    hidden: Vec<(String, String)>,
    /// Which of how many.
    shown: String,
    newer: Option<String>,
    older: Option<String>,
    back: String,
}

/// The last line of the table.
struct Sum {
    label: String,
    row: PartRow,
}

/// What the address asks for.
struct Asked {
    of: Dimension,
    find: String,
    sort: &'static str,
    page: usize,
}

impl Asked {
    fn of(query: &Query) -> Asked {
        let of = match query.get("of") {
            Some("server") => Dimension::Server,
            Some("model") => Dimension::Model,
            Some("actor") => Dimension::Actor,
            _ => Dimension::Project,
        };
        let sort = ORDERS.iter().find(|it| Some(it.0) == query.get("sort")).unwrap_or(&ORDERS[0]).0;
        let page = query.get("page").and_then(|it| it.parse().ok()).unwrap_or(1);
        Asked { of, find: query.get("find").unwrap_or_default().trim().to_owned(), sort, page: page.max(1) }
    }

    fn words(&self) -> (&'static str, &'static str) {
        match self.of {
            Dimension::Server => ("Servers", "server"),
            Dimension::Model => ("Models", "model"),
            Dimension::Actor => ("People", "person"),
            _ => ("Projects", "project"),
        }
    }

    /// Those that are looked for, in the order that was chosen.
    fn found(&self, lines: Vec<PartLine>, label: impl Fn(&PartLine) -> String) -> Vec<PartLine> {
        let wanted = self.find.to_lowercase();
        let is_found = |it: &PartLine| {
            let by_id = it.id.as_deref().is_some_and(|id| id.to_lowercase().contains(&wanted));
            wanted.is_empty() || by_id || label(it).to_lowercase().contains(&wanted)
        };
        let mut found: Vec<PartLine> = lines.into_iter().filter(is_found).collect();
        match self.sort {
            "name" => found.sort_by_cached_key(|it| label(it).to_lowercase()),
            "last" => found.sort_by_key(|it| std::cmp::Reverse(it.last_at)),
            "change" => found.sort_by_key(|it| it.part.before - it.part.credits),
            _ => {}
        }
        found
    }
}

pub async fn all(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    let made = site.look(move |app| parts_page(app, &visitor)).await;
    Ok(page(StatusCode::OK, &made.map_err(|it| message::failed(&site, it))?))
}

fn parts_page(app: &App, visitor: &Visitor) -> Result<PartsPage, Error> {
    let (account, query, zone) = (&visitor.session.account, &visitor.query, &visitor.known.zone);
    let range = Range::of(query, visitor.now, zone);
    let asked = Asked::of(query);
    let overview = app.overview(&overview_query(visitor, &range))?;
    let names = app.project_names(account)?;
    let rate = Rate { app, currency: visitor.known.account.currency };
    let tables = Tables { overview: &overview, names: &names, query, rate: &rate, zone, rows_max: PAGE };
    let is_servers = asked.of == Dimension::Server;
    let fleet = if is_servers { app.servers(account)? } else { Vec::new() };
    let months: Vec<ServerForecast> = if is_servers { app.forecast(account)?.servers } else { Vec::new() };
    let all = if is_servers { fleet::lines(&tables, &fleet) } else { tables.lines(asked.of) };
    let found = asked.found(all, |it| tables.label(asked.of, it.id.as_deref()));
    // Beyond the last page is the last.
    let number = asked.page.min(found.len().div_ceil(PAGE).max(1));
    let first = (number - 1) * PAGE;
    let shown = &found[first..found.len().min(first + PAGE)];
    // Of all that was found, for on all pages together they add up.
    let money = tables.money(&found).into_iter().skip(first);
    let mut servers: Vec<ServerRow> =
        shown.iter().filter(|_| is_servers).map(|it| fleet::row(&tables, it, &fleet)).collect();
    fleet::of_month(&mut servers, &months);
    let (title, one) = asked.words();
    let at = |page: usize| query.with(&[("page", &page.to_string())]).href(PATH);
    let sum = breakdown::sum(&found).map(|it| Sum {
        label: format!(
            "{} {}",
            show::thousands(found.len() as u64),
            if asked.find.is_empty() { "in all" } else { "found" }
        ),
        row: tables.row(asked.of, &it, rate.of(it.part.credits)),
    });
    let parts = shown.iter().zip(money).filter(|_| !is_servers);
    let own = ["find", "sort", "page"];
    let balance = app.balance(account, None)?;
    Ok(PartsPage {
        frame: Frame::of(app, visitor, &balance, super::PATH)?,
        title,
        one,
        presets: range.presets(&query.with(&[("page", "")]), PATH),
        categories: overview.categories.iter().map(|(it, _)| it.as_str().to_owned()).collect(),
        parts: parts.map(|(it, money)| tables.row(asked.of, it, money)).collect(),
        servers,
        sum,
        orders: ORDERS.map(|(value, label)| (value, label, value == asked.sort)).to_vec(),
        hidden: query.pairs().filter(|it| !own.contains(&it.0)).map(|it| (it.0.to_owned(), it.1.to_owned())).collect(),
        shown: match shown.len() {
            0 => String::new(),
            count => format!("{}–{} of {}", first + 1, first + count, show::thousands(found.len() as u64)),
        },
        newer: (1 < number).then(|| at(number - 1)),
        older: (first + PAGE < found.len()).then(|| at(number + 1)),
        back: query.with(&[("of", ""), ("find", ""), ("sort", ""), ("page", "")]).href(super::PATH),
        find: asked.find,
        range,
    })
}
