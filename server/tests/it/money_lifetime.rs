//! Two years of one account on the test clock: a subscription by the month, then by the year, top-ups, cancellations
//! and second thoughts; and the calendar's hard cases. Nothing that was paid for is ever lost.
use billing::money::{Credits, Currency};
use billing::subscription::Every;
use billing::time::{Span, Timestamp};
use server::service::{AccountProfile, Registration, TopupOrder};

use crate::money_town::{Town, ada, since};

fn at(text: &str) -> Timestamp {
    Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

fn zone(town: &Town, name: &str) {
    let profile = AccountProfile { timezone: Some(name.to_owned()), ..AccountProfile::default() };
    town.app.register(&Registration { id: ada(), profile, fingerprints: Vec::new() }, &"test".into()).unwrap();
}

impl Town {
    async fn pass_to(&mut self, instant: Timestamp) {
        let span = since(self.app.now(), instant);
        assert!(Span::default() < span, "time goes forward");
        self.pass(span).await;
    }
    fn period_end(&self) -> Timestamp {
        Timestamp::from_millis(self.app.subscription(&ada()).unwrap().period_end)
    }
    fn available(&self) -> Credits {
        self.app.balance(&ada(), None).unwrap().balance.available()
    }
    /// Renews, and says what day it is then where Ada lives.
    async fn renew(&mut self) {
        let before = self.app.subscription(&ada()).unwrap().index;
        self.pass_period().await;
        self.pass(Span::SECOND).await;
        assert_eq!(self.app.subscription(&ada()).unwrap().index, before + 1, "it renewed");
    }
}

fn run<F: Future<Output = ()>>(story: F) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(story);
}

#[test]
fn one_account_lives_through_two_years_and_loses_nothing() {
    run(async {
        let mut town = Town::new(1, false).await;
        let rule = TopupOrder {
            account: ada(),
            is_on: true,
            // More than is spent at once: what is there is always enough for the next.
            threshold: Credits::whole(1_100),
            credits: Credits::whole(1_000),
            monthly_maximum: None,
            method: None,
            charge_now_max: 0,
            by: "test".into(),
        };
        town.subscribe().await;
        town.app.set_auto_topup(rule).await.unwrap();
        // What was ever given, less what was ever spent, is what is there: each month, whatever else happens.
        let mut spent = Credits::ZERO;
        for month in 0..12 {
            let credits = if month % 3 == 2 { 6_000 } else { 1_200 };
            for part in 0..6 {
                assert!(town.spend(&format!("m{month}-{part}"), credits / 6).await, "never out of credits");
                town.pass(Span::SECOND).await;
                town.pass(Span::SECOND).await;
            }
            spent += Credits::whole(i64::try_from(credits).unwrap());
            if month == 4 {
                town.app.end_subscription(&ada(), true, &"test".into(), None).unwrap();
                town.pass(Span::DAY).await;
                town.app.end_subscription(&ada(), false, &"test".into(), None).unwrap();
            }
            town.renew().await;
        }
        // The yearly plan begins when the month that is paid for ends; and then it is a year.
        town.change_to("yearly").await;
        let end = town.period_end();
        town.pass_period().await;
        town.pass(Span::SECOND).await;
        let subscription = town.app.subscription(&ada()).unwrap();
        assert_eq!((&*subscription.plan.id, subscription.index), ("yearly", 0));
        assert_eq!(subscription.period_start, end.millis());
        let days = (subscription.period_end - subscription.period_start) / Span::DAY.millis();
        assert!((365..=366).contains(&days), "{days}");
        // It ends with its year, and everything stays.
        town.app.end_subscription(&ada(), true, &"test".into(), None).unwrap();
        let before = town.available();
        town.pass_period().await;
        assert_eq!(town.app.subscription(&ada()).unwrap().state(), billing::subscription::State::Canceled);
        assert_eq!(town.available(), before, "credits survive the end of what they came with");
        let given: Credits = town.app.grants(&ada(), None, 500).unwrap().iter().map(|it| it.terms.credits).sum();
        // The welcome for servers has expired, whole.
        let expired = Credits::whole(400);
        assert_eq!(before, given - expired - spent, "given, less what was spent");
        let paid = town.app.payments(&ada(), None, 500).unwrap();
        assert!(14 < paid.len() && paid.iter().all(|it| it.payment.status().as_str() == "succeeded"));
        let (charged, refunded, disputed) = town.totals();
        assert_eq!((charged, refunded, disputed), (paid.iter().map(|it| it.payment.total()).sum(), 0, 0));
    });
}

