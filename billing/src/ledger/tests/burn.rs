//! Servers in the book: settled exactly, corrected exactly, and the ladder's rungs each once.
use std::string::ToString;
use std::sync::Arc;
use std::vec::Vec;

use proptest::prelude::*;

use super::script::{assert_folds, terms};
use crate::accounting::{Sums, Tally, booked_at};
use crate::id::{AccountNumber, Name};
use crate::ledger::*;
use crate::money::{Credits, Currency, Money};
use crate::payment::Failure;
use crate::refusal::Refusal;
use crate::server::tests::{oracle, tariff, vilnius};
use crate::server::{Change, Phase};
use crate::time::{Span, Timestamp};
use crate::zone::Period;

/// Two days before clocks go back, eight before the month ends.
const BEGIN: Timestamp = Timestamp::from_millis(1_792_717_234_567);

pub struct History {
    pub book: Book,
    pub journal: Vec<Transaction>,
    pub now: Timestamp,
    terms: Arc<BurnTerms>,
}

impl History {
    pub fn new(credits: i64) -> History {
        let grace = Grace { debt_max: Credits::whole(50), ..Grace::default() };
        let terms = Arc::new(BurnTerms { calendar: vilnius(), grace });
        let book = Book::open(AccountNumber::from_random(1));
        let mut history = History { book, journal: Vec::new(), now: BEGIN, terms };
        if credits != 0 {
            history.grant(credits);
        }
        history
    }

    pub fn grant(&mut self, credits: i64) {
        let terms = Terms { credits: Credits::from_micros(credits), effective_at: self.now, ..terms(1) };
        self.ask(&Command::Grant(Arc::new(terms))).unwrap();
    }

    pub fn wait(&mut self, span: Span) {
        self.now = self.now + span;
        self.settle();
    }

    pub fn settle(&mut self) {
        let foreseen = self.book.brought_up_to(self.now).balance(self.now);
        while let Some((command, when)) = self.book.due(self.now) {
            let transaction = self.book.decide(&command, when).expect("what is due is never refused");
            self.post(transaction);
            assert!(self.journal.len() < 100_000, "what is due comes to an end");
        }
        assert_eq!(self.book.balance(self.now), foreseen);
    }

    pub fn ask(&mut self, command: &Command) -> Result<(), Refusal> {
        self.settle();
        let transaction = self.book.decide(command, self.now)?;
        self.post(transaction);
        Ok(())
    }

    fn post(&mut self, transaction: Transaction) {
        self.book.apply(&transaction);
        self.journal.push(transaction);
    }

    pub fn report(&mut self, server: &str, act: ServerAct, ago: Span) -> Result<(), Refusal> {
        let (server, at, terms) = (server.parse().unwrap(), self.now - ago, Some(self.terms.clone()));
        self.ask(&Command::Server(ServerReport { server, act, at, terms }))
    }
    pub fn change(&mut self, server: &str, change: Change) {
        self.report(server, ServerAct::Change(change), Span::default()).unwrap();
    }
    fn budget(&mut self, limit: i64, blocks: bool, period: Period) {
        let scope = BudgetScope { meters: ["server".into()].into(), ..BudgetScope::default() };
        let limit = Credits::from_micros(limit);
        let terms = BudgetTerms { scope, period, limit, blocks, calendar: vilnius() };
        let budget: Name = "b".parse().unwrap();
        self.ask(&Command::SetBudget { budget: budget.clone(), terms: Arc::new(terms) }).unwrap();
        if self.book.budget(&budget).is_some_and(|it| !it.is_counted()) {
            let count = super::script::counting(&self.book, &self.journal, &budget);
            self.ask(&count).unwrap();
        }
    }
    /// 100 credits for 10.00 whenever fewer than `threshold` are available.
    fn topup(&mut self, threshold: Credits, monthly_max: Option<i64>) {
        let price = Money { amount: 1_000, currency: Currency::EUR };
        let rule = Rule { threshold, credits: Credits::whole(100), price, monthly_max, method: None };
        self.ask(&Command::SetTopup { rule: Arc::new(rule), is_on: true, charge_now_max: i64::MAX }).unwrap();
    }
    /// The payment under way comes through, or comes to nothing.
    fn end_topup(&mut self, is_paid: bool) {
        let Some(it) = self.book.topup().and_then(|it| it.under_way.clone()) else { return };
        let failed = Command::FailTopup { payment: it.payment, failure: Failure::Declined, is_over: true };
        let payment = Some(it.payment.to_string().as_str().into());
        let paid = Terms { payment, effective_at: self.now, credits: it.credits, ..terms(1) };
        self.ask(&if is_paid { Command::Grant(Arc::new(paid)) } else { failed }).unwrap();
    }
    fn topups_started(&self) -> Vec<&Transaction> {
        let is_one = |it: &&Transaction| matches!(it.what, What::Topup(TopupChange::Started { .. }));
        self.journal.iter().filter(is_one).collect()
    }
    pub fn run(&mut self, server: &str, tier: usize) {
        self.report(server, ServerAct::Provision { project: None, tariff: tariff(tier, 1) }, Span::default()).unwrap();
        self.change(server, Change::Start(tariff(tier, 1)));
    }

