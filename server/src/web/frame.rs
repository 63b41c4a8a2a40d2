//! What surrounds every page of a customer: whose it is, where one can go, and the balance.
use billing::ledger::RUNWAY_MAX;
use billing::money::{Credits, Money};
use billing::time::Timestamp;
use jiff::tz::TimeZone;

use super::visit::Visitor;
use super::{form, scope, show};
use crate::app::App;
use crate::brand::Brand;
use crate::service::{BalanceView, Error};

/// The operator's name and where the pages' parts are.
#[derive(Clone, Debug)]
pub struct House {
    pub name: String,
    pub has_logo: bool,
    /// Of the assets' addresses.
    pub build: &'static str,
}

impl House {
    pub fn of(brand: &Brand) -> House {
        House { name: brand.name.clone(), has_logo: brand.logo.is_some(), build: super::asset::build() }
    }
}

/// A page one can go to.
#[derive(Clone, Debug)]
pub struct Tab {
    pub label: &'static str,
    pub href: &'static str,
    pub is_on: bool,
}

#[derive(Clone, Debug)]
pub struct Frame {
    pub house: House,
    pub tabs: Vec<Tab>,
    /// The account's id.
    pub id: String,
    /// The account's name, or its id where it has none.
    pub account: String,
    pub return_url: Option<String>,
    /// What every form carries.
    pub mark: String,
    pub live: Live,
    pub timezone: String,
    /// Where this person buys credits; none for one who may not.
    pub buy: Option<&'static str>,
    /// Sees what is bought and its papers.
    pub sees_billing: bool,
    /// Decides over budgets and what is bought.
    pub decides: bool,
    /// Since when the account is closed.
    pub closed: Option<String>,
}

/// The numbers that change while one looks: the same texts in the page and in the stream.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Live {
    pub available: String,
    pub available_exact: String,
    /// How much of it pays for some work only, and for which; empty where all of it pays for any.
    pub scoped: String,
    pub money: String,
    pub held: String,
    pub accrued: String,
    pub posted: String,
    pub debt: String,
    pub as_of: String,
    pub runway: String,
    pub runs_out: String,
    /// `fine`, `low`, `apart` where some work only may go on, or `out`.
    pub state: &'static str,
    /// That in a word, where it is worth one and nothing else says it.
    pub word: &'static str,
}

/// Less runway than this is worth a word.
const LOW: billing::time::Span = billing::time::Span::DAY.times(3);

impl Live {
    pub fn of(app: &App, view: &BalanceView, zone: &TimeZone) -> Live {
        let available = view.balance.available();
        let left = view.runs_out_at.map(|it| billing::time::Span::from_millis(it.millis() - view.as_of.millis()));
        let state = match left {
            _ if available <= Credits::ZERO => "out",
            _ if view.general <= Credits::ZERO => "apart",
            Some(left) if left < LOW => "low",
            _ => "fine",
        };
        let (runway, runs_out) = match (state, left, view.runs_out_at) {
            ("out", ..) => ("No credits left".to_owned(), "New work is refused until credits are added.".to_owned()),
            (_, Some(left), Some(at)) if 0 < left.millis() => {
                let pace = show::used(view.burn_per_day);
                let until = show::day(at, zone);
                (show::span(left), format!("until {until}, at {pace} credits a day as in the last 7 days"))
            }
            ("apart", ..) => (format!("For {} only", only(app, view)), APART.to_owned()),
            // Something is used; only its end is further ahead than is foretold.
            _ if view.burn_per_day.is_positive() => {
                let pace = show::used(view.burn_per_day);
                (
                    format!("More than {}", show::span(RUNWAY_MAX)),
                    format!("at {pace} credits a day as in the last 7 days"),
                )
            }
            _ => ("No end in sight".to_owned(), "Nothing was used in the last 7 days.".to_owned()),
        };
        Live {
            available: show::have(available),
            available_exact: available.to_string(),
            scoped: scoped(app, view),
            money: show::money(view.money),
            held: show::have(view.balance.held),
            accrued: show::used(view.balance.accrued),
            posted: show::have(view.balance.posted),
            debt: show::used(view.balance.debt),
            as_of: show::clock(view.as_of, zone),
            runway,
            runs_out,
            state,
            word: match state {
                "out" if view.balance.debt.is_positive() => "in debt",
                "out" => "used up",
                "low" => "running low",
                _ => "",
            },
        }
    }
}