#[test]
fn periods_begin_when_the_customers_calendar_says() {
    // Where, when it is subscribed, what happens on the way, and when the periods after it begin.
    struct Case(&'static str, &'static str, &'static [&'static str]);
    run(async {
        for Case(place, start, ends) in [
            // The 31st is the last of each month, and no month drifts.
            Case(
                "UTC",
                "2027-08-31T10:00:00Z",
                &["2027-09-30T10:00:00Z", "2027-10-31T10:00:00Z", "2027-11-30T10:00:00Z"],
            ),
            // From a 29 February to the last of February, and back in a leap year.
            Case("UTC", "2028-01-29T10:00:00Z", &["2028-02-29T10:00:00Z", "2028-03-29T10:00:00Z"]),
            Case("UTC", "2027-01-30T23:30:00Z", &["2027-02-28T23:30:00Z", "2027-03-30T23:30:00Z"]),
            // The same time of day on both sides of a change of clocks.
            Case("Europe/Vilnius", "2027-03-10T10:00:00Z", &["2027-04-10T09:00:00Z", "2027-05-10T09:00:00Z"]),
            // 03:30 does not exist on the day clocks go forward; it is 04:30 then.
            Case("Europe/Vilnius", "2027-02-28T01:30:00Z", &["2027-03-28T01:30:00Z", "2027-04-28T00:30:00Z"]),
            // 03:30 comes twice when they go back; the first counts.
            Case(
                "Europe/Vilnius",
                "2027-08-31T00:30:00Z",
                &["2027-09-30T00:30:00Z", "2027-10-31T00:30:00Z", "2027-11-30T01:30:00Z"],
            ),
            // Where the date is another than in UTC, the customer's counts.
            Case("Pacific/Auckland", "2027-05-30T13:00:00Z", &["2027-06-29T13:00:00Z", "2027-07-30T13:00:00Z"]),
        ] {
            let mut town = Town::new(1, false).await;
            zone(&town, place);
            town.pass_to(at(start)).await;
            town.subscribe().await;
            let began = town.app.subscription(&ada()).unwrap().period_start;
            // The clock runs on while it is moved.
            let late = since(at(start), Timestamp::from_millis(began));
            for end in ends {
                assert_eq!(town.period_end(), at(end) + late, "{place} from {start}");
                town.renew().await;
            }
        }
    });
}

#[test]
fn a_customer_who_moves_is_billed_by_the_calendar_of_the_new_place_without_a_gap() {
    run(async {
        let mut town = Town::new(1, false).await;
        zone(&town, "Europe/Vilnius");
        town.pass_to(at("2027-06-15T09:00:00Z")).await;
        town.subscribe().await;
        let began = Timestamp::from_millis(town.app.subscription(&ada()).unwrap().period_start);
        let late = since(at("2027-06-15T09:00:00Z"), began);
        assert_eq!(town.period_end(), at("2027-07-15T09:00:00Z") + late);
        zone(&town, "America/New_York");
        // What was promised stays: this period ends when it was said to. The next ends at noon in New York.
        assert_eq!(town.period_end(), at("2027-07-15T09:00:00Z") + late);
        town.renew().await;
        assert_eq!(town.period_end(), at("2027-08-15T16:00:00Z") + late);
        let subscription = town.app.subscription(&ada()).unwrap();
        assert_eq!(
            subscription.period_start,
            (at("2027-07-15T09:00:00Z") + late).millis(),
            "and no instant lies between"
        );
    });
}

