//! The rows of the billing page, in plain words.
use billing::id::Name;
use billing::ledger::Source;
use billing::money::{Credits, Currency, Money};
use billing::payment::Failure;
use billing::tax::Treatment;
use billing::time::Timestamp;

use super::show;
use crate::app::{App, Known};
use crate::service::{
    Error, Goods, GrantView, InvoiceView, MethodView, PaymentMethod, PaymentView, PriceOfCredits, Purpose, Standing,
    Way,
};
use crate::web::frame::When;

pub struct PackageRow {
    pub id: String,
    pub name: String,
    pub credits: String,
    pub bonus: Option<String>,
    pub net: String,
    pub total: String,
    /// None where there is no tax.
    pub tax: Option<String>,
    /// What as many credits cost as all offers are compared by.
    pub per_lot: String,
    pub is_chosen: bool,
}

/// What is on sale, with tax and total as this account would pay them.
///
/// The smallest that brings `needed` is chosen, and none where that is not enough; where nothing is needed, the first.
pub fn packages(app: &App, known: &Known, needed: Option<Credits>) -> Result<Vec<PackageRow>, Error> {
    let (account, currency): (&Name, Currency) = (&known.account.id, known.account.currency);
    let lot = lot(app, currency);
    let mut rows: Vec<PackageRow> = Vec::new();
    let mut brought = Vec::new();
    for it in app.packages(currency)? {
        let Ok(id) = it.id.parse::<Name>() else { continue };
        let price = app.price_of_credits(account, &Goods::Package(id))?;
        let bonus = Credits::from_micros(it.bonus);
        rows.push(PackageRow {
            name: it.name,
            credits: whole(price.credits),
            bonus: bonus.is_positive().then(|| format!("{} on top", whole(bonus))),
            net: show::money(price.net),
            total: show::money(price.total),
            tax: (price.tax.amount != 0).then(|| show::money(price.tax)),
            per_lot: format!("{} for {}", per_lot(price.net, price.credits, lot), whole(lot)),
            is_chosen: false,
            id: it.id,
        });
        brought.push(price.credits);
    }
    let chosen = brought.iter().position(|it| needed.is_none_or(|needed| needed <= *it));
    if let Some(row) = chosen.and_then(|it| rows.get_mut(it)) {
        row.is_chosen = true;
    }
    Ok(rows)
}

/// Without places: nobody sells hundredths.
pub fn whole(credits: Credits) -> String {
    show::thousands(credits.micros().unsigned_abs() / Credits::MICROS.unsigned_abs())
}

/// With what they have beyond the point, and not more.
pub fn exactly(credits: Credits) -> String {
    let text = show::used(credits);
    text.strip_suffix(".00").map_or(text.clone(), str::to_owned)
}

/// A total, and what there is of tax in it.
pub fn with_tax(price: &PriceOfCredits) -> String {
    let total = show::money(price.total);
    match price.treatment {
        _ if price.tax.amount != 0 => format!("{total} (tax included)"),
        Treatment::ReverseCharge => format!("{total} (no VAT: reverse charge)"),
        _ => total,
    }
}

/// The least that a lot may cost at list price, in minor units: what differs by a thousandth reads differently.
const LOT_MIN: i64 = 1_000;

/// How many credits offers are compared by: a thousand; and of a currency whose least unit buys many, so many more that
/// two offers do not read alike.
pub fn lot(app: &App, currency: Currency) -> Credits {
    let lots = [1_000, 10_000, 100_000].map(Credits::whole);
    let is_told_apart = |it: &Credits| LOT_MIN <= app.at_list_price(*it, currency).amount;
    lots.into_iter().find(is_told_apart).unwrap_or(lots[2])
}

/// What a lot costs where so many credits cost so much; about that, where it is no whole number of minor units.
pub fn per_lot(price: Money, credits: Credits, lot: Credits) -> String {
    let (cost, micros) = (i128::from(price.amount) * i128::from(lot.micros()), credits.micros().max(1));
    let amount = (cost + i128::from(micros) / 2) / i128::from(micros);
    let about = if cost % i128::from(micros) == 0 { "" } else { "≈ " };
    format!("{about}{}", show::money(Money { amount: i64::try_from(amount).unwrap_or(i64::MAX), ..price }))
}

pub struct CardRow {
    pub id: String,
    pub label: String,
    pub expiry: String,
    pub is_default: bool,
    /// It has expired, or will soon.
    pub note: Option<&'static str>,
}

impl CardRow {
    /// As it stands in the month of `today`.
    pub fn of(it: &MethodView, today: jiff::civil::Date) -> CardRow {
        let months = |year: i32, month: i32| year * 12 + month;
        let left = months(i32::from(it.method.expiry_year), i32::from(it.method.expiry_month))
            - months(i32::from(today.year()), i32::from(today.month()));
        CardRow {
            note: match left {
                ..0 => Some("expired"),
                0..=1 => Some("expires soon"),
                _ => None,
            },
            id: it.id.clone(),
            label: card(it),
            expiry: format!("{:02}/{}", it.method.expiry_month, it.method.expiry_year),
            is_default: it.is_default,
        }
    }
}

/// `Visa ••4242`.
pub fn card(it: &MethodView) -> String {
    in_short(&it.method)
}

fn in_short(it: &PaymentMethod) -> String {
    format!("{} ••{}", show::words(&it.brand), it.last4)
}

/// The card that is charged where this one is named, or none.
pub fn card_named(cards: &[MethodView], method: Option<&str>) -> String {
    let named = method.and_then(|method| cards.iter().find(|it| it.id == method));
    let found = named.or_else(|| cards.iter().find(|it| it.is_default));
    found.map_or_else(|| "your default card".to_owned(), card)
}

