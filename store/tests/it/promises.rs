//! What every store promises: a function a promise, each on every store.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use billing::id::{Name, Place};
use billing::ledger::{BurnTerms, Command, ServerAct, ServerReport, What};
use billing::money::{Credits, Currency};
use billing::server::{self, Tariff};
use billing::time::Timestamp;
use store::{
    Account, ApiKey, Audit, CardRecord, Change, CommitError, Document, Kinds, NameHash, Project, QuoteRecord, Reply,
    Store, verify,
};

use crate::homes::homes;
use crate::make::{Desk, account, minute};
use crate::town::{Random, Town};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn registered(number: u64, id: &str) -> Account {
    Account {
        number: account(number),
        id: name(id),
        created_at: minute(0),
        name: Some("It's \"Ltd\"".into()),
        email: None,
        currency: Currency::EUR,
        timezone: "Europe/Berlin".into(),
        address: Some("{\"city\":\"Köln\"}".into()),
        tax_id: None,
        closed_at: None,
    }
}

fn register(number: u64, id: &str, fingerprints: &[[u8; 32]]) -> Change {
    Change::Register { account: registered(number, id), fingerprints: fingerprints.to_vec() }
}

fn changed(was: &Account, account: &Account) -> Change {
    Change::Account { was: Box::new(was.clone()), account: account.clone() }
}

#[test]
fn a_transaction_that_does_not_follow_is_stale() {
    for home in homes() {
        let store = home.open();
        let (mut first, mut second) = (Desk::new(1), Desk::new(1));
        let skipped = first.grant(10, minute(0));
        let third = first.grant(10, minute(1));
        assert!(matches!(store.commit(std::slice::from_ref(&third)), Err(CommitError::Stale)), "a version is missing");
        store.commit(std::slice::from_ref(&skipped)).unwrap();
        assert!(matches!(store.commit(&[skipped]), Err(CommitError::Stale)), "it is there already");
        assert!(matches!(store.commit(&[second.grant(7, minute(2))]), Err(CommitError::Stale)), "another was first");
        store.commit(&[third]).unwrap();
        assert_eq!(store.transactions(account(1), u64::MAX, 9).unwrap().len(), 2);
    }
}

#[test]
fn a_commit_does_all_of_its_changes_or_none() {
    for home in homes() {
        let store = home.open();
        let (mut good, mut bad) = (Desk::new(1), Desk::new(2));
        store.commit(&[register(9, "taken", &[])]).unwrap();
        let _skipped = bad.grant(1, minute(0));
        let changes = [good.grant(5, minute(0)), register(3, "new", &[]), bad.grant(1, minute(1))];
        assert!(matches!(store.commit(&changes), Err(CommitError::Stale)));
        let changes = [changes[0].clone(), changes[1].clone(), register(4, "taken", &[])];
        assert!(matches!(store.commit(&changes), Err(CommitError::Repeated)));
        assert_eq!(store.recall(&[], &[account(1)]).unwrap().books, [None]);
        assert_eq!(store.journal_length().unwrap(), 0);
        assert_eq!(store.account(&name("new")).unwrap(), None);
        store.commit(&changes[..2]).unwrap();
        assert_eq!(store.recall(&[], &[account(1)]).unwrap().books, [Some(good.book)]);
    }
}

#[test]
fn several_posts_of_one_account_in_one_commit_follow_each_other() {
    for home in homes() {
        let store = home.open();
        let mut desk = Desk::new(1);
        let changes: Vec<Change> = (0..200).map(|it| desk.grant(it + 1, minute(it))).collect();
        store.commit(&changes).unwrap();
        let newest: Vec<_> = desk.posted.iter().rev().cloned().collect();
        assert_eq!(store.transactions(account(1), u64::MAX, 500).unwrap(), newest);
        let mut journal = Vec::new();
        store.journal(50, &mut |sequence, transaction| journal.push((sequence, transaction))).unwrap();
        assert_eq!(journal[0], (51, (*desk.posted[50]).clone()));
        assert_eq!(journal.len(), 150);
    }
}