#[test]
fn unused_credits_expire_only_where_the_plan_says_so() {
    run(async {
        let mut town = Town::new(1, false).await;
        let plan = server::service::Plan {
            id: "brief".to_owned(),
            name: "Brief".to_owned(),
            credits: Credits::whole(2_000).micros(),
            price: 1_500,
            currency: Currency::EUR,
            every: Every::Month,
            carry_over_periods: Some(1),
            carry_over_maximum: None,
            is_gone: false,
        };
        town.app.put_plan(&plan, "test").unwrap();
        town.app.subscribe(Town::plan("brief", "subscribe")).await.unwrap();
        let subscribed = |town: &Town| {
            let grants = town.app.standing_grants(&ada()).unwrap();
            let own = grants.iter().filter(|it| it.terms.source == billing::ledger::Source::Subscription);
            own.map(|it| it.remaining).sum::<Credits>()
        };
        assert_eq!(subscribed(&town), Credits::whole(2_000));
        town.renew().await;
        assert_eq!(subscribed(&town), Credits::whole(4_000), "they carry over into the next period");
        town.renew().await;
        // The first month's are over; the second's and the third's are there.
        assert_eq!(subscribed(&town), Credits::whole(4_000));
    });
}

#[test]
fn a_card_whose_date_the_bank_takes_back_is_told_of_once_and_keeps_nobody_busy() {
    run(async {
        let mut town = Town::new(1, false).await;
        let card = town.control("GET", "cards", &serde_json::json!({}))[0].as_str().unwrap().to_owned();
        let renew = |town: &Town, month: u8, year: u16| {
            town.control("POST", &format!("cards/{card}"), &serde_json::json!({"exp_month": month, "exp_year": year}));
        };
        // The end of the month after this one is at most 62 days away.
        let soon = jiff::Timestamp::from_millisecond(town.app.now().millis()).unwrap();
        let soon =
            soon.to_zoned(jiff::tz::TimeZone::UTC).date().first_of_month().saturating_add(jiff::Span::new().months(1));
        let (month, year) = (soon.month().unsigned_abs(), soon.year().unsigned_abs());
        renew(&town, month, year);
        town.pass(Span::MINUTE).await;
        let end = soon.last_of_month().tomorrow().unwrap().to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
        let before = Timestamp::from_millis(end.as_millisecond()) - Span::DAY.times(20);
        town.pass(since(town.app.now(), before)).await;
        renew(&town, 12, 2040);
        town.pass(Span::MINUTE).await;
        renew(&town, month, year);
        for _ in 0..4 {
            town.pass(Span::MINUTE).await;
        }
        assert_eq!(town.app.work(100).unwrap(), 0, "nothing is left to do");
        let told = town.told().into_iter().filter(|it| it == "payment_method.expiring").count();
        assert_eq!(told, 1);
    });
}

#[test]
fn nothing_is_owed_for_what_was_voided_and_what_expires_at_the_moment_a_refund_is_heard_of() {
    run(async {
        let mut town = Town::new(1, false).await;
        let plan = server::service::Plan {
            id: "brief".to_owned(),
            name: "Brief".to_owned(),
            credits: Credits::whole(2_000).micros(),
            price: 1_500,
            currency: Currency::EUR,
            every: Every::Month,
            carry_over_periods: Some(1),
            carry_over_maximum: Some(Credits::whole(500).micros()),
            is_gone: false,
        };
        town.app.put_plan(&plan, "test").unwrap();
        town.app.subscribe(Town::plan("brief", "subscribe")).await.unwrap();
        town.renew().await;
        // Beside 500 of the welcome: 1 500 of the first month were voided, and 500 are there until the second is over.
        let standing: Credits = town.app.standing_grants(&ada()).unwrap().iter().map(|it| it.remaining).sum();
        assert_eq!(standing, Credits::whole(500 + 500 + 2_000));
        // Given back by hand at the provider.
        let payment = town.control("GET", "totals", &serde_json::json!({}))["succeeded"][0]["id"].clone();
        let request = ureq::post(format!("{}/v1/refunds", town.sim.url())).header("authorization", "Bearer sk_test_x");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.send(format!("payment_intent={}", payment.as_str().unwrap())).unwrap();
        // The word of it comes before anything else has been done about what is over.
        town.pass(Span::DAY.times(40)).await;
        let lost = town.app.payments(&ada(), None, 10).unwrap();
        assert!(lost.iter().any(|it| it.payment.returned.credits == Credits::whole(2_000).micros()));
        assert_eq!(town.owed(), Credits::ZERO);
    });
}
