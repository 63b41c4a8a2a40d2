//! A process that dies at every step of everything that moves money, while the provider's notices come twice, late, in
//! the wrong order or never.
//!
//! Store and provider are real; the store dies at a chosen commit, before or after its effect (see `mortal`). What the
//! provider tells is held by a postman who spoils it by the story's number. Afterwards another process finds what it
//! finds, and must come to the same end: each captured payment has one grant, each paid grant one payment, each was
//! told of once, and the books agree with the provider. `SCRIP_TEST_STORE=postgres` tells it all on a PostgreSQL.
use billing::money::Credits;
use billing::subscription::State;
use billing::time::Span;
use serde_json::json;
use server::service::{RefundState, TopupOrder};

use crate::money_town::{DECLINES, Town, VISA, ada, browse};

/// Lets the process die at every commit of `story`, before and after its effect, and once not at all; the postman
/// spoils each telling in another way.
fn at_every_step<S>(name: &str, story: S)
where
    S: AsyncFn(&mut Town, &dyn Fn(&Town)),
{
    at_every_step_and_then(name, story, async |_: &mut Town, ()| {});
}

/// The same; and of each telling `then` hears what came of it, before time passes.
pub fn at_every_step_and_then<S, A, T>(name: &str, story: S, then: A)
where
    S: AsyncFn(&mut Town, &dyn Fn(&Town)) -> T,
    A: AsyncFn(&mut Town, T),
{
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut number = name.len();
        for after_effect in [false, true] {
            for commit in 0.. {
                number += 1;
                let mut town = Town::new(number, after_effect).await;
                let came = story(&mut town, &|it: &Town| it.doom.seal(commit)).await;
                let is_whole = !town.doom.has_come();
                then(&mut town, came).await;
                town.restart().await;
                town.check(&format!("{name}, commit {commit}, after its effect: {after_effect}, {:?}", town.post));
                town.app.close();
                if is_whole {
                    assert!(1 < commit, "{name}: the story commits something");
                    break;
                }
            }
        }
    });
}

#[test]
fn a_purchase_survives_death_at_every_step() {
    at_every_step("purchase", async |town: &mut Town, doom: &dyn Fn(&Town)| {
        doom(town);
        town.buy().await;
    });
}

/// Where the process died before it had noted what it answered, the first answer that is given stays.
#[test]
fn a_purchase_whose_answer_was_never_noted_is_answered_alike_from_then_on() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        // Its order is committed; it is taken; it is paid.
        for commit in 1..4 {
            let mut town = Town::new(1, false).await;
            town.doom.seal(commit);
            assert_eq!(town.buy().await, None);
            town.restart().await;
            let first = town.app.purchase(Town::order(false)).await.unwrap();
            assert_eq!((first.payment.status().as_str(), first.is_replay), ("succeeded", true));
            town.refund(first.id.parse().unwrap()).await;
            let now = town.app.payment(first.id.parse().unwrap()).unwrap().payment;
            assert_ne!(now.returned, first.payment.returned);
            let again = town.app.purchase(Town::order(false)).await.unwrap();
            assert_eq!((again.payment.returned, again.grant), (first.payment.returned, first.grant));
            town.app.close();
        }
    });
}

/// The same of a refund, and of a subscription.
#[test]
fn whatever_was_never_noted_is_answered_alike_from_then_on() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        // It is ordered; the provider made it; it is written down.
        for commit in 1..3 {
            let mut town = Town::new(1, false).await;
            let payment = town.buy().await.expect("it is bought");
            town.doom.seal(commit);
            town.refund(payment).await;
            town.restart().await;
            let first = town.app.refund(Town::refund_order(payment)).await.unwrap();
            assert_eq!((first.refund.status, first.is_replay), (RefundState::Succeeded, true));
            town.fail_refunds();
            town.pass(Span::MINUTE.times(6)).await;
            assert_eq!(town.app.payment(payment).unwrap().payment.returned.credits, 0, "it went out after all");
            let again = town.app.refund(Town::refund_order(payment)).await.unwrap();
            assert_eq!(again.refund.status, first.refund.status, "commit {commit}");
            town.app.close();
        }
        for commit in 1..4 {
            let mut town = Town::new(1, false).await;
            let order = || Town::plan("monthly", "subscribe");
            town.buy().await.expect("it is bought");
            town.doom.seal(commit);
            town.subscribe().await;
            town.restart().await;
            let (first, is_replay) = town.app.subscribe(order()).await.unwrap();
            assert_eq!((first.state(), first.ends, is_replay), (State::Active, false, true));
            town.app.end_subscription(&ada(), true, &"test".into(), None).unwrap();
            assert!(!town.app.subscribe(order()).await.unwrap().0.ends, "commit {commit}");
            town.app.close();
        }
    });
}

