//! Many charges in one request: each its own decision and its own result, all in the order they came.
use std::io::Write;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use billing::rating::Text;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::card_numbers;
use super::super::json;
use super::super::knock::{JSON, Knock};
use super::super::problem::Problem;
use super::super::site::Site;
use super::charges::{ChargeIn, ChargeShown};
use super::reply::{self, Answered};
use crate::service::{Answer, ChargeOrder, Scope};

const ITEMS_MAX: usize = 10_000;
const BYTES_MAX: usize = 32 << 20;
const NDJSON: &str = "application/x-ndjson";

/// What came of a batch.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchReply)]
pub struct BatchShown<'a> {
    /// Charged now.
    accepted: usize,
    refused: usize,
    /// Known keys, answered as before.
    duplicates: usize,
    /// One for each item, in its order.
    results: Vec<ResultShown<'a>>,
}

/// The result of one item: a charge, or an error as the charge endpoint would say it.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchResult)]
pub struct ResultShown<'a> {
    /// 201, or the status of the error.
    #[schema(minimum = 200, maximum = 599)]
    status: u16,
    #[schema(nullable = false)]
    charge: Option<ChargeShown<'a>>,
    #[schema(value_type = Option<super::super::openapi::ProblemShown>, nullable = false)]
    error: Option<u8>,
    /// The key was known: this is the first answer again.
    #[schema(nullable = false)]
    replay: Option<bool>,
}

/// Charge for up to 10 000 pieces of work
///
/// As a JSON array, or as one JSON object a line (`application/x-ndjson`). Each is decided by itself, in order, and has
/// its own result; a batch can be sent again as it is. The key of each protects it; an `Idempotency-Key` of the whole
/// is not looked at.
#[utoipa::path(post, path = "/v1/charges/batch", operation_id = "createCharges", tag = "Using credits",
    request_body(description = "The charges, at most 10 000 and 32 MiB.", content(
        (Vec<ChargeIn> = "application/json"), (String = "application/x-ndjson"))),
    security(("api_key" = ["charge"])),
    responses((status = 200, body = BatchShown, description = "A result for each, in order.")))]
pub async fn create(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let call = knock.enter(&site, Scope::Charge)?;
    let by = call.by();
    let is_lines = call.content_type() == NDJSON;
    // Each who works on it has it: when the client goes away, this ends before they do.
    let room = Arc::new(site.room_for(call.length().unwrap_or(BYTES_MAX).min(BYTES_MAX))?);
    let body = call.read_unsifted(&[JSON, NDJSON], BYTES_MAX).await?;
    let parse = |measuring: Measuring| {
        let (body, by, room) = (body.clone(), Text::clone(&by), Arc::clone(&room));
        move || {
            let _room = room;
            orders(&body, is_lines, &by, measuring)
        }
    };
    // What is to be measured waits for its turn, as it does when it is sent alone. Whether anything is, is known when
    // it has been read: a name may be written in more ways than one.
    let parsed = match site.aside(parse(Measuring::Later)).await?? {
        Some(parsed) => parsed,
        None => site.measure(parse(Measuring::Now)).await?.expect("it is measured now"),
    };
    let mut asked = Vec::with_capacity(parsed.len());
    let mut problems = Vec::with_capacity(parsed.len());
    for order in parsed {
        problems.push(order.map(|it| asked.push(Ok(it))).err());
    }
    let accounts: Vec<_> = asked.iter().map(|it| it.as_ref().ok().map(|it: &ChargeOrder| it.account.clone())).collect();
    let (app, kept) = (Arc::clone(&site.app), Arc::clone(&room));
    let charging = async move {
        let _room = kept;
        app.charge_all(asked).await
    };
    let mut answers = site.through(charging).await?.into_iter().zip(accounts);
    let results = problems.into_iter().map(|problem| match problem {
        Some(problem) => Err(problem),
        None => {
            let (answer, account) = answers.next().expect("each order is answered");
            let refused = |error| match account {
                Some(account) => site.refused(Problem::from(error), &account),
                None => Problem::from(error),
            };
            answer.map_err(refused)
        }
    });
    let results: Vec<Result<Answer, Problem>> = results.collect();
    let rendered = site.aside(move || {
        let _room = room;
        render(&results)
    });
    let body = rendered.await?.map_err(Problem::internal)?;
    site.gauges.batched(body.accepted, body.duplicates);
    Ok(reply::with_body(StatusCode::OK, JSON, body.text))
}

/// Whether a batch that is read may be measured at once: that is work for which there are turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measuring {
    Later,
    Now,
}

type Parsed = Vec<Result<ChargeOrder, Problem>>;