const APART: &str = "Other work is refused until credits are added.";

/// The work that scoped credits are for, where they are for one kind.
fn only(app: &App, view: &BalanceView) -> String {
    match &*view.scoped {
        [(scope, _)] => scope::work(app, scope),
        _ => "some work".to_owned(),
    }
}

/// How much of what is available pays for some work only. No more than that, where something is owed.
fn scoped(app: &App, view: &BalanceView) -> String {
    let available = view.balance.available();
    let credits: Credits = view.scoped.iter().map(|it| it.1).sum();
    let credits = credits.min(available);
    match credits.is_positive() {
        false => String::new(),
        true if credits == available => format!("all of them for {} only", only(app, view)),
        true => format!("{} of them for {} only", show::have(credits), only(app, view)),
    }
}

impl Frame {
    /// Around the page at `href`.
    pub fn of(app: &App, visitor: &Visitor, balance: &BalanceView, href: &str) -> Result<Frame, Error> {
        let account = &visitor.known.account;
        let settings = app.settings();
        // A closed account is there to be read.
        let decides = visitor.session.role.changes_billing() && account.closed_at.is_none();
        let mut tabs = vec![("Usage", "/settings/usage"), ("Activity", "/settings/activity")];
        // Where nothing can be bought there are statements still, e-mails, and who is billed.
        let sees_billing = visitor.session.role.sees_billing();
        if sees_billing {
            tabs.push(("Billing", super::billing::PATH));
        }
        tabs.push(("Estimate", "/settings/estimate"));
        let tab = |(label, to): (&'static str, &'static str)| Tab { label, href: to, is_on: to == href };
        Ok(Frame {
            house: House::of(&settings.brand),
            tabs: tabs.into_iter().map(tab).collect(),
            id: account.id.to_string(),
            account: account.name.clone().unwrap_or_else(|| account.id.to_string()),
            return_url: visitor.session.return_url.clone(),
            mark: form::mark_on(&app.form_mark(&visitor.session.id)?, &account.id),
            live: Live::of(app, balance, &visitor.known.zone),
            timezone: account.timezone.clone(),
            sees_billing,
            decides,
            buy: (decides && settings.payments.is_some()).then_some(super::billing::PATH),
            closed: account.closed_at.map(|it| show::day(it, &visitor.known.zone)),
        })
    }
}

/// What used credits cost at list price, as money is shown beside them.
pub struct Rate<'a> {
    pub app: &'a App,
    pub currency: billing::money::Currency,
}

impl Rate<'_> {
    pub fn of(&self, credits: Credits) -> String {
        said(self.app.cost_at_list_price(credits, self.currency), credits)
    }

    /// Of each part of one whole, so that the lines of a table add up to what [`Rate::of`] says of their sum.
    pub fn of_parts(&self, parts: &[Credits]) -> Vec<String> {
        let all = self.app.costs_at_list_price(parts, self.currency);
        all.into_iter().zip(parts).map(|(money, credits)| said(money, *credits)).collect()
    }
}

/// What is worth less than the least there is of a currency is said to be that.
fn said(money: Money, credits: Credits) -> String {
    if money.amount == 0 && credits.is_positive() {
        let least = Money { amount: 1, ..money };
        return format!("<{}", show::money(least));
    }
    show::money(money)
}

/// An instant with what machines read of it.
#[derive(Clone, Debug)]
pub struct When {
    pub exact: String,
    pub text: String,
}

impl When {
    pub fn minute(at: Timestamp, zone: &TimeZone) -> When {
        When { exact: show::exact(at), text: show::minute(at, zone) }
    }
    /// With the year.
    pub fn moment(at: Timestamp, zone: &TimeZone) -> When {
        When { exact: show::exact(at), text: show::moment(at, zone) }
    }
}
