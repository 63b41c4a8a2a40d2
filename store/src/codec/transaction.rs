//! A transaction as a journal row: columns that people ask for, and a body with the rest.
//!
//! Whatever a column says, the body does not repeat. The columns are the same in every adapter.
use std::sync::Arc;

use billing::id::{GrantId, HoldId, Place};
use billing::ledger::{Balance, Closing, Draw, HoldEnd, Origin, Reversal, Terms, Transaction, What, Withdrawal};
use billing::money::Credits;
use billing::rating::Text;
use billing::time::Timestamp;
use serde::Deserialize;

use super::Malformed;
use super::budget;
use super::burn::{self, BurnTermsJson, ReportJson, SettledJson};
use super::json::Json;
use super::money::{self, ChangeJson};
use super::notice::{self, NoticeJson};
use super::numbered::{Numbered, Numbers};
use super::pairs::DrawJson;
use super::work::{Known, TermsJson, WorkJson, read_draws, read_grant, write_draws, write_terms, write_work};

/// The columns of a transaction that say what it did.
pub struct Columns<'a> {
    /// `granted`, `charged`, `held` …
    pub kind: &'static str,
    /// Micro-credits moved.
    pub credits: i64,
    pub meter: Option<&'a Text>,
    /// The grant it made.
    pub grant: Option<GrantId>,
}

impl Columns<'_> {
    pub fn of(transaction: &Transaction) -> Columns<'_> {
        let total = |draws: &[Draw]| draws.iter().map(|it| it.credits).sum::<Credits>();
        let (kind, credits, work) = match &transaction.what {
            What::Granted { terms, .. } => ("granted", terms.credits, None),
            What::Repaid { credits, .. } => ("repaid", *credits, None),
            What::Charged { work, credits, .. } => ("charged", *credits, Some(work)),
            What::Held { work, draws, .. } => ("held", total(draws), Some(work)),
            What::Extended { draws, used, .. } => ("extended", total(draws), used.as_ref()),
            What::Released { draws, .. } => ("released", total(draws), None),
            What::Reversed(it) => ("reversed", it.credits, Some(&it.work)),
            What::Voided { credits, .. } => ("voided", *credits, None),
            What::Expired { credits, .. } => ("expired", *credits, None),
            What::Closed => ("closed", Credits::ZERO, None),
            What::Server(_) => ("server", Credits::ZERO, None),
            What::BurnTerms(_) => ("burn_terms", Credits::ZERO, None),
            What::Budget(change) => (budget::kind(change), Credits::ZERO, None),
            What::Noticed => ("noticed", Credits::ZERO, None),
            other => {
                let (kind, credits) = money::columns(other).expect("what is not above is of money");
                (kind, credits, None)
            }
        };
        let grant = transaction.granted().map(|(grant, _)| grant);
        Columns { kind, credits: credits.micros(), meter: work.map(|it| &it.usage.meter), grant }
    }
}

/// Writes the body of a row that has `columns`. `numbers` stand for the rates of its price lines and the shape of its
/// usage.
pub fn write_body(json: &mut Json, transaction: &Transaction, columns: &Columns<'_>, numbers: Numbers<'_>) {
    let meter = columns.meter.map(|it| &**it);
    let known = Known { at: transaction.at, meter, credits: columns.credits, numbers, numbered: None };
    json.object(|json| {
        write_what(json, &transaction.what, known);
        let Balance { posted, held, accrued, debt } = transaction.after;
        let after = [posted, held, accrued, debt].map(Credits::micros);
        let length = after.iter().rposition(|it| *it != 0).map_or(0, |it| it + 1);
        notice::write_notices(json, &transaction.notices);
        json.key("after").array(|json| after[..length].iter().for_each(|it| json.integer(*it)));
    });
}