    fn notices(&self) -> Vec<&Notice> {
        self.journal.iter().flat_map(|it| &it.notices).collect()
    }

    /// What was charged and given back for a server.
    pub fn charged(&self, server: &Name) -> Credits {
        let sum = |it: &Transaction| match &it.what {
            What::Charged { credits, settled: Some(settled), .. } if settled.server == *server => *credits,
            What::Reversed(it) if it.settled.as_ref().is_some_and(|it| it.server == *server) => -it.credits,
            _ => Credits::ZERO,
        };
        self.journal.iter().map(sum).sum()
    }
}

/// Whoever books by months never has to go back: in the order of the journal they only follow one another.
#[track_caller]
fn assert_booked_in_order(journal: &[Transaction]) {
    assert!(journal.iter().map(|it| vilnius().around(Period::Month, booked_at(it)).0).is_sorted());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is reported, however late, and whenever it is settled: what was charged is what the facts come to.
    #[test]
    fn what_is_charged_is_what_the_facts_come_to(
        steps in prop::collection::vec((0..3_usize, 0..9_u8, 0..4_usize, 0..30_000_000_i64, 0..90_000_000_i64), 1..30),
        credits in prop_oneof![Just(1_000_000_000_000_i64), 1..3_000_000_000_i64],
        budget in (1..2_000_000_000_i64, any::<bool>(), 0..4_usize, 0..30_usize),
        topup in prop::option::of((0..3_000_000_000_i64, prop::option::of(1_000..9_000_i64), any::<bool>())),
    ) {
        let mut history = History::new(credits);
        if let Some((threshold, most, _)) = topup {
            history.topup(Credits::from_micros(threshold), most);
        }
        let (limit, blocks, period, set_after) = budget;
        for (number, (which, kind, tier, wait, ago)) in steps.into_iter().enumerate() {
            if number == set_after {
                history.budget(limit, blocks, Period::ALL[period]);
            }
            let server = ["a", "b", "c"][which];
            let change = match kind {
                0 | 1 => None,
                2 | 3 => Some(Change::Start(tariff(tier, 1))),
                4 | 5 => Some(Change::Stop),
                6 => Some(Change::Resize(tariff(tier, 1))),
                7 => Some(Change::Prices(tariff(tier, 2))),
                _ => Some(if tier == 0 { Change::Fail } else { Change::Release }),
            };
            let provision = ServerAct::Provision { project: None, tariff: tariff(tier, 1) };
            let act = change.map_or(provision, ServerAct::Change);
            let ago = if ago < 50_000_000 { 0 } else { ago };
            let _ = history.report(server, act, Span::from_millis(ago));
            history.wait(Span::from_millis(wait));
            history.end_topup(topup.is_some_and(|it| it.2));
        }
        assert_folds(&history.journal, &history.book);
        assert_booked_in_order(&history.journal);
        for server in history.book.servers().iter() {
            let expected = oracle(&server.base.tariff, &server.facts, history.now, &vilnius());
            let unsettled = server.unsettled(history.now, &vilnius());
            prop_assert!(server.pending.is_empty());
            prop_assert!(history.book.debt() <= Credits::whole(50), "no account is below its floor");
            prop_assert_eq!(history.charged(&server.id) + server.beyond + unsettled, expected, "{:?}", server.facts);
            prop_assert_eq!(server.set_up + server.runtime, history.charged(&server.id));
        }
        // The run-out foretold is the run-out that comes.
        if let Some(runs_out_at) = history.book.runs_out_at(history.now)
            && runs_out_at < history.now + Span::DAY.times(20)
            && history.now < runs_out_at
        {
            let just_before = runs_out_at - Span::from_millis(1);
            prop_assert!(history.book.brought_up_to(just_before).balance(just_before).available().is_positive());
            prop_assert!(history.book.brought_up_to(runs_out_at).balance(runs_out_at).available() <= Credits::ZERO);
        }
    }
}

