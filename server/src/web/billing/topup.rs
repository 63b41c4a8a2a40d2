//! The auto-topup in plain words: what it would do, said before it is agreed to; what it did; why it stopped.
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use billing::Refusal;
use billing::money::{Credits, Money};

use super::form::Form;
use super::{PATH, Paged, admit_change, back, message, page, rows, show};
use crate::app::App;
use crate::http::Site;
use crate::service::{Error, Goods, MethodView, TopupOrder};
use crate::web::frame::Frame;
use crate::web::visit::Visitor;

/// Days of use a threshold should last, where one is proposed.
const PROPOSED_DAYS: i64 = 3;

/// The rule as the page shows it.
pub struct RuleView {
    pub is_on: bool,
    /// What was agreed to, in one sentence.
    pub sentence: Option<String>,
    pub notes: Vec<String>,
    pub threshold: String,
    pub credits: String,
    pub maximum: String,
    pub has_card: bool,
}

/// What the customer is asked to agree to.
#[derive(Template)]
#[template(path = "billing/consent.html")]
struct ConsentPage {
    frame: Frame,
    sentence: String,
    /// It would charge at once.
    charges_now: bool,
    fields: Vec<(&'static str, String)>,
}

impl RuleView {
    pub fn of(app: &App, visitor: &Visitor, cards: &[MethodView]) -> Result<RuleView, Error> {
        let account = &visitor.session.account;
        let view = app.auto_topup(account)?;
        let burn = app.balance(account, None)?.burn_per_day;
        let proposed = (burn.micros().saturating_mul(PROPOSED_DAYS) / Credits::MICROS).max(100);
        let Some(topup) = view.topup else {
            return Ok(RuleView {
                is_on: false,
                sentence: None,
                notes: Vec::new(),
                threshold: proposed.to_string(),
                credits: "1000".to_owned(),
                maximum: String::new(),
                has_card: !cards.is_empty(),
            });
        };
        let rule = &topup.rule;
        let mut notes = view.warnings;
        let zone = &visitor.known.zone;
        if let Some(failure) = topup.paused {
            notes.insert(0, format!("Paused: {} Turn it on again once that is settled.", failure.in_words()));
        } else if topup.is_on && visitor.now < topup.retry_at {
            notes.insert(
                0,
                format!("The last payment failed. It is tried again {}.", show::minute(topup.retry_at, zone)),
            );
        }
        if let Some(it) = &topup.under_way {
            let total = show::money(Money { amount: it.total, currency: rule.price.currency });
            notes.insert(0, format!("A payment of {total} for {} credits is under way.", show::have(it.credits)));
        }
        if 0 < view.spent {
            let spent = show::money(Money { amount: view.spent, currency: rule.price.currency });
            notes.push(format!("{spent} this month so far."));
        }
        let maximum = rule.monthly_max.map(|it| it / 10_i64.pow(rule.price.currency.places()));
        Ok(RuleView {
            is_on: topup.is_on,
            sentence: Some(sentence(
                (rule.threshold, rule.credits),
                rule.price,
                rule.monthly_max,
                &label(cards, rule.method.as_deref()),
            )),
            notes,
            threshold: rule.threshold.to_string(),
            credits: rule.credits.to_string(),
            maximum: maximum.map(|it| it.to_string()).unwrap_or_default(),
            has_card: !cards.is_empty(),
        })
    }
}

/// The card that would be charged.
fn label(cards: &[MethodView], method: Option<&str>) -> String {
    let named = cards.iter().find(|it| method.map_or(it.is_default, |method| it.id == method));
    named.map_or_else(|| "your default card".to_owned(), rows::card)
}

fn sentence((threshold, credits): (Credits, Credits), price: Money, most: Option<i64>, card: &str) -> String {
    let most = most.map(|it| format!(", and at most {} a month", show::money(Money { amount: it, ..price })));
    format!(
        "When fewer than {} credits are available, {card} is charged {} (tax included) for {} credits{}.",
        show::have(threshold),
        show::money(price),
        show::have(credits),
        most.unwrap_or_else(|| ", as often as that happens".to_owned()),
    )
}

/// What the form says, checked.
struct Asked {
    threshold: Credits,
    credits: Credits,
    /// Whole units of the account's currency.
    maximum: Option<i64>,
}

fn asked(form: &Form) -> Result<Asked, Refusal> {
    let amount = |name: &'static str| -> Result<Credits, Refusal> {
        let text = form.get(name).unwrap_or_default().replace(',', "");
        text.parse().map_err(|why| Refusal::invalid(name, why))
    };
    let maximum = match form.get("maximum") {
        None => None,
        Some(text) => {
            let whole = text.parse::<u32>().ok().filter(|it| 0 < *it);
            Some(whole.ok_or_else(|| Refusal::invalid("maximum", "must be a whole amount of money, or nothing"))?)
        }
    };
    Ok(Asked { threshold: amount("threshold")?, credits: amount("credits")?, maximum: maximum.map(i64::from) })
}

/// Asks for consent first; then sets the rule. Turning it off asks for nothing.
pub async fn set(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    admit_change(&site, &visitor, &form).await?;
    let failed = |it: Error| message::failed(&site, it.into());
    let asked = asked(&form).map_err(|it| failed(it.into()))?;
    if form.get("do") == Some("review") {
        let filled = site.look(move |app| consent_page(app, &visitor, &asked));
        let filled = filled.await.map_err(|it| message::failed(&site, it))?;
        return Ok(page(StatusCode::OK, &filled));
    }
    let currency = visitor.known.account.currency;
    let unit = 10_i64.pow(currency.places());
    let order = TopupOrder {
        account: visitor.session.account.clone(),
        is_on: form.get("do") == Some("on"),
        threshold: asked.threshold,
        credits: asked.credits,
        monthly_maximum: asked.maximum.map(|it| Money { amount: it * unit, currency }),
        method: None,
        charge_now: form.get("charge_now").is_some(),
        by: format!("portal: {}", visitor.session.role).into(),
    };
    site.app.set_auto_topup(order).await.map_err(failed)?;
    Ok(back("auto-topup"))
}

fn consent_page(app: &App, visitor: &Visitor, asked: &Asked) -> Result<ConsentPage, Error> {
    let account = &visitor.session.account;
    let price = app.price_of_credits(account, &Goods::Credits(asked.credits))?;
    let cards = app.payment_methods(account)?;
    let balance = app.balance(account, None)?;
    let unit = 10_i64.pow(price.total.currency.places());
    let most = asked.maximum.map(|it| it * unit);
    let charges_now = balance.balance.available() < asked.threshold;
    let mut fields = vec![("threshold", asked.threshold.to_string()), ("credits", asked.credits.to_string())];
    fields.extend(asked.maximum.map(|it| ("maximum", it.to_string())));
    fields.extend(charges_now.then(|| ("charge_now", "1".to_owned())));
    Ok(ConsentPage {
        frame: Frame::of(app, visitor, &balance, PATH)?,
        sentence: sentence((asked.threshold, asked.credits), price.total, most, &label(&cards, None)),
        charges_now,
        fields,
    })
}
