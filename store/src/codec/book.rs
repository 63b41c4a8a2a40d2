//! A book as JSON, so that an account's state need not be folded from its first transaction each time.
//!
//! The rules let nobody make a book but by applying transactions, so a stored one is read back by applying the shortest
//! journal that leads to it. What comes out was therefore asserted, step by step, by the same code that made it.
use std::collections::BTreeMap;
use std::sync::Arc;

use billing::id::{AccountNumber, GrantId};
use billing::ledger::{
    Balance, Book, Cause, Draw, Freeze, Grant, Hold, Origin, Pot, Terms, Transaction, What, Withdrawal, Work,
};
use billing::money::Credits;
use billing::rating::{Price, Text, Usage};
use billing::time::Timestamp;
use serde::Deserialize;

use super::Malformed;
use super::budget::{self, BudgetsJson};
use super::burn::{self, BurningJson};
use super::json::Json;
use super::money::{TopupJson, write_topup};
use super::pairs::DrawJson;
use super::transaction::read_hold;
use super::work::{Known, TermsJson, WorkJson, read_draws, read_grant, write_draws, write_terms, write_work};

/// Writes all of a book but its account and version, which are columns.
pub fn write(json: &mut Json, book: &Book) {
    write_with(json, book, true);
}

/// Writes a book without the terms of its grants, which never change and are most of it: they are kept apart.
pub fn write_lean(json: &mut Json, book: &Book) {
    write_with(json, book, false);
}

fn write_with(json: &mut Json, book: &Book, has_terms: bool) {
    json.object(|json| {
        json.key("at").integer(book.at.millis());
        json.key("grants").array(|json| book.grants().iter().for_each(|it| write_one_grant(json, it, has_terms)));
        if !book.holds().is_empty() {
            json.key("holds").array(|json| book.holds().iter().for_each(|it| write_one_hold(json, it)));
        }
        if !book.debt().is_zero() {
            json.key("debt").integer(book.debt().micros());
        }
        if book.is_closed() {
            json.key("closed").integer(1);
        }
        if let Some(topup) = book.topup() {
            write_topup(json.key("topup"), topup);
        }
        if !book.budgets().is_empty() {
            budget::write_budgets(json.key("budgets"), book.budgets());
        }
        if book.disputes() != 0 {
            json.key("disputes").integer(book.disputes());
        }
        if !book.freezes().is_empty() {
            json.key("freezes").array(|json| book.freezes().iter().for_each(|it| write_freeze(json, it)));
        }
        burn::write_burning(json, book.burning());
    });
}

fn write_one_grant(json: &mut Json, grant: &Grant, has_terms: bool) {
    json.object(|json| {
        json.key("id").string(&grant.id.text());
        if has_terms {
            write_terms(json.key("terms"), &grant.terms);
        }
        for (name, credits) in [("remaining", grant.remaining), ("held", grant.held), ("expired", grant.expired)] {
            if !credits.is_zero() {
                json.key(name).integer(credits.micros());
            }
        }
    });
}

fn write_freeze(json: &mut Json, freeze: &Freeze) {
    json.object(|json| {
        json.key("grant").string(&freeze.grant.text());
        for (name, at) in [("since", freeze.since), ("until", freeze.expires_at)] {
            if let Some(at) = at {
                json.key(name).integer(at.millis());
            }
        }
        if !freeze.lost.is_zero() {
            json.key("lost").integer(freeze.lost.micros());
        }
    });
}

