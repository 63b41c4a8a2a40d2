//! What the auto-topup and withdrawals write into the journal and the book.
use std::sync::Arc;

use billing::id::PaymentId;
use billing::ledger::{Cause, Rule, Topup, TopupChange, UnderWay, What, Withdrawal};
use billing::money::{Credits, Money};
use billing::payment::Failure;
use billing::rating::Text;
use billing::time::Timestamp;
use serde::Deserialize;

use super::Malformed;
use super::json::Json;
use super::work::{TermsJson, read_grant, write_terms};

/// The row's kind and the credits it moved, of what is written here.
pub fn columns(what: &What) -> Option<(&'static str, Credits)> {
    Some(match what {
        What::Withdrawn(it) => ("withdrawn", it.credits),
        What::Restored { withdrawal, .. } => ("restored", withdrawal.credits),
        What::Frozen { is_frozen: true, .. } => ("frozen", Credits::ZERO),
        What::Frozen { is_frozen: false, .. } => ("thawed", Credits::ZERO),
        What::Topup(TopupChange::Set { .. }) => ("topup_set", Credits::ZERO),
        What::Topup(TopupChange::Started { credits, .. }) => ("topup_started", *credits),
        What::Topup(TopupChange::Failed { .. }) => ("topup_failed", Credits::ZERO),
        _ => return None,
    })
}

pub fn write_withdrawal(json: &mut Json, it: &Withdrawal) {
    json.key("grant").string(&it.grant.text());
    for (name, credits) in [("lapsed", it.lapsed), ("owed", it.owed)] {
        if !credits.is_zero() {
            json.key(name).integer(credits.micros());
        }
    }
    if it.lost != lost_by_default(it.cause, it.owed) {
        json.key("lost").integer(it.lost.micros());
    }
    if it.net != 0 {
        json.key("net").integer(it.net);
    }
    json.key("cause").string(it.cause.as_str());
    json.key("reason").string(&it.reason);
}

pub fn write(json: &mut Json, what: &What) {
    match what {
        What::Withdrawn(it) => write_withdrawal(json, it),
        What::Restored { withdrawal, terms } => {
            write_withdrawal(json, withdrawal);
            write_terms(json.key("terms"), terms);
        }
        What::Frozen { grant, expires_at, .. } => {
            json.key("grant").string(&grant.text());
            if let Some(at) = expires_at {
                json.key("until").integer(at.millis());
            }
        }
        What::Topup(change) => write_change(json.key("topup"), change),
        _ => {}
    }
}

fn write_change(json: &mut Json, change: &TopupChange) {
    json.object(|json| match change {
        TopupChange::Set { rule, is_on } => {
            write_rule(json.key("rule"), rule);
            json.key("on").integer(u8::from(*is_on));
        }
        TopupChange::Started { payment, total, method, .. } => {
            json.key("payment").string(&payment.text());
            write_money(json.key("total"), *total);
            if let Some(method) = method {
                json.key("method").string(method);
            }
        }
        TopupChange::Failed { payment, failure, is_over } => {
            json.key("payment").string(&payment.text());
            json.key("failure").string(failure.as_str());
            json.key("over").integer(u8::from(*is_over));
        }
    });
}

fn write_money(json: &mut Json, money: Money) {
    json.array(|json| {
        json.integer(money.amount);
        json.string(money.currency.as_str());
    });
}

fn write_rule(json: &mut Json, rule: &Rule) {
    json.object(|json| {
        json.key("threshold").integer(rule.threshold.micros());
        json.key("credits").integer(rule.credits.micros());
        write_money(json.key("price"), rule.price);
        if let Some(most) = rule.monthly_max {
            json.key("most").integer(most);
        }
        if let Some(method) = &rule.method {
            json.key("method").string(method);
        }
    });
}

/// Writes the rule of a book, and how it is doing.
pub fn write_topup(json: &mut Json, topup: &Topup) {
    json.object(|json| {
        write_rule(json.key("rule"), &topup.rule);
        json.key("on").integer(u8::from(topup.is_on));
        for (name, it) in [("under_way", &topup.under_way), ("lapsed", &topup.lapsed)] {
            if let Some(it) = it {
                write_under_way(json.key(name), it);
            }
        }
        json.key("failures").integer(topup.failures);
        json.key("retry").integer(topup.retry_at.millis());
        if let Some(paused) = topup.paused {
            json.key("paused").string(paused.as_str());
        }
        json.key("spent").integer(topup.spent);
        json.key("counted").integer(topup.counted_at.millis());
    });
}

fn write_under_way(json: &mut Json, it: &UnderWay) {
    json.array(|json| {
        json.string(&it.payment.text());
        json.integer(it.credits.micros());
        json.integer(it.total);
    });
}

