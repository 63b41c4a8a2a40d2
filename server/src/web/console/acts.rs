//! What an operator does to an account. Each says first what it will do, and is done once.
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use billing::Refusal;
use billing::id::{GrantId, HoldId, Name};
use billing::ledger::{Scope, Source};
use billing::money::Money;
use billing::time::{Span, Timestamp};

use super::account::giving_again;
use super::confirm::{Question, ask};
use super::form::Form;
use super::{Paged, by, done, message, name, show};
use crate::app::App;
use crate::http::Site;
use crate::service::{Charging, Error, GrantOrder, LinkOrder, PortalPage, Role, check_cost};
use crate::web::number;
use crate::web::visit::Host;

/// How long support may look with one link.
const LOOK_LASTS: Span = Span::MINUTE;

/// Days that credits given by hand last at most: a hundred years. What is to last longer does not expire.
const DAYS_MAX: u16 = 36_500;
const DAYS_ASKED: &str = "must be a whole number from 1 to 36,500; left empty, they never do";

type S = State<Arc<Site>>;

fn failed(site: &Arc<Site>) -> impl Fn(Error) -> Response {
    let site = Arc::clone(site);
    move |it| message::failed(&site, it.into())
}

fn home(account: &str) -> String {
    format!("/console/accounts/{account}")
}

/// A question about an account, to be answered where it was asked from.
fn about(account: &str, act: &str, title: &str, says: Vec<String>) -> Question {
    Question::on(&home(account), act, title, says, "/console")
}

/// Credits given by hand.
pub async fn grant(State(site): S, Path(account): Path<String>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let order = match grant_order(&site.app, &account, &host, &form) {
        Err(Error::Refused(it @ Refusal::Invalid { .. })) => {
            return giving_again(&site, &account, &host, &form, &it).await;
        }
        other => other.map_err(failed(&site))?,
    };
    if !form.is_sure() {
        let until = match order.expires_at {
            None => "They do not expire.".to_owned(),
            Some(_) => format!("They expire in {} days.", form.get("days").unwrap_or_default()),
        };
        let mut says = vec![
            format!("{account} is given {} credits, as {}.", show::have(order.credits), order.source.as_str()),
            until,
            format!("The customer reads: “{}”", order.reason),
        ];
        if let Some(cost) = order.cost {
            let paid = show::money(cost);
            says.push(format!(
                "{paid} was paid for them, tax aside: it is revenue as they are used. No card is charged."
            ));
        }
        // An instant from here on, not a length of time: sent twice, it is the same.
        // In seconds: as many digits as milliseconds have may look like a card's number.
        let adds = order.expires_at.map(|it| ("until", (it.millis() / 1_000).to_string())).into_iter().collect();
        let question = Question { button: "Give the credits", adds, ..about(&account, "grant", "Give credits?", says) };
        return ask(&site, &host, &form, question).await;
    }
    match site.app.grant(order).await {
        Err(Error::Refused(it @ Refusal::Invalid { .. })) => giving_again(&site, &account, &host, &form, &it).await,
        other => other.map(|_| done(&home(&account), "grant")).map_err(failed(&site)),
    }
}

fn grant_order(app: &App, account: &str, host: &Host, form: &Form) -> Result<GrantOrder, Error> {
    let credits = number::credits("credits", form.get("credits").unwrap_or_default())?;
    if credits <= billing::money::Credits::ZERO {
        return Err(Refusal::invalid("credits", "must be more than 0").into());
    }
    let days = match form.get("days") {
        None => None,
        Some(text) => {
            let days = text.parse::<u16>().ok().filter(|it| (1..=DAYS_MAX).contains(it));
            Some(days.ok_or_else(|| Refusal::invalid("days", DAYS_ASKED))?)
        }
    };
    let until = form.get("until").and_then(|it| it.parse::<i64>().ok()?.checked_mul(1_000)).map(Timestamp::from_millis);
    let reason =
        form.get("reason").ok_or_else(|| Refusal::invalid("reason", "must be given: the customer reads it"))?;
    let source = form.get("source").and_then(|it| it.parse().ok());
    let account = name(account)?;
    let source = source.unwrap_or(Source::Adjustment);
    let cost = cost(app, &account, source, form)?;
    let order = GrantOrder {
        account,
        credits,
        source,
        reason: reason.into(),
        effective_at: None,
        expires_at: until.or(days.map(|it| app.now() + Span::DAY.times(i64::from(it)))),
        priority: None,
        scope: Scope::default(),
        cost,
        key: form.key(),
        by: by(host),
    };
    check_cost(&order)?;
    Ok(order)
}

/// What was paid for credits that were bought elsewhere, such as by a bank transfer. By hand nothing is called bought
/// without it: it would be a gift in the books.
fn cost(app: &App, account: &Name, source: Source, form: &Form) -> Result<Option<Money>, Error> {
    let Some(text) = form.get("cost") else {
        return match source {
            Source::Purchase => {
                Err(Refusal::invalid("cost", "must be said of a purchase: what was paid for it").into())
            }
            _ => Ok(None),
        };
    };
    Ok(Some(number::money("cost", text, app.account(account)?.currency)?))
}

