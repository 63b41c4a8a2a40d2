//! What lies ahead: what the month will have cost when it ends, and what could be done to spend less.
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use billing::money::Credits;

use super::show;
use crate::app::App;
use crate::http::Site;
use crate::service::{Error, ForecastView, ServerForecast, Tip, TipKind};
use crate::web::form::Form;
use crate::web::frame::Rate;
use crate::web::visit::Visitor;
use crate::web::{Paged, message};

/// All that lies ahead.
#[derive(Default)]
pub struct Ahead {
    pub outlook: OutlookView,
    pub tips: Vec<TipRow>,
    /// What servers come to in this month.
    pub servers: Vec<ServerForecast>,
    /// The page shows a part of the account, and this is of all of it.
    pub is_beyond_the_page: bool,
}

impl Ahead {
    pub fn of(app: &App, visitor: &Visitor) -> Result<Ahead, Error> {
        let account = &visitor.session.account;
        let rate = Rate { app, currency: visitor.known.account.currency };
        let tips = app.tips(account)?;
        let forecast = app.forecast(account)?;
        Ok(Ahead {
            outlook: OutlookView::of(&forecast, &rate, visitor),
            tips: tips.iter().map(|it| TipRow::of(it, visitor)).collect(),
            servers: forecast.servers,
            is_beyond_the_page: super::is_narrowed(&visitor.query),
        })
    }
}

/// The month as it will have been.
#[derive(Default)]
pub struct OutlookView {
    pub month: String,
    pub spent: String,
    pub spent_exact: String,
    pub spent_money: String,
    /// None where nothing is foretold; then the reason is.
    pub end: Option<MonthEndView>,
    pub reason: Option<String>,
    pub method: String,
}

pub struct MonthEndView {
    pub day: String,
    pub credits: String,
    pub exact: String,
    pub money: String,
    pub low: String,
    pub high: String,
    /// Thousandths of the bar: what was spent, what is expected, and from where to where it may be.
    pub at_spent: u64,
    pub at_expected: u64,
    pub at_low: u64,
    pub range: u64,
    /// By meter and server, costliest first.
    pub parts: Vec<(String, String, String)>,
    pub is_covered: bool,
    pub short: String,
}

pub struct TipRow {
    pub id: String,
    pub title: String,
    pub detail: String,
    /// What it saves, of tips that save credits.
    pub saving: Option<String>,
    /// Where it is done, of what is done here.
    pub href: Option<String>,
    pub verb: &'static str,
}

impl OutlookView {
    pub fn of(forecast: &ForecastView, rate: &Rate<'_>, visitor: &Visitor) -> OutlookView {
        let zone = &visitor.known.zone;
        let (start, end) = forecast.month;
        let last = show::zoned(end, zone).yesterday().map(|it| it.strftime("%-d %B").to_string());
        let view = |it: &crate::service::MonthEnd| {
            let most = it.high.max(forecast.spent);
            let at = |credits: Credits| show::thousandths(credits, most);
            let rest = (it.credits - forecast.spent).at_least_zero();
            let mut parts: Vec<(Credits, String, Credits)> = forecast
                .meters
                .iter()
                .map(|it| (it.credits, it.category.as_str().to_owned(), it.spent))
                .chain(forecast.servers.iter().map(|it| (it.credits, format!("Server {}", it.server), it.spent)))
                .filter(|it| it.0.is_positive())
                .collect();
            parts.sort_by_key(|it| std::cmp::Reverse(it.0));
            MonthEndView {
                day: last.clone().unwrap_or_default(),
                credits: show::used(it.credits),
                exact: it.credits.to_string(),
                money: rate.of(it.credits),
                low: show::used(it.low),
                high: show::used(it.high),
                at_spent: at(forecast.spent),
                at_expected: at(it.credits),
                at_low: at(it.low),
                range: at(it.high).saturating_sub(at(it.low)),
                parts: parts
                    .into_iter()
                    .map(|(credits, name, spent)| (name, show::used(spent), show::used(credits)))
                    .collect(),
                is_covered: rest <= forecast.available,
                short: show::used(forecast.available.short_of(rest)),
            }
        };
        OutlookView {
            month: show::zoned(start, zone).strftime("%B").to_string(),
            spent: show::used(forecast.spent),
            spent_exact: forecast.spent.to_string(),
            spent_money: rate.of(forecast.spent),
            end: forecast.outcome.as_ref().ok().map(view),
            reason: forecast.outcome.as_ref().err().cloned(),
            method: forecast.method.clone(),
        }
    }
}

impl TipRow {
    pub fn of(tip: &Tip, visitor: &Visitor) -> TipRow {
        let may_buy = visitor.session.role.changes_billing();
        let (href, verb) = match tip.kind {
            TipKind::LowThreshold | TipKind::NoAutoTopup if may_buy => {
                (Some("/settings/billing#auto-topup".to_owned()), "Go to auto-topup")
            }
            TipKind::IdleProject if may_buy => {
                (tip.subject.as_deref().map(super::project::address), "Remove the project …")
            }
            _ => (None, ""),
        };
        let saving = format!("save {} credits a month", show::used(tip.saving_per_month));
        let money = show::money(tip.money);
        TipRow {
            id: tip.id.clone(),
            title: tip.title.clone(),
            detail: tip.detail.clone(),
            saving: tip.saving_per_month.is_positive().then(|| format!("{saving} ({money})")),
            href,
            verb,
        }
    }
}

/// Takes a tip away for good.
pub async fn dismiss(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    form.check_from(&site, &visitor).await?;
    if !visitor.session.role.changes_billing() {
        let text = "Owners and billing contacts of the account decide which tips are shown. Ask one of them.";
        return Err(message::forbidden(&site, text));
    }
    let tip = form.get("tip").unwrap_or_default().to_owned();
    let done = site.look(move |app: &App| -> Result<(), Error> {
        app.dismiss_tip(&visitor.session.account, &tip, &visitor.by(), None).map(drop)
    });
    done.await.map_err(|it| message::failed(&site, it))?;
    Ok(Redirect::to(&format!("{}#tips", super::PATH)).into_response())
}
