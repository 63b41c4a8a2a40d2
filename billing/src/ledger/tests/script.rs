//! The language of the tables: a line is an instant, a command, and what came of it.
//!
//! What time brings about must be said too, by a line `<instant> due <outcome>`: nothing happens unseen. The only
//! place, with `histories`, that touches the ledger's API.
use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec::Vec;
use std::{format, vec};

use crate::accounting::{PaidGrant, Sums, Tally};
use crate::id::{AccountNumber, ChargeId, GrantId, HoldId, Name, PaymentId};
use crate::ledger::*;
use crate::money::{Credits, Currency, Money};
use crate::rating::{Price, Usage};
use crate::refusal::Refusal;
use crate::time::{Span, Timestamp};
use crate::total::TotalCredits;
use crate::zone::{Calendar, Period};

pub fn minute(number: i64) -> Timestamp {
    Timestamp::EPOCH + Span::MINUTE.times(number)
}

pub fn work(meter: &str, credits: i64, occurred_at: Timestamp) -> Work {
    Work {
        usage: Usage { meter: meter.into(), quantities: Vec::new(), dimensions: Vec::new() },
        price: Price { credits: Credits::from_micros(credits), lines: Vec::new(), rate_card: 1 },
        project: None,
        actor: None,
        resource: None,
        occurred_at,
        hour: occurred_at.hour_start(0),
        quote: None,
        metadata: None,
        evidence: None,
        once: None,
    }
}

pub fn terms(credits: i64) -> Terms {
    Terms {
        source: Source::Promo,
        credits: Credits::from_micros(credits),
        effective_at: Timestamp::EPOCH,
        expires_at: Timestamp::NEVER,
        priority: Terms::PRIORITY,
        scope: Scope::default(),
        cost: None,
        charged: None,
        payment: None,
        reason: "test".into(),
    }
}

/// A withdrawal as it is asked for, of what is unused.
pub fn withdrawal(grant: GrantId, credits: i64, (net, cause): (i64, Cause)) -> Withdrawal {
    let (credits, none) = (Credits::from_micros(credits), Credits::ZERO);
    Withdrawal { grant, credits, lapsed: none, owed: none, lost: none, net, cause, reason: "test".into() }
}

/// The reversal of a charge, made of its journal as the service makes it.
pub fn reversal(journal: &[Transaction], charge: ChargeId, credits: Option<Credits>) -> Reverse {
    let charged = journal.iter().find(|it| it.charge_id() == charge).expect("the charge is in the journal");
    let What::Charged { work, credits: moved, draws, owed, settled, .. } = &charged.what else {
        panic!("not a charge")
    };
    let mut reversed = Credits::ZERO;
    let mut grants = Vec::new();
    for transaction in journal {
        if let What::Reversed(it) = &transaction.what
            && it.charge == charge
            // What facts take back names the server's last charge, and is no reversal of it.
            && it.settled.is_none()
        {
            reversed = it.total;
        }
        grants.extend(transaction.granted().map(|(grant, terms)| (grant, Arc::clone(terms))));
    }
    Reverse {
        charge,
        work: Arc::clone(work),
        charged: *moved,
        reversed,
        draws: draws.clone(),
        owed: *owed,
        grants,
        server: settled.as_ref().map(|it| (it.server.clone(), it.kind)),
        credits,
        reason: "test".into(),
    }
}

/// Runs a script against a fresh book, then folds its journal again and compares.
#[track_caller]
pub fn check(script: &str) {
    let mut run = Run::default();
    for line in script.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let (time, rest) = line.split_once(' ').expect("an instant, a command and its outcome");
        let at = minute(time.parse().expect("an instant"));
        let (asked, outcome) = rest.trim().split_once("->").unwrap_or((rest, ""));
        let words: Vec<&str> = asked.split_whitespace().collect();
        if words[0] == "due" {
            let (command, when) = run.book.due(at).unwrap_or_else(|| panic!("nothing is due: {line}"));
            assert_eq!(run.post(&command, when), outcome.trim(), "{line}");
            continue;
        }
        assert_eq!(run.book.due(at), None, "something is due before: {line}");
        let got = match words[0] {
            "balance" => run.balance(at),
            "counted" => run.counted(words[1]),
            "budget" => run.budget(&words, at),
            _ => {
                let command = run.command(&words, at);
                run.post(&command, at)
            }
        };
        assert_eq!(got, outcome.trim(), "{line}");
    }
    assert_folds(&run.journal, &run.book);
}

