//! The auto-topup in plain words: what it would do, said before it is agreed to; what it did and will do; why it
//! stopped, and what makes it go on.
use std::sync::Arc;

use axum::extract::State;
use billing::Refusal;
use billing::invoice::Decimal;
use billing::ledger::{Rule, Topup};
use billing::money::{Credits, Currency, Money};
use billing::payment::Failure;
use billing::time::Timestamp;

use super::agree::{Agree, CHANGED, bill, is_agreed};
use super::form::Form;
use super::subscription::Around;
use super::{PATH, Paged, Trouble, admit_change, back, done, may_change, message, refused, rows, show};
use crate::app::App;
use crate::http::Site;
use crate::service::{AtOnce, Error, Goods, MethodView, PaymentView, PriceOfCredits, Purpose, TopupOrder};
use crate::web::frame::Frame;
use crate::web::number;
use crate::web::range::Query;
use crate::web::visit::Visitor;

pub const SECTION: &str = "auto-topup";
const ACTION: &str = "/settings/billing/auto-topup";
/// Where the rule as it stands is agreed to anew.
pub(in crate::web) const REVIEW: &str = "/settings/billing/auto-topup/review";
/// Days of use a threshold should last, where one is proposed.
const PROPOSED_DAYS: i64 = 3;
/// The largest maximum that can be typed, in minor units.
const MAXIMUM_MAX: i64 = 1_000_000_000_000;
/// What is proposed where nothing is known, in credits.
const PROPOSED: i64 = 100;

/// The rule as the page shows it.
pub struct RuleView {
    pub badge: &'static str,
    pub class: &'static str,
    pub is_on: bool,
    /// What was agreed to, in one sentence.
    pub sentence: Option<String>,
    /// Why it does nothing although it is on, and what to do.
    pub trouble: Option<String>,
    /// That it costs more now than was agreed to; then it is to be agreed to anew.
    pub dearer: Option<String>,
    /// A payment that waits for the customer.
    pub pay: Option<String>,
    pub notes: Vec<String>,
    pub threshold: String,
    pub credits: String,
    pub maximum: String,
    /// Cards it may charge: id, label, and whether it is the one. The first is whatever is the default then.
    pub methods: Vec<(String, String, bool)>,
    pub verb: &'static str,
    pub has_card: bool,
}

impl RuleView {
    /// With what was typed into its form, should that have been refused.
    pub fn of(around: &Around<'_>, said: Option<&Query>) -> Result<RuleView, Error> {
        let view = around.app.auto_topup(&around.visitor.session.account)?;
        let burn = around.balance.burn_per_day;
        let proposed = (burn.micros().saturating_mul(PROPOSED_DAYS) / Credits::MICROS).max(PROPOSED);
        let mut rule = RuleView {
            badge: "off",
            class: "",
            is_on: false,
            sentence: None,
            trouble: None,
            dearer: None,
            pay: None,
            notes: Vec::new(),
            // To the next ten: nobody thinks in single credits.
            threshold: ((proposed + 9) / 10 * 10).to_string(),
            credits: "1000".to_owned(),
            maximum: String::new(),
            methods: Vec::new(),
            verb: "Turn on …",
            has_card: !around.cards.is_empty(),
        };
        if let Some((topup, price)) = view.topup.as_ref().zip(view.price.as_ref()) {
            rule.describe(around, (topup, price));
            if 0 < view.spent {
                let spent = show::money(Money { amount: view.spent, currency: topup.rule.price.currency });
                rule.notes.push(match topup.rule.monthly_max {
                    Some(most) => {
                        format!("{spent} of at most {} this month so far.", money_of(most, &topup.rule.price))
                    }
                    None => format!("{spent} this month so far."),
                });
            }
        }
        if let Some(until) = view.waits_until.filter(|_| rule.trouble.is_none()) {
            rule.trouble = Some(format!(
                "The monthly maximum is reached: nothing is bought before {}. Raise it below to go on sooner.",
                show::day(until, &around.visitor.known.zone)
            ));
        }
        rule.notes.extend(view.warnings);
        if let Some(said) = said {
            for (field, name) in
                [(&mut rule.threshold, "threshold"), (&mut rule.credits, "credits"), (&mut rule.maximum, "maximum")]
            {
                said.get(name).unwrap_or_default().clone_into(field);
            }
        }
        let set = view.topup.as_ref().and_then(|it| it.rule.method.as_deref());
        rule.methods = methods(around.cards, said.map_or(set, |it| it.get("method")));
        Ok(rule)
    }

