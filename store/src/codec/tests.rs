//! What is written reads back equal: every kind of transaction, any book a history can lead to, any usage.
use std::sync::Arc;

use billing::id::{AccountNumber, ChargeId, GrantId, HoldId, Name, PaymentId, Place};
use billing::ledger::*;
use billing::money::{Credits, Currency, Money};
use billing::payment::Failure;
use billing::rating::{Price, PriceLine, Text, Usage};
use billing::server::{Change, PartKind, Tariff};
use billing::time::{Span, Timestamp};
use billing::usage::{UsageKey, UsageSum};
use billing::zone::{Calendar, Period};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

// Strategies that are made of many are boxed: unoptimised and by value they overflow a test's stack.

fn text() -> impl Strategy<Value = Text> {
    "\\PC{0,12}|[\"\\\\\n\t\u{0}a]{0,6}".prop_map(Text::from)
}
fn name() -> impl Strategy<Value = Name> {
    "[A-Za-z0-9._:@-]{1,20}".prop_map(|it| it.parse().unwrap())
}
fn instant() -> impl Strategy<Value = Timestamp> {
    (0..1_i64 << 43).prop_map(Timestamp::from_millis)
}
fn credits() -> impl Strategy<Value = Credits> {
    prop_oneof![Just(0), 0..100_i64, any::<i64>()].prop_map(Credits::from_micros)
}
fn place() -> impl Strategy<Value = Place> {
    (any::<u64>(), 1..1_u64 << 36).prop_map(|(it, version)| Place { account: AccountNumber::from_random(it), version })
}
fn grant() -> impl Strategy<Value = GrantId> {
    (instant(), place()).prop_map(|(at, place)| GrantId::new(at, place))
}
fn hold() -> impl Strategy<Value = HoldId> {
    (instant(), place()).prop_map(|(at, place)| HoldId::new(at, place))
}
fn draws() -> BoxedStrategy<Vec<Draw>> {
    let pot = prop_oneof![Just(Pot::Free), Just(Pot::Held), Just(Pot::Expired)];
    vec((grant(), credits(), pot).prop_map(|(grant, credits, pot)| Draw { grant, credits, pot }), 0..4).boxed()
}

fn price() -> BoxedStrategy<Price> {
    let line = (text(), any::<u64>(), text(), credits(), any::<u64>(), credits()).prop_map(
        |(item, quantity, unit, unit_price, per, credits)| PriceLine { item, quantity, unit, unit_price, per, credits },
    );
    (credits(), vec(line, 0..4), any::<u32>())
        .prop_map(|(credits, lines, rate_card)| Price { credits, lines, rate_card })
        .boxed()
}
fn work() -> BoxedStrategy<Arc<Work>> {
    let usage = (text(), vec((text(), any::<u64>()), 0..3), vec((text(), text()), 0..3))
        .prop_map(|(meter, quantities, dimensions)| Usage { meter, quantities, dimensions });
    let names = (option::of(name()), option::of(name()), option::of(name()));
    let texts = (option::of(text()), option::of(text()), option::of(text()), option::of(text()));
    let minutes = prop_oneof![3 => Just(0), 1 => Just(30), 1 => Just(45)];
    (usage, price(), names, texts, instant(), minutes)
        .prop_map(|(usage, price, names, texts, occurred_at, minutes)| {
            let (project, actor, resource) = names;
            let (quote, metadata, evidence, once) = texts;
            let hour = occurred_at.hour_start(minutes);
            Arc::new(Work {
                usage,
                price,
                project,
                actor,
                resource,
                occurred_at,
                hour,
                quote,
                metadata,
                evidence,
                once,
            })
        })
        .boxed()
}
fn terms() -> BoxedStrategy<Arc<Terms>> {
    let cost = (any::<i64>(), prop_oneof![Just(Currency::EUR), Just(Currency::USD)]);
    let scope = (vec(text(), 0..3), vec(name(), 0..3)).prop_map(|(meters, projects)| Scope { meters, projects });
    let times = (instant(), prop_oneof![Just(Timestamp::NEVER), instant()]);
    let source = (0..Source::ALL.len()).prop_map(|it| Source::ALL[it]);
    let paid = (option::of(cost), any::<Option<i64>>(), option::of(text()));
    (source, credits(), times, any::<u8>(), scope, paid, text())
        .prop_map(|(source, credits, (effective_at, expires_at), priority, scope, (cost, charged, payment), reason)| {
            let cost = cost.map(|(amount, currency)| Money { amount, currency });
            Arc::new(Terms {
                source,
                credits,
                effective_at,
                expires_at,
                priority,
                scope,
                cost,
                charged,
                payment,
                reason,
            })
        })
        .boxed()
}