#[test]
fn an_account_registers_once() {
    for home in homes() {
        let store = home.open();
        let repeated = |change: Change| assert!(matches!(store.commit(&[change]), Err(CommitError::Repeated)));
        store.commit(&[register(1, "acme", &[[1; 32], [2; 32]])]).unwrap();
        repeated(register(2, "acme", &[]));
        repeated(register(1, "other", &[]));
        repeated(register(3, "third", &[[9; 32], [2; 32]]));
        assert_eq!(store.fingerprints_known(&[[1; 32], [9; 32], [2; 32]]).unwrap(), [true, false, true]);
        assert_eq!(store.account(&name("third")).unwrap(), None);
        let later = |fingerprints: &[[u8; 32]]| Change::Fingerprints {
            account: account(1),
            fingerprints: fingerprints.to_vec(),
        };
        repeated(later(&[[3; 32], [2; 32]]));
        assert_eq!(store.fingerprints_known(&[[3; 32]]).unwrap(), [false], "all or none");
        store.commit(&[later(&[[3; 32], [4; 32]])]).unwrap();
        assert_eq!(store.fingerprints_known(&[[3; 32], [4; 32]]).unwrap(), [true, true]);
        let open = registered(1, "acme");
        let closed = Account { closed_at: Some(minute(8)), email: Some("a@example.com".into()), ..open.clone() };
        store.commit(&[changed(&open, &closed), register(5, "zeta", &[]), register(6, "beta", &[])]).unwrap();
        assert_eq!(store.account(&name("acme")).unwrap(), Some(closed.clone()));
        assert_eq!(store.account_numbered(account(1)).unwrap(), Some(closed.clone()));
        let ids = |found: Vec<Account>| found.into_iter().map(|it| it.id.to_string()).collect::<Vec<_>>();
        assert_eq!(ids(store.accounts(None, 2).unwrap()), ["acme", "beta"]);
        assert_eq!(ids(store.accounts(Some(&name("beta")), 9).unwrap()), ["zeta"]);
        let called = |beginning: &str, limit| ids(store.accounts_called(beginning, limit).unwrap());
        assert_eq!(called("A@exa", 9), ["acme"]);
        assert_eq!(called("bet", 9), ["beta"]);
        assert_eq!((called("example", 9), called("xample", 9), called("a", 1).len()), (vec!["acme".into()], vec![], 1));
        let named = Account { name: Some("Ada Žemaitė".into()), email: None, ..closed.clone() };
        store.commit(&[changed(&closed, &named)]).unwrap();
        assert_eq!((called("žem", 9), called("a@", 9)), (vec!["acme".to_owned()], vec![]));
        let stale = |change: Change| assert!(matches!(store.commit(&[change]), Err(CommitError::Stale)));
        let nobody = registered(77, "nobody");
        stale(changed(&nobody, &nobody));
        // A profile that was read before the account was closed does not open it again, nor does any other.
        stale(changed(&open, &open));
        stale(changed(&named, &Account { closed_at: None, ..named.clone() }));
        assert_eq!(store.account(&name("acme")).unwrap(), Some(named));
    }
}

#[test]
fn a_profile_that_was_written_meanwhile_loses_nothing() {
    for home in homes() {
        let store = home.open();
        let read = registered(1, "acme");
        store.commit(&[register(1, "acme", &[])]).unwrap();
        let others: [fn(&mut Account); 7] = [
            |it| it.name = Some("Acme".into()),
            |it| it.email = Some("a@example.com".into()),
            |it| it.currency = Currency::USD,
            |it| it.timezone = "Europe/Vilnius".into(),
            |it| it.address = Some("{}".into()),
            |it| it.tax_id = Some("LT1".into()),
            |it| it.closed_at = Some(minute(9)),
        ];
        let mut stored = read.clone();
        for other in others {
            let mut next = stored.clone();
            other(&mut next);
            store.commit(&[changed(&stored, &next)]).unwrap();
            let late = Account { name: Some("Late".into()), ..read.clone() };
            assert!(matches!(store.commit(&[changed(&stored, &late)]), Err(CommitError::Stale)), "{next:?}");
            assert_eq!(store.account(&name("acme")).unwrap(), Some(next.clone()));
            stored = next;
        }
    }
}