#[test]
fn what_one_server_will_start_on_is_promised_to_no_other() {
    let least = tariff(0, 1).least();
    let mut history = History::new(least.micros() + least.micros() / 2);
    let order = |history: &mut History, server: &str| {
        history.report(server, ServerAct::Provision { project: None, tariff: tariff(0, 1) }, Span::default())
    };
    order(&mut history, "a").unwrap();
    let available = history.book.balance(history.now).available();
    let refused = Refusal::InsufficientCredits { required: least + least, available };
    assert_eq!(order(&mut history, "b"), Err(refused.clone()));
    // A grant for other work is none of theirs; one for servers is.
    let scope = |meter: &str| Scope { meters: [meter.into()].into(), projects: Vec::new() };
    let grant = |history: &mut History, meter: &str| {
        let terms = Terms { scope: scope(meter), credits: least, effective_at: history.now, ..terms(1) };
        history.ask(&Command::Grant(Arc::new(terms))).unwrap();
    };
    grant(&mut history, "chat");
    assert_eq!(order(&mut history, "b"), Err(refused));
    grant(&mut history, "server");
    order(&mut history, "b").unwrap();
    assert!(order(&mut history, "c").is_err());
    // What never comes up costs nothing, and another may have what it would have cost.
    history.change("a", Change::Fail);
    order(&mut history, "c").unwrap();
    // What is handed over is told and not asked, and its set-up is bespoken no more but used.
    history.change("c", Change::Start(tariff(0, 1)));
    history.wait(Span::SECOND);
    history.change("c", Change::Stop);
    assert!(order(&mut history, "d").is_err());
    let start = ServerAct::Change(Change::Start(tariff(0, 1)));
    history.report("c", start, Span::default()).unwrap();
    history.change("b", Change::Start(tariff(0, 1)));
    history.wait(Span::MINUTE);
    assert_eq!(history.book.debt(), Credits::ZERO);
    assert_folds(&history.journal, &history.book);
}

#[test]
fn what_one_server_will_start_on_is_of_no_other_ones_budget() {
    let least = tariff(0, 1).least();
    let mut history = History::new(least.micros() * 100);
    let order = |history: &mut History, server: &str, project: &str| {
        let project = Some(project.parse().unwrap());
        history.report(server, ServerAct::Provision { project, tariff: tariff(0, 1) }, Span::default())
    };
    // One was ordered before anybody set a budget, and is reserved for all the same; one of another project is not.
    order(&mut history, "a", "p").unwrap();
    order(&mut history, "else", "q").unwrap();
    let scope = BudgetScope { project: Some("p".parse().unwrap()), ..BudgetScope::default() };
    let limit = least + least + Credits::from_micros(1);
    let terms = BudgetTerms { scope, period: Period::Month, limit, blocks: true, calendar: vilnius() };
    let budget: Name = "b".parse().unwrap();
    history.ask(&Command::SetBudget { budget: budget.clone(), terms: Arc::new(terms) }).unwrap();
    history.ask(&super::script::counting(&history.book, &history.journal, &budget)).unwrap();
    order(&mut history, "b", "p").unwrap();
    let refused = Refusal::BudgetExceeded {
        budget: budget.clone(),
        limit,
        used: Credits::ZERO,
        reserved: least + least,
        required: least,
        resets_at: Some(vilnius().around(Period::Month, history.now).1),
    };
    assert_eq!(order(&mut history, "c", "p"), Err(refused));
    order(&mut history, "other", "q").unwrap();
    // What never comes up costs nothing. What has started has used it, and is reserved no more beside that.
    history.change("a", Change::Fail);
    order(&mut history, "c", "p").unwrap();
    history.change("b", Change::Start(tariff(0, 1)));
    history.wait(Span::MINUTE);
    history.change("b", Change::Stop);
    let Err(Refusal::BudgetExceeded { reserved, .. }) = order(&mut history, "d", "p") else {
        panic!("there is room for two")
    };
    assert_eq!(reserved, least);
    // One that stands still may not start again on what another was promised.
    let start = ServerAct::Change(Change::Start(tariff(0, 1)));
    assert!(matches!(history.report("b", start.clone(), Span::default()), Err(Refusal::BudgetExceeded { .. })));
    history.change("c", Change::Fail);
    history.report("b", start, Span::default()).unwrap();
    assert_folds(&history.journal, &history.book);
}