    fn describe(&mut self, around: &Around<'_>, (topup, price): (&Topup, &PriceOfCredits)) {
        let rule = &topup.rule;
        let zone = &around.visitor.known.zone;
        let last = around.payments.iter().find(|it| it.payment.purpose == Purpose::AutoTopup);
        (self.threshold, self.credits) = (number::typed(rule.threshold), number::typed(rule.credits));
        self.maximum = rule.monthly_max.map(|it| decimal(it, rule.price.currency)).unwrap_or_default();
        if topup.is_on {
            (self.badge, self.class, self.is_on, self.verb) = ("on", "on", true, "Change …");
            let card = rows::card_named(around.cards, rule.method.as_deref());
            self.dearer = dearer(topup, price);
            let costs = self.dearer.as_ref().map_or_else(|| rows::with_tax(price), |_| show::money(rule.price));
            self.sentence = Some(sentence((rule.threshold, rule.credits), &costs, most(rule), &card));
            // The least there is may be what rounding made of it.
            if price.total.amount + rule.price.currency.step() < rule.price.amount {
                self.notes.push(format!("You agreed to up to {}.", show::money(rule.price)));
            }
        }
        if let Some(it) = &topup.under_way {
            let id = it.payment.to_string();
            let charged = around.payments.iter().find(|payment| payment.id == id).map(|it| it.payment.total());
            let total = money_of(charged.unwrap_or(it.total), &rule.price);
            self.notes.push(format!("A payment of {total} for {} credits is under way.", show::used(it.credits)));
        } else if let Some(last) = last {
            self.notes.push(last_event(last, zone));
        }
        let waits = last.filter(|it| it.payment.waits_for_customer());
        self.pay = waits.map(|it| format!("{PATH}/payments/{}", it.id));
        if let Some(failure) = topup.paused {
            (self.badge, self.class) = ("paused", "bad");
            self.trouble = Some(remedy(failure, price));
            self.verb = "Turn on again …";
        } else if waits.is_some() {
            self.trouble = Some(WAITS.to_owned());
        } else if topup.is_on && around.visitor.now < topup.retry_at {
            self.trouble = Some(format!(
                "The last payment failed. It is tried again on {}, or when a purchase has succeeded meanwhile.",
                show::minute(topup.retry_at, zone)
            ));
        } else if topup.is_on && topup.under_way.is_none() && self.dearer.is_none() {
            self.notes.push(next_event(around, rule.threshold));
        }
        if self.dearer.is_some() {
            // What it costs now says why it paused.
            self.trouble = self.trouble.take().filter(|_| topup.paused != Some(Failure::PriceChanged));
            if topup.paused.is_none() {
                (self.badge, self.class) = ("waits for you", "warn");
            }
        }
    }
}

/// Why a rule that is on stands still, or will when credits run low, and what makes it go on; with where that is done.
/// Nothing where it works.
pub(in crate::web) fn stands_still(
    topup: &Topup,
    price: &PriceOfCredits,
) -> Option<(&'static str, String, &'static str)> {
    let title = if topup.paused.is_some() { "Auto-topup is paused." } else { "Auto-topup will buy nothing." };
    let other = topup.paused.filter(|it| *it != Failure::PriceChanged);
    match (other, dearer(topup, price)) {
        (None, Some(text)) => Some((title, text, REVIEW)),
        _ => Some((title, remedy(topup.paused?, price), "/settings/billing#auto-topup")),
    }
}

/// That it costs more now than was agreed to, where that is so.
fn dearer(topup: &Topup, price: &PriceOfCredits) -> Option<String> {
    let agreed = topup.rule.price;
    (topup.is_on && agreed.amount < price.total.amount).then(|| {
        format!(
            "{} credits cost {} now, which is more than the {} you agreed to. None are bought before you agree to the \
             new price.",
            rows::exactly(price.credits),
            rows::with_tax(price),
            show::money(agreed)
        )
    })
}

/// Where it was turned on again while a payment waits for the bank.
const WAITS: &str = "Confirm the last payment with your bank. Should it come to nothing, another is tried by itself.";