#[test]
fn records_read_as_they_were_written() {
    for home in homes() {
        let store = home.open();
        let project = |id: &str, title: Option<&str>| Project {
            account: account(1),
            id: name(id),
            name: title.map(Into::into),
            created_at: minute(1),
            deleted_at: None,
        };
        let mut gone = project("b", Some("B"));
        store.commit(&[Change::Project(project("b", None)), Change::Project(gone.clone())]).unwrap();
        gone.deleted_at = Some(minute(3));
        store.commit(&[Change::Project(gone.clone()), Change::Project(project("a", None))]).unwrap();
        assert_eq!(store.projects(account(1)).unwrap(), [project("a", None), gone]);
        assert_eq!(store.projects(account(2)).unwrap(), []);
        let card = |version| CardRecord {
            version,
            effective_at: minute(5),
            created_at: minute(4),
            by: "ops".into(),
            document: "{}".into(),
        };
        store.commit(&[Change::RateCard(card(1)), Change::RateCard(card(2))]).unwrap();
        assert!(matches!(store.commit(&[Change::RateCard(card(2))]), Err(CommitError::Stale)));
        assert_eq!(store.rate_cards().unwrap(), [card(1), card(2)]);
        let quote = QuoteRecord { account: account(1), id: "q1".into(), expires_at: minute(9), body: "[]".into() };
        store.commit(&[Change::Quote(quote.clone())]).unwrap();
        assert!(matches!(store.commit(&[Change::Quote(quote.clone())]), Err(CommitError::Repeated)));
        assert_eq!(store.quote(account(1), "q1").unwrap(), Some(quote));
        assert_eq!(store.quote(account(2), "q1").unwrap(), None);
        let reply = Reply { key: NameHash::house_key("r"), request: u128::MAX - 5, status: 201, body: "{}".into() };
        store.commit(&[Change::Reply(reply.clone())]).unwrap();
        assert!(matches!(store.commit(&[Change::Reply(reply.clone())]), Err(CommitError::Repeated)));
        assert_eq!(store.reply(reply.key).unwrap(), Some(reply));
        assert_eq!(store.reply(NameHash::house_key("s")).unwrap(), None);
    }
}

#[test]
fn api_keys_have_names_of_their_own() {
    for home in homes() {
        let store = home.open();
        let key = |id: &str, title: &str| ApiKey {
            id: id.into(),
            name: title.into(),
            hash: [7; 32],
            scopes: vec!["charge".into(), "read".into()],
            created_at: minute(1),
            revoked_at: None,
        };
        store.commit(&[Change::ApiKey(key("key_2", "first")), Change::ApiKey(key("key_1", "second"))]).unwrap();
        assert!(matches!(store.commit(&[Change::ApiKey(key("key_3", "first"))]), Err(CommitError::Repeated)));
        let revoked = ApiKey { revoked_at: Some(minute(2)), ..key("key_2", "first") };
        store.commit(&[Change::ApiKey(revoked.clone())]).unwrap();
        assert_eq!(store.api_keys().unwrap(), [revoked, key("key_1", "second")]);
    }
}

#[test]
fn the_audit_log_is_paged_newest_first() {
    for home in homes() {
        let store = home.open();
        let audit = |number: u32| Audit {
            at: minute(number.into()),
            by: "ops".into(),
            action: "grant.void".into(),
            subject: format!("grant {number}"),
            detail: String::new(),
        };
        store.commit(&[1, 2, 3].map(|it| Change::Audit(audit(it)))).unwrap();
        let page = store.audit(u64::MAX, 2).unwrap();
        assert_eq!(page.iter().map(|(_, it)| it.clone()).collect::<Vec<_>>(), [audit(3), audit(2)]);
        assert_eq!(store.audit(page[1].0, 2).unwrap().len(), 1);
    }
}

#[test]
fn everything_reads_as_a_naive_record_says() {
    for (seed, home) in (1..).zip(homes()) {
        let mut town = Town::new(seed, 60);
        let mut random = Random(seed);
        let mut store = home.open();
        for round in 0..60 {
            let group = 1 + usize::try_from(random.below(90)).unwrap();
            let changes = town.changes(group);
            store.commit(&changes).unwrap();
            if round % 6 == 0 {
                town.record.compare(&*store, &mut random, 4);
            }
            if round % 10 == 9 {
                drop(store);
                store = home.open();
                town.record.compare(&*store, &mut random, 4);
            }
        }
        let report = verify(&*store, &mut |_, _| {}).unwrap();
        assert!(report.is_clean(), "{:?}", report.differences);
        assert_eq!(report.transactions, town.record.journal.len() as u64);
        assert_eq!(report.accounts, town.record.accounts.len() as u64);
    }
}