fn write_one_hold(json: &mut Json, hold: &Hold) {
    json.object(|json| {
        json.key("id").string(&hold.id.text());
        write_work(json.key("work"), &hold.work, Known::NOTHING);
        if let Some(used) = &hold.used {
            write_work(json.key("used"), used, Known::NOTHING);
        }
        write_draws(json.key("draws"), &hold.draws);
        json.key("until").integer(hold.expires_at.millis());
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BookJson {
    at: i64,
    grants: Vec<GrantJson>,
    #[serde(default)]
    holds: Vec<HoldJson>,
    #[serde(default)]
    debt: i64,
    #[serde(default)]
    closed: u8,
    topup: Option<TopupJson>,
    budgets: Option<BudgetsJson>,
    #[serde(default)]
    disputes: u32,
    #[serde(default)]
    freezes: Vec<FreezeJson>,
    burning: Option<BurningJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantJson {
    id: Text,
    terms: Option<TermsJson>,
    #[serde(default)]
    remaining: i64,
    #[serde(default)]
    held: i64,
    #[serde(default)]
    expired: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FreezeJson {
    grant: Text,
    since: Option<i64>,
    until: Option<i64>,
    #[serde(default)]
    lost: i64,
}

impl FreezeJson {
    fn read(self) -> Result<Freeze, Malformed> {
        Ok(Freeze {
            grant: read_grant(&self.grant)?,
            since: self.since.map(Timestamp::from_millis),
            expires_at: self.until.map(Timestamp::from_millis),
            lost: Credits::from_micros(self.lost),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldJson {
    id: Text,
    work: WorkJson,
    used: Option<WorkJson>,
    draws: Vec<DrawJson>,
    until: i64,
}

/// Reads the book of `account` at `version`.
///
/// # Errors
/// When the text is not a book's, or is of one that no journal leads to.
pub fn read(text: &str, account: AccountNumber, version: u64) -> Result<Book, Malformed> {
    read_lean(text, (account, version), |_| Err(Malformed::lacks("terms")))
}

/// Like `read`; `terms` finds those that were kept apart.
pub fn read_lean(
    text: &str,
    (account, version): (AccountNumber, u64),
    mut terms: impl FnMut(GrantId) -> Result<Arc<Terms>, Malformed>,
) -> Result<Book, Malformed> {
    let stored: BookJson = serde_json::from_str(text)?;
    let mut story = Story::new(account, Timestamp::from_millis(stored.at));
    let freezes = stored.freezes.into_iter().map(FreezeJson::read).collect::<Result<Vec<_>, _>>()?;
    // What is put back after it comes back frozen, and to expire when it did.
    story.book.restore_freezes(freezes);
    let mut pots = BTreeMap::new();
    for grant in stored.grants {
        let id = read_grant(&grant.id)?;
        let terms = grant.terms.map_or_else(|| terms(id), TermsJson::read)?;
        let pot = Pots { remaining: grant.remaining, held: grant.held, expired: grant.expired };
        pot.check(&terms)?;
        story.granted(id, &terms, &pot)?;
        if pots.insert(id, (terms, pot)).is_some() {
            return Err(Malformed::not("a grant of its own", &grant.id));
        }
    }
    let holds = stored.holds.into_iter().map(HoldJson::read).collect::<Result<Vec<_>, _>>()?;
    check_holds(&holds, &pots)?;
    holds.iter().for_each(|it| story.held(it));
    pots.iter().for_each(|(id, (terms, pot))| story.used_up(*id, terms, pot));
    if !(0..=Credits::MAX.micros()).contains(&stored.debt) {
        return Err(Malformed::not("a debt", &stored.debt.to_string()));
    }
    story.owes(Credits::from_micros(stored.debt));
    if stored.closed != 0 {
        story.tell(What::Closed);
    }
    let mut book = story.book;
    book.version = version;
    book.at = story.at;
    book.restore_money(stored.topup.map(TopupJson::read).transpose()?, stored.disputes);
    if let Some(burning) = stored.burning {
        book.resume(burning.read()?);
    }
    if let Some(budgets) = stored.budgets {
        book.restore_budgets(budgets.read()?);
    }
    Ok(book)
}

/// The terms of one grant.
pub fn write_apart(json: &mut Json, terms: &Terms) {
    write_terms(json, terms);
}

/// # Errors
/// When the text is not one that [`write_apart`] wrote.
pub fn read_apart(text: &str) -> Result<Arc<Terms>, Malformed> {
    serde_json::from_str::<TermsJson>(text)?.read()
}

/// What is where of a grant's credits; the rest is spent. It may be more than there was at first: a refund took what
/// was spent, its debt was repaid otherwise, the refund failed, and what was spent came back.
struct Pots {
    remaining: i64,
    held: i64,
    expired: i64,
}

impl Pots {
    fn check(&self, terms: &Terms) -> Result<(), Malformed> {
        let all = [self.remaining, self.held, self.expired];
        let sum = all.iter().try_fold(0_i64, |sum, it| sum.checked_add(*it));
        let is_amount = terms.credits.is_positive() && terms.credits <= Credits::MAX;
        let fits = is_amount && sum.is_some_and(|it| (1..=Credits::MAX.micros()).contains(&it));
        if all.iter().all(|it| 0 <= *it) && fits {
            return Ok(());
        }
        let [free, held, expired] = all.map(Credits::from_micros);
        let said = format!("{free} free, {held} held and {expired} expired of {}", terms.credits);
        Err(Malformed::not("what may be left of its grant", &said))
    }

    /// What of a grant of these terms was spent; less than nothing where more is there than it was made with.
    fn spent(&self, terms: &Terms) -> Credits {
        terms.credits - Credits::from_micros(self.remaining + self.held + self.expired)
    }
}

impl HoldJson {
    fn read(self) -> Result<Hold, Malformed> {
        Ok(Hold {
            id: read_hold(&self.id)?,
            work: self.work.read(Known::NOTHING)?,
            used: self.used.map(|it| it.read(Known::NOTHING)).transpose()?,
            draws: read_draws(self.draws)?,
            expires_at: Timestamp::from_millis(self.until),
        })
    }
}

/// What the holds reserve is what the grants have held.
fn check_holds(holds: &[Hold], pots: &BTreeMap<GrantId, (Arc<Terms>, Pots)>) -> Result<(), Malformed> {
    let mut held: BTreeMap<GrantId, i64> =
        pots.iter().filter(|(_, (_, pot))| pot.held != 0).map(|(id, (_, pot))| (*id, pot.held)).collect();
    for draw in holds.iter().flat_map(|it| &it.draws) {
        let left = held.get_mut(&draw.grant).filter(|it| draw.pot == Pot::Free && draw.credits.micros() <= **it);
        *left.ok_or_else(|| Malformed::not("a grant with so much held", &draw.grant.to_string()))? -=
            draw.credits.micros();
    }
    match held.iter().find(|(_, left)| **left != 0) {
        Some((grant, _)) => Err(Malformed::not("held by its holds", &grant.to_string())),
        None => Ok(()),
    }
}

/// The shortest journal that leads to a book, told at the book's own instant.
struct Story {
    book: Book,
    at: Timestamp,
    /// Credits in live grants, and in holds.
    free: Credits,
    held: Credits,
    debt: Credits,
}

impl Story {
    fn new(account: AccountNumber, at: Timestamp) -> Story {
        let (free, held, debt) = (Credits::ZERO, Credits::ZERO, Credits::ZERO);
        Story { book: Book::open(account), at, free, held, debt }
    }

    fn tell(&mut self, what: What) {
        let place = billing::id::Place { account: self.book.account, version: self.book.version + 1 };
        let posted = self.free + self.held - self.debt;
        let after = Balance { posted, held: self.held, accrued: Credits::ZERO, debt: self.debt };
        self.book.apply(&Transaction {
            place,
            at: self.at,
            origin: Origin::default(),
            what,
            after,
            notices: Vec::new(),
        });
    }

    /// A grant as it was made, and what was put back into it beyond that, which holds may have reserved.
    fn granted(&mut self, grant: GrantId, terms: &Arc<Terms>, pots: &Pots) -> Result<(), Malformed> {
        let more = (-pots.spent(terms)).at_least_zero();
        if self.book.would_live(grant, terms, self.at) {
            let free = self.free.checked_add(terms.credits).and_then(|it| it.checked_add(more));
            free.ok_or_else(|| Malformed::not("an amount of credits", "the sum of the grants"))?;
            self.free += terms.credits;
        }
        self.tell(What::Granted { grant, terms: Arc::clone(terms) });
        if more.is_positive() {
            if self.book.would_live(grant, terms, self.at) {
                self.free += more;
            }
            let (owed, reason) = (Credits::ZERO, "put back".into());
            let (lapsed, lost, cause) = (owed, owed, Cause::Refund);
            let withdrawal = Withdrawal { grant, credits: more, lapsed, owed, lost, net: 0, cause, reason };
            self.tell(What::Restored { withdrawal, terms: Arc::clone(terms) });
        }
        Ok(())
    }

    fn held(&mut self, hold: &Hold) {
        for draw in &hold.draws {
            self.held += draw.credits;
            if self.book.grant(draw.grant).is_some_and(|it| it.live_at(self.at)) {
                self.free -= draw.credits;
            }
        }
        let (work, draws) = (Arc::clone(&hold.work), hold.draws.clone());
        let beyond = Credits::ZERO;
        self.tell(What::Held { hold: hold.id, work, draws, expires_at: hold.expires_at, beyond });
        if hold.used.is_some() {
            let (used, expires_at) = (hold.used.clone(), hold.expires_at);
            let none: Vec<Draw> = Vec::new();
            let reserved = hold.credits();
            self.tell(What::Extended { hold: hold.id, draws: none, reserved, used, expires_at, beyond });
        }
    }

    /// What of a grant has expired, and what was spent: for the book it is as if that had been taken back.
    fn used_up(&mut self, grant: GrantId, terms: &Terms, pots: &Pots) {
        let expired = Credits::from_micros(pots.expired);
        let spent = pots.spent(terms).at_least_zero();
        for (credits, what) in [
            (expired, What::Expired { grant, credits: expired }),
            (spent, What::Voided { grant, credits: spent, reason: "spent".into() }),
        ] {
            if credits.is_zero() {
                continue;
            }
            if self.book.would_live(grant, terms, self.at) {
                self.free -= credits;
            }
            self.tell(what);
        }
    }

    fn owes(&mut self, owed: Credits) {
        if owed.is_zero() {
            return;
        }
        self.debt = owed;
        let usage = Usage { meter: "debt".into(), quantities: Vec::new(), dimensions: Vec::new() };
        let work = Work {
            usage,
            price: Price { credits: owed, lines: Vec::new(), rate_card: 0 },
            project: None,
            actor: None,
            resource: None,
            occurred_at: self.at,
            hour: self.at.hour_start(0),
            quote: None,
            metadata: None,
            evidence: None,
            once: None,
        };
        self.tell(What::Charged {
            work: Arc::new(work),
            credits: owed,
            draws: Vec::new(),
            owed,
            closing: None,
            settled: None,
        });
    }
}