/// Why it stands still, and what makes it go on.
fn remedy(failure: Failure, price: &PriceOfCredits) -> String {
    let what = match failure {
        // It is no dearer any more: else that is said, with what was agreed to.
        Failure::PriceChanged => {
            let costs = rows::with_tax(price);
            return format!("When it was due it cost more than was agreed to. It costs {costs} now: turn it on again.");
        }
        Failure::DisputeLost => "Nothing is charged until you do.",
        Failure::AuthenticationRequired | Failure::AuthenticationFailed => {
            "Confirm the payment with your bank; it goes on by itself after that."
        }
        Failure::NoPaymentMethod | Failure::ExpiredCard => "Add a card, then turn it on again.",
        Failure::Disputed => "It goes on when that is settled.",
        _ => "Choose another default card if need be, then turn it on again. Nothing is charged until you do.",
    };
    format!("{} {what}", failure.in_words())
}

fn last_event(last: &PaymentView, zone: &jiff::tz::TimeZone) -> String {
    let it = &last.payment;
    let when = show::minute(Timestamp::from_millis(it.created_at), zone);
    let (status, _) = rows::status(last);
    format!(
        "Last: {} for {} credits on {when}, {status}.",
        show::money(it.money(it.total())),
        rows::whole(Credits::from_micros(it.credits))
    )
}

/// When it will charge next, should the pace stay what it is.
fn next_event(around: &Around<'_>, threshold: Credits) -> String {
    // What pays for some work only does not count.
    let available = around.balance.general;
    let burn = i128::from(around.balance.burn_per_day.micros());
    let until = |over: Credits| {
        let millis = i128::from(over.micros()) * i128::from(billing::time::Span::DAY.millis()) / burn;
        let at = around.visitor.now.millis().checked_add(i64::try_from(millis).ok()?)?;
        // Further ahead than two years nobody plans.
        let is_near = millis < i128::from(billing::time::Span::DAY.millis()) * 730;
        is_near.then(|| show::day(Timestamp::from_millis(at), &around.visitor.known.zone))
    };
    let day = (0 < burn && threshold < available).then(|| until(available - threshold)).flatten();
    match day {
        Some(day) => format!(
            "Next: when {} more credits are used; at the pace of the last 7 days, about {day}.",
            show::have(available - threshold)
        ),
        None => format!("Next: when fewer than {} credits are available.", show::have(threshold)),
    }
}

fn money_of(amount: i64, like: &Money) -> String {
    show::money(Money { amount, ..*like })
}

fn most(rule: &Rule) -> Option<Money> {
    rule.monthly_max.map(|amount| Money { amount, ..rule.price })
}

fn sentence((threshold, credits): (Credits, Credits), price: &str, most: Option<Money>, card: &str) -> String {
    let most = most.map(|it| format!(", and at most {} a month", show::money(it)));
    format!(
        "When fewer than {} credits are available, {card} is charged {price} for {} credits{}.",
        show::have(threshold),
        show::have(credits),
        most.unwrap_or_else(|| ", as often as that happens".to_owned()),
    )
}

/// What turning it on charges before anything is used.
fn at_once(it: &AtOnce, available: Credits, card: &str) -> String {
    format!(
        "Only {} credits are available, so {card} is charged {} now for {} credits.",
        show::have(available),
        show::money(it.price.total),
        rows::exactly(it.price.credits)
    )
}

/// The default card, whichever that is, and each by its own name; the one that `chosen` names is marked.
fn methods(cards: &[MethodView], chosen: Option<&str>) -> Vec<(String, String, bool)> {
    let chosen = chosen.filter(|chosen| cards.iter().any(|it| it.id == *chosen));
    let default = (String::new(), "The default card".to_owned(), chosen.is_none());
    let named = cards.iter().map(|it| (it.id.clone(), rows::card(it), chosen == Some(&*it.id)));
    [default].into_iter().chain(named).collect()
}

/// Money as it stands in a form: with its decimal places where it is no whole amount.
fn decimal(amount: i64, currency: Currency) -> String {
    let unit = 10_i64.pow(currency.places());
    if amount % unit == 0 { (amount / unit).to_string() } else { Decimal(Money { amount, currency }).to_string() }
}

/// What the form says, checked.
#[derive(Clone)]
struct Asked {
    threshold: Credits,
    credits: Credits,
    /// Minor units of the account's currency.
    maximum: Option<i64>,
    /// None for whatever card is the default.
    method: Option<String>,
}

impl Asked {
    /// As the rule says.
    fn of(rule: &Rule) -> Asked {
        Asked {
            threshold: rule.threshold,
            credits: rule.credits,
            maximum: rule.monthly_max,
            method: rule.method.as_deref().map(str::to_owned),
        }
    }

