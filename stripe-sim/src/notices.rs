//! Webhooks: what is told to whom and when, signed, repeated until it is heard, and spoiled as a test wishes.
use std::collections::VecDeque;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// Times that one notice is told before it is given up.
const TRIES_MAX: u32 = 16;

#[derive(Debug, Default)]
pub struct Notices {
    target: Option<Target>,
    waiting: VecDeque<Waiting>,
    /// Being told at this moment.
    underway: usize,
    log: Vec<Value>,
    pub is_held: bool,
    /// How often each is told beyond once.
    pub repeats: u64,
    /// How many of the next are never told.
    pub lose: u64,
    /// Seconds each is kept back.
    pub delay: i64,
}

#[derive(Clone, Debug)]
pub struct Target {
    pub url: String,
    /// Several while one is being changed for another: then each signs.
    pub secrets: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Waiting {
    pub event: String,
    due_at: i64,
    tries: u32,
}

impl Notices {
    pub fn aim(&mut self, target: Option<Target>) {
        self.target = target;
    }

    pub fn add(&mut self, event: &Value) {
        let id = event["id"].as_str().unwrap_or_default().to_owned();
        if self.target.is_none() {
            return;
        }
        if 0 < self.lose {
            self.lose -= 1;
            self.log.push(json!({"event": id, "type": event["type"], "lost": true}));
            return;
        }
        let due_at = event["created"].as_i64().unwrap_or_default() + self.delay;
        for _ in 0..=self.repeats {
            self.waiting.push_back(Waiting { event: id.clone(), due_at, tries: 0 });
        }
    }

    /// Tells an event again, whatever became of it.
    pub fn tell_again(&mut self, event: &str) {
        self.waiting.push_back(Waiting { event: event.to_owned(), due_at: 0, tries: 0 });
    }

    /// Lets go of what was held, in the order it happened or the other way round.
    pub fn release(&mut self, is_reversed: bool) {
        self.is_held = false;
        if is_reversed {
            self.waiting.make_contiguous().reverse();
        }
    }

    /// The next to tell, and whom.
    pub fn next(&mut self, now: i64) -> Option<(Waiting, Target)> {
        let target = self.target.clone()?;
        if self.is_held {
            return None;
        }
        let index = self.waiting.iter().position(|it| it.due_at <= now)?;
        self.underway += 1;
        self.waiting.remove(index).map(|it| (it, target))
    }

    /// How it went: `status` is what was answered, 0 for nothing. What is not heard is told again, later each time.
    pub fn told(&mut self, mut waiting: Waiting, status: u16, now: i64) {
        self.underway -= 1;
        self.log.push(json!({"event": waiting.event, "status": status, "at": now, "try": waiting.tries + 1}));
        waiting.tries += 1;
        if !(200..300).contains(&status) && waiting.tries < TRIES_MAX {
            waiting.due_at = now + (1 << waiting.tries);
            self.waiting.push_back(waiting);
        }
    }

    /// Nothing is left to tell now.
    pub fn is_quiet(&self, now: i64) -> bool {
        let is_waiting = self.waiting.iter().any(|it| it.due_at <= now);
        self.underway == 0 && (self.target.is_none() || self.is_held || !is_waiting)
    }

    pub fn log(&self) -> Value {
        let waiting: Vec<&str> = self.waiting.iter().map(|it| &*it.event).collect();
        json!({"told": self.log, "waiting": waiting})
    }
}

/// The header `Stripe-Signature` of a body told at `at`.
pub fn signature(secrets: &[String], at: i64, body: &str) -> String {
    let mut header = format!("t={at}");
    for secret in secrets {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length will do");
        mac.update(format!("{at}.{body}").as_bytes());
        let hex: String = mac.finalize().into_bytes().iter().map(|it| format!("{it:02x}")).collect();
        header.push_str(&format!(",v1={hex}"));
    }
    header
}