/// A read sees every commit that returned before it began, whatever is folded meanwhile; and never half of one.
#[test]
fn readers_see_what_was_committed_before_they_began() {
    for home in homes() {
        let store = home.open();
        let (committed, done) = (AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        read_once(&*store, &committed);
                    }
                });
            }
            let mut desks: Vec<Desk> = (1..=20).map(Desk::new).collect();
            let opening: Vec<Change> = desks.iter_mut().map(|it| it.grant(1_000_000, minute(0))).collect();
            store.commit(&opening).unwrap();
            for round in 1..=150 {
                let charge = |it: &mut Desk| it.charge(3, minute(round), Some(&format!("key-{round}")));
                let changes: Vec<Change> = desks.iter_mut().map(charge).collect();
                store.commit(&changes).unwrap();
                committed.store(u64::try_from(round).unwrap(), Ordering::SeqCst);
            }
            done.store(true, Ordering::SeqCst);
        });
    }
}

fn read_once(store: &dyn Store, committed: &AtomicU64) {
    let before = committed.load(Ordering::SeqCst);
    if before == 0 {
        return;
    }
    for number in [1, 11, 20].map(account) {
        let name = NameHash::key(number, &format!("key-{before}"));
        let recalled = store.recall(&[name], &[number]).unwrap();
        assert_eq!(recalled.named, [Some(Place { account: number, version: before + 1 })]);
        assert!(before < recalled.books[0].as_ref().unwrap().version);
        let latest = store.transactions(number, u64::MAX, 3).unwrap();
        assert!(before < latest[0].place.version);
        assert!(latest.windows(2).all(|it| it[0].place.version == it[1].place.version + 1));
        let usage = store.usage(number, minute(-600), Timestamp::NEVER).unwrap();
        let count: u64 = usage.iter().map(|it| it.sum.count).sum();
        let credits: i64 = usage.iter().map(|it| it.sum.credits.micros()).sum();
        assert!(before <= count && count <= committed.load(Ordering::SeqCst) + 1, "{before} <= {count}");
        assert_eq!(credits, i64::try_from(count).unwrap() * 3);
    }
}

fn document(id: &str, version: u64, due_at: Option<Timestamp>) -> Document {
    let body = format!("{{\"state\":\"{version}\"}}");
    Document {
        account: account(1),
        kind: "payment".into(),
        id: id.into(),
        version,
        at: minute(version as i64),
        due_at,
        body,
    }
}

#[test]
fn a_document_goes_from_one_version_to_the_next() {
    for home in homes() {
        let store = home.open();
        store.commit(&[Change::Document(document("b", 1, Some(minute(5))))]).unwrap();
        store.commit(&[Change::Document(document("a", 1, Some(minute(3))))]).unwrap();
        let again = store.commit(&[Change::Document(document("a", 1, None))]);
        assert!(matches!(again, Err(CommitError::Stale)), "it is there already");
        let skipping = store.commit(&[Change::Document(document("a", 3, None))]);
        assert!(matches!(skipping, Err(CommitError::Stale)), "a version is missing");
        let other = Document { account: Document::HOUSE, ..document("c", 1, Some(minute(4))) };
        let refused = store.commit(&[Change::Document(other.clone()), Change::Document(document("a", 1, None))]);
        assert!(matches!(refused, Err(CommitError::Stale)), "all or nothing");
        assert_eq!(store.document(Document::HOUSE, "payment", "c").unwrap(), None);
        store.commit(&[Change::Document(other.clone())]).unwrap();

        let due = |at, limit| -> Vec<String> {
            store.documents_due(Kinds::ALL, at, limit).unwrap().into_iter().map(|it| it.id).collect()
        };
        assert_eq!(due(minute(5), 9), ["a", "c", "b"], "longest due first, of every account");
        assert_eq!(due(minute(5), 2), ["a", "c"]);
        assert_eq!(due(minute(2), 9), [""; 0]);
        let count = |kinds| store.documents_due(kinds, minute(5), 9).unwrap().len();
        assert_eq!(
            (count(Kinds::Of(&["plan", "payment"])), count(Kinds::Of(&["plan"])), count(Kinds::Of(&[]))),
            (3, 0, 0)
        );
        assert_eq!((count(Kinds::But(&["plan"])), count(Kinds::But(&["plan", "payment"]))), (3, 0));
        store.commit(&[Change::Document(document("a", 2, None))]).unwrap();
        assert_eq!(due(minute(5), 9), ["c", "b"], "one at rest is not due");
        let changed = |before, limit| -> Vec<String> {
            store.payments(before, limit).unwrap().into_iter().map(|it| it.id).collect()
        };
        assert_eq!(changed(minute(9), 1), ["a"], "the latest change first, of every account");
        assert_eq!((changed(minute(9), 9).len(), changed(minute(2), 9).len()), (3, 2));

        assert_eq!(store.document(account(1), "payment", "a").unwrap(), Some(document("a", 2, None)));
        assert_eq!(store.document(account(1), "plan", "a").unwrap(), None);
        let listed = store.documents(account(1), "payment", None, 9).unwrap();
        assert_eq!(listed, [document("b", 1, Some(minute(5))), document("a", 2, None)], "newest id first");
        assert_eq!(store.documents(account(1), "payment", Some("b"), 9).unwrap(), [document("a", 2, None)]);
        assert_eq!(store.documents(account(1), "payment", None, 1).unwrap().len(), 1);
    }
}