/// The unused part of a grant taken back.
pub async fn void(State(site): S, Path(account): Path<String>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let grant = form.get("grant").unwrap_or_default().to_owned();
    let reason = form.get("reason").unwrap_or_default().to_owned();
    if !form.is_sure() {
        let id = account.clone();
        let found = site.look(move |app| app.grants(&name(&id)?, None, 500));
        let found = found.await.map_err(|it| message::failed(&site, it))?;
        let grant = found.into_iter().find(|it| it.id.to_string() == grant);
        let grant = grant.ok_or_else(|| failed(&site)(Refusal::GrantNotFound.into()))?;
        let says = vec![
            format!(
                "{} credits that are unused of “{}” are taken back.",
                show::have(grant.remaining),
                grant.terms.reason
            ),
            format!(
                "{} credits of it that were spent or are set aside stay as they are.",
                show::used((grant.terms.credits - grant.remaining).at_least_zero())
            ),
            format!("The customer reads: “{reason}”"),
        ];
        let question = about(&account, "void", "Take back what is unused?", says);
        let question = Question { button: "Take it back", is_harsh: true, ..question };
        return ask(&site, &host, &form, question).await;
    }
    let id: GrantId = grant.parse().map_err(|_| failed(&site)(Refusal::GrantNotFound.into()))?;
    site.app.void(id, reason.into(), &form.key(), by(&host)).await.map_err(failed(&site))?;
    Ok(done(&home(&account), "void"))
}

/// A hold that nobody will capture given back.
pub async fn release(State(site): S, Path(account): Path<String>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let missing = || failed(&site)(Refusal::HoldNotFound.into());
    let hold: HoldId = form.get("hold").unwrap_or_default().parse().map_err(|_| missing())?;
    if !form.is_sure() {
        let view = site.look(move |app| app.hold_by_id(hold)).await.map_err(|it| message::failed(&site, it))?;
        let mut says =
            vec![format!("{} set-aside credits are available to {account} again.", show::have(view.credits))];
        if view.used.is_some() {
            says.push("What was reported as used so far is not charged.".to_owned());
        }
        says.push("Capturing it afterwards fails: whoever does the work is told that the hold is closed.".to_owned());
        let question = about(&account, "release", "Release the hold?", says);
        return ask(&site, &host, &form, Question { button: "Release it", is_harsh: true, ..question }).await;
    }
    site.app.release(hold, &form.key(), by(&host)).await.map_err(failed(&site))?;
    Ok(done(&home(&account), "release"))
}

/// A note among operators: nothing the customer sees, so nothing is asked first.
pub async fn note(State(site): S, Path(account): Path<String>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let id = account.clone();
    let noted = site.look(move |app| {
        let text = form.get("text").unwrap_or_default();
        let under = form.under(&host).ok_or_else(|| Refusal::invalid("key", "is missing: load the page again"))?;
        app.add_note(&name(&id)?, text, &by(&host), &under)
    });
    noted.await.map_err(|it| message::failed(&site, it))?;
    Ok(done(&home(&account), "note"))
}

/// What charges a card by itself ends with the account.
fn ends_with_it(it: &Charging) -> String {
    match &it.plan {
        Some(plan) => format!("Its subscription {plan} ends with it, and is charged to no card any more."),
        None => "Its auto-topup ends with it, and buys nothing any more.".to_owned(),
    }
}

/// No new spending, and the customer forgotten.
pub async fn close(State(site): S, Path(account): Path<String>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    if !form.is_sure() {
        let id = account.clone();
        let ending = site.look(move |app| {
            let known = app.known(&name(&id)?)?;
            app.charged_by_itself(&known)
        });
        let ending = ending.await;
        let mut says = vec![format!(
            "{account} can begin nothing new, from this moment on. The platform is told to give up its servers, which \
             are counted until it has. That cannot be undone."
        )];
        says.extend(ending.map_err(|it| message::failed(&site, it))?.iter().map(ends_with_it));
        says.extend([
            "What it has begun to buy and not paid yet is cancelled. Should its bank pay all the same, that is under \
             Payments, to be refunded."
                .to_owned(),
            "Its name, e-mail address, billing address, tax number and the notes on it are erased.".to_owned(),
            "The ledger and its invoices stay, as the law asks. Unused credits stay on it unspent: refund their \
             payment first, if they are to be paid back."
                .to_owned(),
        ]);
        let question = about(&account, "close", "Close the account for good?", says);
        return ask(&site, &host, &form, Question { button: "Close the account", is_harsh: true, ..question }).await;
    }
    let id = name(&account).map_err(failed(&site))?;
    site.app.close_account(&id, &form.key(), by(&host)).await.map_err(failed(&site))?;
    Ok(done(&home(&account), "close"))
}

/// The customer's own pages, as somebody who may change nothing.
pub async fn look(State(site): S, Path(account): Path<String>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let link = site.look(move |app| {
        let order = LinkOrder {
            account: name(&account)?,
            role: Role::Viewer,
            page: PortalPage::Usage,
            return_url: None,
            lasts: Some(LOOK_LASTS),
        };
        app.note_audit(&host.operator.name, "portal.look", &account, "")?;
        app.portal_link(&order)
    });
    let link = link.await.map_err(|it| message::failed(&site, it))?;
    Ok(axum::response::IntoResponse::into_response(axum::response::Redirect::to(&format!(
        "/portal?link={}",
        link.token
    ))))
}