#[test]
fn each_rung_is_told_once_and_again_after_recovery() {
    // Business burns about 12.35 credits an hour; enough for eight days.
    let mut history = History::new(12_345_677 * 24 * 8 + 12_345_677 * 70);
    history.run("vm", 1);
    history.wait(Span::DAY.times(9));
    let kinds = |history: &History| {
        let name = |it: &Notice| match it {
            Notice::RunwayLow { rung, .. } => rung.as_str(),
            Notice::RunwayRecovered { .. } => "longer again",
            Notice::Exhausted { .. } => "zero",
            Notice::StopDue { .. } => "stop",
            Notice::ReleaseDue { .. } => "release",
            Notice::Recovered { servers } => {
                if servers.is_empty() {
                    "recovered"
                } else {
                    "resume"
                }
            }
            Notice::BudgetReached { .. } | Notice::BudgetStop { .. } | Notice::BudgetResume { .. } => "of a budget",
        };
        history.notices().into_iter().map(name).collect::<Vec<_>>()
    };
    // The debt came to 50 credits before 72 hours were over.
    assert_eq!(kinds(&history), ["7d", "3d", "24h", "zero", "stop"]);
    let Refusal::InsufficientCredits { .. } = history
        .ask(&Command::Charge(Spend {
            work: Arc::new(super::script::work("chat", 1, history.now)),
            debt_max: Credits::ZERO,
        }))
        .unwrap_err()
    else {
        panic!("new work is refused")
    };
    history.wait(Span::DAY.times(8));
    assert_eq!(kinds(&history)[5..], ["release"]);
    // A top-up that does not pay the debt resumes nothing; the next first pays it.
    history.grant(1_000_000);
    history.wait(Span::HOUR);
    assert_eq!(kinds(&history).len(), 6);
    history.grant(100_000_000_000);
    history.wait(Span::HOUR.times(2));
    assert_eq!(kinds(&history)[6..], ["resume", "longer again"]);
    assert_eq!(history.book.debt(), Credits::ZERO);
    history.change("vm", Change::Stop);
    history.wait(Span::DAY.times(400));
    assert_eq!(kinds(&history).len(), 8, "a stopped server uses nothing");
    assert_folds(&history.journal, &history.book);
}

#[test]
fn a_late_stop_gives_back_to_the_grant_it_came_from() {
    let mut history = History::new(2_000_000_000_000);
    history.run("vm", 0);
    history.wait(Span::HOUR.times(5));
    let after_five = history.book.balance(history.now).available();
    history.wait(Span::HOUR.times(20));
    history.report("vm", ServerAct::Change(Change::Stop), Span::HOUR.times(20)).unwrap();
    assert_eq!(history.book.balance(history.now).available(), after_five, "right at once");
    history.settle();
    let balance = history.book.balance(history.now);
    assert_eq!((balance.available(), balance.accrued), (after_five, Credits::ZERO), "and still when it is written");
    assert_eq!(history.book.grants().len(), 1);
    assert_eq!(history.book.server(&"vm".parse().unwrap()).unwrap().run.phase, Phase::Stopped);
    // Every hour too many is an entry of its own, in its own hour.
    let hours: Vec<_> =
        history.journal.iter().filter(|it| matches!(it.what, What::Reversed(_))).filter_map(|it| it.usage()).collect();
    assert_eq!(hours.len(), 20);
    assert_folds(&history.journal, &history.book);
}