/// What was issued is used, expired, voided, gone back or still there; money received is earned, deferred or gone back;
/// also where grants that are over were put aside meanwhile.
#[track_caller]
fn assert_accounted(journal: &[Transaction], book: &Book) {
    let (mut whole, mut sums) = (Tally::default(), Sums::default());
    let (mut carried, mut sums_carried, mut aside) = (Tally::default(), Sums::default(), BTreeMap::new());
    for transaction in journal {
        sums.add(&whole.count(transaction, &mut |_| None));
        sums_carried.add(&carried.count(transaction, &mut |it| aside.get(&it).copied()));
        aside.extend(carried.paid.iter().map(|(id, it)| (*id, *it)));
        carried = carried.carried();
    }
    assert_eq!(sums, sums_carried);
    assert!(sums.ledger.values().copied().sum::<TotalCredits>().is_zero());
    let has: Credits = book.grants().iter().map(|it| it.remaining + it.held).sum();
    assert_eq!(sums.outstanding(), (has - book.debt()).into());
    let gone = |it: &LedgerAccount| {
        use LedgerAccount::{Breakage, Clawback, Refunded, Usage, Voided};
        matches!(it, Usage(_) | Breakage | Voided | Refunded | Clawback)
    };
    let issued: TotalCredits = Source::ALL.into_iter().map(|it| -sums.of(&LedgerAccount::Issuance(it))).sum();
    let spent: TotalCredits = sums.ledger.iter().filter(|(it, _)| gone(it)).map(|(_, credits)| *credits).sum();
    assert_eq!(issued, spent + sums.outstanding());
    for (currency, takings) in &sums.money {
        let of = |amount: fn(&PaidGrant) -> i64| i128::from(whole.paid.values().map(amount).sum::<i64>());
        assert_eq!(takings.received, of(|it| it.cost.amount));
        assert_eq!(takings.refunded + takings.clawed_back, of(|it| it.refunded));
        assert_eq!(takings.deferred(), whole.deferred(*currency));
        assert_eq!(takings.deferred(), carried.deferred(*currency));
    }
}

/// A book equals the fold of its journal, and its entries add up to its balance.
#[track_caller]
pub fn assert_folds(journal: &[Transaction], book: &Book) {
    let mut folded = Book::open(book.account);
    journal.iter().for_each(|it| folded.apply(it));
    assert_eq!(folded, *book);
    assert_counts(journal, book);
    assert_leads(journal, book.account);
    let mut sums: BTreeMap<LedgerAccount, Credits> = BTreeMap::new();
    for entry in journal.iter().flat_map(Transaction::entries) {
        *sums.entry(entry.from).or_default() -= entry.credits;
        *sums.entry(entry.to).or_default() += entry.credits;
    }
    let of = |account: LedgerAccount| sums.get(&account).copied().unwrap_or_default();
    let free: Credits = book.grants().iter().map(|it| it.remaining).sum();
    let held: Credits = book.grants().iter().map(|it| it.held).sum();
    assert_eq!(of(LedgerAccount::Grants), free);
    assert_eq!(of(LedgerAccount::Held), held);
    assert_accounted(journal, book);
    assert_eq!(of(LedgerAccount::Debt), -book.debt());
    assert_eq!(book.holds().iter().map(Hold::credits).sum::<Credits>(), held);
    assert_eq!(sums.values().copied().sum::<Credits>(), Credits::ZERO);
}