#[test]
fn a_purchase_on_the_hosted_page_survives_death_at_every_step() {
    at_every_step("hosted purchase", async |town: &mut Town, doom: &dyn Fn(&Town)| {
        doom(town);
        let page = town.buy_by(true).await.and_then(|it| it.1);
        // Where the process died first, nobody ever saw the page: it closes by itself.
        match page {
            Some(page) => browse(&page, VISA),
            None => {
                town.control("POST", "advance", &json!({"seconds": 25 * 3600}));
                town.pass(Span::HOUR.times(25)).await;
            }
        }
        town.pass(Span::MINUTE).await;
        town.pass(Span::SECOND).await;
    });
}

/// Before it was paid, and after.
#[test]
fn a_purchase_that_is_cancelled_survives_death_at_every_step() {
    for is_paid in [false, true] {
        let story = async |town: &mut Town, doom: &dyn Fn(&Town)| {
            let (id, page) = town.buy_by(true).await.expect("it is begun");
            if is_paid {
                browse(&page.expect("it has a page"), VISA);
            }
            doom(town);
            let _ = town.app.cancel_purchase(id, &"test".into()).await;
            id
        };
        at_every_step_and_then("cancelled purchase", story, async |town: &mut Town, id| {
            town.take_over();
            let payment = town.app.payment(id).unwrap().payment;
            // Where the process died before it had noted what was asked of it, the page closes by itself.
            if !payment.is_given_up && !payment.status().is_final() {
                town.control("POST", "advance", &json!({"seconds": 25 * 3600}));
                town.pass(Span::HOUR.times(25)).await;
            }
        });
    }
}

/// With a page that waits to be paid, before it was and after; whoever finds it unclosed closes it again.
#[test]
fn an_account_that_is_closed_survives_death_at_every_step() {
    for is_paid in [false, true] {
        let story = async |town: &mut Town, doom: &dyn Fn(&Town)| {
            let (id, page) = town.buy_by(true).await.expect("it is begun");
            let page = page.expect("it has a page");
            if is_paid {
                browse(&page, VISA);
            }
            doom(town);
            let _ = town.close_account().await;
            town.work().await;
            (id, page)
        };
        at_every_step_and_then("closed account", story, async |town: &mut Town, (id, page)| {
            town.take_over();
            let is_closed = town.app.account(&ada()).unwrap().closed_at.is_some();
            assert!(!is_closed || town.app.payment(id).unwrap().payment.is_given_up, "they are one commit");
            town.close_account().await.expect("it is closed, now or before");
            town.pass(Span::SECOND).await;
            town.pass(Span::MINUTE.times(6)).await;
            let payment = town.app.payment(id).unwrap().payment;
            assert_eq!(payment.status().as_str(), if is_paid { "succeeded" } else { "canceled" });
            // Nobody can pay there any more.
            browse(&page, VISA);
            assert_eq!(town.totals().0, if is_paid { 1210 } else { 0 });
        });
    }
}

/// Its owner comes back from adding it while the provider tells of it.
#[test]
fn a_card_that_several_see_at_once_is_one() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        for _ in 0..4 {
            let town = Town::new(0, false).await;
            let to = Some("http://shop.example/".to_owned());
            let setup = town.app.set_up_card(&ada(), to, &"second".into(), &"test".into()).await;
            browse(setup.unwrap().setup_url.as_deref().unwrap(), DECLINES);
            let looks = [(); 6].map(|()| {
                let app = std::sync::Arc::clone(&town.app);
                tokio::spawn(async move { app.look_for_cards(&ada()).await })
            });
            for look in looks {
                assert!(look.await.unwrap().unwrap(), "there is a new one");
            }
            assert_eq!(town.app.payment_methods(&ada()).unwrap().len(), 2);
            town.app.close();
        }
    });
}

/// 1 000 credits whenever fewer than 401 are left.
fn topup() -> TopupOrder {
    TopupOrder {
        account: ada(),
        is_on: true,
        threshold: Credits::whole(401),
        credits: Credits::whole(1_000),
        monthly_maximum: None,
        method: None,
        charge_now_max: 0,
        by: "test".into(),
    }
}

/// Spends down to the threshold, and from there on in danger below it.
async fn fall_below(town: &mut Town, doom: &dyn Fn(&Town)) {
    town.spend("much", 499).await;
    doom(town);
    town.spend("more", 1).await;
    town.pass(Span::SECOND).await;
    town.pass(Span::SECOND).await;
}