/// The orders of a batch; none where one of them is to be measured, and not now.
fn orders(body: &Bytes, is_lines: bool, by: &Text, measuring: Measuring) -> Result<Option<Parsed>, Problem> {
    // None of one that has to wait; then so has the batch.
    let admitted = |read: Result<ChargeIn<'_>, Problem>| match read {
        Ok(charge) if charge.is_to_measure() && measuring == Measuring::Later => None,
        read => Some(read.and_then(|it| it.into_order(Arc::clone(by)))),
    };
    let order = |number: usize, text: &[u8]| {
        admitted(card_numbers::none_in_json(text).and_then(|()| json::object_at::<ChargeIn<'_>>(text, number)))
    };
    // Their number is looked at before anything is measured, or waits for that: it may be all that is wrong.
    if is_lines {
        let lines = (1..).zip(body.split(|it| *it == b'\n')).filter(|it| !it.1.trim_ascii().is_empty());
        bounded(lines.clone().count())?;
        return Ok(lines.map(|(number, it)| order(number, it)).collect());
    }
    // Most batches are good: read whole, in one pass. Only where one item is wrong is each read by itself.
    let sifted = card_numbers::none_in_json(body);
    if sifted.is_ok()
        && let Ok(charges) = serde_json::from_slice::<Vec<json::Object<ChargeIn<'_>>>>(body)
    {
        bounded(charges.len())?;
        return Ok(charges.into_iter().map(|it| admitted(Ok(it.0))).collect());
    }
    let items: Vec<&RawValue> = json::parse(body).map_err(|wrong| sifted.err().unwrap_or(wrong))?;
    bounded(items.len())?;
    Ok(items.into_iter().map(|it| order(1, it.get().as_bytes())).collect())
}

fn bounded(count: usize) -> Result<(), Problem> {
    match count {
        0 => Err(Problem::invalid("body", "holds no charges; send at least one")),
        count if ITEMS_MAX < count => {
            Err(Problem::invalid("body", format_args!("holds more than {ITEMS_MAX} charges; send several batches")))
        }
        _ => Ok(()),
    }
}

struct Rendered {
    text: Vec<u8>,
    accepted: u64,
    duplicates: u64,
}

/// All results in one buffer.
fn render(results: &[Result<Answer, Problem>]) -> Result<Rendered, serde_json::Error> {
    let mut items = Vec::with_capacity(results.len() * 640);
    let (mut accepted, mut refused, mut duplicates) = (0, 0, 0);
    for result in results {
        items.extend_from_slice(if items.is_empty() { b"" } else { b"," });
        match result.as_ref().map(|it| (it, ChargeShown::answering(it))) {
            Ok((answer, Ok(charge))) => {
                *if answer.is_replay { &mut duplicates } else { &mut accepted } += 1;
                items.extend_from_slice(br#"{"status":201,"charge":"#);
                serde_json::to_writer(&mut items, &charge)?;
                items.extend_from_slice(if answer.is_replay { br#","replay":true}"# } else { b"}" });
            }
            Ok((_, Err(problem))) => {
                refused += 1;
                render_problem(&mut items, &problem)?;
            }
            Err(problem) => {
                refused += 1;
                render_problem(&mut items, problem)?;
            }
        }
    }
    let mut text = Vec::with_capacity(items.len() + 80);
    write!(text, r#"{{"accepted":{accepted},"refused":{refused},"duplicates":{duplicates},"results":["#)
        .map_err(serde_json::Error::io)?;
    text.append(&mut items);
    text.extend_from_slice(b"]}");
    Ok(Rendered { text, accepted, duplicates })
}

fn render_problem(items: &mut Vec<u8>, problem: &Problem) -> Result<(), serde_json::Error> {
    if let Some(cause) = problem.cause() {
        tracing::error!(cause, "a charge of a batch failed");
    }
    write!(items, r#"{{"status":{},"error":"#, problem.kind.status).map_err(serde_json::Error::io)?;
    serde_json::to_writer(&mut *items, problem)?;
    items.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing is measured of what is refused, and no turn is waited for.
    #[test]
    fn a_batch_of_too_many_is_refused_before_it_is_measured() {
        let measured = r#"{"account":"ada","meter":"ai_chat","input":{"model":"m","text":"b"},"idempotency_key":"b"}"#;
        let mut some = vec![measured; ITEMS_MAX + 1];
        // All good, and with one that is not.
        for last in [measured, r#"{"account":1}"#] {
            some[ITEMS_MAX] = last;
            for (text, is_lines) in [(some.join("\n"), true), (format!("[{}]", some.join(",")), false)] {
                assert!(orders(&Bytes::from(text), is_lines, &"key".into(), Measuring::Later).is_err());
            }
        }
    }

    /// However its name is written, an artefact waits for its turn; and what is none does not, whatever it says.
    #[test]
    fn what_is_to_be_measured_is_told_by_what_was_read() {
        let plain = r#"{"account":"ada","meter":"ai_chat","quantities":{"input_tokens":1},"idempotency_key":"a",
            "metadata":{"input":1,"\u0069nput":2}}"#
            .replace('\n', "");
        let with = |name: &str| {
            format!(
                r#"{{"account":"ada","meter":"ai_chat","{name}":{{"model":"m","text":"b"}},"idempotency_key":"b"}}"#
            )
        };
        let wrong = r#"{"account":1}"#;
        let orders = |items: &[&str], is_lines: bool, measuring| {
            let text = if is_lines { items.join("\n") } else { format!("[{}]", items.join(",")) };
            let read = orders(&Bytes::from(text), is_lines, &"key".into(), measuring).expect("it is a batch");
            read.map(|all| all.iter().map(Result::is_ok).collect::<Vec<bool>>())
        };
        for is_lines in [true, false] {
            assert_eq!(orders(&[&plain], is_lines, Measuring::Later), Some(vec![true]));
            assert_eq!(orders(&[&plain, wrong], is_lines, Measuring::Later), Some(vec![true, false]));
            for name in ["input", r"\u0069nput", r"inpu\u0074", r"\u0069\u006e\u0070\u0075\u0074"] {
                let measured = with(name);
                for items in [&[&*plain, &*measured][..], &[wrong, &*measured]] {
                    assert_eq!(orders(items, is_lines, Measuring::Later), None, "{name}");
                    let expected = vec![items[0] != wrong, true];
                    assert_eq!(orders(items, is_lines, Measuring::Now), Some(expected), "{name}");
                }
            }
        }
    }
}