fn end() -> impl Strategy<Value = HoldEnd> {
    prop_oneof![Just(HoldEnd::Captured), Just(HoldEnd::Released), Just(HoldEnd::Expired)]
}
fn charged() -> BoxedStrategy<What> {
    let closing = (hold(), end(), draws(), credits()).prop_map(|(hold, end, released, shortfall)| Closing {
        hold,
        end,
        released,
        shortfall,
    });
    (work(), credits(), draws(), credits(), option::of(closing), option::of(settled()))
        .prop_map(|(work, credits, draws, owed, closing, settled)| What::Charged {
            work,
            credits,
            draws,
            owed,
            closing,
            settled,
        })
        .boxed()
}
fn reversed() -> BoxedStrategy<What> {
    let charge = (instant(), place()).prop_map(|(at, place)| ChargeId::new(at, place));
    let grants = (vec((grant(), terms()), 0..3), option::of((grant(), terms())));
    let amounts = (credits(), credits(), credits());
    let unlost = vec((grant(), credits()), 0..3);
    (charge, work(), amounts, draws(), grants, (text(), option::of(settled()), unlost))
        .prop_map(|(charge, work, amounts, draws, grants, (reason, settled, unlost))| {
            let ((credits, forgiven, total), (reopened, regranted)) = (amounts, grants);
            // By hand, or because of facts.
            let of_server = settled.clone().filter(|_| credits.micros() % 2 == 0).map(|it| (it.server, it.kind));
            What::Reversed(Reversal {
                charge,
                work,
                credits,
                draws,
                reopened,
                unlost,
                forgiven,
                regranted,
                total,
                reason,
                settled: settled.filter(|_| of_server.is_none()),
                of_server,
            })
        })
        .boxed()
}
fn withdrawal() -> BoxedStrategy<Withdrawal> {
    let cause = prop_oneof![Just(Cause::Refund), Just(Cause::Dispute)];
    (grant(), credits(), (credits(), credits(), any::<bool>()), 0..i64::MAX, (cause, text()))
        .prop_map(|(grant, credits, (lapsed, owed, is_lost), net, (cause, reason))| {
            let lost = if is_lost { owed } else { Credits::ZERO };
            Withdrawal { grant, credits, lapsed, owed, lost, net, cause, reason }
        })
        .boxed()
}
fn money() -> impl Strategy<Value = Money> {
    (1..i64::MAX, prop_oneof![Just(Currency::EUR), Just(Currency::USD)])
        .prop_map(|(amount, currency)| Money { amount, currency })
}
fn topup() -> BoxedStrategy<TopupChange> {
    let payment = || (instant(), place()).prop_map(|(at, place)| PaymentId::new(at, place));
    let failure = (0..Failure::ALL.len()).prop_map(|it| Failure::ALL[it]);
    let rule = (credits(), 1..i64::MAX, money(), option::of(any::<i64>()), option::of(text()));
    prop_oneof![
        (rule, any::<bool>()).prop_map(|((threshold, credits, price, monthly_max, method), is_on)| {
            let credits = Credits::from_micros(credits);
            TopupChange::Set { rule: Arc::new(Rule { threshold, credits, price, monthly_max, method }), is_on }
        }),
        (payment(), credits(), money(), option::of(text()))
            .prop_map(|(payment, credits, total, method)| TopupChange::Started { payment, credits, total, method }),
        (payment(), failure, any::<bool>()).prop_map(|(payment, failure, is_over)| TopupChange::Failed {
            payment,
            failure,
            is_over
        }),
    ]
    .boxed()
}
fn settled() -> impl Strategy<Value = Settled> {
    let kind = prop_oneof![Just(PartKind::SetUp), Just(PartKind::Runtime)];
    (name(), kind, option::of(instant()), credits()).prop_map(|(server, kind, until, beyond)| Settled {
        server,
        kind,
        until,
        beyond,
    })
}
fn tariff() -> BoxedStrategy<Arc<Tariff>> {
    let amount = || (0..=Credits::MAX.micros()).prop_map(Credits::from_micros);
    (text(), option::of(text()), any::<u32>(), (amount(), amount(), option::of(amount())), 1..u64::MAX, 0..1_000_u64)
        .prop_map(|(tier, region, rate_card, (set_up, price, monthly_cap), per_seconds, seconds)| {
            let (minimum_seconds, commitment_seconds) = (seconds, seconds * 9);
            Arc::new(Tariff {
                tier,
                region,
                rate_card,
                set_up,
                price,
                per_seconds,
                minimum_seconds,
                commitment_seconds,
                monthly_cap,
            })
        })
        .boxed()
}
fn burn_terms() -> BoxedStrategy<Arc<BurnTerms>> {
    let spans = [0..1_i64 << 40, 0..1_i64 << 40, 0..1_i64 << 40].prop_map(|it| it.map(Span::from_millis));
    let runway = prop_oneof![Just(Grace::RUNWAY), spans];
    let grace = (0..1_i64 << 40, credits(), 0..1_i64 << 40, runway).prop_map(|(lasts, debt_max, later, runway)| {
        Grace { lasts: Span::from_millis(lasts), debt_max, release_after: Span::from_millis(later), runway }
    });
    let changes = vec((instant(), -90_000..90_000_i32), 1..5);
    (changes, grace)
        .prop_map(|(mut changes, grace)| {
            changes.sort();
            changes.dedup_by_key(|it| it.0);
            let calendar = Calendar::new(changes).unwrap();
            Arc::new(BurnTerms { calendar, grace })
        })
        .boxed()
}
fn report() -> BoxedStrategy<ServerReport> {
    let act = (0..7_u8, tariff(), option::of(name())).prop_map(|(kind, tariff, project)| match kind {
        0 => ServerAct::Provision { project, tariff },
        1 => ServerAct::Change(Change::Start(tariff)),
        2 => ServerAct::Change(Change::Stop),
        3 => ServerAct::Change(Change::Resize(tariff)),
        4 => ServerAct::Change(Change::Release),
        5 => ServerAct::Change(Change::Prices(tariff)),
        _ => ServerAct::Change(Change::Fail),
    });
    (name(), act, instant(), option::of(burn_terms()))
        .prop_map(|(server, act, at, terms)| ServerReport { server, act, at, terms })
        .boxed()
}
fn budget() -> BoxedStrategy<BudgetChange> {
    let scope = (option::of(name()), option::of(name()), vec(text(), 0..3), vec(text(), 0..3))
        .prop_map(|(project, actor, meters, except)| BudgetScope { project, actor, meters, except });
    let limit = (0..=Credits::MAX.micros()).prop_map(Credits::from_micros);
    let period = (0..Period::ALL.len()).prop_map(|it| Period::ALL[it]);
    let terms = (scope, period, limit, any::<bool>(), burn_terms()).prop_map(|(scope, period, limit, blocks, it)| {
        Arc::new(BudgetTerms { scope, period, limit, blocks, calendar: it.calendar.clone() })
    });
    prop_oneof![
        (name(), terms).prop_map(|(budget, terms)| BudgetChange::Set { budget, terms }),
        (name(), any::<u64>(), vec((instant(), credits()), 0..4))
            .prop_map(|(budget, since, used)| BudgetChange::Counted { budget, since, used }),
        name().prop_map(|budget| BudgetChange::Deleted { budget }),
    ]
    .boxed()
}
fn notice() -> BoxedStrategy<Notice> {
    let servers = || vec(name(), 0..3);
    let rung = (0..4_usize).prop_map(|it| Rung::ALL[it]).boxed();
    prop_oneof![
        (rung.clone(), instant()).prop_map(|(rung, runs_out_at)| Notice::RunwayLow { rung, runs_out_at }),
        rung.prop_map(|rung| Notice::RunwayRecovered { rung }),
        (instant(), credits()).prop_map(|(grace_until, debt_max)| Notice::Exhausted { grace_until, debt_max }),
        servers().prop_map(|servers| Notice::StopDue { servers }),
        servers().prop_map(|servers| Notice::ReleaseDue { servers }),
        servers().prop_map(|servers| Notice::Recovered { servers }),
        (name(), 0..101_u8, credits(), credits(), instant(), instant()).prop_map(
            |(budget, percent, used, limit, start, next)| Notice::BudgetReached {
                budget,
                percent,
                used,
                limit,
                start,
                next
            }
        ),
        (name(), servers()).prop_map(|(budget, servers)| Notice::BudgetStop { budget, servers }),
        (name(), servers()).prop_map(|(budget, servers)| Notice::BudgetResume { budget, servers }),
    ]
    .boxed()
}
/// Every variant there is: a new one does not compile until it stands here.
fn what() -> BoxedStrategy<What> {
    let stands_below = |what: &What| match what {
        What::Granted { .. } | What::Repaid { .. } | What::Charged { .. } | What::Held { .. } => {}
        What::Extended { .. } | What::Released { .. } | What::Reversed(_) | What::Voided { .. } => {}
        What::Expired { .. } | What::Closed | What::Frozen { .. } => {}
        What::Withdrawn(_) | What::Restored { .. } | What::Topup(_) => {}
        What::Server(_) | What::BurnTerms(_) | What::Budget(_) | What::Noticed => {}
    };
    prop_oneof![
        (grant(), terms()).prop_map(|(grant, terms)| What::Granted { grant, terms }),
        (grant(), credits(), prop_oneof![Just(Credits::ZERO), credits()], option::of((grant(), terms())))
            .prop_map(|(grant, credits, unlost, regranted)| What::Repaid { grant, credits, unlost, regranted }),
        charged(),
        (hold(), work(), small_draws(), instant(), credits()).prop_map(|(hold, work, draws, expires_at, beyond)| {
            What::Held { hold, work, draws, expires_at, beyond }
        }),
        (hold(), small_draws(), credits(), option::of(work()), instant(), credits()).prop_map(
            |(hold, draws, reserved, used, expires_at, beyond)| What::Extended {
                hold,
                draws,
                reserved,
                used,
                expires_at,
                beyond
            }
        ),
        (hold(), small_draws(), end()).prop_map(|(hold, draws, end)| What::Released { hold, draws, end }),
        reversed(),
        (grant(), credits(), text()).prop_map(|(grant, credits, reason)| What::Voided { grant, credits, reason }),
        (grant(), credits()).prop_map(|(grant, credits)| What::Expired { grant, credits }),
        Just(What::Closed),
        withdrawal().prop_map(What::Withdrawn),
        (withdrawal(), terms()).prop_map(|(withdrawal, terms)| What::Restored { withdrawal, terms }),
        (grant(), any::<bool>(), option::of(instant())).prop_map(|(grant, is_frozen, expires_at)| What::Frozen {
            grant,
            is_frozen,
            expires_at
        }),
        topup().prop_map(What::Topup),
        report().prop_map(What::Server),
        burn_terms().prop_map(What::BurnTerms),
        budget().prop_map(What::Budget),
        Just(What::Noticed),
    ]
    .prop_map(move |it| {
        stands_below(&it);
        it
    })
    .boxed()
}
/// Draws that can be added up, where a column has their sum.
fn small_draws() -> BoxedStrategy<Vec<Draw>> {
    draws()
        .prop_map(|mut draws| {
            draws.iter_mut().for_each(|it| it.credits = Credits::from_micros(it.credits.micros() % (1 << 50)));
            draws
        })
        .boxed()
}