/// However many grants paid for it, time that was not used goes back to those very grants, and none of it for nothing.
#[test]
fn a_late_stop_gives_back_to_every_grant_it_came_from() {
    let mut history = History::new(870_000_000);
    history.run("vm", 1);
    for _ in 0..300 {
        history.grant(13_000_000);
        history.wait(Span::HOUR);
    }
    let drawn = history.book.server(&"vm".parse().unwrap()).unwrap().drawn.clone();
    assert!(250 < drawn.len());
    let sources: std::collections::BTreeSet<_> = drawn.iter().map(|it| it.grant.as_ref().map(|it| it.0)).collect();
    assert_eq!(sources.len(), drawn.len(), "one of a grant");
    history.report("vm", ServerAct::Change(Change::Stop), Span::HOUR.times(298)).unwrap();
    history.settle();
    let reversals = history.journal.iter().filter_map(|it| match &it.what {
        What::Reversed(it) => Some(it),
        _ => None,
    });
    assert!(298 <= reversals.clone().count() && reversals.into_iter().all(|it| it.regranted.is_none()));
    assert_folds(&history.journal, &history.book);
}

/// The cap was reached, so an hour with a restart in it cost nothing. A stop long before it, told late, makes room
/// under the cap: less of that hour is counted, and it costs something.
#[test]
fn a_correction_that_takes_time_back_and_charges_for_what_is_left_does_both() {
    let mut history = History::new(2_000_000_000_000);
    let minutes = |number: i64| Span::MINUTE.times(number);
    history.run("vm", 0);
    // 75 hours are the cap.
    history.wait(minutes(85 * 60 + 25));
    history.change("vm", Change::Stop);
    history.wait(minutes(10));
    history.change("vm", Change::Start(tariff(0, 1)));
    history.wait(minutes(4 * 60));
    history.report("vm", ServerAct::Change(Change::Stop), minutes(19 * 60)).unwrap();
    history.wait(minutes(60));
    let id: Name = "vm".parse().unwrap();
    let server = history.book.server(&id).unwrap();
    let due = oracle(&server.base.tariff, &server.facts, history.now, &vilnius());
    assert_eq!(history.charged(&id) + server.unsettled(history.now, &vilnius()), due);
    let back = |it: &&Transaction| matches!(&it.what, What::Reversed(it) if it.credits.is_zero());
    assert!(history.journal.iter().any(|it| back(&it)), "time that cost nothing was taken back");
    assert_folds(&history.journal, &history.book);
}

/// Two ways into a period in which a budget that stopped servers has no room either: none may be due for ever.
#[test]
fn a_period_that_begins_without_room_ends_the_stop_of_the_one_before() {
    let resumed =
        |history: &History| history.notices().iter().filter(|it| matches!(it, Notice::BudgetResume { .. })).count();
    // A budget of nothing, under a server that has cost something today.
    let mut history = History::new(1_000_000_000_000);
    history.run("vm", 0);
    history.wait(Span::HOUR);
    history.budget(0, true, Period::Day);
    history.change("vm", Change::Stop);
    history.wait(Span::DAY.times(2));
    assert_eq!(resumed(&history), 1);
    assert_folds(&history.journal, &history.book);
    // A server that runs on has used the next one up as soon as it has begun: it is told so again, and not that it may.
    let mut history = History::new(1_000_000_000_000);
    history.run("vm", 0);
    history.wait(Span::HOUR);
    history.budget(0, true, Period::Day);
    history.wait(Span::DAY.times(3));
    let stops = history.notices().iter().filter(|it| matches!(it, Notice::BudgetStop { .. })).count();
    assert!(3 <= stops, "once a day: {stops}");
    assert_folds(&history.journal, &history.book);
}

