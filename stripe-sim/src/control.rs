//! The surface by which a test or a person moves the simulator: under `/_sim/`, JSON in and out.
//!
//! | request | does |
//! |---|---|
//! | `POST webhook {url, secrets}` | tells what happens there; `{}` tells nobody |
//! | `POST notices {held?, repeats?, lose?, delay_seconds?}` | spoils the telling |
//! | `POST notices/release {reversed?}`, `POST notices/again {event}` | tells what was held; tells once more |
//! | `POST notices/flush`, `GET notices` | waits until all is told; what was told |
//! | `POST faults {when, what, method?, path?, skip?, times?, retry_after?}` | plans a fault, see `faults` |
//! | `DELETE faults`, `POST faults/release` | forgets them; lets go of what stalls |
//! | `GET faults` | how many requests stall |
//! | `POST disputes {payment, amount?, currency?, reason?, inquiry?}` | |
//! | `POST disputes/{id}/close {outcome, reinstated?}` | |
//! | `POST settlement {currency, per_mille}` | keeps the operator's balance in one currency, all others converted |
//! | `POST search {late}` | whether it shows customers that were deleted from here on |
//! | `POST refunds/{id} {status}`, `POST refunds/settle` | ends a refund; ends the slow ones |
//! | `GET cards` | the saved cards' names |
//! | `POST cards/{id} {exp_month, exp_year}` | the bank changes a card; a month that is over expires it |
//! | `POST proof/{intent} {proven}` | does 3-D Secure as the page would |
//! | `POST deliberation/{intent} {over?}` | the bank was answered and takes its time; it is over, and the money there |
//! | `POST advance {seconds}`, `GET clock` | moves time; tells it |
//! | `GET memory`, `POST memory` | all there is, and becoming it |
//! | `GET totals`, `GET requests` | money in and out, by currency; every request with its key |
use serde_json::{Map, Value, json};

use crate::faults::Fault;
use crate::notices::Target;
use crate::serve::State;
use crate::world::{Settlement, World, text};

/// Does what is asked, or says what is wrong with it.
pub fn answer(state: &mut State, method: &str, path: &str, said: &Value) -> Result<Value, String> {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let world = &mut state.world;
    let done = match (method, segments.as_slice()) {
        ("POST", ["webhook"]) => aim(world, said),
        ("GET", ["notices"]) => world.notices.log(),
        ("POST", ["notices"]) => spoil(world, said),
        ("POST", ["notices", "release"]) => {
            world.notices.release(said["reversed"] == true);
            json!({})
        }
        ("POST", ["notices", "again"]) => {
            world.notices.tell_again(&text(said, "event"));
            json!({})
        }
        ("POST", ["faults"]) => {
            let fault = Fault::read(said).ok_or("not a fault: see the head of faults.rs")?;
            state.faults.plan(fault);
            json!({})
        }
        ("GET", ["faults"]) => json!({"stalled": state.stalled}),
        ("DELETE", ["faults"]) => {
            state.faults.clear();
            json!({})
        }
        ("POST", ["disputes"]) => open_dispute(world, said)?,
        ("POST", ["disputes", id, "close"]) => {
            let outcome = text(said, "outcome");
            if !matches!(&*outcome, "won" | "lost") {
                return Err("outcome is won or lost".to_owned());
            }
            plain(world.close_dispute(id, &outcome, said["reinstated"].as_i64()))?
        }
        ("POST", ["settlement"]) => {
            let per_mille = said["per_mille"].as_i64().ok_or("per_mille is a whole number")?;
            world.settlement = Some(Settlement { currency: text(said, "currency"), per_mille });
            json!({})
        }
        ("POST", ["search"]) => delay_search(world, said),
        ("POST", ["refunds", "settle"]) => {
            world.settle_slow_refunds();
            json!({})
        }
        ("POST", ["refunds", id]) => plain(world.settle_refund(id, &text(said, "status")))?,
        ("GET", ["cards"]) => {
            let attached = world.shelf.all("payment_method").filter(|it| it["customer"].is_string());
            attached.map(|it| it["id"].clone()).collect()
        }
        ("POST", ["cards", id]) => change_card(world, id, said)?,
        ("POST", ["proof", intent]) => {
            let url = world.finish_proof(intent, said["proven"] == true);
            json!({"url": url.map_err(|it| it.error.to_string())?})
        }
        ("POST", ["deliberation", intent]) => plain(world.deliberate(intent, said["over"] == true))?,
        ("POST", ["advance"]) => {
            world.clock.advance(said["seconds"].as_i64().ok_or("seconds is a whole number")?);
            world.tick();
            json!({"now": world.now()})
        }
        ("GET", ["clock"]) => json!({"now": world.now()}),
        ("GET", ["totals"]) => totals(world),
        ("GET", ["memory"]) => world.memory(),
        ("POST", ["memory"]) => {
            world.recall(said);
            json!({})
        }
        _ => return Err(format!("nothing is at {method} /_sim/{path}")),
    };
    Ok(done)
}