fn transaction() -> BoxedStrategy<Transaction> {
    let origin = (option::of(text()), any::<u128>(), option::of(text())).prop_map(|(key, request, by)| Origin {
        key,
        request,
        by,
    });
    let after = (credits(), credits(), credits(), credits()).prop_map(|(posted, held, accrued, debt)| Balance {
        posted,
        held,
        accrued,
        debt,
    });
    (place(), instant(), origin, what(), after, vec(notice(), 0..3))
        .prop_map(|(place, at, origin, what, after, notices)| Transaction { place, at, origin, what, after, notices })
        .boxed()
}

/// With everything written out, or with numbers for rates and shapes.
fn write_and_read(transaction: &Transaction, is_numbered: bool) -> Transaction {
    let columns = Columns::of(transaction);
    let mut numbered = Numbered::default();
    let (mut rates, mut shape) = (Vec::new(), None);
    if let Some(work) = work_in(transaction).filter(|_| is_numbered) {
        let mut number = |it: &PriceLine| numbered.number(it).or_else(|| numbered.lacks(it).map(|it| numbered.add(it)));
        rates = work.price.lines.iter().map(&mut number).collect();
        let met = &mut Met::default();
        assert_eq!(numbered.shape_of(&work.usage, met), Ok(None));
        let mut told = Json::new();
        write_shape(&mut told, &numbered.shape_of(&work.usage, met).unwrap_err());
        shape = Some(numbered.add_shape(read_shape(told.as_str()).unwrap()));
        assert_eq!(numbered.shape_of(&work.usage, met), Ok(shape));
    }
    let mut body = Json::new();
    write_body(&mut body, transaction, &columns, Numbers { rates: &rates, shape });
    let row = Row {
        place: transaction.place,
        at: transaction.at,
        kind: columns.kind,
        credits: columns.credits,
        meter: columns.meter.map(|it| &**it),
        origin: transaction.origin.clone(),
        body: body.as_str(),
        numbered: Some(&numbered),
    };
    read_transaction(row).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_transaction_reads_as_it_was_written(transaction in transaction(), is_numbered: bool) {
        prop_assert_eq!(write_and_read(&transaction, is_numbered), transaction);
    }

    #[test]
    fn an_hour_of_usage_reads_as_it_was_written(rows in vec((
        (text(), option::of(name()), option::of(name()), option::of(text()), option::of(name())),
        (credits(), any::<u64>(), vec((text(), any::<u64>()), 0..3)),
    ), 0..5)) {
        let hour = Timestamp::from_millis(3_600_000);
        let rows: Vec<(UsageKey, UsageSum)> = rows.into_iter().map(|(key, (credits, count, quantities))| {
            let (meter, project, server, model, actor) = key;
            (UsageKey { hour, meter, project, server, model, actor }, UsageSum { credits, count, quantities })
        }).collect();
        let mut json = Json::new();
        write_usage(&mut json, &rows);
        prop_assert_eq!(read_usage(json.as_str(), hour).unwrap(), rows);
    }

    #[test]
    fn damaged_texts_are_malformed_and_never_a_panic(
        transaction in transaction(),
        at in any::<usize>(),
        with in any::<char>(),
    ) {
        let columns = Columns::of(&transaction);
        let mut body = Json::new();
        write_body(&mut body, &transaction, &columns, Numbers::NONE);
        let mut damaged: Vec<char> = body.as_str().chars().collect();
        let place = at % damaged.len();
        damaged[place] = with;
        let damaged: String = damaged.into_iter().collect();
        let Transaction { place, at, origin, .. } = transaction.clone();
        let kind = columns.kind;
        let (credits, meter, body, numbered) = (0, None, &*damaged, None);
        let _ = read_transaction(Row { place, at, kind, credits, meter, origin, body, numbered });
        let _ = read_book(&damaged, place.account, 1);
        let _ = read_usage(&damaged, at);
    }

    #[test]
    fn a_book_reads_as_it_was_written(steps in vec((0..25_u8, 1..500_i64, 1..400_i64), 1..60)) {
        let mut book = Book::open(AccountNumber::from_random(5));
        let mut now = Timestamp::from_millis(1_795_000_000_000);
        for (kind, amount, minutes) in steps {
            now = now + Span::MINUTE.times(minutes);
            while let Some((command, when)) = book.due(now) {
                let transaction = book.decide(&command, when).unwrap();
                book.apply(&transaction);
            }
            if let Some(command) = command(&book, kind, amount, now)
                && let Ok(transaction) = book.decide(&command, now)
            {
                book.apply(&transaction);
            }
            let mut json = Json::new();
            write_book(&mut json, &book);
            prop_assert_eq!(read_book(json.as_str(), book.account, book.version).unwrap(), book.clone());
        }
    }
}

