//! The subscription as the billing page shows it: how it stands, what comes next, and what else is on offer, in
//! sentences.
//!
//! Must never change anything: what a change means, and doing it, is in `plans`.
use billing::Refusal;
use billing::id::Name;
use billing::ledger::Source;
use billing::money::Credits;
use billing::subscription::State as Standing;
use billing::time::Timestamp;

use super::plans::REVIEW;
use super::{LOOKED_AT, PATH, rows, show};
use crate::app::App;
use crate::service::{BalanceView, Error, MethodView, PaymentView, PlanOffer, PriceOfCredits, Subscription};
use crate::web::visit::Visitor;

/// The subscription as the page shows it; the sentences say all there is to know of it.
pub struct SubscriptionView {
    pub badge: &'static str,
    pub class: &'static str,
    pub sentence: Option<String>,
    pub notes: Vec<String>,
    /// Why it stands still, and what is to be done.
    pub trouble: Option<String>,
    /// A payment that waits for the customer.
    pub pay: Option<String>,
    /// Trying the default card again, by naming it once more.
    pub try_again: Option<String>,
    pub can_end: bool,
    pub can_resume: bool,
    pub offers: Vec<OfferRow>,
    /// Unused credits of every plan stay for as long as it takes.
    pub carries: bool,
    pub has_card: bool,
}

pub struct OfferRow {
    pub name: String,
    pub credits: String,
    pub every: String,
    pub total: String,
    pub tax: Option<String>,
    pub off: Option<String>,
    pub per_lot: String,
    /// For how long unused credits last, where that has an end.
    pub lapses: Option<String>,
    pub is_present: bool,
    /// None for what one has.
    pub href: Option<String>,
    pub verb: &'static str,
}

/// Those whose numbers the sentences are about.
pub struct Around<'a> {
    pub app: &'a App,
    pub visitor: &'a Visitor,
    pub balance: &'a BalanceView,
    pub cards: &'a [MethodView],
    pub payments: &'a [PaymentView],
}