fn plain(outcome: Result<Value, crate::problem::Problem>) -> Result<Value, String> {
    outcome.map_err(|it| it.error.to_string())
}

fn aim(world: &mut World, said: &Value) -> Value {
    let secrets = said["secrets"].as_array().into_iter().flatten().filter_map(|it| it.as_str().map(str::to_owned));
    let secrets: Vec<String> = secrets.collect();
    let target = said["url"].as_str().map(|url| Target { url: url.to_owned(), secrets });
    world.notices.aim(target);
    json!({})
}

fn spoil(world: &mut World, said: &Value) -> Value {
    let notices = &mut world.notices;
    notices.is_held = said["held"].as_bool().unwrap_or(notices.is_held);
    notices.repeats = said["repeats"].as_u64().unwrap_or(notices.repeats);
    notices.lose = said["lose"].as_u64().unwrap_or(notices.lose);
    notices.delay = said["delay_seconds"].as_i64().unwrap_or(notices.delay);
    json!({"held": notices.is_held, "repeats": notices.repeats, "lose": notices.lose, "delay_seconds": notices.delay})
}

fn delay_search(world: &mut World, said: &Value) -> Value {
    world.shown_still = (said["late"] == true).then(Vec::new);
    json!({})
}

fn open_dispute(world: &mut World, said: &Value) -> Result<Value, String> {
    let charge = plain(world.charge_of(said["payment"].as_str().map(str::to_owned), None))?;
    let reason = said["reason"].as_str().unwrap_or("fraudulent").to_owned();
    plain(world.open_dispute(&charge, said, &reason, said["inquiry"] == true))
}

fn change_card(world: &mut World, id: &str, said: &Value) -> Result<Value, String> {
    let mut method = plain(world.find("payment_method", id, "id"))?;
    for member in ["exp_month", "exp_year"] {
        let number = said[member].as_i64().ok_or_else(|| format!("{member} is a whole number"))?;
        method["card"][member] = json!(number);
    }
    world.shelf.put(&method);
    world.tell("payment_method.automatically_updated", &method);
    Ok(method)
}

/// By currency: charged, refunded, and gone from the balance by disputes; and each payment that succeeded, by its
/// metadata.
fn totals(world: &World) -> Value {
    let mut sums: Map<String, Value> = Map::new();
    let mut add = |currency: String, member: &str, amount: i64| {
        let sum = sums.entry(currency).or_insert_with(|| json!({"charged": 0, "refunded": 0, "disputed": 0}));
        sum[member] = json!(sum[member].as_i64().unwrap_or_default() + amount);
    };
    let number = |it: &Value, member: &str| it[member].as_i64().unwrap_or_default();
    for charge in world.shelf.all("charge") {
        add(text(charge, "currency"), "charged", number(charge, "amount_captured"));
        add(text(charge, "currency"), "refunded", number(charge, "amount_refunded"));
    }
    for dispute in world.shelf.all("dispute") {
        for movement in dispute["balance_transactions"].as_array().into_iter().flatten() {
            add(text(movement, "currency"), "disputed", -number(movement, "amount"));
        }
    }
    let paid: Vec<Value> = world
        .shelf
        .all("payment_intent")
        .rev()
        .filter(|it| it["status"] == "succeeded")
        .map(|it| json!({"id": it["id"], "amount": it["amount"], "metadata": it["metadata"]}))
        .collect();
    json!({"by_currency": sums, "succeeded": paid})
}