/// A refund that took what was spent and failed puts that back too; and then the work is reversed.
#[test]
fn a_book_with_more_of_a_grant_than_it_was_made_with_reads_as_it_was_written() {
    let mut book = Book::open(AccountNumber::from_random(5));
    let now = Timestamp::from_millis(1_795_000_000_000);
    // Granted 300, put back 80; held and not.
    for (kind, amount) in [(0, 100), (24, 80), (4, 350)] {
        let asked = command(&book, kind, amount, now).unwrap();
        let transaction = book.decide(&asked, now).unwrap();
        book.apply(&transaction);
    }
    assert_eq!(book.grants()[0].held.micros(), 350);
    let mut json = Json::new();
    write_book(&mut json, &book);
    assert_eq!(read_book(json.as_str(), book.account, book.version).unwrap(), book);
}

fn command(book: &Book, kind: u8, amount: i64, now: Timestamp) -> Option<Command> {
    let credits = Credits::from_micros(amount);
    let work = |occurred_at: Timestamp| {
        let usage = Usage { meter: "chat".into(), ..Usage::default() };
        let price = Price { credits, lines: Vec::new(), rate_card: 1 };
        let (hour, project) = (occurred_at.hour_start(0), None);
        let (actor, resource, quote, metadata, evidence, once) = (None, None, None, None, None, None);
        Arc::new(Work { usage, price, project, actor, resource, occurred_at, hour, quote, metadata, evidence, once })
    };
    let hold = book.holds().first().map(|it| it.id);
    Some(match kind {
        0 | 1 => Command::Grant(Arc::new(Terms {
            source: Source::Promo,
            credits: Credits::from_micros(amount * 3),
            effective_at: now,
            expires_at: if kind == 0 { Timestamp::NEVER } else { now + Span::MINUTE.times(amount) },
            priority: if amount % 3 == 0 { 1 } else { Terms::PRIORITY },
            scope: Scope {
                meters: if amount % 5 == 0 { vec!["chat".into()] } else { Vec::new() },
                projects: Vec::new(),
            },
            cost: None,
            charged: None,
            payment: None,
            reason: "test".into(),
        })),
        2 => Command::Charge(Spend { work: work(now), debt_max: Credits::ZERO }),
        3 => Command::Charge(Spend { work: work(now - Span::HOUR.times(3)), debt_max: Credits::from_micros(200) }),
        4 | 5 => Command::Hold { work: work(now), credits, expires_at: now + Span::MINUTE.times(amount * 2) },
        6 => Command::Extend { hold: hold?, more: credits, used: Some(work(now)), expires_at: None },
        13..=17 => Command::Server(server_report(kind, amount, now)),
        7 => Command::Capture(Captured { hold: hold?, work: work(now), over: Over::ToLimit }),
        8 if amount < 3 => Command::Close,
        9 => {
            let grant = book.grants().first()?;
            Command::Freeze { grant: grant.id, is_frozen: amount % 2 == 0, expires_at: grant.terms.expires_at }
        }
        10 => {
            let cause = if amount % 2 == 0 { Cause::Refund } else { Cause::Dispute };
            let grant = book.grants().first()?.id;
            // What somebody took at the provider is owed as well.
            let owed = if cause == Cause::Dispute || amount % 4 == 0 { credits } else { Credits::ZERO };
            Command::Withdraw(Withdrawal { owed, ..withdrawal_of(grant, credits, (amount, cause)) })
        }
        11 => {
            let price = Money { amount: 7, currency: Currency::EUR };
            let monthly_max = Some(amount + 7).filter(|it| it % 3 == 0);
            let rule = Arc::new(Rule { threshold: credits, credits, price, monthly_max, method: None });
            Command::SetTopup { rule, is_on: amount % 5 != 0, charge_now_max: i64::MAX }
        }
        12 => {
            let payment = book.topup()?.under_way.as_ref()?.payment;
            let failure = if amount % 2 == 0 { Failure::Declined } else { Failure::AuthenticationRequired };
            Command::FailTopup { payment, failure, is_over: amount % 2 == 0 }
        }
        19 | 20 => Command::SetBudget {
            budget: ["b", "c"][usize::from(amount % 2 == 0)].parse().unwrap(),
            terms: Arc::new(BudgetTerms {
                scope: BudgetScope {
                    meters: if amount % 3 == 0 { vec!["chat".into()] } else { Vec::new() },
                    ..BudgetScope::default()
                },
                period: Period::ALL[usize::try_from(amount % 4).unwrap()],
                limit: Credits::from_micros(amount * 4),
                blocks: amount % 5 < 3,
                calendar: Calendar::default(),
            }),
        },
        21 | 22 => {
            let budget = book.budgets().iter().find(|it| !it.is_counted())?;
            let since = budget.counting_since?;
            Command::CountBudget { budget: budget.id.clone(), since, used: vec![(now, Credits::from_micros(amount))] }
        }
        24 => {
            let (grant, terms) = book.grants().first().map(|it| (it.id, Arc::clone(&it.terms)))?;
            Command::Restore { withdrawal: withdrawal_of(grant, credits, (amount, Cause::Refund)), terms }
        }
        23 if amount < 50 => Command::DeleteBudget { budget: book.budgets().first()?.id.clone() },
        _ => Command::Release { hold: hold? },
    })
}