    /// As its form says it.
    fn typed(&self, currency: Currency) -> Query {
        let (threshold, credits) = (number::typed(self.threshold), number::typed(self.credits));
        let maximum = self.maximum.map(|it| decimal(it, currency)).unwrap_or_default();
        let method = self.method.as_deref().unwrap_or_default();
        let said = [("threshold", &*threshold), ("credits", &*credits), ("maximum", &*maximum), ("method", method)];
        Query::default().with(&said)
    }

    /// Turned on so, with what was agreed that it charges at once.
    fn order(&self, visitor: &Visitor, charge_now_max: i64) -> TopupOrder {
        let currency = visitor.known.account.currency;
        TopupOrder {
            account: visitor.session.account.clone(),
            is_on: true,
            threshold: self.threshold,
            credits: self.credits,
            monthly_maximum: self.maximum.map(|amount| Money { amount, currency }),
            method: self.method.clone(),
            charge_now_max,
            by: visitor.by(),
        }
    }
}

fn asked(form: &Form, currency: Currency) -> Result<Asked, Refusal> {
    let amount = |name| number::credits(name, form.get(name).unwrap_or_default());
    let maximum = form.get("maximum").map(|it| number::money("monthly_maximum", it, currency)).transpose()?;
    let maximum = maximum.map(|it| it.amount);
    if maximum.is_some_and(|it| !(1..=MAXIMUM_MAX).contains(&it)) {
        let why = "must be an amount of money, such as 50 or 10.50, or empty for none";
        return Err(Refusal::invalid("monthly_maximum", why));
    }
    let method = form.get("method").map(str::to_owned);
    Ok(Asked { threshold: amount("threshold")?, credits: amount("credits")?, maximum, method })
}

/// Turns it off as it is: nothing that stands in the form, or has changed since, keeps anybody from that.
async fn turned_off(site: &Arc<Site>, visitor: &Visitor, form: &Form) -> Paged {
    let account = visitor.session.account.clone();
    let topup = site.look(move |app| app.topup_rule(&account)).await.map_err(|it| message::failed(site, it))?;
    let Some(topup) = topup else { return Ok(done("topup-off")) };
    let rule = &topup.rule;
    let order = TopupOrder {
        account: visitor.session.account.clone(),
        is_on: false,
        threshold: rule.threshold,
        credits: rule.credits,
        monthly_maximum: rule.monthly_max.map(|amount| Money { amount, ..rule.price }),
        method: rule.method.as_deref().map(str::to_owned),
        charge_now_max: 0,
        by: visitor.by(),
    };
    match site.app.set_auto_topup(order).await {
        Ok(_) => Ok(done("topup-off")),
        Err(error) => refused(site, visitor, Trouble::of(SECTION, error, form.said())).await,
    }
}

/// Asks for consent first; then sets the rule. Turning it off asks for nothing.
pub async fn set(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    admit_change(&site, &visitor, &form).await?;
    if form.get("do") == Some("off") {
        return turned_off(&site, &visitor, &form).await;
    }
    let currency = visitor.known.account.currency;
    let asked = match asked(&form, currency) {
        Ok(asked) => asked,
        Err(refusal) => return refused(&site, &visitor, Trouble::of(SECTION, refusal.into(), form.said())).await,
    };
    let is_on = form.get("do") == Some("on");
    if form.get("do") == Some("review") {
        return reviewed(&site, visitor, (asked, None), form.said()).await;
    }
    if is_on {
        let (account, said) = (visitor.session.account.clone(), form.get("total").map(str::to_owned));
        let price = site.look(move |app| app.price_of_credits(&account, &Goods::Credits(asked.credits))).await;
        if !is_agreed(said.as_deref(), &price.map_err(|it| message::failed(&site, it))?) {
            return reviewed(&site, visitor, (asked, Some(CHANGED)), form.said()).await;
        }
    }
    let agreed = form.get("charge_now").and_then(|it| it.parse().ok()).filter(|it: &i64| 0 < *it);
    let order = TopupOrder { is_on, ..asked.order(&visitor, agreed.unwrap_or(0)) };
    match site.app.set_auto_topup(order).await {
        Ok(_) => Ok(done("topup-on")),
        // Credits ran low between the question and the answer: it is asked again, with what it would charge at once.
        Err(Error::Refused(Refusal::WouldChargeNow { .. })) => {
            reviewed(&site, visitor, (asked, agreed.map(|_| GREW)), form.said()).await
        }
        Err(error) => refused(&site, &visitor, Trouble::of(SECTION, error, form.said())).await,
    }
}

