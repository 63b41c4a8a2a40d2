//! Reports of what happened to servers, and what was answered to them.
//!
//! A report may be repeated, with or without a key. Under a key its answer is the first one again: how the server stood
//! then, kept beside the report because the server goes on. Invariant: what a report changes, and that its key
//! is used, is one commit of the book's; the answer follows it, and only saves who asks again from the present one.
use std::sync::Arc;

use billing::Refusal;
use billing::id::Name;
use billing::ledger::{ServerAct, ServerReport};
use billing::rating::Text;
use billing::server::{Change, Tariff};
use billing::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::order::Fingerprint;
use super::requests::{Asked, Fresh, answer_in};
use super::servers::{ServerVerb, ServerView, Told, burn_terms};
use super::{By, Error};
use crate::app::{App, Known};

#[derive(Clone, Debug)]
pub struct ServerEvent {
    pub account: Name,
    pub server: Name,
    pub verb: ServerVerb,
    /// When it happened; now where nothing is said.
    pub at: Option<Timestamp>,
    /// The tier resized to.
    pub tier: Option<Text>,
    pub key: Option<Text>,
    pub by: By,
}

impl ServerEvent {
    fn fingerprint(&self) -> Fingerprint {
        let mut request = Fingerprint::of("server");
        request.text(self.server.as_str()).text(self.verb.as_str());
        request.text(self.tier.as_deref().unwrap_or_default());
        request.number(self.at.map_or(u64::MAX, |it| it.millis().unsigned_abs()));
        request
    }
}

/// How a server stood when something was answered of it: micro-credits, milliseconds, seconds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServerAnswer {
    pub id: String,
    pub project: Option<String>,
    pub state: String,
    pub tier: String,
    pub region: Option<String>,
    pub provisioned_at: i64,
    pub started_at: Option<i64>,
    pub seconds: u64,
    pub set_up: i64,
    pub runtime: i64,
    pub beyond: i64,
    pub accrued: i64,
    pub is_capped: bool,
    pub projected_month: i64,
    pub rate_card: u32,
    /// Nothing in answers that were kept before it was told.
    #[serde(default)]
    pub commitment_seconds: u64,
}

impl ServerAnswer {
    pub fn of(view: &ServerView) -> ServerAnswer {
        let (server, run) = (&view.server, &view.server.run);
        ServerAnswer {
            id: server.id.to_string(),
            project: server.project.as_ref().map(Name::to_string),
            state: run.phase.as_str().to_owned(),
            tier: run.tariff.tier.to_string(),
            region: run.tariff.region.as_deref().map(str::to_owned),
            provisioned_at: server.provisioned_at.millis(),
            started_at: run.started_at.map(Timestamp::millis),
            seconds: view.seconds,
            set_up: server.set_up.micros(),
            runtime: view.runtime.micros(),
            beyond: server.beyond.micros(),
            accrued: view.accrued.micros(),
            is_capped: view.is_capped,
            projected_month: view.projected_month.micros(),
            rate_card: run.tariff.rate_card,
            commitment_seconds: run.tariff.commitment_seconds,
        }
    }
}

impl App {
    /// Takes a report of what happened. One that says what is known is kept, and changes nothing
    /// unless what is told later of the time before it makes it news. Says whether it is the answer that
    /// its key was given before.
    pub async fn report_server(&self, event: ServerEvent) -> Result<(ServerAnswer, bool), Error> {
        let known = self.known(&event.account)?;
        let account = known.account.number;
        let key = event.key.as_ref().map(|it| self.key(account, it, event.fingerprint())).transpose()?;
        let fresh = match key.as_ref().map(|it| self.noted(account, it)).transpose()? {
            Some(Asked::Before(led_to)) => return self.answer_again(&event, &led_to),
            Some(Asked::Fresh(fresh)) => Some(fresh),
            None => None,
        };
        // What the server is told to be at a time decides which prices it was to be told of, before that and after.
        self.tell_prices(&known).await?;
        let report = self.report(&known, &event)?;
        let told = self.tell(&known, report, key, &event.by).await?;
        self.tell_prices(&known).await?;
        let answer = self.present_answer(&event)?;
        match fresh {
            Some(fresh) if told != Told::Before => self.keep_answer(&event, &fresh, answer),
            _ => Ok((answer, told == Told::Before)),
        }
    }

    fn report(&self, known: &Known, event: &ServerEvent) -> Result<ServerReport, Error> {
        let now = self.now();
        let at = event.at.unwrap_or(now);
        let tariff = |tier: Option<Text>| -> Result<Arc<Tariff>, Error> {
            let book = self.book(known.account.number)?;
            let server = book.server(&event.server).ok_or(Refusal::ServerNotFound)?;
            // What it was then, not what it is.
            let (_, then) = server.stood(at);
            let tier = tier.unwrap_or_else(|| Arc::clone(&then.tier));
            Ok(Arc::new(Tariff::of(&*self.card_at(at.min(now))?, tier, then.region.clone())?))
        };
        if event.tier.is_some() && event.verb != ServerVerb::Resize {
            return Err(Refusal::invalid("tier", "is for `resize` only").into());
        }
        let change = match event.verb {
            ServerVerb::Start => Change::Start(tariff(None)?),
            ServerVerb::Stop => Change::Stop,
            ServerVerb::Resize if event.tier.is_none() => return Err(Refusal::invalid("tier", "is missing").into()),
            ServerVerb::Resize => Change::Resize(tariff(event.tier.clone())?),
            ServerVerb::Release => Change::Release,
            ServerVerb::Fail => Change::Fail,
        };
        let terms = Some(burn_terms(self, known));
        Ok(ServerReport { server: event.server.clone(), act: ServerAct::Change(change), at, terms })
    }

    fn present_answer(&self, event: &ServerEvent) -> Result<ServerAnswer, Error> {
        Ok(ServerAnswer::of(&self.server(&event.account, &event.server)?))
    }

    fn answer_again(&self, event: &ServerEvent, led_to: &str) -> Result<(ServerAnswer, bool), Error> {
        Ok((answer_in(led_to).map_or_else(|| self.present_answer(event), Ok)?, true))
    }

    /// Keeps the first answer. Of two who ask at once under one key, the second is answered as the first was.
    fn keep_answer(
        &self,
        event: &ServerEvent,
        fresh: &Fresh,
        answer: ServerAnswer,
    ) -> Result<(ServerAnswer, bool), Error> {
        if self.keep(&[fresh.answered(&answer, self.now())])? {
            return Ok((answer, false));
        }
        match self.noted_of(fresh)? {
            Some(led_to) => self.answer_again(event, &led_to),
            None => Ok((answer, false)),
        }
    }
}