#[test]
fn a_top_up_survives_death_at_every_step() {
    at_every_step("top-up", async |town: &mut Town, doom: &dyn Fn(&Town)| {
        town.app.set_auto_topup(topup()).await.unwrap();
        fall_below(town, doom).await;
    });
}

#[test]
fn a_top_up_that_costs_more_than_was_agreed_is_charged_to_nobody_after_death_at_any_step() {
    at_every_step("dearer top-up", async |town: &mut Town, doom: &dyn Fn(&Town)| {
        town.live_in("US");
        town.app.set_auto_topup(topup()).await.unwrap();
        town.live_in("LT");
        fall_below(town, doom).await;
    });
}

#[test]
fn a_refund_survives_death_at_every_step() {
    at_every_step("refund", async |town: &mut Town, doom: &dyn Fn(&Town)| {
        let payment = town.buy().await.expect("it is bought");
        doom(town);
        town.refund(payment).await;
        town.pass(Span::SECOND).await;
    });
}

#[test]
fn a_dispute_that_is_opened_won_lost_or_lost_in_part_survives_death_at_every_step() {
    let stories = [("opened", "", None), ("won", "won", None), ("lost", "lost", None), ("in part", "won", Some(700))];
    for (name, outcome, reinstated) in stories {
        at_every_step(&format!("dispute {name}"), async |town: &mut Town, doom: &dyn Fn(&Town)| {
            town.buy().await.expect("it is bought");
            town.spend("all", 1_200).await;
            doom(town);
            let dispute = town.dispute(None);
            town.pass(Span::MINUTE.times(6)).await;
            if !outcome.is_empty() {
                town.close_dispute(&dispute, outcome, reinstated);
                town.pass(Span::MINUTE.times(6)).await;
            }
        });
    }
}

#[test]
fn a_subscription_that_starts_survives_death_at_every_step() {
    at_every_step("subscription", async |town: &mut Town, doom: &dyn Fn(&Town)| {
        doom(town);
        town.subscribe().await;
        town.pass(Span::SECOND).await;
    });
}

#[test]
fn a_renewal_survives_death_at_every_step() {
    at_every_step("renewal", async |town: &mut Town, doom: &dyn Fn(&Town)| {
        town.subscribe().await;
        doom(town);
        town.pass_period().await;
        town.pass(Span::SECOND).await;
        town.pass(Span::SECOND).await;
    });
}

#[test]
fn a_renewal_that_caps_what_carries_over_survives_death_at_every_step() {
    at_every_step("capped renewal", async |town: &mut Town, doom: &dyn Fn(&Town)| {
        town.sell_capped("capped", Credits::whole(500));
        town.app.subscribe(Town::plan("capped", "subscribe")).await.expect("it is subscribed to");
        doom(town);
        town.pass_period().await;
        town.pass(Span::SECOND).await;
        town.pass(Span::SECOND).await;
    });
}

#[test]
fn a_change_of_plan_up_or_down_survives_death_at_every_step() {
    for (from, to) in [("monthly", "monthly-plus"), ("monthly-plus", "monthly")] {
        at_every_step(&format!("change to {to}"), async |town: &mut Town, doom: &dyn Fn(&Town)| {
            let _ = town.app.subscribe(Town::plan(from, "subscribe")).await;
            doom(town);
            town.change_to(to).await;
            town.pass_period().await;
            town.pass(Span::SECOND).await;
        });
    }
}

#[test]
fn a_declined_renewal_and_the_card_that_saves_it_survive_death_at_every_step() {
    at_every_step("dunning", async |town: &mut Town, doom: &dyn Fn(&Town)| {
        town.subscribe().await;
        town.add_card(DECLINES).await;
        let methods = town.app.payment_methods(&ada()).unwrap();
        let id = |last4: &str| methods.iter().find(|it| it.method.last4 == last4).unwrap().id.clone();
        town.app.make_default(&ada(), &id("0341"), &"test".into(), None).unwrap();
        town.app.remove_method(&ada(), &id("4242"), &"test".into()).unwrap();
        town.add_card("5555555555554444").await;
        let saved = town.app.payment_methods(&ada()).unwrap();
        let saved = saved.iter().find(|it| it.method.last4 == "4444").unwrap().id.clone();
        doom(town);
        town.pass_period().await;
        town.pass(Span::SECOND).await;
        let _ = town.app.make_default(&ada(), &saved, &"test".into(), None);
        town.pass(Span::DAY).await;
        town.pass(Span::SECOND).await;
    });
}