/// Set anew, a budget that has stopped servers says that they may resume only once it has shown that it has room.
#[test]
fn a_budget_that_is_counted_anew_resumes_servers_only_where_it_has_room() {
    let resumed =
        |history: &History| history.notices().iter().filter(|it| matches!(it, Notice::BudgetResume { .. })).count();
    let stopped = || {
        let mut history = History::new(1_000_000_000_000);
        history.run("vm", 0);
        history.wait(Span::HOUR);
        history.budget(1, true, Period::Day);
        history.change("vm", Change::Stop);
        assert!(history.book.budgets()[0].stop_until.is_some());
        history
    };
    // A month that is used up as its day was: it stays so until the month ends.
    let mut history = stopped();
    history.budget(1, true, Period::Month);
    assert_eq!(resumed(&history), 0);
    history.wait(Span::DAY.times(3));
    assert_eq!(resumed(&history), 0);
    history.wait(Span::DAY.times(6));
    assert_eq!(resumed(&history), 1);
    assert_folds(&history.journal, &history.book);
    // Nobody counts it until long after its day: it is not due meanwhile, and says so when it is counted.
    let mut history = stopped();
    let mut terms = (*history.book.budgets()[0].terms).clone();
    terms.scope = BudgetScope::default();
    let budget: Name = "b".parse().unwrap();
    history.ask(&Command::SetBudget { budget: budget.clone(), terms: Arc::new(terms) }).unwrap();
    history.wait(Span::DAY.times(2));
    assert_eq!(resumed(&history), 0);
    history.ask(&super::script::counting(&history.book, &history.journal, &budget)).unwrap();
    assert_eq!(resumed(&history), 1);
    assert_folds(&history.journal, &history.book);
    // One that only notifies keeps nobody stopped, whatever it has used.
    let mut history = stopped();
    history.budget(1, false, Period::Month);
    assert_eq!(resumed(&history), 1);
    assert_folds(&history.journal, &history.book);
}

/// What is settled as a month ends is of that month, whatever else happens at that instant; all else is of the next.
#[test]
fn a_month_ends_with_what_is_left_after_its_last_hour() {
    let mut history = History::new(2_000_000_000_000);
    history.run("a", 0);
    history.run("b", 1);
    let end = vilnius().around(Period::Month, history.now).1;
    let passing = Terms { effective_at: history.now, expires_at: end, ..terms(1_000_000_000_000) };
    history.ask(&Command::Grant(Arc::new(passing))).unwrap();
    history.wait(Span::from_millis(end.millis() - history.now.millis()));
    let work = Arc::new(super::script::work("chat", 1_000_000, end));
    history.ask(&Command::Charge(Spend { work, debt_max: Credits::ZERO })).unwrap();
    history.wait(Span::HOUR.times(3));
    assert_booked_in_order(&history.journal);
    let (mut tally, mut sums) = (Tally::default(), Sums::default());
    for transaction in history.journal.iter().take_while(|it| booked_at(it) < end) {
        sums.add(&tally.count(transaction, &mut |_| None));
    }
    let due = |id: &str| {
        let server = history.book.server(&id.parse().unwrap()).unwrap();
        oracle(&server.base.tariff, &server.facts, end, &vilnius())
    };
    let used = ["a", "b"].map(due).into_iter().sum::<Credits>();
    let of_servers = sums.of(&LedgerAccount::Usage("server".into()));
    assert_eq!(of_servers, used.into());
    assert!(sums.of(&LedgerAccount::Breakage).is_zero(), "it expires in the next month");
    assert!(sums.of(&LedgerAccount::Usage("chat".into())).is_zero(), "and so is what was charged as it began");
    assert_eq!(sums.outstanding(), (Credits::from_micros(3_000_000_000_000) - used).into());
}

/// What servers use is bought for when it takes what is available below the threshold, and not when it is written down.
#[test]
fn a_top_up_is_started_at_the_instant_at_which_servers_cross_the_threshold() {
    let mut history = History::new(1_000_000_000);
    // Set up for 864.19739, then 12.345677 an hour or so: 5.8 credits are half an hour.
    history.run("vm", 1);
    history.settle();
    let threshold = Credits::whole(130);
    history.topup(threshold, Some(1_000));
    let before = history.book.clone();
    history.wait(Span::HOUR.times(3));
    let [started] = history.topups_started()[..] else { panic!("one is under way at a time") };
    let started_at = started.at;
    assert!(started.after.available() < threshold);
    let just_before = started_at - Span::from_millis(1);
    assert!(threshold <= before.brought_up_to(just_before).balance(just_before).available());
    assert!(started_at < vilnius().next_hour(before.at), "before the hour is over");
    // The maximum is reached by it: the next one is of the next month, and its very beginning.
    history.end_topup(true);
    let next_month = vilnius().around(Period::Month, history.now).1;
    history.wait(Span::DAY.times(12));
    let starts: Vec<Timestamp> = history.topups_started().iter().map(|it| it.at).collect();
    assert_eq!(starts, [started_at, next_month]);
    assert_folds(&history.journal, &history.book);
}