/// Each entry leads from one balance to the next: what they come to is what is there, less what is owed; and so the
/// balance, but for what nobody can draw at that instant. Work is charged at its price, whatever paid for it.
fn assert_leads(journal: &[Transaction], account: AccountNumber) {
    let mut book = Book::open(account);
    let mut sum = Credits::ZERO;
    for transaction in journal {
        book.apply(transaction);
        sum += transaction.gain();
        let there: Credits = book.grants().iter().map(|it| it.remaining + it.held).sum();
        assert_eq!(sum, there - book.debt(), "{transaction:?}");
        let asleep = book.grants().iter().filter(|it| !it.live_at(transaction.at));
        assert_eq!(sum - asleep.map(|it| it.remaining).sum(), transaction.after.posted, "{transaction:?}");
        let price = transaction.from_expired() - transaction.gain();
        match &transaction.what {
            What::Charged { credits, .. } => assert_eq!(price, *credits),
            What::Reversed(it) => assert_eq!(price, -it.credits),
            _ => assert_eq!(transaction.from_expired(), Credits::ZERO),
        }
    }
}

struct Run {
    book: Book,
    journal: Vec<Transaction>,
    grants: Vec<(String, GrantId)>,
    holds: Vec<(String, HoldId)>,
    charges: Vec<(String, ChargeId)>,
    payments: Vec<(String, PaymentId)>,
}

impl Default for Run {
    fn default() -> Run {
        let book = Book::open(AccountNumber::from_random(1));
        Run { book, journal: vec![], grants: vec![], holds: vec![], charges: vec![], payments: vec![] }
    }
}

impl Run {
    fn post(&mut self, command: &Command, at: Timestamp) -> String {
        match self.book.decide(command, at) {
            Err(refusal) => refused(&refusal),
            Ok(transaction) => {
                self.book.apply(&transaction);
                self.name_what_was_made(&transaction);
                let outcome = self.outcome(&transaction.what) + &told(&transaction.notices);
                self.journal.push(transaction);
                outcome
            }
        }
    }

    /// Sets a budget, and counts what was used before, as the service does.
    fn budget(&mut self, words: &[&str], at: Timestamp) -> String {
        let named = |name: &str| words.iter().position(|it| *it == name).map(|it| words[it + 1]);
        let scope = BudgetScope {
            project: named("project").map(|it| it.parse().expect("a name")),
            actor: named("actor").map(|it| it.parse().expect("a name")),
            meters: named("meter").map(Into::into).into_iter().collect(),
            except: named("except").map(Into::into).into_iter().collect(),
        };
        let terms = BudgetTerms {
            scope,
            period: Period::ALL.into_iter().find(|it| it.as_str() == words[3]).expect("a period"),
            limit: Credits::from_micros(words[2].parse().expect("a number")),
            blocks: words.contains(&"block"),
            calendar: Calendar::default(),
        };
        let budget: Name = words[1].parse().expect("a name");
        let set = self.post(&Command::SetBudget { budget: budget.clone(), terms: Arc::new(terms) }, at);
        match self.book.budget(&budget).and_then(|it| it.counting_since) {
            Some(_) => self.post(&counting(&self.book, &self.journal, &budget), at),
            None => set,
        }
    }

    fn name_what_was_made(&mut self, transaction: &Transaction) {
        match &transaction.what {
            What::Held { hold, .. } => self.holds.push((format!("h{}", self.holds.len() + 1), *hold)),
            What::Charged { .. } => {
                self.charges.push((format!("c{}", self.charges.len() + 1), transaction.charge_id()));
            }
            What::Topup(TopupChange::Started { payment, .. }) => {
                self.payments.push((format!("p{}", self.payments.len() + 1), *payment));
            }
            _ => {}
        }
        if let Some((grant, _)) = transaction.granted() {
            self.grants.push((format!("g{}", self.grants.len() + 1), grant));
        }
    }

    /// What the accounts say became of a paid grant's credits.
    fn counted(&self, grant: &str) -> String {
        let mut tally = Tally::default();
        self.journal.iter().for_each(|it| drop(tally.count(it, &mut |_| None)));
        let paid = tally.paid[&find(&self.grants, grant)];
        let (used, forfeited, returned) = (paid.used.micros(), paid.forfeited.micros(), paid.returned.micros());
        format!("used {used} forfeited {forfeited} returned {returned}")
    }

