//! E-mails: what an account's people are told of, beside what its platform hears. Each is a delivery like a webhook's:
//! a document with its tries written down, tried for three days, told once, sent again by hand.
//!
//! A document says what happened, never to whom: the address is the account's present one, looked up at each try, and
//! the log keeps no more of it than tells it apart. So a closed account is forgotten here too.
mod confirm;
mod digest;
mod letter;
mod words;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use billing::Refusal;
use billing::id::{AccountNumber, DeliveryId, Name, Place};
use billing::rating::Text;
use billing::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use store::{Change, Document};

use super::deliveries::{DeliveryState, LOG_MAX, PAUSES, SentAgain};
use super::documents::{Kept, LEASE, read};
use super::notices::Notice;
use super::order::Fingerprint;
use super::preferences::Topic;
use super::requests::answer_in;
use super::{By, Error, Happening};
use crate::app::{App, Known};
use crate::notify::{Mail, Posted, Turn};

/// Also what the mail server is called among those who are told things.
pub(super) const KIND: &str = "email";
/// Kinds that are over once a mail has gone or was given up.
pub(super) const PASSING: [&str; 2] = [KIND, digest::LATE];
/// Mails handed in at once: mail servers count connections.
const UNDER_WAY_MAX: usize = 4;

/// An e-mail as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Email {
    /// What happened: `balance.low`.
    pub what: String,
    /// What is said of it.
    about: Value,
    pub state: DeliveryState,
    /// Tries since it was first sent, or sent again by hand.
    tries: usize,
    pub log: Vec<EmailTry>,
}

/// How one try went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EmailTry {
    /// Milliseconds since 1970.
    pub at: i64,
    /// The address, as far as it may be kept: `a…@example.com`.
    pub to: String,
    /// What the mail server answered, or why there was no answer.
    pub said: String,
}

/// An e-mail with its id and its next try.
#[derive(Clone, Debug)]
pub struct EmailView {
    pub id: String,
    pub created_at: Timestamp,
    pub next_try_at: Option<Timestamp>,
    pub subject: String,
    pub email: Email,
}

/// Whether it is written about, and under which topic; under none where it may not be missed.
fn topic_of(what: &str) -> Option<Option<Topic>> {
    use Happening::*;
    let topic = match what.parse() {
        Ok(PaymentSucceeded | PaymentRefunded | InvoiceIssued) => Topic::Receipts,
        Ok(BalanceLow | BalanceExhausted | ServerRunwayLow | ServerResumeDue) => Topic::Balance,
        Ok(BudgetThresholdReached) => Topic::Budgets,
        Ok(GrantExpiring | PaymentMethodExpiring) => Topic::Expiry,
        Ok(SubscriptionRenewalUpcoming) => Topic::Renewals,
        Ok(
            PaymentFailed
            | PaymentRequiresAction
            | PaymentDisputed
            | AutoTopupFailed
            | AutoTopupPaused
            | SubscriptionPastDue
            | SubscriptionCanceled
            | ServerStopDue
            | ServerReleaseDue,
        ) => return Some(None),
        _ if what == digest::WHAT => Topic::Digest,
        _ => return None,
    };
    Some(Some(topic))
}

fn new(account: AccountNumber, cause: &str, made_at: Timestamp, what: &str, about: Value) -> Kept<Email> {
    // A name of its own beside the notice's deliveries to endpoints, and the same each time it is made.
    let hash = Sha256::digest(format!("email {cause}"));
    let chance = hash.iter().take(4).fold(0, |number, byte| number << 8 | u64::from(*byte));
    let id = DeliveryId::new(made_at, Place { account, version: chance }).to_string();
    let email = Email { what: what.to_owned(), about, state: DeliveryState::Pending, tries: 0, log: Vec::new() };
    Kept::new(account, KIND, id, email)
}

impl App {
    /// Whether this server writes e-mails at all.
    pub fn sends_email(&self) -> bool {
        self.postbox.is_some()
    }

    /// The e-mail that a notice becomes, if the account wants it.
    pub(super) fn email_of(
        &self,
        known: &Known,
        notice: &Kept<Notice>,
        now: Timestamp,
    ) -> Result<Option<Change>, Error> {
        let what = &*notice.body.what;
        let Some(topic) = topic_of(what).filter(|_| self.postbox.is_some() && known.account.email.is_some()) else {
            return Ok(None);
        };
        if notice.body.is_outdone || self.is_told_otherwise(known, notice)? {
            return Ok(None);
        }
        let number = known.account.number;
        if let Some(topic) = topic
            && !self.preferences_of(number)?.wants(topic)
        {
            return Ok(None);
        }
        let email = new(number, &notice.document.id, notice.document.at, what, notice.body.about.clone());
        Ok(Some(email.next(now, Some(now))))
    }

