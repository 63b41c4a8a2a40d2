//! Payments of every account, those that want somebody first; one payment, and giving its money back.
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use billing::Refusal;
use billing::id::PaymentId;
use billing::money::{Credits, Currency, Money};
use billing::time::Timestamp;
use jiff::tz::TimeZone;

use super::confirm::{Question, ask};
use super::form::Form;
use super::refused::{BOTH, Refused, again};
use super::{Desk, Paged, by, done, message, page, show};
use crate::app::App;
use crate::http::Site;
use crate::service::{Attention, Error, Much, PaymentView, RefundOrder, RefundPreview};
use crate::web::billing::status;
use crate::web::frame::When;
use crate::web::number;
use crate::web::range::Query;
use crate::web::visit::Host;

/// A payment in a list.
pub struct PaymentRow {
    pub id: String,
    pub account: String,
    pub when: When,
    pub what: String,
    pub total: String,
    pub status: &'static str,
    pub class: &'static str,
    /// Why it failed, or wants somebody.
    pub why: &'static str,
}

impl PaymentRow {
    pub fn of(it: &PaymentView, zone: &TimeZone) -> PaymentRow {
        let (status, class) = standing(it);
        PaymentRow {
            id: it.id.clone(),
            account: it.account.to_string(),
            when: When::moment(Timestamp::from_millis(it.payment.created_at), zone),
            what: it.payment.item.clone(),
            total: show::money(it.payment.money(it.payment.total())),
            status,
            class,
            why: why(it),
        }
    }
}

fn why(it: &PaymentView) -> &'static str {
    match it.payment.failure() {
        Some(failure) => failure.in_words(),
        None if it.payment.is_after_closing => "It came in after the account was closed: nobody can use its credits.",
        None => "",
    }
}

/// As the customer's pages say it, but for whom it waits.
fn standing(it: &PaymentView) -> (&'static str, &'static str) {
    match status(it) {
        ("waits for you", class) => ("waits for the customer", class),
        other => other,
    }
}

fn in_words(it: Attention) -> &'static str {
    match it {
        Attention::Disputed => "Disputed",
        Attention::RequiresAction => "Waits for the customer",
        Attention::Unclear => "Unclear for an hour",
        Attention::AfterClosing => "Paid after closing",
        Attention::Failed => "Failed",
    }
}

struct Choice {
    label: &'static str,
    href: String,
    count: usize,
    is_on: bool,
}

#[derive(Template)]
#[template(path = "console/payments.html")]
struct PaymentsPage {
    desk: Desk,
    choices: Vec<Choice>,
    payments: Vec<PaymentRow>,
    sells: bool,
    older: Option<Older>,
    /// News of the provider's that nobody could read: each its name there, when it was, and why.
    unheard: Vec<(String, When, String)>,
}

/// How far it was looked, and where those are that were not looked at.
struct Older {
    looked_at: usize,
    since: When,
    href: String,
}

pub async fn list(State(site): State<Arc<Site>>, host: Host) -> Paged {
    let filled = site.look(move |app| {
        let before = host.query.get("before").and_then(|it| it.parse().ok());
        let before = before.map_or(Timestamp::NEVER, Timestamp::from_millis);
        let wanted = host.query.get("show").unwrap_or("attention");
        let admits = |choice: &str, it: Option<Attention>| match choice {
            "all" => true,
            "attention" => it.is_some_and(|it| it != Attention::Failed),
            other => it.is_some_and(|it| it.as_str() == other),
        };
        let seen = app.recent_payments(before, |it| admits(wanted, it))?;
        let choice = |id: &str, label: &'static str| Choice {
            label,
            href: Query::default().with(&[("show", id)]).href("/console/payments"),
            count: seen.looked_at.iter().filter(|it| admits(id, **it)).count(),
            is_on: id == wanted,
        };
        let mut choices = vec![choice("attention", "Want somebody")];
        choices.extend(Attention::ALL.map(|it| choice(it.as_str(), in_words(it))));
        choices.push(choice("all", "All"));
        let older = seen.older.map(|it| Older {
            looked_at: seen.looked_at.len(),
            since: When::moment(it, &TimeZone::UTC),
            href: host.query.with(&[("before", &it.millis().to_string()), ("did", "")]).href("/console/payments"),
        });
        let unheard = app.events_set_aside()?.into_iter();
        let unheard = unheard.map(|it| {
            let at = When::moment(Timestamp::from_millis(it.at), &TimeZone::UTC);
            (it.event, at, it.why)
        });
        Ok(PaymentsPage {
            unheard: unheard.collect(),
            payments: seen.payments.iter().map(|it| PaymentRow::of(it, &TimeZone::UTC)).collect(),
            choices,
            sells: app.settings().payments.is_some(),
            older,
            desk: Desk::of(app, &host, "/console/payments")?,
        })
    });
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}