fn write_what(json: &mut Json, what: &What, known: Known<'_>) {
    match what {
        What::Granted { grant, terms } => {
            json.key("grant").string(&grant.text());
            write_terms(json.key("terms"), terms);
        }
        What::Repaid { grant, unlost, regranted, .. } => {
            json.key("grant").string(&grant.text());
            if !unlost.is_zero() {
                write_unlost(json, &[(*grant, *unlost)]);
            }
            if let Some(regranted) = regranted {
                write_made(json.key("regranted"), regranted);
            }
        }
        What::Expired { grant, .. } => json.key("grant").string(&grant.text()),
        What::Voided { grant, reason, .. } => {
            json.key("grant").string(&grant.text());
            json.key("reason").string(reason);
        }
        What::Charged { work, draws, owed, closing, settled, .. } => {
            write_work(json.key("work"), work, known);
            write_draws(json.key("draws"), draws);
            if !owed.is_zero() {
                json.key("owed").integer(owed.micros());
            }
            if let Some(closing) = closing {
                write_closing(json.key("closing"), closing);
            }
            burn::write_settled(json, settled.as_ref());
        }
        What::Held { hold, work, draws, expires_at, beyond } => {
            json.key("hold").string(&hold.text());
            write_work(json.key("work"), work, known);
            write_draws(json.key("draws"), draws);
            json.key("until").integer(expires_at.millis());
            json.key("beyond").integer(beyond.micros());
        }
        What::Extended { hold, draws, reserved, used, expires_at, beyond } => {
            json.key("hold").string(&hold.text());
            json.key("reserved").integer(reserved.micros());
            if let Some(used) = used {
                write_work(json.key("work"), used, known);
            }
            write_draws(json.key("draws"), draws);
            json.key("until").integer(expires_at.millis());
            json.key("beyond").integer(beyond.micros());
        }
        What::Released { hold, draws, end } => {
            json.key("hold").string(&hold.text());
            write_draws(json.key("draws"), draws);
            json.key("end").string(end.as_str());
        }
        What::Reversed(reversal) => write_reversal(json, reversal, known),
        What::Server(report) => burn::write_report(json, report),
        What::BurnTerms(terms) => burn::write_terms(json.key("burn_terms"), terms),
        What::Budget(change) => budget::write_change(json.key("budget"), change),
        What::Closed | What::Noticed => {}
        other => money::write(json, other),
    }
}

fn write_closing(json: &mut Json, closing: &Closing) {
    json.object(|json| {
        json.key("hold").string(&closing.hold.text());
        json.key("end").string(closing.end.as_str());
        write_draws(json.key("released"), &closing.released);
        json.key("shortfall").integer(closing.shortfall.micros());
    });
}

fn write_reversal(json: &mut Json, reversal: &Reversal, known: Known<'_>) {
    json.key("charge").string(&reversal.charge.text());
    write_work(json.key("work"), &reversal.work, known);
    write_draws(json.key("draws"), &reversal.draws);
    json.key("reopened").array(|json| reversal.reopened.iter().for_each(|it| write_made(json, it)));
    if !reversal.unlost.is_empty() {
        write_unlost(json, &reversal.unlost);
    }
    json.key("forgiven").integer(reversal.forgiven.micros());
    if let Some(regranted) = &reversal.regranted {
        write_made(json.key("regranted"), regranted);
    }
    json.key("total").integer(reversal.total.micros());
    json.key("reason").string(&reversal.reason);
    burn::write_settled(json, reversal.settled.as_ref());
    burn::write_of_server(json, reversal.of_server.as_ref());
}

fn write_made(json: &mut Json, (id, terms): &(GrantId, Arc<Terms>)) {
    json.array(|json| {
        json.string(&id.text());
        write_terms(json, terms);
    });
}

fn write_unlost(json: &mut Json, unlost: &[(GrantId, Credits)]) {
    json.key("unlost").array(|json| {
        for (id, credits) in unlost {
            json.array(|json| {
                json.string(&id.text());
                json.integer(credits.micros());
            });
        }
    });
}

/// What a row's columns say, to be read together with its body.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    pub place: Place,
    pub at: Timestamp,
    pub kind: &'a str,
    pub credits: i64,
    pub meter: Option<&'a str>,
    pub origin: Origin,
    pub body: &'a str,
    /// What the numbers in its body stand for, where it has any.
    pub numbered: Option<&'a Numbered>,
}