/// Every field a top-up's part of a row may have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeJson {
    rule: Option<RuleJson>,
    on: Option<u8>,
    payment: Option<Text>,
    total: Option<(i64, Text)>,
    method: Option<Text>,
    failure: Option<Text>,
    over: Option<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleJson {
    threshold: i64,
    credits: i64,
    price: (i64, Text),
    most: Option<i64>,
    method: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopupJson {
    rule: RuleJson,
    on: u8,
    under_way: Option<(Text, i64, i64)>,
    lapsed: Option<(Text, i64, i64)>,
    failures: u8,
    retry: i64,
    paused: Option<Text>,
    spent: i64,
    counted: i64,
}

impl RuleJson {
    fn read(self) -> Result<Arc<Rule>, Malformed> {
        let price = read_money(self.price)?;
        if self.credits <= 0 || price.amount <= 0 {
            return Err(Malformed::not("what a top-up buys and costs", &self.credits.to_string()));
        }
        Ok(Arc::new(Rule {
            threshold: Credits::from_micros(self.threshold),
            credits: Credits::from_micros(self.credits),
            price,
            monthly_max: self.most,
            method: self.method,
        }))
    }
}

impl ChangeJson {
    /// Reads the change of a row of `kind` that moved `credits`.
    pub fn read(self, kind: &str, credits: Credits) -> Result<TopupChange, Malformed> {
        let lacks = Malformed::lacks;
        Ok(match kind {
            "topup_set" => TopupChange::Set {
                rule: self.rule.ok_or(lacks("rule"))?.read()?,
                is_on: self.on.ok_or(lacks("on"))? != 0,
            },
            "topup_started" => TopupChange::Started {
                payment: read_payment(&self.payment.ok_or(lacks("payment"))?)?,
                credits,
                total: read_money(self.total.ok_or(lacks("total"))?)?,
                method: self.method,
            },
            _ => TopupChange::Failed {
                payment: read_payment(&self.payment.ok_or(lacks("payment"))?)?,
                failure: read_failure(&self.failure.ok_or(lacks("failure"))?)?,
                is_over: self.over.ok_or(lacks("over"))? != 0,
            },
        })
    }
}

impl TopupJson {
    pub fn read(self) -> Result<Topup, Malformed> {
        let read = |it: Option<(Text, i64, i64)>| {
            let read = |(payment, credits, total): (Text, i64, i64)| {
                let credits = Credits::from_micros(credits);
                Ok::<_, Malformed>(UnderWay { payment: read_payment(&payment)?, credits, total })
            };
            it.map(read).transpose()
        };
        Ok(Topup {
            rule: self.rule.read()?,
            is_on: self.on != 0,
            under_way: read(self.under_way)?,
            lapsed: read(self.lapsed)?,
            failures: self.failures,
            retry_at: Timestamp::from_millis(self.retry),
            paused: self.paused.map(|it| read_failure(&it)).transpose()?,
            spent: self.spent,
            counted_at: Timestamp::from_millis(self.counted),
        })
    }
}

/// What a row that does not say it means: so it was before it could be said, and so it is mostly.
fn lost_by_default(cause: Cause, owed: Credits) -> Credits {
    if cause == Cause::Dispute { owed } else { Credits::ZERO }
}

/// What a row says of a withdrawal beside the credits it moved, in micro-credits; the net money in minor units.
pub struct Withdrawn {
    pub lapsed: i64,
    pub owed: i64,
    pub lost: Option<i64>,
    pub net: i64,
}

/// Reads a withdrawal of a row that moved `credits`.
pub fn read_withdrawal(
    (grant, cause, reason): (&Text, &Text, Text),
    credits: Credits,
    said: &Withdrawn,
) -> Result<Withdrawal, Malformed> {
    let cause = cause.parse().map_err(|()| Malformed::not("why credits went back", cause))?;
    let owed = Credits::from_micros(said.owed);
    let lost = said.lost.map_or_else(|| lost_by_default(cause, owed), Credits::from_micros);
    Ok(Withdrawal {
        grant: read_grant(grant)?,
        credits,
        lapsed: Credits::from_micros(said.lapsed),
        owed,
        lost,
        net: said.net,
        cause,
        reason,
    })
}

/// Reads what was put back into a grant of these terms.
pub fn read_restored(withdrawal: Withdrawal, terms: TermsJson) -> Result<What, Malformed> {
    Ok(What::Restored { withdrawal, terms: terms.read()? })
}

fn read_payment(text: &str) -> Result<PaymentId, Malformed> {
    text.parse().map_err(|_| Malformed::not("a payment", text))
}

fn read_failure(text: &str) -> Result<Failure, Malformed> {
    text.parse().map_err(|()| Malformed::not("why a payment failed", text))
}

fn read_money((amount, code): (i64, Text)) -> Result<Money, Malformed> {
    let currency = code.parse().map_err(|_| Malformed::not("a currency", &code))?;
    Ok(Money { amount, currency })
}