    /// A top-up that failed is told of by the rule that made it, and the try that made a subscription late by the
    /// subscription: they say what comes next. What was cancelled is known to who did it. (The other way round, what
    /// they bought is told of once, by its receipt.) And where a rule pauses because of it, the pause says it all.
    fn is_told_otherwise(&self, known: &Known, notice: &Kept<Notice>) -> Result<bool, Error> {
        let about = &notice.body.about;
        match notice.body.what.parse() {
            Ok(Happening::AutoTopupFailed) => return self.is_told_with(notice, Happening::AutoTopupPaused),
            Ok(Happening::PaymentFailed) => {}
            _ => return Ok(false),
        }
        Ok(match about["purpose"].as_str() {
            Some("auto_topup") => true,
            Some(purpose) => {
                let payment = about["payment"].as_str().unwrap_or_default();
                // Whoever gave it up knows.
                let paid = payment.parse().ok().map(|it| self.payment_kept(it)).transpose()?.flatten();
                paid.is_some_and(|it| it.body.is_given_up)
                    || purpose == "subscription"
                        && self.is_told(known.account.number, Happening::SubscriptionPastDue, payment)?
            }
            None => false,
        })
    }

    /// Does the job of a document if it is one of an e-mail's; gives it back otherwise.
    pub(super) fn work_emails(
        self: &Arc<Self>,
        document: Document,
        ends: &mut Vec<Change>,
    ) -> Result<Option<Document>, Error> {
        match &*document.kind {
            KIND => self.deliver_email(read(document)?, ends)?,
            digest::ROUND => self.digest_round(read(document)?)?,
            digest::LATE => self.late_digest(&read(document)?)?,
            _ => return Ok(Some(document)),
        }
        Ok(None)
    }