/// A grant pays for server time up to its last moment: an expiry takes only what was not used.
#[test]
fn what_servers_used_while_a_grant_lived_is_paid_from_it() {
    let mut history = History::new(0);
    let expires_at = history.now + Span::MINUTE.times(90);
    let passing = Terms { effective_at: history.now, expires_at, ..terms(1_000_000_000) };
    history.ask(&Command::Grant(Arc::new(passing))).unwrap();
    history.run("vm", 0);
    history.wait(Span::DAY);
    // Set up, and an hour and a half at 4.000001, but for what a second costs.
    let used = tariff(0, 1).set_up + Credits::from_micros(4_000_001 * 3 / 2);
    let expired: Vec<Credits> = history
        .journal
        .iter()
        .filter_map(|it| if let What::Expired { credits, .. } = it.what { Some(credits) } else { None })
        .collect();
    assert_eq!(expired.len(), 1);
    let lost = expired[0] - (Credits::from_micros(1_000_000_000) - used);
    assert!((-1..1_200).contains(&lost.micros()), "{lost}");
    assert_folds(&history.journal, &history.book);
}

/// New prices come while a server runs on as it was; that it did not may still be told.
#[test]
fn late_reports_overtake_new_prices() {
    let before = |ago: i64| Span::SECOND.times(ago);
    for (change, phase, tier) in [
        (Change::Release, Phase::Released, "entry-level"),
        (Change::Fail, Phase::Failed, "entry-level"),
        (Change::Resize(tariff(1, 1)), Phase::Running, "business"),
    ] {
        let mut history = History::new(1_000_000_000_000);
        history.run("vm", 0);
        history.wait(Span::HOUR);
        history.report("vm", ServerAct::Change(Change::Prices(tariff(0, 2))), before(2)).unwrap();
        history.report("vm", ServerAct::Change(change), before(4)).unwrap();
        history.wait(Span::HOUR);
        let server = history.book.server(&"vm".parse().unwrap()).unwrap();
        assert_eq!((server.run.phase, &*server.run.tariff.tier, server.facts.len()), (phase, tier, 3));
        // So that whoever looks for old prices finds it.
        assert_eq!(server.run.tariff.rate_card, 1);
        let due = oracle(&server.base.tariff, &server.facts, history.now, &vilnius());
        assert_eq!(history.charged(&server.id) + server.unsettled(history.now, &vilnius()), due);
        assert_folds(&history.journal, &history.book);
    }
}

/// Credits that are not for servers keep none of them running, and none from being told to stop.
#[test]
fn servers_run_out_of_what_they_may_be_paid_from() {
    let mut history = History::new(300_000_000);
    let scope = Scope { meters: ["ai_chat".into()].into(), ..Scope::default() };
    let chats = Terms { scope, effective_at: history.now, ..terms(10_000_000_000) };
    history.ask(&Command::Grant(Arc::new(chats.clone()))).unwrap();
    history.run("vm", 0);
    history.wait(Span::DAY.times(3));
    let exhausted = |it: &&&Notice| matches!(it, Notice::Exhausted { .. });
    assert_eq!(history.notices().iter().filter(exhausted).count(), 1);
    // More of the same is no recovery.
    history.ask(&Command::Grant(Arc::new(chats))).unwrap();
    history.wait(Span::DAY.times(3));
    let recovered = history.notices().iter().any(|it| matches!(it, Notice::Recovered { .. }));
    assert!(!recovered && history.notices().iter().any(|it| matches!(it, Notice::StopDue { .. })));
    assert_folds(&history.journal, &history.book);
}

/// What servers have used is not there to be spent, though nothing was drawn for it yet.
#[test]
fn a_charge_finds_what_servers_have_used_gone() {
    let mut history = History::new(1_000_000_000);
    history.run("vm", 0);
    history.wait(Span::MINUTE.times(30));
    let balance = history.book.balance(history.now);
    assert!(balance.accrued.is_positive());
    let charge = |credits: Credits| {
        let work = Arc::new(super::script::work("ai_chat", credits.micros(), history.now));
        history.book.decide(&Command::Charge(Spend { work, debt_max: Credits::ZERO }), history.now)
    };
    let (required, available) = (balance.posted, balance.available());
    assert_eq!(charge(required).unwrap_err(), Refusal::InsufficientCredits { required, available });
    assert!(charge(available).is_ok());
}