    fn balance(&self, at: Timestamp) -> String {
        let Balance { posted, held, debt, .. } = self.book.balance(at);
        let mut text = posted.micros().to_string();
        for (word, credits) in [("held", held), ("debt", debt)] {
            if credits.is_positive() {
                text += &format!(" {word} {}", credits.micros());
            }
        }
        text
    }

    fn command(&self, words: &[&str], at: Timestamp) -> Command {
        let named = |name: &str| words.iter().position(|it| *it == name).map(|it| words[it + 1]);
        let number = |it: &str| it.parse::<i64>().expect("a number");
        let credits = |it: &str| Credits::from_micros(number(it));
        let option = |name: &str| named(name).map(number);
        let planned = |amount: i64| {
            let mut work = work(named("meter").unwrap_or("chat"), amount, option("at").map_or(at, minute));
            work.project = named("project").map(|it| it.parse().expect("a name"));
            work.actor = named("actor").map(|it| it.parse().expect("a name"));
            work.usage.dimensions.extend(named("tree").map(|it| ("tree".into(), it.into())));
            work.once = named("tree").map(|_| "tree".into());
            Arc::new(work)
        };
        let hold = || find(&self.holds, words[1]);
        let expires_at = option("until").map(minute);
        match words[0] {
            "grant" => Command::Grant(Arc::new(Terms {
                effective_at: option("from").map_or(at, minute),
                expires_at: expires_at.unwrap_or(Timestamp::NEVER),
                priority: option("priority").map_or(Terms::PRIORITY, |it| u8::try_from(it).expect("small")),
                scope: Scope {
                    meters: named("meter").map(Into::into).into_iter().collect(),
                    projects: named("project").map(|it| it.parse().expect("a name")).into_iter().collect(),
                },
                cost: option("paid").map(|amount| Money { amount, currency: Currency::EUR }),
                ..terms(number(words[1]))
            })),
            "charge" => Command::Charge(Spend {
                work: planned(number(words[1])),
                debt_max: named("debt").map(credits).unwrap_or_default(),
            }),
            "hold" => Command::Hold {
                work: planned(0),
                credits: credits(words[1]),
                expires_at: expires_at.expect("until when"),
            },
            "extend" => {
                Command::Extend { hold: hold(), more: credits(words[2]), used: option("used").map(planned), expires_at }
            }
            "capture" => {
                let over = if words.contains(&"to_limit") { Over::ToLimit } else { Over::Draw };
                Command::Capture(Captured { hold: hold(), work: planned(number(words[2])), over })
            }
            "release" => Command::Release { hold: hold() },
            "reverse" => {
                let credits = words.get(2).map(|it| credits(it));
                Command::Reverse(reversal(&self.journal, find(&self.charges, words[1]), credits))
            }
            "void" => Command::Void {
                grant: find(&self.grants, words[1]),
                keep: words.get(2).map_or(Credits::ZERO, |it| it.parse().unwrap()),
                reason: "test".into(),
            },
            "unbudget" => Command::DeleteBudget { budget: words[1].parse().expect("a name") },
            "close" => Command::Close,
            "freeze" | "thaw" => {
                let grant = find(&self.grants, words[1]);
                let mut made = self.journal.iter().filter_map(Transaction::granted);
                let expires_at = made.find(|it| it.0 == grant).expect("it was made").1.expires_at;
                Command::Freeze { grant, is_frozen: words[0] == "freeze", expires_at }
            }
            "withdraw" | "restore" => {
                // What a bank or somebody at the provider takes is owed where it is spent.
                let (cause, is_owed) = match words.get(3) {
                    None => (Cause::Refund, false),
                    Some(&"by_hand") => (Cause::Refund, true),
                    Some(cause) => (cause.parse().expect("a cause"), true),
                };
                let withdrawn = withdrawal(find(&self.grants, words[1]), number(words[2]), (0, cause));
                let owed = if is_owed { withdrawn.credits } else { Credits::ZERO };
                let withdrawal = Withdrawal { owed, ..withdrawn };
                let made = self.journal.iter().filter_map(Transaction::granted);
                let terms = Arc::clone(made.clone().find(|it| it.0 == withdrawal.grant).expect("it was made").1);
                if words[0] == "withdraw" {
                    Command::Withdraw(withdrawal)
                } else {
                    Command::Restore { withdrawal, terms }
                }
            }
            "topup" => Command::SetTopup {
                rule: Arc::new(Rule {
                    threshold: credits(words[1]),
                    credits: credits(words[2]),
                    price: Money { amount: option("price").unwrap_or(10), currency: Currency::EUR },
                    monthly_max: option("max"),
                    method: None,
                }),
                is_on: !words.contains(&"off"),
                charge_now_max: match words.iter().find_map(|it| it.strip_prefix("now=")) {
                    Some(most) => most.parse().expect(most),
                    None => {
                        if words.contains(&"now") {
                            i64::MAX
                        } else {
                            0
                        }
                    }
                },
            },
            "fail" => Command::FailTopup {
                payment: find(&self.payments, words[1]),
                failure: words[2].parse().expect("a failure"),
                is_over: !words.contains(&"open"),
            },
            "paid" => Command::Grant(Arc::new(Terms {
                effective_at: at,
                payment: Some(find(&self.payments, words[1]).to_string().as_str().into()),
                charged: words.get(4).map(|it| number(it)),
                ..terms(number(words[2]))
            })),
            other => panic!("not a command: {other}"),
        }
    }