/// The rule as it stands, to be agreed to at what it costs now.
pub async fn review(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    may_change(&site, &visitor).await?;
    let account = visitor.session.account.clone();
    let topup = site.look(move |app| app.topup_rule(&account)).await.map_err(|it| message::failed(&site, it))?;
    let Some(topup) = topup else { return Ok(back(SECTION)) };
    let asked = Asked::of(&topup.rule);
    let said = asked.typed(topup.rule.price.currency);
    reviewed(&site, visitor, (asked, None), &said).await
}

async fn reviewed(
    site: &Arc<Site>,
    visitor: Visitor,
    (asked, warning): (Asked, Option<&'static str>),
    said: &Query,
) -> Paged {
    let (app, visitor) = (Arc::clone(&site.app), Arc::new(visitor));
    let asking = Arc::clone(&visitor);
    let filled = site.aside(move || agreement(&app, &asking, &asked, warning)).await;
    match filled.map_err(|it| message::failed(site, it))? {
        Ok(agree) => Ok(agree.answer()),
        Err(error) => refused(site, &visitor, Trouble::of(SECTION, error, said)).await,
    }
}

const GREW: &str =
    "More would be charged now than when you opened the page: fewer credits are left. Please look at it once more.";
/// Said where some are there.
const APART: &str = "Credits that are for some work only do not count.";

fn agreement(app: &App, visitor: &Visitor, asked: &Asked, warning: Option<&'static str>) -> Result<Agree, Error> {
    let account = &visitor.session.account;
    let price = app.price_of_credits(account, &Goods::Credits(asked.credits))?;
    let cards = app.payment_methods(account)?;
    let balance = app.balance(account, None)?;
    if asked.maximum.is_some_and(|it| it < price.total.amount) {
        let why = format!("must be at least {}, what one top-up costs", rows::with_tax(&price));
        return Err(Refusal::invalid("monthly_maximum", why).into());
    }
    let now = app.topup_at_once(&asked.order(visitor, 0))?;
    let card = rows::card_named(&cards, asked.method.as_deref());
    let mut fields = vec![
        ("threshold", number::typed(asked.threshold)),
        ("credits", number::typed(asked.credits)),
        ("total", price.total.amount.to_string()),
    ];
    fields.extend(asked.maximum.map(|it| ("maximum", decimal(it, price.total.currency))));
    fields.extend(asked.method.clone().map(|it| ("method", it)));
    fields.extend(now.as_ref().map(|it| ("charge_now", it.max.to_string())));
    fields.push(("do", "on".to_owned()));
    let charged = now.as_ref().map(|it| show::money(it.price.total));
    let is_change = app.topup_rule(account)?.is_some_and(|it| it.is_on && it.paused.is_none());
    let most = asked.maximum.map(|amount| Money { amount, ..price.total });
    Ok(Agree {
        frame: Frame::of(app, visitor, &balance, PATH)?,
        title: if is_change { "Change auto-topup?" } else { "Turn on auto-topup?" }.to_owned(),
        sentences: now
            .as_ref()
            .map(|it| at_once(it, balance.general, &card))
            .into_iter()
            .chain([sentence((asked.threshold, asked.credits), &rows::with_tax(&price), most, &card)])
            .collect(),
        bill: now
            .iter()
            .flat_map(|it| bill(format!("{} credits", rows::exactly(it.price.credits)), &it.price))
            .collect(),
        notes: [
            "If one top-up does not bring you back above the threshold, several are bought in one payment; never more \
             than the maximum allows."
                .to_owned(),
            "Work goes on while a payment is under way. One that fails is tried again after 1 hour, and \
             after 6 more; at the third failure it pauses, and tells you why. Where no further try can help, it pauses \
             at once: without a card, at another price, or when your bank asks you something."
                .to_owned(),
            "You can change it or turn it off at any time, at once.".to_owned(),
            if balance.scoped.is_empty() { String::new() } else { APART.to_owned() },
        ]
        .into_iter()
        .chain(app.threshold_warnings(account, asked.threshold)?)
        .collect(),
        warning: warning.map(str::to_owned),
        action: ACTION,
        fields,
        button: match charged {
            Some(it) => format!("Agree and pay {it} now"),
            None if is_change => "Agree and change".to_owned(),
            None => "Agree and turn on".to_owned(),
        },
        is_danger: false,
        instead: ("/settings/billing#auto-topup".to_owned(), "Not now"),
    })
}
