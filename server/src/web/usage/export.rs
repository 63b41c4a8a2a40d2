//! Exports: what the page shows, to the last digit, as CSV or as NDJSON: an object a line.
use billing::id::Name;
use billing::ledger::{Transaction, What, Work};
use billing::money::Credits;

use super::entry::{Reader, draws, kept_back};
use super::{breakdown, show};
use crate::app::{App, Known};
use crate::csv;
use crate::service::{EntryBounds, EntryFilter, Error, Overview, PartLine, ProjectNames};

/// What one file may come to. Beyond it, the file says where the next one is, so that all of a range can be had however
/// much it is, and no request costs more than another.
pub struct Bounds {
    pub rows: usize,
    /// Entries looked at, whether or not they are written.
    pub looked_at: usize,
    pub bytes: usize,
}

pub const BOUNDS: Bounds = Bounds { rows: 100_000, looked_at: 200_000, bytes: 64 << 20 };
/// Entries read at once.
const READ_AT_ONCE: usize = 500;

/// How an export is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum As {
    Csv,
    Ndjson,
}

impl As {
    pub fn ending(self) -> &'static str {
        match self {
            As::Csv => "csv",
            As::Ndjson => "ndjson",
        }
    }
    pub fn media_type(self) -> &'static str {
        match self {
            As::Csv => "text/csv; charset=utf-8",
            As::Ndjson => "application/x-ndjson",
        }
    }
}

/// Rows of the same columns, written as they come.
struct Sheet {
    form: As,
    columns: Vec<String>,
    text: String,
    /// Where the rows begin.
    head: usize,
}

impl Sheet {
    fn new(form: As, columns: Vec<String>) -> Sheet {
        let mut text = String::new();
        if form == As::Csv {
            csv::line(&mut text, columns.iter().map(String::as_str));
            text.push('\n');
        }
        let head = text.len();
        Sheet { form, columns, text, head }
    }

    /// Values in the order of the columns. An empty one is left out where rows name their values.
    fn row(&mut self, values: &[String]) {
        debug_assert_eq!(values.len(), self.columns.len(), "a value for each column");
        match self.form {
            As::Csv => csv::line(&mut self.text, values.iter().map(String::as_str)),
            As::Ndjson => {
                let mut members = serde_json::Map::new();
                for (column, value) in self.columns.iter().zip(values).filter(|(_, value)| !value.is_empty()) {
                    members.insert(column.clone(), value.as_str().into());
                }
                self.text.push_str(&serde_json::Value::Object(members).to_string());
            }
        }
        self.text.push('\n');
    }

    /// A row before all others.
    fn first_row(&mut self, values: &[String]) {
        let rows = self.text.split_off(self.head);
        self.row(values);
        self.text.push_str(&rows);
    }
}

/// The chart and every table of the usage page, one below the other in the same columns. What has a name beside its id
/// has both; the last row, of all, names the time zone that its days are of.
pub fn usage(form: As, overview: &Overview, names: &ProjectNames, known: &Known) -> String {
    let mut columns: Vec<String> = ["table", "id", "name", "from", "to"].map(str::to_owned).to_vec();
    columns.extend(overview.categories.iter().map(|it| it.0.as_str().to_owned()));
    columns.extend(["total", "as_long_before", "charges", "provisioning", "runtime", "ran_seconds"].map(str::to_owned));
    let mut sheet = Sheet::new(form, columns);
    for bar in &overview.bars {
        let total: Credits = bar.by_category.iter().copied().sum();
        let mut row =
            vec!["by time".to_owned(), String::new(), String::new(), show::exact(bar.start), show::exact(bar.end)];
        row.extend(bar.by_category.iter().chain([&total]).map(ToString::to_string));
        row.push(bar.before.map(|it| it.to_string()).unwrap_or_default());
        row.extend(std::iter::repeat_n(String::new(), 4));
        sheet.row(&row);
    }
    let tables: [(&str, &[PartLine]); 4] = [
        ("by project", &overview.projects),
        ("by server", &overview.servers),
        ("by model", &overview.models),
        ("by person", &overview.actors),
    ];
    let range = [overview.bars.first().map(|it| it.start), overview.bars.last().map(|it| it.end)];
    let range = range.map(|it| it.map(show::exact).unwrap_or_default());
    for (table, lines) in tables {
        for line in lines {
            let name = match table {
                "by project" => breakdown::project_label(line.id.as_deref(), names),
                _ => line.id.clone().unwrap_or_default(),
            };
            let id = line.id.clone().unwrap_or_default();
            let mut row = vec![table.to_owned(), id, name, range[0].clone(), range[1].clone()];
            let sums = line.by_category.iter().chain([&line.part.credits, &line.part.before]);
            row.extend(sums.map(ToString::to_string));
            row.push(line.part.count.to_string());
            let of_server = line.id.is_some() && table == "by server";
            let runtime = line.part.credits - line.set_up;
            let ran = [line.set_up.to_string(), runtime.to_string(), line.seconds.to_string()];
            row.extend(ran.map(|it| if of_server { it } else { String::new() }));
            sheet.row(&row);
        }
    }
    let mut all =
        vec!["all".to_owned(), String::new(), known.account.timezone.clone(), range[0].clone(), range[1].clone()];
    all.extend(overview.categories.iter().map(|it| it.1.credits.to_string()));
    let total = overview.total;
    all.extend([total.credits.to_string(), total.before.to_string(), total.count.to_string()]);
    all.extend(std::iter::repeat_n(String::new(), 3));
    sheet.row(&all);
    sheet.text
}