#[derive(Template)]
#[template(path = "console/payment.html")]
struct PaymentPage {
    desk: Desk,
    row: PaymentRow,
    facts: Vec<(&'static str, String)>,
    /// What could still go back; none where nothing can.
    unused: Option<String>,
    currency: String,
    refused: Refused,
}

fn id_of(text: &str) -> Result<PaymentId, Error> {
    text.parse().map_err(|_| Refusal::PaymentNotFound.into())
}

pub async fn show(State(site): State<Arc<Site>>, Path(payment): Path<String>, host: Host) -> Paged {
    let filled = site.look(move |app| payment_page(app, &host, &payment, Refused::default()));
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}

fn payment_page(app: &App, host: &Host, id: &str, refused: Refused) -> Result<PaymentPage, Error> {
    let payment = id_of(id)?;
    let view = app.payment(payment)?;
    let it = &view.payment;
    let money = |amount| show::money(it.money(amount));
    let credits = Credits::from_micros(it.credits);
    let mut facts = vec![
        ("Account", view.account.to_string()),
        ("Credits", show::used(credits)),
        ("Price", money(it.net)),
        ("Tax", money(it.tax)),
        ("Total", money(it.total())),
        ("Asked by", it.by.clone().unwrap_or_else(|| "the customer".to_owned())),
        ("Tries", it.tries.to_string()),
        ("Id", id.to_owned()),
    ];
    if let Some(reference) = &it.reference {
        facts.push(("At the payment provider", reference.clone()));
    }
    if it.returned.net != 0 {
        let gone = Credits::from_micros(it.returned.credits);
        let back = format!("{} of {} credits", money(it.returned.net + it.returned.tax), show::used(gone));
        facts.push(("Gone back", back));
    }
    if let Some(dispute) = &it.dispute {
        facts.push(("Dispute", format!("{}, {}", dispute.status.as_str(), dispute.reference)));
    }
    let can_go_back = app.preview_refund(&refund_order(payment, host, (Much::Unused, ""))).is_ok();
    let unused = if can_go_back { Some(app.unused_of(payment)?.to_string()) } else { None };
    Ok(PaymentPage {
        desk: Desk::of(app, host, "/console/payments")?,
        row: PaymentRow::of(&view, &TimeZone::UTC),
        facts,
        unused,
        currency: it.currency().as_str().to_uppercase(),
        refused,
    })
}

fn refund_order(payment: PaymentId, host: &Host, (much, reason): (Much, &str)) -> RefundOrder {
    RefundOrder { payment, much, reason: reason.into(), key: "preview".into(), by: by(host) }
}

/// How much is to go back: all that is unused, so many credits, or so much money.
fn much(form: &Form, currency: Currency) -> Result<Much, Error> {
    match (form.get("credits"), form.get("amount")) {
        (None, None) => Ok(Much::Unused),
        (Some(text), None) => Ok(Much::Credits(number::credits("credits", text)?)),
        (None, Some(text)) => {
            let amount = Some(number::money("amount", text, currency)?.amount).filter(|it| 0 < *it);
            Ok(Much::Amount(amount.ok_or_else(|| Refusal::invalid("amount", "must be an amount such as 12.50"))?))
        }
        (Some(_), Some(_)) => Err(Refusal::invalid(BOTH, "Fill in the credits or the money, and not both.").into()),
    }
}

pub async fn refund(State(site): State<Arc<Site>>, Path(payment): Path<String>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let failed = |it: Error| message::failed(&site, it.into());
    let id = id_of(&payment).map_err(failed)?;
    let view = site.look(move |app| app.payment(id)).await.map_err(|it| message::failed(&site, it))?;
    let much = match much(&form, view.payment.currency()) {
        Ok(much) => much,
        Err(error) => return refunding_again(&site, (host, payment), &form, error).await,
    };
    let reason = form.get("reason").unwrap_or_default().to_owned();
    let home = format!("/console/payments/{payment}");
    let order = refund_order(id, &host, (much, &reason));
    if !form.is_sure() {
        let app = Arc::clone(&site.app);
        let preview = site.aside(move || app.preview_refund(&order)).await;
        let preview = match preview.map_err(|it| message::failed(&site, it))? {
            Ok(preview) => preview,
            Err(error) => return refunding_again(&site, (host, payment), &form, error).await,
        };
        let question = Question {
            title: "Refund?".to_owned(),
            says: consequences(&preview, &view, &reason),
            button: "Refund",
            is_harsh: true,
            adds: Vec::new(),
            action: home.clone(),
            back: home,
            tab: "/console/payments",
        };
        return ask(&site, &host, &form, question).await;
    }
    match site.app.refund(RefundOrder { key: form.key(), ..order }).await {
        Ok(_) => Ok(done(&home, "refund")),
        Err(error) => refunding_again(&site, (host, payment), &form, error).await,
    }
}

async fn refunding_again(site: &Arc<Site>, (host, payment): (Host, String), form: &Form, error: Error) -> Paged {
    again(site, form, error, move |app, refused| payment_page(app, &host, &payment, refused)).await
}

fn consequences(it: &RefundPreview, view: &PaymentView, reason: &str) -> Vec<String> {
    let total = Money { amount: it.net.amount + it.tax.amount, currency: it.net.currency };
    vec![
        format!("{} unused credits are taken from {}.", show::used(it.credits), view.account),
        format!(
            "{} go back to the card that paid: {} and {} tax.",
            show::money(total),
            show::money(it.net),
            show::money(it.tax)
        ),
        "A credit note is issued for it. Should the bank refuse, the credits come back.".to_owned(),
        format!("The customer reads: “{reason}”"),
    ]
}