/// Every field any kind of body may have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BodyJson {
    grant: Option<Text>,
    terms: Option<TermsJson>,
    hold: Option<Text>,
    reserved: Option<i64>,
    work: Option<WorkJson>,
    #[serde(default)]
    draws: Vec<DrawJson>,
    #[serde(default)]
    lapsed: i64,
    #[serde(default)]
    owed: i64,
    lost: Option<i64>,
    #[serde(default)]
    net: i64,
    closing: Option<ClosingJson>,
    until: Option<i64>,
    #[serde(default)]
    beyond: i64,
    end: Option<Text>,
    charge: Option<Text>,
    #[serde(default)]
    reopened: Vec<(Text, TermsJson)>,
    #[serde(default)]
    unlost: Vec<(Text, i64)>,
    #[serde(default)]
    forgiven: i64,
    regranted: Option<(Text, TermsJson)>,
    total: Option<i64>,
    reason: Option<Text>,
    cause: Option<Text>,
    topup: Option<ChangeJson>,
    settled: Option<SettledJson>,
    of_server: Option<(String, u8)>,
    server: Option<ReportJson>,
    burn_terms: Option<BurnTermsJson>,
    budget: Option<budget::ChangeJson>,
    #[serde(default)]
    notices: Vec<NoticeJson>,
    after: Vec<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClosingJson {
    hold: Text,
    end: Text,
    released: Vec<DrawJson>,
    shortfall: i64,
}

/// Reads the transaction of a row.
///
/// # Errors
/// When the row is not one that was written here.
pub fn read(row: Row<'_>) -> Result<Transaction, Malformed> {
    let mut body: BodyJson = serde_json::from_str(row.body)?;
    let [posted, held, accrued, debt] = std::array::from_fn(|it| body.after.get(it).copied().unwrap_or_default());
    let micros = Credits::from_micros;
    let after = Balance { posted: micros(posted), held: micros(held), accrued: micros(accrued), debt: micros(debt) };
    let (meter, credits, numbers) = (row.meter, row.credits, Numbers::NONE);
    let known = Known { at: row.at, meter, credits, numbers, numbered: row.numbered };
    let notices = std::mem::take(&mut body.notices).into_iter().map(NoticeJson::read).collect::<Result<_, _>>()?;
    let what = body.read(row.kind, known)?;
    Ok(Transaction { place: row.place, at: row.at, origin: row.origin, what, after, notices })
}

impl BodyJson {
    fn read(mut self, kind: &str, known: Known<'_>) -> Result<What, Malformed> {
        let credits = Credits::from_micros(known.credits);
        let expires_at = || self.until.map(Timestamp::from_millis).ok_or(Malformed::lacks("until"));
        Ok(match kind {
            "granted" => What::Granted {
                grant: read_grant(&needed(self.grant, "grant")?)?,
                terms: needed(self.terms, "terms")?.read()?,
            },
            "repaid" => self.read_repaid(credits)?,
            "expired" => What::Expired { grant: read_grant(&needed(self.grant, "grant")?)?, credits },
            "voided" => What::Voided {
                grant: read_grant(&needed(self.grant, "grant")?)?,
                credits,
                reason: needed(self.reason, "reason")?,
            },
            "charged" => What::Charged {
                work: needed(self.work, "work")?.read(known)?,
                credits,
                draws: read_draws(self.draws)?,
                owed: Credits::from_micros(self.owed),
                closing: self.closing.map(ClosingJson::read).transpose()?,
                settled: self.settled.map(SettledJson::read).transpose()?,
            },
            "held" => What::Held {
                expires_at: expires_at()?,
                beyond: Credits::from_micros(self.beyond),
                hold: read_hold(&needed(self.hold, "hold")?)?,
                work: needed(self.work, "work")?.read(known)?,
                draws: read_draws(self.draws)?,
            },
            "extended" => What::Extended {
                expires_at: expires_at()?,
                beyond: Credits::from_micros(self.beyond),
                hold: read_hold(&needed(self.hold, "hold")?)?,
                draws: read_draws(self.draws)?,
                reserved: Credits::from_micros(needed(self.reserved, "reserved")?),
                used: self.work.map(|it| it.read(known)).transpose()?,
            },
            "released" => What::Released {
                hold: read_hold(&needed(self.hold, "hold")?)?,
                draws: read_draws(self.draws)?,
                end: read_end(&needed(self.end, "end")?)?,
            },
            "reversed" => What::Reversed(self.read_reversal(known)?),
            "closed" => What::Closed,
            "withdrawn" => What::Withdrawn(self.read_withdrawal(credits)?),
            "restored" => {
                let terms = needed(self.terms.take(), "terms")?;
                money::read_restored(self.read_withdrawal(credits)?, terms)?
            }
            "frozen" | "thawed" => {
                let expires_at = self.until.map(Timestamp::from_millis);
                let grant = read_grant(&needed(self.grant, "grant")?)?;
                What::Frozen { grant, is_frozen: kind == "frozen", expires_at }
            }
            "topup_set" | "topup_started" | "topup_failed" => {
                What::Topup(needed(self.topup, "topup")?.read(kind, credits)?)
            }
            "server" => What::Server(needed(self.server, "server")?.read()?),
            "burn_terms" => What::BurnTerms(needed(self.burn_terms, "burn_terms")?.read()?),
            "budget_set" | "budget_counted" | "budget_deleted" => {
                What::Budget(needed(self.budget, "budget")?.read(kind)?)
            }
            "noticed" => What::Noticed,
            other => return Err(Malformed::not("a kind of transaction", other)),
        })
    }