#[test]
fn of_what_is_due_each_kind_has_its_page() {
    for home in homes() {
        let store = home.open();
        let of = |kind: &str, id: u64, due_at| {
            let kind = kind.to_owned();
            Change::Document(Document { kind, ..document(&format!("{id}"), 1, due_at) })
        };
        let waiting = (1..=5).flat_map(|it| [of("hook a", it, Some(minute(1))), of("hook b", it, Some(minute(9)))]);
        let others = [of("notice", 1, Some(minute(3))), of("notice", 2, Some(minute(2))), of("notice", 3, None)];
        store.commit(&waiting.chain(others).collect::<Vec<_>>()).unwrap();
        let due = |kinds, at, limit| -> Vec<(String, String)> {
            store.documents_due(kinds, at, limit).unwrap().into_iter().map(|it| (it.kind, it.id)).collect()
        };
        let counts = |kinds, at, limit| {
            let found = due(kinds, at, limit);
            ["hook a", "hook b", "notice"].map(|kind| found.iter().filter(|it| it.0 == kind).count())
        };
        assert_eq!(counts(Kinds::ALL, minute(9), 99), [5, 5, 2]);
        assert_eq!(counts(Kinds::ALL, minute(9), 3), [3, 3, 2]);
        assert_eq!(counts(Kinds::ALL, minute(8), 3), [3, 0, 2]);
        assert_eq!(counts(Kinds::But(&["hook a"]), minute(9), 3), [0, 3, 2], "what is passed by takes nobody's place");
        assert_eq!(counts(Kinds::Of(&["notice", "hook b", "plan"]), minute(9), 1), [0, 1, 1]);
        let notices = [("notice".to_owned(), "2".to_owned()), ("notice".to_owned(), "1".to_owned())];
        assert_eq!(due(Kinds::But(&["hook a", "hook b"]), minute(9), 2), notices, "longest due first");
        assert_eq!(due(Kinds::But(&["hook b"]), minute(9), 2)[2..], notices);
    }
}

/// As a ratio of two times that each was measured at its best: nothing else of what a question costs can be told here.
#[test]
fn what_is_due_of_one_kind_costs_nothing_to_who_asks_for_others() {
    const WAITING: u64 = 20_000;
    for home in homes() {
        let store = home.open();
        let waiting = |it: u64| {
            let kind = "delivery to nobody".to_owned();
            let (account, body) = (Document::HOUSE, "x".repeat(200));
            Change::Document(Document { account, kind, body, ..document(&format!("{it}"), 1, Some(minute(1))) })
        };
        let waiting: Vec<Change> = (0..WAITING).map(waiting).collect();
        waiting.chunks(2_000).for_each(|it| store.commit(it).unwrap());
        store.commit(&[Change::Document(document("a", 1, Some(minute(2))))]).unwrap();
        let best = |ask: &dyn Fn() -> usize, expected| {
            let timed = |_| {
                let began = std::time::Instant::now();
                assert_eq!(ask(), expected);
                began.elapsed()
            };
            // A statement's plan may be another once it has been asked a few times.
            (0..8).for_each(|it| _ = timed(it));
            (0..5).map(timed).min().unwrap()
        };
        let ask = |kinds, limit| store.documents_due(kinds, minute(5), limit).unwrap().len();
        let all = best(&|| ask(Kinds::Of(&["delivery to nobody"]), 50_000), 20_000);
        let others = best(&|| ask(Kinds::But(&["delivery to nobody"]), 20), 1);
        let payments = best(&|| ask(Kinds::Of(&["payment", "plan"]), 20), 1);
        assert!(others * 15 < all && payments * 15 < all, "{others:?} and {payments:?}, and all of it {all:?}");
    }
}