/// A budget of servers is passed by none of them in silence: the very instant is written down, and they are to stop.
#[test]
fn a_budget_that_blocks_stops_its_servers_for_the_rest_of_its_period() {
    let mut history = History::new(1_000_000_000_000);
    // Two servers at 12.345677 for 3 599 s, set up for 864.19739 each.
    history.budget(1_800_000_000, true, Period::Month);
    history.run("a", 1);
    history.run("b", 1);
    history.wait(Span::HOUR.times(4));
    let stop = |it: &Transaction| it.notices.iter().any(|it| matches!(it, Notice::BudgetStop { .. }));
    let stopped = history.journal.iter().find(|it| stop(it)).expect("they are to stop");
    // 1 800 less two set-ups is 71.60522, at 24.6913... for 3 599 s: in the third hour, not at its end.
    let used = |at: Timestamp| {
        let own = history.journal.iter().filter(|it| it.at <= at).filter_map(Transaction::usage);
        own.map(|(_, it)| it.credits).sum::<Credits>()
    };
    assert!(Credits::whole(1_800) <= used(stopped.at));
    let before = Timestamp::from_millis(stopped.at.millis() - 1);
    assert!(used(before) < Credits::whole(1_800));
    assert_ne!(stopped.at, vilnius().hour_start(stopped.at), "not at the end of an hour");
    let Refusal::BudgetExceeded { required, .. } =
        history.report("c", ServerAct::Provision { project: None, tariff: tariff(1, 1) }, Span::default()).unwrap_err()
    else {
        panic!("no new server on it")
    };
    assert!(required.is_positive());
    // What runs on is counted all the same, and told no more than once.
    history.wait(Span::DAY);
    assert_eq!(history.journal.iter().filter(|it| stop(it)).count(), 1);
    assert!(Credits::whole(1_800) < history.book.budgets()[0].used(history.now));
    // A new month has room again.
    history.wait(Span::DAY.times(8));
    let resume = |it: &&Notice| matches!(it, Notice::BudgetResume { servers, .. } if servers.len() == 2);
    assert_eq!(history.notices().into_iter().filter(resume).count(), 1);
    assert_folds(&history.journal, &history.book);
}

/// What runs on below the floor is shown and not charged; taken back, it gives nothing back that was not paid.
#[test]
fn nobody_is_charged_beyond_the_debt_floor() {
    let mut history = History::new(900_000_000);
    history.run("vm", 1);
    history.wait(Span::HOUR.times(48));
    let floor = Credits::whole(50);
    assert_eq!(history.book.debt(), floor, "35.8 credits and 50 of debt are used up within seven hours");
    let id: Name = "vm".parse().unwrap();
    let server = history.book.server(&id).unwrap();
    assert_eq!(history.charged(&id), Credits::from_micros(900_000_000) + floor);
    assert_eq!(server.set_up + server.runtime, history.charged(&id));
    assert!(Credits::whole(400) < server.beyond);
    let line = |it: &Transaction| match &it.what {
        What::Charged { work, credits, .. } => {
            let lines = &work.price.lines;
            assert_eq!(lines.iter().map(|it| it.credits).sum::<Credits>(), *credits);
            lines.iter().any(|it| &*it.item == "Beyond the debt floor")
        }
        _ => false,
    };
    assert!(40 < history.journal.iter().filter(|it| line(it)).count());
    // It stopped after two hours, says the platform at last: the rest is given back as far as it was paid.
    history.report("vm", ServerAct::Change(Change::Stop), Span::HOUR.times(46)).unwrap();
    history.settle();
    let server = history.book.server(&id).unwrap();
    assert_eq!(server.beyond, Credits::ZERO);
    assert_eq!(history.charged(&id), oracle(&server.base.tariff, &server.facts, history.now, &vilnius()));
    assert_eq!(history.book.debt(), Credits::ZERO);
    assert_folds(&history.journal, &history.book);
}