/// How credits were bought; none where they were not.
pub fn bought(it: &GrantView) -> Option<&'static str> {
    match it.terms.source {
        Source::Purchase => Some("Purchase"),
        Source::AutoTopup => Some("Auto-topup"),
        Source::Subscription => Some("Subscription"),
        _ => None,
    }
}

/// Credits that were bought: what came in, what it cost, and what is left of it.
pub struct PurchaseRow {
    pub when: When,
    pub what: &'static str,
    pub reason: String,
    pub credits: String,
    pub paid: String,
    pub tax: String,
    pub left: String,
    pub status: &'static str,
    /// Names its colour.
    pub class: &'static str,
    /// What paid for it.
    pub payment: Option<String>,
}

impl PurchaseRow {
    pub fn of(it: &GrantView, payment: Option<&PaymentView>, known: &Known) -> Option<PurchaseRow> {
        let what = bought(it)?;
        let (status, class) = payment.map_or(("added", "good"), status);
        Some(PurchaseRow {
            when: When::moment(it.created_at, &known.zone),
            what,
            reason: it.terms.reason.to_string(),
            credits: show::used(it.terms.credits),
            paid: it.terms.cost.map_or_else(|| "—".to_owned(), show::money),
            tax: payment.map_or_else(|| "—".to_owned(), |it| show::money(it.payment.money(it.payment.tax))),
            left: show::have(it.remaining + it.held),
            status,
            class,
            payment: payment.map(|it| it.id.clone()),
        })
    }
}

/// One attempt to collect money.
pub struct PaymentRow {
    pub id: String,
    pub when: When,
    pub what: String,
    pub total: String,
    pub tax: String,
    /// What it was charged to; nothing where no card has been named.
    pub card: String,
    pub status: &'static str,
    /// Names its colour.
    pub class: &'static str,
    pub why: Option<&'static str>,
    /// The provider's page, while it can be paid on.
    pub go_on: Option<String>,
    pub can_cancel: bool,
}

impl PaymentRow {
    pub fn of(app: &App, it: &PaymentView, known: &Known) -> Result<PaymentRow, Error> {
        let (status, class) = status(it);
        Ok(PaymentRow {
            id: it.id.clone(),
            when: When::moment(Timestamp::from_millis(it.payment.created_at), &known.zone),
            what: it.payment.item.clone(),
            total: show::money(it.payment.money(it.payment.total())),
            tax: show::money(it.payment.money(it.payment.tax)),
            card: match app.card_behind(it)? {
                Some(card) => in_short(&card),
                // Typed in on the provider's page, for this once.
                None if it.payment.card.is_some() => "not saved".to_owned(),
                None => String::new(),
            },
            status,
            class,
            why: why(it),
            go_on: go_on(it),
            can_cancel: can_cancel(it),
        })
    }
}

/// Why no money came of it, as whoever owns the account reads it.
pub fn why(it: &PaymentView) -> Option<&'static str> {
    let is_cancelled = it.payment.purpose == Purpose::Purchase && it.payment.is_given_up;
    match it.payment.failure()? {
        Failure::Abandoned if is_cancelled => Some("It was cancelled before it was paid. No money was taken."),
        failure => Some(failure.in_words()),
    }
}

/// The provider's page, while it can be paid on.
pub fn go_on(it: &PaymentView) -> Option<String> {
    let is_open = it.payment.way == Way::Hosted && !it.payment.status().is_final() && !it.payment.is_given_up;
    it.payment.page_url.clone().filter(|_| is_open)
}

/// Whether a customer can take it back: it is a purchase, and waits for them. A bank that was asked answers first.
pub fn can_cancel(it: &PaymentView) -> bool {
    let waits = it.payment.way == Way::Hosted || it.payment.waits_for_customer();
    it.payment.purpose == Purpose::Purchase && waits && !it.payment.status().is_final() && !it.payment.is_given_up
}

/// How a payment stands, in a word, and how that is coloured.
pub fn status(it: &PaymentView) -> (&'static str, &'static str) {
    match it.payment.standing() {
        Standing::Disputed if it.payment.is_disputed(None) => ("disputed", "bad"),
        Standing::Disputed => ("dispute lost", "bad"),
        Standing::Refunded => ("refunded", ""),
        Standing::PartiallyRefunded => ("refunded in part", ""),
        Standing::Succeeded => ("paid", "good"),
        Standing::Pending | Standing::RequiresAction if it.payment.is_given_up => ("being cancelled", "warn"),
        Standing::RequiresAction if it.payment.way == Way::Hosted => ("not paid yet", "warn"),
        Standing::Pending => ("under way", "warn"),
        Standing::RequiresAction => ("waits for you", "warn"),
        Standing::Failed => ("failed", "bad"),
        Standing::Canceled => ("cancelled", ""),
    }
}

pub struct InvoiceRow {
    pub id: String,
    pub number: String,
    pub when: String,
    pub kind: &'static str,
    pub total: String,
}

impl InvoiceRow {
    pub fn of(it: &InvoiceView, known: &Known) -> InvoiceRow {
        InvoiceRow {
            id: it.id.clone(),
            number: it.invoice.number.to_string(),
            when: show::day(it.invoice.issued_at, &known.zone),
            kind: if it.invoice.kind == billing::invoice::Kind::Invoice { "Invoice" } else { "Credit note" },
            total: show::money(it.invoice.total()),
        }
    }
}
