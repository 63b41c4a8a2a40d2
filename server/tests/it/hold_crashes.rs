//! A process that dies between any two steps of a hold: opened, extended, and captured, released or expired.
//!
//! The store dies at each commit in turn, before or after its effect (see `money_crashes`). Whoever asked heard
//! nothing, and asks another process the same again under the same keys: what was done is answered as it was, what was
//! not is done now, and nothing stays reserved, is lost or is there twice.
use std::sync::Arc;

use billing::ledger::{HoldEnd, Over, Transaction, What};
use billing::money::Credits;
use billing::time::Span;
use server::service::{CaptureOrder, ExtendOrder, HoldAmount, HoldMore, HoldOrder, Order};

use crate::money_crashes::at_every_step_and_then;
use crate::money_town::{Town, ada};

fn hold() -> HoldOrder {
    HoldOrder {
        account: ada(),
        order: Order {
            meter: "ai_chat".into(),
            dimensions: vec![("model".into(), "gpt-6.1-terra".into())],
            ..Order::default()
        },
        amount: HoldAmount::Credits(Credits::whole(2)),
        lasts: Span::MINUTE.times(10),
        key: "hold".into(),
        by: "test".into(),
    }
}

/// A hold and what becomes of it, each step under its own key, as far as it is answered. It is of two credits and one
/// more; one and a half were used when it was extended, and two and a half in the end.
async fn hold_until(town: &mut Town, end: HoldEnd) -> Vec<Arc<Transaction>> {
    let mut answers = Vec::new();
    let Ok(held) = town.app.hold(hold()).await else { return answers };
    answers.push(held.answer.transaction);
    let hold = held.id;
    let more = Some(HoldMore::Credits(Credits::whole(1)));
    let used = Some(vec![("input_tokens".into(), 12_000)]);
    let extend = ExtendOrder { hold, more, used, lasts: None, key: "extend".into(), by: "test".into() };
    let Ok(extended) = town.app.extend(extend).await else { return answers };
    answers.push(extended.answer.transaction);
    let ended = match end {
        HoldEnd::Captured => {
            let amount = HoldMore::Quantities(vec![("input_tokens".into(), 20_000)]);
            let (over, dimensions, evidence) = (Over::Draw, Vec::new(), None);
            let (key, by) = ("capture".into(), "test".into());
            let capture = CaptureOrder { hold, amount, dimensions, over, evidence, key, by };
            town.app.capture(capture).await.ok().map(|it| it.transaction)
        }
        HoldEnd::Released => {
            town.app.release(hold, &"release".into(), "test".into()).await.ok().map(|it| it.transaction)
        }
        HoldEnd::Expired => {
            town.pass(Span::MINUTE.times(11)).await;
            town.app.hold_by_id(hold).ok().and_then(|it| it.charge)
        }
    };
    answers.extend(ended);
    answers
}

fn available(town: &Town) -> Credits {
    town.app.balance(&ada(), None).unwrap().balance.available()
}

/// At whatever step it dies, `spent` is gone in the end, and nothing else.
fn survives_death_at_every_step(end: HoldEnd, spent: Credits) {
    at_every_step_and_then(
        &format!("hold {end}"),
        async |town: &mut Town, doom: &dyn Fn(&Town)| {
            let before = available(town);
            doom(town);
            (before, hold_until(town, end).await)
        },
        async |town: &mut Town, (before, first): (Credits, Vec<_>)| {
            town.take_over();
            let again = hold_until(town, end).await;
            assert_eq!(again.len(), 3, "all of it is done now");
            assert!(again.starts_with(&first), "what was answered is answered again: {first:?}, {again:?}");
            assert_eq!(hold_until(town, end).await, again, "and so it is from then on");
            assert!(town.app.holds(&ada()).unwrap().is_empty(), "nothing stays reserved");
            assert_eq!(before - available(town), spent);
            let is_of_hold = |it: &What| {
                matches!(it, What::Held { .. } | What::Extended { .. } | What::Charged { .. } | What::Released { .. })
            };
            let done = town.journal().iter().filter(|it| is_of_hold(&it.what)).count();
            assert_eq!(done, again.len(), "each step was taken once");
        },
    );
}

#[test]
fn a_hold_that_is_captured_survives_death_at_every_step() {
    survives_death_at_every_step(HoldEnd::Captured, Credits::from_micros(2_500_000));
}

#[test]
fn a_hold_that_is_released_survives_death_at_every_step() {
    survives_death_at_every_step(HoldEnd::Released, Credits::ZERO);
}

/// What was used last that anybody said is captured.
#[test]
fn a_hold_that_expires_survives_death_at_every_step() {
    survives_death_at_every_step(HoldEnd::Expired, Credits::from_micros(1_500_000));
}