/// What there is an id of is there by its id, and beside it by the name that pages show.
const ENTRY: [&str; 22] = [
    "entry",
    "written_at",
    "what",
    "credits",
    "balance_afterwards",
    "set_aside",
    "available_afterwards",
    "happened_at",
    "meter",
    "category",
    "project",
    "project_name",
    "model",
    "person",
    "resource",
    "quantities",
    "price_lines",
    "paid_by",
    "evidence",
    "outcome",
    "rate_card",
    "reference",
];

/// Which entries: those of a filter below a cursor.
pub struct Which<'a> {
    pub account: &'a Name,
    pub filter: &'a EntryFilter,
    pub before: Option<u64>,
}

/// The entries of the activity page, all of its pages, with all that their receipts say.
pub struct Activity {
    sheet: Sheet,
    /// Where what is not in it begins; none where all is.
    rest: Option<u64>,
}

impl Activity {
    pub fn read(
        form: As,
        app: &App,
        reader: &Reader<'_>,
        which: &Which<'_>,
        bounds: &Bounds,
    ) -> Result<Activity, Error> {
        let mut sheet = Sheet::new(form, ENTRY.map(str::to_owned).to_vec());
        let mut rest = which.before;
        let (mut rows, mut looked_at) = (0, 0);
        loop {
            let entries = READ_AT_ONCE.min(bounds.rows - rows);
            let at_once = EntryBounds { entries, looked_at: bounds.looked_at - looked_at };
            let page = app.entries(which.account, which.filter, rest, at_once)?;
            for transaction in &page.entries {
                sheet.row(&entry(transaction, reader));
            }
            rows += page.entries.len();
            looked_at += page.looked_at;
            rest = page.next;
            let is_full = bounds.rows <= rows || bounds.looked_at <= looked_at || bounds.bytes <= sheet.text.len();
            if rest.is_none() || is_full {
                break;
            }
        }
        Ok(Activity { sheet, rest })
    }

    pub fn is_whole(&self) -> bool {
        self.rest.is_none()
    }

    /// The file. One that is not whole says so where nobody misses it, in its first row, with the address of the next.
    pub fn text(mut self, at: impl Fn(u64) -> String) -> String {
        if let Some(rest) = self.rest {
            let said = [("entry", NOT_COMPLETE.to_owned()), ("what", GOES_ON.to_owned()), ("reference", at(rest))];
            let value = |column: &str| said.iter().find(|it| it.0 == column).map(|it| it.1.clone());
            self.sheet.first_row(&ENTRY.map(|it| value(it).unwrap_or_default()));
        }
        self.sheet.text
    }
}

const NOT_COMPLETE: &str = "NOT COMPLETE";
const GOES_ON: &str = "This file ends at its limit and before the range does. What is older is in the file at the \
                       address under \"reference\". A shorter range fits into one file.";

fn entry(transaction: &Transaction, reader: &Reader<'_>) -> [String; ENTRY.len()] {
    let (title, work) = reader.title(&transaction.what);
    let dimension = |name: &str| {
        let found = work.and_then(|it| it.usage.dimensions.iter().find(|(it, _)| &**it == name));
        found.map(|(_, it)| it.to_string()).unwrap_or_default()
    };
    let name = |it: Option<&Name>| it.map(ToString::to_string).unwrap_or_default();
    // What is given back names its charge, which has the work.
    let done = work.filter(|_| !matches!(transaction.what, What::Reversed(_)));
    let paid: Vec<String> = draws(&transaction.what).iter().map(|it| format!("{}={}", it.grant, it.credits)).collect();
    [
        transaction.id().to_string(),
        show::exact(transaction.at),
        title,
        transaction.gain().to_string(),
        transaction.after.posted.to_string(),
        Some(kept_back(&transaction.what)).filter(|it| !it.is_zero()).map(|it| it.to_string()).unwrap_or_default(),
        transaction.after.available().to_string(),
        work.map(|it| show::exact(it.occurred_at)).unwrap_or_default(),
        work.map(|it| it.usage.meter.to_string()).unwrap_or_default(),
        work.map(|it| reader.category(&it.usage.meter)).unwrap_or_default(),
        name(work.and_then(|it| it.project.as_ref())),
        work.and_then(|it| it.project.as_ref()).map(|it| reader.project(it.as_str())).unwrap_or_default(),
        dimension("model"),
        name(work.and_then(|it| it.actor.as_ref())),
        name(work.and_then(|it| it.resource.as_ref())),
        done.map(quantities).unwrap_or_default(),
        done.map(price_lines).unwrap_or_default(),
        paid.join(" "),
        done.and_then(|it| it.evidence.as_deref()).unwrap_or_default().to_owned(),
        dimension("outcome"),
        work.map(|it| it.price.rate_card.to_string()).unwrap_or_default(),
        transaction.origin.key.as_deref().unwrap_or_default().to_owned(),
    ]
}