    fn read_repaid(self, credits: Credits) -> Result<What, Malformed> {
        let unlost = self.unlost.iter().map(|it| Credits::from_micros(it.1)).sum();
        let regranted = self.regranted.map(read_made).transpose()?;
        Ok(What::Repaid { grant: read_grant(&needed(self.grant, "grant")?)?, credits, unlost, regranted })
    }

    fn read_withdrawal(self, credits: Credits) -> Result<Withdrawal, Malformed> {
        let (grant, cause) = (needed(self.grant, "grant")?, needed(self.cause, "cause")?);
        let said = money::Withdrawn { lapsed: self.lapsed, owed: self.owed, lost: self.lost, net: self.net };
        money::read_withdrawal((&grant, &cause, needed(self.reason, "reason")?), credits, &said)
    }

    fn read_reversal(self, known: Known<'_>) -> Result<Reversal, Malformed> {
        let unlost = |it: &(Text, i64)| Ok((read_grant(&it.0)?, Credits::from_micros(it.1)));
        let charge = needed(self.charge, "charge")?;
        Ok(Reversal {
            charge: charge.parse().map_err(|_| Malformed::not("a charge", &charge))?,
            work: needed(self.work, "work")?.read(known)?,
            credits: Credits::from_micros(known.credits),
            draws: read_draws(self.draws)?,
            reopened: self.reopened.into_iter().map(read_made).collect::<Result<_, Malformed>>()?,
            unlost: self.unlost.iter().map(unlost).collect::<Result<_, Malformed>>()?,
            forgiven: Credits::from_micros(self.forgiven),
            regranted: self.regranted.map(read_made).transpose()?,
            total: Credits::from_micros(needed(self.total, "total")?),
            reason: needed(self.reason, "reason")?,
            settled: self.settled.map(SettledJson::read).transpose()?,
            of_server: self.of_server.map(burn::read_of_server).transpose()?,
        })
    }
}

impl ClosingJson {
    fn read(self) -> Result<Closing, Malformed> {
        Ok(Closing {
            hold: read_hold(&self.hold)?,
            end: read_end(&self.end)?,
            released: read_draws(self.released)?,
            shortfall: Credits::from_micros(self.shortfall),
        })
    }
}

fn read_made((id, terms): (Text, TermsJson)) -> Result<(GrantId, Arc<Terms>), Malformed> {
    Ok((read_grant(&id)?, terms.read()?))
}

fn needed<T>(field: Option<T>, name: &'static str) -> Result<T, Malformed> {
    field.ok_or(Malformed::lacks(name))
}

pub fn read_hold(text: &str) -> Result<HoldId, Malformed> {
    text.parse().map_err(|_| Malformed::not("a hold", text))
}

fn read_end(text: &str) -> Result<HoldEnd, Malformed> {
    let ends = [HoldEnd::Captured, HoldEnd::Released, HoldEnd::Expired];
    ends.into_iter().find(|it| it.as_str() == text).ok_or_else(|| Malformed::not("the end of a hold", text))
}