#[test]
fn what_is_at_rest_is_found_by_its_age_and_forgotten_as_it_was_read() {
    for home in homes() {
        let store = home.open();
        let other = |kind: &str, id| Document { kind: kind.to_owned(), ..document(id, 1, None) };
        let house = Document { account: Document::HOUSE, at: minute(4), ..document("c", 1, None) };
        let all = [document("a", 1, None), house.clone(), document("due", 1, Some(minute(3))), other("plan", "p")];
        store.commit(&all.map(Change::Document)).unwrap();
        store.commit(&[Change::Document(document("a", 2, None))]).unwrap();
        let at_rest = |before, limit| store.documents_at_rest("payment", before, limit).unwrap();
        assert_eq!(
            at_rest(minute(9), 9),
            [document("a", 2, None), house.clone()],
            "the oldest first, of every account"
        );
        assert_eq!(at_rest(minute(9), 1), [document("a", 2, None)]);
        assert_eq!((at_rest(minute(4), 9), at_rest(minute(2), 9)), (vec![document("a", 2, None)], vec![]));

        // As it was before: somebody has written it since.
        let forget = |it: Document| store.commit(&[Change::Forget(house.clone()), Change::Forget(it)]);
        assert!(matches!(forget(document("a", 1, None)), Err(CommitError::Stale)));
        assert_eq!(at_rest(minute(9), 9).len(), 2, "all or nothing");
        forget(document("a", 2, None)).unwrap();
        assert_eq!(at_rest(minute(9), 9), []);
        assert_eq!(store.document(account(1), "payment", "a").unwrap(), None);
        assert!(matches!(forget(document("a", 2, None)), Err(CommitError::Stale)), "it is gone");
        let next = store.commit(&[Change::Document(document("a", 3, None))]);
        assert!(matches!(next, Err(CommitError::Stale)), "nothing follows from what is forgotten");
        assert_eq!(store.documents(account(1), "payment", None, 9).unwrap(), [document("due", 1, Some(minute(3)))]);
        assert_eq!(store.documents_at_rest("plan", minute(9), 9).unwrap(), [other("plan", "p")]);
        let lasting = ["request", "account_month", "house_month", "utilisation"];
        store.commit(&lasting.map(|it| Change::Document(other(it, "x")))).unwrap();
        let is_kept = |kind: &str| store.documents_at_rest(kind, minute(9), 9).unwrap().is_empty();
        assert!(lasting.into_iter().all(is_kept), "these are kept for ever");
        drop(store);
        assert_eq!(home.open().document(Document::HOUSE, "payment", "c").unwrap(), None);
    }
}

/// A report that comes late takes back what a server was charged: a reversal which no caller asked for, and which is
/// found by no name.
#[test]
fn time_of_a_server_that_is_taken_back_needs_no_name() {
    let terms = Arc::new(BurnTerms::default());
    let report = |act, at| {
        let server = "web-1".parse().unwrap();
        Command::Server(ServerReport { server, act, at, terms: Some(Arc::clone(&terms)) })
    };
    let tariff = |price| {
        let (tier, price) = ("entry".into(), Credits::from_micros(price));
        let (set_up, minimum_seconds, commitment_seconds) = (Credits::ZERO, 0, 0);
        let (region, rate_card, per_seconds, monthly_cap) = (None, 3, 3_600, None);
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
    };
    let mut desk = Desk::new(1);
    let mut changes = vec![desk.grant(1_000_000, minute(0))];
    let provision = ServerAct::Provision { project: None, tariff: tariff(40_000) };
    let start = ServerAct::Change(server::Change::Start(tariff(40_000)));
    let cheaper = Arc::new(Tariff { rate_card: 4, ..(*tariff(10_000)).clone() });
    let prices = ServerAct::Change(server::Change::Prices(cheaper));
    for (act, happened, told) in [(provision, 0, 0), (start, 1, 1), (prices, 60, 300)] {
        changes.push(desk.post(&report(act, minute(happened)), minute(told), None));
        while let Some((command, at)) = desk.book.due(minute(299)) {
            changes.push(desk.post(&command, at, None));
        }
    }
    while let Some((command, at)) = desk.book.due(minute(301)) {
        changes.push(desk.post(&command, at.max(minute(300)), None));
    }
    assert!(desk.posted.iter().any(|it| matches!(it.what, What::Reversed(_))), "{:?}", desk.posted);
    for home in homes() {
        let store = home.open();
        store.commit(&changes).unwrap();
        let report = verify(&*store, &mut |_, _| {}).unwrap();
        assert!(report.is_clean(), "{:?}", report.differences);
    }
}