fn quantities(work: &Work) -> String {
    let pairs: Vec<String> = work.usage.quantities.iter().map(|(name, it)| format!("{name}={it}")).collect();
    pairs.join(" ")
}

/// `Input tokens: 16000 × 125 / 1000000 = 2`, line by line.
fn price_lines(work: &Work) -> String {
    let line = |it: &billing::rating::PriceLine| {
        format!("{}: {} × {} / {} = {}", it.item, it.quantity, it.unit_price, it.per, it.credits)
    };
    work.price.lines.iter().map(line).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::tz::TimeZone;
    use store::sqlite::{Options, Sqlite};

    use super::*;
    use crate::app::Settings;
    use crate::rate_card;
    use crate::service::{AccountProfile, GrantOrder, Registration};

    #[test]
    fn both_forms_say_the_same() {
        let written = |form| {
            let mut sheet = Sheet::new(form, vec!["what".to_owned(), "credits".to_owned()]);
            sheet.row(&["a, b".to_owned(), "-2.5".to_owned()]);
            sheet.row(&[String::new(), "0.000004".to_owned()]);
            sheet.first_row(&["first".to_owned(), String::new()]);
            sheet.text
        };
        assert_eq!(written(As::Csv), "what,credits\nfirst,\n\"a, b\",-2.5\n,0.000004\n");
        let lines = "{\"what\":\"first\"}\n{\"credits\":\"-2.5\",\"what\":\"a, b\"}\n{\"credits\":\"0.000004\"}\n";
        assert_eq!(written(As::Ndjson), lines);
    }

    async fn given(app: &App, account: &Name, key: &str) {
        let order = GrantOrder {
            account: account.clone(),
            credits: Credits::whole(1),
            source: billing::ledger::Source::Promo,
            reason: "a gift".into(),
            effective_at: None,
            expires_at: None,
            priority: None,
            scope: billing::ledger::Scope::default(),
            cost: None,
            key: key.into(),
            by: "test".into(),
        };
        app.grant(order).await.expect("it is granted");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_that_ends_at_a_bound_says_so_and_where_the_next_one_is() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let store = Sqlite::open(&directory.path().join("scrip.db"), Options::default()).expect("a store");
        let card = rate_card::parse_toml(rate_card::DEFAULT).expect("a card");
        let app = App::open(Arc::new(store), Settings::default(), &card).expect("it opens");
        let ada: Name = "ada".parse().expect("a name");
        let profile = AccountProfile::default();
        let registration = Registration { id: ada.clone(), profile, fingerprints: Vec::new() };
        app.register(&registration, &"test".into()).expect("an account");
        for key in ["a", "b", "c", "d", "e"] {
            given(&app, &ada, key).await;
        }
        let (names, zone) = (app.project_names(&ada).expect("names"), TimeZone::UTC);
        let reader = Reader::of(&app, &zone, &names);
        let all = EntryFilter { is_for_people: true, ..EntryFilter::default() };
        let none = EntryFilter { project: Some("none".parse().expect("a name")), ..all.clone() };
        let file = |filter, before, bounds: &Bounds| {
            let which = Which { account: &ada, filter, before };
            let activity = Activity::read(As::Csv, &app, &reader, &which, bounds).expect("it is read");
            let (rest, is_whole) = (activity.rest, activity.is_whole());
            (activity.text(|it| format!("https://example.com/activity.csv?cursor={it}")), rest, is_whole)
        };
        let (whole, rest, is_whole) = file(&all, None, &BOUNDS);
        assert_eq!((rest, is_whole, whole.contains(NOT_COMPLETE)), (None, true, false));
        let rows: Vec<&str> = whole.lines().skip(1).collect();
        assert!(5 <= rows.len(), "{whole}");
        for (filter, bounds, rows) in [
            (&all, Bounds { rows: 2, ..BOUNDS }, &rows[..]),
            (&all, Bounds { rows: 3, bytes: 1, ..BOUNDS }, &rows),
            (&all, Bounds { looked_at: 2, ..BOUNDS }, &rows),
            // Of what does not fit it looks at no more, and says no less that there is more.
            (&none, Bounds { looked_at: 2, ..BOUNDS }, &[]),
        ] {
            let (mut files, mut parts, mut before) = (0, Vec::new(), None);
            loop {
                files += 1;
                let (text, rest, is_whole) = file(filter, before, &bounds);
                let mut lines = text.lines().skip(1).map(str::to_owned);
                if !is_whole {
                    let said = lines.next().expect("it says so");
                    let at = format!("https://example.com/activity.csv?cursor={}", rest.expect("more"));
                    assert!(said.starts_with("NOT COMPLETE,,") && said.ends_with(&at), "{said}");
                }
                parts.extend(lines);
                before = rest;
                if is_whole {
                    break;
                }
            }
            assert_eq!(parts, rows, "all of them, each once");
            assert!(2 < files, "one bound by so little is not whole");
        }
        app.close();
    }
}