    /// Begins a try, and does not wait for it: how long a mail server takes is nobody else's business.
    fn deliver_email(self: &Arc<Self>, mut kept: Kept<Email>, ends: &mut Vec<Change>) -> Result<(), Error> {
        let now = self.now();
        let known = self.known_number(kept.document.account)?;
        let addressed = known.and_then(|it| Some((it.account.email.clone()?, it)));
        let (Some((to, known)), Some(postbox)) = (addressed, self.postbox.clone()) else {
            kept.body.state = DeliveryState::Canceled;
            ends.push(kept.next(now, None));
            return Ok(());
        };
        let Some(turn) = self.desk.admit_few(KIND, UNDER_WAY_MAX, now) else { return Ok(()) };
        // Before it is claimed: one that cannot be written is put off like any job, longer each time.
        let mail = self.mail(&kept, &known, to)?;
        if !self.claim(&mut kept, now)? {
            return Ok(());
        }
        let app = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            // A try that panics has failed like any other: not counted, it would be made again for ever.
            let posted = catch_unwind(AssertUnwindSafe(|| postbox.send(&mail)));
            let panicked = |_| Posted::Later { said: "sending it panicked".to_owned(), is_there: true };
            let posted = posted.unwrap_or_else(panicked);
            let id = kept.document.id.clone();
            if let Err(error) = app.settle_email(kept, turn, &mail.to, &posted) {
                tracing::warn!(id, %error, "how an e-mail went could not be written down; it is sent again");
            }
        });
        Ok(())
    }

    fn claim(&self, kept: &mut Kept<Email>, now: Timestamp) -> Result<bool, Error> {
        let claimed = self.keep(&[kept.next(now, Some(now + LEASE))])?;
        kept.document.version += 1;
        Ok(claimed)
    }

    fn settle_email(&self, mut kept: Kept<Email>, turn: Turn, to: &str, posted: &Posted) -> Result<(), Error> {
        let now = self.now();
        let is_there = !matches!(posted, Posted::Later { is_there: false, .. });
        turn.end(is_there, now);
        let email = &mut kept.body;
        email.tries += 1;
        let (Posted::Taken { said } | Posted::Later { said, .. } | Posted::Never { said }) = posted;
        email.log.push(EmailTry { at: now.millis(), to: masked(to), said: said.clone() });
        if LOG_MAX < email.log.len() {
            email.log.remove(0);
        }
        let pause = PAUSES.get(email.tries - 1).filter(|_| matches!(posted, Posted::Later { .. }));
        email.state = match (posted, pause) {
            (Posted::Taken { .. }, _) => DeliveryState::Delivered,
            (Posted::Later { .. }, Some(_)) => DeliveryState::Pending,
            _ => DeliveryState::Failed,
        };
        self.keep(&[kept.next(now, pause.map(|it| now + *it))]).map(drop)
    }

    fn mail(&self, kept: &Kept<Email>, known: &Known, to: String) -> Result<Mail, Error> {
        let email = &kept.body;
        let unsubscribe = match topic_of(&email.what).flatten().zip(self.settings.public_url.as_deref()) {
            Some((topic, url)) => {
                let token = self.unsubscribe_token(&known.account.id, topic)?;
                Some(letter::Unsubscribe { url: format!("{url}/emails/unsubscribe?token={token}"), topic })
            }
            None => None,
        };
        let mut letter = words::letter(self, known, &email.what, &email.about);
        if email.what == Happening::PaymentRequiresAction.as_str()
            && let Some(url) = self.confirm_url(&email.about)?
        {
            letter = letter.button("Confirm the payment", Some(url));
        }
        let (text, html) = letter::rendered(&self.settings.brand, &letter, unsubscribe.as_ref());
        let made_at = kept.document.id.parse().map_or(kept.document.at, |it: DeliveryId| it.made_at());
        Ok(Mail {
            to,
            subject: letter.subject,
            text,
            html,
            id: kept.document.id.clone(),
            at: self.clock.at_machine(made_at).millis().div_euclid(1_000).max(0).unsigned_abs(),
            unsubscribe: unsubscribe.map(|it| it.url),
        })
    }

    /// An account's e-mails, newest first, with an id below `before`.
    pub fn emails(&self, account: &Name, before: Option<&str>, limit: usize) -> Result<Vec<EmailView>, Error> {
        let known = self.known(account)?;
        let found = self.all_kept::<Email>(known.account.number, KIND, before, limit)?;
        Ok(found.into_iter().map(|it| self.email_view(&known, it)).collect())
    }

    /// Sends an e-mail again, with all its tries before it.
    ///
    /// Says whether its key did that before: then it is not sent once more.
    pub fn resend_email(
        &self,
        account: &Name,
        id: DeliveryId,
        by: &By,
        key: Option<&Text>,
    ) -> Result<(EmailView, bool), Error> {
        let known = self.known(account)?;
        let (number, id) = (known.account.number, id.to_string());
        loop {
            let mut kept = self.kept::<Email>(number, KIND, &id)?.ok_or(Refusal::EmailNotFound)?;
            let mut request = Fingerprint::of("resend e-mail");
            request.text(&id);
            let (fresh, before) = self.asked_perhaps(number, key, request)?;
            if let Some(led_to) = before {
                return Ok((self.email_then(&known, kept, &led_to), true));
            }
            let now = self.now();
            (kept.body.state, kept.body.tries) = (DeliveryState::Pending, 0);
            let mut changes = vec![kept.next(now, Some(now))];
            changes.extend(by.noted(now, "email.resend", account.to_string(), id.clone()));
            kept.document.due_at = Some(now);
            let view = self.email_view(&known, kept);
            let answer = SentAgain::of(view.email.log.len(), view.next_try_at.unwrap_or(now));
            changes.extend(fresh.map(|it| it.answered(&answer, now)));
            // Overtaken by a try that ended just now: its outcome is read, and it is sent again all the same.
            if self.keep(&changes)? {
                return Ok((view, false));
            }
        }
    }

    /// An e-mail as it was answered when it was sent again.
    fn email_then(&self, known: &Known, kept: Kept<Email>, led_to: &str) -> EmailView {
        let mut view = self.email_view(known, kept);
        if let Some(then) = answer_in::<SentAgain>(led_to) {
            view.email.state = DeliveryState::Pending;
            view.email.log.truncate(then.tries());
            view.next_try_at = Some(then.due_at());
        }
        view
    }

    fn email_view(&self, known: &Known, kept: Kept<Email>) -> EmailView {
        let created_at = kept.document.id.parse().map_or(kept.document.at, |it: DeliveryId| it.made_at());
        let subject = words::letter(self, known, &kept.body.what, &kept.body.about).subject;
        let next_try_at = kept.document.due_at.map(|it| it.max(self.desk.rests_until(KIND)));
        EmailView { id: kept.document.id, created_at, next_try_at, subject, email: kept.body }
    }
}

/// An address as far as a log may keep it: whoever knows it recognises it.
fn masked(address: &str) -> String {
    let (name, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let first: String = name.chars().take(1).collect();
    format!("{first}…@{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_an_account_could_miss_has_its_place() {
        let silent = ["balance.recovered", "grant.expired", "auto_topup.succeeded", "subscription.renewed"];
        for what in Happening::ALL.iter().map(|it| it.as_str()).filter(|it| !it.starts_with("webhook_endpoint")) {
            assert_eq!(topic_of(what).is_none(), silent.contains(&what), "{what}");
        }
        assert_eq!(topic_of("payment.failed"), Some(None));
        assert_eq!(masked("ada@example.com"), "a…@example.com");
    }
}