    fn outcome(&self, what: &What) -> String {
        match what {
            What::Granted { .. } | What::Closed | What::Frozen { .. } => "ok".to_string(),
            What::Restored { withdrawal: it, .. } => {
                format!("restored {}:{}", self.grant(it.grant), it.credits.micros())
            }
            What::Withdrawn(it) => {
                let grant = self.grant(it.grant);
                let mut text = format!("withdrawn {grant}:{}", it.credits.micros());
                if !it.lapsed.is_zero() {
                    text += &format!(" expired:{grant}:{}", it.lapsed.micros());
                }
                text += &amount(" owed", it.owed);
                text
            }
            What::Topup(change) => topup(change),
            What::Budget(_) => "ok".to_string(),
            What::Server(_) | What::BurnTerms(_) | What::Noticed => unreachable!("no line asks for it"),
            What::Repaid { grant, credits, regranted, .. } => {
                let regranted = regranted.as_ref().map_or(Credits::ZERO, |(_, terms)| terms.credits);
                format!("repaid {}:{}", self.grant(*grant), credits.micros()) + &amount(" regranted", regranted)
            }
            What::Expired { grant, credits } => format!("expired {}:{}", self.grant(*grant), credits.micros()),
            What::Voided { grant, credits, .. } => format!("voided {}:{}", self.grant(*grant), credits.micros()),
            What::Held { draws, .. } | What::Extended { draws, .. } => format!("held{}", self.draws(draws)),
            What::Released { draws, end, .. } => format!("{end}{}", self.draws(draws)),
            What::Charged { draws, owed, closing, .. } => {
                let mut text = format!("charged{}", self.draws(draws));
                text += &amount(" owed", *owed);
                if let Some(closing) = closing {
                    if !closing.released.is_empty() {
                        text += &format!(" released{}", self.draws(&closing.released));
                    }
                    text += &amount(" short", closing.shortfall);
                }
                text
            }
            What::Reversed(it) => {
                let mut text = format!("reversed{}", self.draws(&it.draws));
                text += &amount(" forgiven", it.forgiven);
                let regranted = it.regranted.as_ref().map_or(Credits::ZERO, |(_, terms)| terms.credits);
                text += &amount(" regranted", regranted);
                text
            }
        }
    }

    fn draws(&self, draws: &[Draw]) -> String {
        let draw = |it: &Draw| {
            let lapsed = if it.pot == Pot::Expired { "expired:" } else { "" };
            format!(" {lapsed}{}:{}", self.grant(it.grant), it.credits.micros())
        };
        draws.iter().map(draw).collect()
    }