fn withdrawal_of(grant: GrantId, credits: Credits, (net, cause): (i64, Cause)) -> Withdrawal {
    let (lapsed, owed, lost) = (Credits::ZERO, Credits::ZERO, Credits::ZERO);
    Withdrawal { grant, credits, lapsed, owed, lost, net, cause, reason: "test".into() }
}

fn server_report(kind: u8, amount: i64, at: Timestamp) -> ServerReport {
    let tariff = Arc::new(Tariff {
        tier: "entry-level".into(),
        region: None,
        rate_card: 1,
        set_up: Credits::from_micros(5),
        price: Credits::from_micros(amount % 50),
        per_seconds: 3_600,
        minimum_seconds: 60,
        commitment_seconds: 0,
        monthly_cap: (amount % 2 == 0).then_some(Credits::from_micros(400)),
    });
    let act = match kind {
        13 => ServerAct::Provision { project: None, tariff },
        14 | 15 => ServerAct::Change(Change::Start(tariff)),
        16 => ServerAct::Change(Change::Stop),
        _ if amount % 4 < 2 => ServerAct::Change(Change::Resize(tariff)),
        _ => ServerAct::Change(Change::Prices(Arc::new(Tariff { rate_card: 2, ..(*tariff).clone() }))),
    };
    let server = ["a", "b"][usize::from(amount % 3 == 0)].parse().unwrap();
    ServerReport { server, act, at, terms: Some(Arc::new(BurnTerms::default())) }
}