/// An account's subscription, unless it is over or never was.
pub fn present(app: &App, account: &Name) -> Result<Option<Subscription>, Error> {
    match app.subscription(account) {
        Ok(it) if it.state() == Standing::Canceled => Ok(None),
        Ok(it) => Ok(Some(it)),
        Err(Error::Refused(Refusal::SubscriptionNotFound)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Why the renewal of a subscription is not paid, and what settles it. Nothing where none is late.
pub(in crate::web) fn overdue(
    app: &App,
    visitor: &Visitor,
    balance: &BalanceView,
    it: &Subscription,
) -> Result<Option<String>, Error> {
    if it.state() != Standing::PastDue {
        return Ok(None);
    }
    let payments = app.payments(&visitor.session.account, None, LOOKED_AT)?;
    let around = Around { app, visitor, balance, cards: &[], payments: &payments };
    Ok(Some(around.late(it, around.tried_now(it).is_some())))
}

impl SubscriptionView {
    pub fn of(around: &Around<'_>) -> Result<SubscriptionView, Error> {
        let Around { app, visitor, .. } = *around;
        let account = &visitor.session.account;
        let present = present(app, account)?;
        let plans = app.plan_offers(account)?;
        let lot = rows::lot(app, visitor.known.account.currency);
        let offers = plans.iter().map(|it| offer_row(it, present.as_ref(), lot)).collect();
        let mut view = SubscriptionView {
            badge: "none",
            class: "",
            sentence: None,
            notes: Vec::new(),
            trouble: None,
            pay: None,
            try_again: None,
            can_end: false,
            can_resume: false,
            offers,
            carries: plans.iter().all(|it| it.plan.carry_over_periods.is_none()),
            has_card: !around.cards.is_empty(),
        };
        if let Some(kept) = around.carried()? {
            view.notes.push(kept);
        }
        if let Some(it) = present {
            around.describe(&mut view, &it)?;
        }
        Ok(view)
    }
}

impl Around<'_> {
    fn day(&self, millis: i64) -> String {
        show::day(Timestamp::from_millis(millis), &self.visitor.known.zone)
    }

    fn describe(&self, view: &mut SubscriptionView, it: &Subscription) -> Result<(), Error> {
        let account = &self.visitor.session.account;
        let waiting = self.tried_now(it);
        let waits_for_customer = waiting.is_some_and(|it| it.payment.waits_for_customer());
        view.pay = waiting.map(|it| format!("{PATH}/payments/{}", it.id));
        let next = it.next_plan.as_ref().unwrap_or(&it.plan);
        let offer = self.app.offer_of(account, next)?.price;
        let price = show::money(offer.total);
        let card = rows::card_named(self.cards, it.method.as_deref());
        let day = self.day(it.period_end);
        match it.state() {
            Standing::Canceled => {}
            Standing::Incomplete => {
                (view.badge, view.class, view.can_end) = ("waits for its first payment", "warn", true);
                view.sentence = Some(format!("{}, for {price}.", what(&it.plan)));
                view.trouble = Some("It begins, and credits are added, when its first payment has come in.".to_owned());
            }
            Standing::Active if it.ends => {
                (view.badge, view.class, view.can_resume) = ("ends", "warn", true);
                view.sentence = Some(format!("{}. It ends on {day}, and nothing more is charged.", what(&it.plan)));
                view.notes.push(match lapses(&it.plan) {
                    None => "Your credits stay when it ends: they do not expire.".to_owned(),
                    Some(text) => format!("Your credits stay when it ends: {text}."),
                });
            }
            Standing::Active => {
                (view.badge, view.class, view.can_end) = ("active", "on", true);
                self.goes_on(view, it, (&offer, &card));
                if waits_for_customer {
                    view.trouble =
                        Some("Your bank asks you to confirm its payment before credits are added.".to_owned());
                }
            }
            Standing::PastDue => {
                (view.badge, view.class, view.can_end) = ("payment declined", "bad", true);
                // What was not paid for is the plan that follows, where another was chosen.
                let instead = it.next_plan.as_ref().map(|_| format!(", in place of {}", it.plan.name));
                view.sentence = Some(format!("{}, for {price}{}.", what(next), instead.unwrap_or_default()));
                view.trouble = Some(self.late(it, waiting.is_some()));
                let default = self.cards.iter().find(|it| it.is_default);
                view.try_again = default.filter(|_| waiting.is_none()).map(|it| it.id.clone());
            }
        }
        Ok(())
    }

    /// What is charged next; or is being charged, of a period that has begun.
    fn goes_on(&self, view: &mut SubscriptionView, it: &Subscription, (offer, card): (&PriceOfCredits, &str)) {
        let price = show::money(offer.total);
        let (day, next) = (self.day(it.period_end), what(it.next_plan.as_ref().unwrap_or(&it.plan)));
        if it.period_end <= self.visitor.now.millis() {
            view.sentence = Some(format!("{next}. {price}, due on {day} from {card}, is not paid yet."));
            return;
        }
        view.sentence = Some(format!("{next}. Next: {price} on {day}, from {card}."));
        if it.next_plan.is_some() {
            view.sentence = Some(format!("{}, until {day}.", what(&it.plan)));
            view.notes.push(format!("From {day} on: {next}, for {}, from {card}.", rows::with_tax(offer)));
        }
        view.notes.push(self.outlook(Timestamp::from_millis(it.period_end)));
    }

    /// The payment of it that is under way.
    fn tried_now(&self, it: &Subscription) -> Option<&PaymentView> {
        self.payments.iter().find(|payment| Some(&payment.id) == it.payment.as_ref())
    }

    /// Why the renewal failed, and when it is tried again.
    fn late(&self, it: &Subscription, is_tried: bool) -> String {
        let of_it = |payment: &&PaymentView| {
            payment.payment.period.as_ref().is_some_and(|period| period.subscription == it.id)
                && payment.payment.failure().is_some()
        };
        let failure = self.payments.iter().find(of_it).and_then(|it| it.payment.failure());
        let why = failure.map(billing::payment::Failure::in_words).unwrap_or("The renewal was not paid.");
        let again = match it.tried_again_at() {
            Some(at) => format!("It is tried again on {}", show::minute(at, &self.visitor.known.zone)),
            None if is_tried => return format!("{why} It is being tried again now."),
            None => "It is not tried again by itself".to_owned(),
        };
        format!(
            "{why} {again}, and at once when you choose another default card. Your credits stay, and go on working."
        )
    }

    /// Whether the credits last until the next ones come.
    fn outlook(&self, renews_at: Timestamp) -> String {
        // Whoever reads two dates counts the days between them.
        let span = |from: Timestamp, to: Timestamp| {
            let date = |it| show::zoned(it, &self.visitor.known.zone).date();
            match date(from).until(date(to)).map_or(0, |it| it.get_days()) {
                0 => show::span(billing::time::Span::from_millis(to.millis() - from.millis())),
                1 => "1 day".to_owned(),
                days => format!("{days} days"),
            }
        };
        match self.balance.runs_out_at {
            Some(at) if at < renews_at => format!(
                "At the pace of the last 7 days your credits last until {}: {} before it renews.",
                show::day(at, &self.visitor.known.zone),
                span(at, renews_at)
            ),
            Some(_) => "At the pace of the last 7 days your credits last until it renews.".to_owned(),
            None => "Little is used at present: your credits last until it renews.".to_owned(),
        }
    }

    /// Credits that came with subscriptions and are still there.
    fn carried(&self) -> Result<Option<String>, Error> {
        let grants = self.app.standing_grants(&self.visitor.session.account)?;
        let own = || grants.iter().filter(|it| it.terms.source == Source::Subscription);
        let left: Credits = own().map(|it| it.remaining + it.held).sum();
        let unused = format!("{} credits from subscriptions are unused.", show::have(left));
        // Of one that is frozen nobody knows when it expires; and one that has expired is there for its holds alone.
        let now = self.app.now();
        let dated = || own().filter(|it| it.expires_at < Timestamp::NEVER);
        let text = match dated().filter(|it| !it.is_frozen && now < it.expires_at).map(|it| it.expires_at).min() {
            None if dated().next().is_none() => format!("{unused} They carry over and do not expire."),
            None => format!("{unused} They carry over."),
            Some(at) => format!("{unused} They carry over; the first expire on {}.", self.day(at.millis())),
        };
        Ok(left.is_positive().then_some(text))
    }
}

fn what(plan: &crate::service::Plan) -> String {
    format!("{}: {} credits each {}", plan.name, rows::whole(plan.credits()), plan.every)
}

/// What becomes of unused credits of a plan, where they do not just stay.
pub(in crate::web) fn lapses(plan: &crate::service::Plan) -> Option<String> {
    let every = plan.every;
    let lasts = plan.carry_over_periods.map(|it| match it {
        1 => format!("unused credits last for one more {every}"),
        periods => format!("unused credits last for {periods} more {every}s"),
    });
    let kept = plan.carry_over_maximum().map(|it| format!("up to {} unused credits carry over", rows::whole(it)));
    Some(match (lasts, kept) {
        (Some(lasts), Some(kept)) => format!("{lasts}, and {kept} at each renewal"),
        (Some(text), None) => text,
        (None, kept) => format!("{} at each renewal", kept?),
    })
}

fn offer_row(offer: &PlanOffer, present: Option<&Subscription>, lot: Credits) -> OfferRow {
    let plan = &offer.plan;
    let has_it = present.is_some_and(|it| it.plan.id == plan.id);
    let comes = present.is_some_and(|it| it.next_plan.as_ref().is_some_and(|it| it.id == plan.id));
    let waits_to_leave = has_it && present.is_some_and(|it| it.next_plan.is_some());
    let is_upgrade = present.is_some_and(|it| it.plan.every == plan.every && it.plan.price < plan.price);
    let can_change = present.is_none_or(|it| it.state() == Standing::Active && it.payment.is_none());
    let price = &offer.price;
    OfferRow {
        name: plan.name.clone(),
        credits: rows::whole(plan.credits()),
        every: plan.every.to_string(),
        total: show::money(price.total),
        tax: (price.tax.amount != 0).then(|| format!("{} + {} VAT", show::money(price.net), show::money(price.tax))),
        off: (0 < offer.percent_off).then(|| format!("save {}%", offer.percent_off)),
        per_lot: format!(
            "{} credits for {} instead of {}",
            rows::whole(lot),
            rows::per_lot(price.net, plan.credits(), lot),
            rows::per_lot(offer.one_by_one, plan.credits(), lot)
        ),
        lapses: lapses(plan),
        is_present: has_it && !waits_to_leave,
        href: ((!has_it || waits_to_leave) && !comes && can_change).then(|| format!("{REVIEW}?plan={}", plan.id)),
        verb: match present {
            None => "Subscribe",
            Some(_) if waits_to_leave => "Stay on this plan",
            Some(_) if is_upgrade => "Upgrade",
            Some(_) => "Change at renewal",
        },
    }
}