    fn grant(&self, id: GrantId) -> &str {
        &self.grants.iter().find(|(_, it)| *it == id).expect("a grant of this run").0
    }
}

fn told(notices: &[Notice]) -> String {
    let one = |it: &Notice| match it {
        Notice::BudgetReached { budget, percent, .. } => format!(" told {budget}:{percent}"),
        other => format!(" {other:?}"),
    };
    notices.iter().map(one).collect()
}

/// The command that counts what a budget used before it was set, made of the journal.
pub fn counting(book: &Book, journal: &[Transaction], budget: &Name) -> Command {
    let found = book.budget(budget).expect("it was set");
    let since = found.counting_since.expect("it is not counted yet");
    let before = journal.iter().filter(|it| it.place.version <= since);
    let used = rolled_up(&found.terms, before).into_iter().collect();
    Command::CountBudget { budget: budget.clone(), since, used }
}

/// What usage comes to in each period of a budget, by the periods' starts.
fn rolled_up<'a>(terms: &BudgetTerms, journal: impl Iterator<Item = &'a Transaction>) -> BTreeMap<Timestamp, Credits> {
    let mut sums = BTreeMap::new();
    for (key, sum) in journal.filter_map(Transaction::usage) {
        if terms.scope.admits(&key.meter, key.project.as_ref(), key.actor.as_ref()) {
            *sums.entry(terms.around(key.hour).0).or_insert(Credits::ZERO) += sum.credits;
        }
    }
    sums
}

/// A budget's counters are the roll-up of its periods, and what it has reserved are the holds.
#[track_caller]
pub fn assert_counts(journal: &[Transaction], book: &Book) {
    for budget in book.budgets().iter().filter(|it| it.is_counted()) {
        let mut sums = rolled_up(&budget.terms, journal.iter());
        for period in &budget.periods {
            assert_eq!(sums.remove(&period.start).unwrap_or_default(), period.used, "{} {period:?}", budget.id);
        }
        for (start, used) in sums {
            let is_kept = book.at < budget.terms.around(start).1 + COUNTED_FOR;
            assert!(!is_kept || used.is_zero(), "{} forgot {used} from {start:?}", budget.id);
        }
        let own = book.holds().iter().filter(|it| budget.terms.scope.admits_work(&it.work));
        assert_eq!(budget.reserved, own.map(Hold::credits).sum(), "{} reserves what its holds do", budget.id);
    }
}

fn topup(change: &TopupChange) -> String {
    match change {
        TopupChange::Set { .. } => "ok".to_string(),
        TopupChange::Started { credits, total, .. } => format!("topup {} for {}", credits.micros(), total.amount),
        TopupChange::Failed { failure, .. } => format!("failed {failure}"),
    }
}

fn amount(word: &str, credits: Credits) -> String {
    if credits.is_zero() { String::new() } else { format!("{word} {}", credits.micros()) }
}

fn find<Id: Copy>(named: &[(String, Id)], name: &str) -> Id {
    named.iter().find(|(it, _)| it == name).unwrap_or_else(|| panic!("no {name} yet")).1
}

fn refused(refusal: &Refusal) -> String {
    match refusal {
        Refusal::InsufficientCredits { required, available } => {
            format!("insufficient_credits {} of {}", available.micros(), required.micros())
        }
        Refusal::ReversalExceedsCharge { left } => format!("reversal_exceeds_charge {}", left.micros()),
        Refusal::WouldChargeNow { credits, total } => {
            format!("would_charge_now {} for {}", credits.micros(), total.amount)
        }
        Refusal::RefundExceedsUnused { left, .. } => format!("refund_exceeds_unused {}", left.micros()),
        Refusal::BudgetExceeded { budget, limit, used, reserved, .. } => {
            format!("budget_exceeded {budget} {}+{} of {}", used.micros(), reserved.micros(), limit.micros())
        }
        Refusal::Invalid { field, .. } => format!("invalid {field}"),
        other => other.code().to_string(),
    }
}
