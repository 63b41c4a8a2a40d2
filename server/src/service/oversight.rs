//! What operators look for: an account by a word, the payments that want somebody, what a refund would do, what was
//! noted of a customer.
//!
//! Nothing here looks through all accounts: words and payments have indexes of their own, and every list has an end.
use billing::Refusal;
use billing::id::{AccountNumber, Name, PaymentId};
use billing::money::{Credits, Money};
use billing::payment::Status;
use billing::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Account, Change};

use super::documents::{Kept, read};
use super::house_requests::{HouseKey, Under};
use super::order::Fingerprint;
use super::payment::{DisputeState, Payment, Way};
use super::payments::PaymentView;
use super::refunds::RefundOrder;
use super::seal::random_name;
use super::{By, Error};
use crate::app::App;

/// Accounts looked at that have the longest word of a search.
const CALLED_MAX: usize = 1_000;
/// Payments that fill a page, those of one read, and reads for one page.
const PAYMENTS_PAGE: usize = 100;
const PAYMENTS_READ: usize = 300;
const PAYMENT_READS_MAX: usize = 20;
/// How long a payment may be under way before somebody should look.
const UNDER_WAY_MAX: Span = Span::HOUR;

const NOTE: &str = "account_note";
const NOTE_BYTES_MAX: usize = 4_000;
const NOTES_MAX: usize = 1_000;

/// Why a payment wants somebody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attention {
    /// The customer's bank is asked for the money back.
    Disputed,
    /// The customer has to prove who they are, and has had time for it.
    RequiresAction,
    /// It has been under way for so long that nobody can say what became of it.
    Unclear,
    /// It came in after its account was closed, and its credits are there: somebody should give the money back.
    AfterClosing,
    Failed,
}

impl Attention {
    pub const ALL: [Attention; 5] = [
        Attention::Disputed,
        Attention::RequiresAction,
        Attention::Unclear,
        Attention::AfterClosing,
        Attention::Failed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Attention::Disputed => "disputed",
            Attention::RequiresAction => "requires_action",
            Attention::Unclear => "unclear",
            Attention::AfterClosing => "after_closing",
            Attention::Failed => "failed",
        }
    }

    fn of(payment: &Payment, changed_at: Timestamp, now: Timestamp) -> Option<Attention> {
        let began_at = Timestamp::from_millis(payment.created_at);
        let is_disputed = payment.dispute.as_ref().is_some_and(|it| it.status == DisputeState::Open);
        match payment.status() {
            _ if is_disputed => Some(Attention::Disputed),
            // A page that is open is paid on, or closes by itself.
            Status::RequiresAction if payment.way == Way::Hosted => {
                let ends_at = Timestamp::from_millis(payment.page_ends_at);
                (ends_at + UNDER_WAY_MAX <= now).then_some(Attention::Unclear)
            }
            // Whoever is buying right now is answering their bank.
            Status::RequiresAction if payment.way == Way::OnSession && now < began_at + UNDER_WAY_MAX => None,
            Status::RequiresAction if payment.waits_for_customer() => Some(Attention::RequiresAction),
            Status::Failed => Some(Attention::Failed),
            Status::Succeeded if payment.is_after_closing => Some(Attention::AfterClosing),
            Status::Pending | Status::RequiresAction if changed_at + UNDER_WAY_MAX <= now && payment.page.is_none() => {
                Some(Attention::Unclear)
            }
            _ => None,
        }
    }
}

/// Payments of every account, as far as it took to find those that were asked for.
#[derive(Clone, Debug)]
pub struct SeenPayments {
    /// Those that were asked for, the latest change first.
    pub payments: Vec<PaymentView>,
    /// Of each that was looked at, why it wants somebody, if it does.
    pub looked_at: Vec<Option<Attention>>,
    /// Before when to look further; None where nothing is left.
    pub older: Option<Timestamp>,
}

/// What a refund would take and give, were it made now.
#[derive(Clone, Copy, Debug)]
pub struct RefundPreview {
    pub credits: Credits,
    pub net: Money,
    pub tax: Money,
}

/// What an operator wrote down about a customer. The customer never sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Note {
    pub text: String,
    pub by: String,
    /// Milliseconds since 1970.
    pub at: i64,
}

impl App {
    /// Accounts of whose id, name or e-mail address words begin as those of `text` do, by id; all, where it is empty.
    pub fn search_accounts(&self, text: &str, limit: usize) -> Result<Vec<Account>, Error> {
        let text = text.trim().to_lowercase();
        let words: Vec<&str> = text.split_whitespace().collect();
        let Some(longest) = words.iter().max_by_key(|it| it.len()) else {
            return Ok(self.store.accounts(None, limit)?);
        };
        let mut found = self.store.accounts_called(longest, CALLED_MAX)?;
        found.retain(|it| words.iter().all(|word| has(it, word)));
        found.truncate(limit);
        Ok(found)
    }

    /// Payments of every account that changed before `before` and that `admits` lets through, the latest change first:
    /// as many as fill a page, or as there are within as many reads as one request may make.
    pub fn recent_payments(
        &self,
        before: Timestamp,
        admits: impl Fn(Option<Attention>) -> bool,
    ) -> Result<SeenPayments, Error> {
        let now = self.now();
        let mut seen = SeenPayments { payments: Vec::new(), looked_at: Vec::new(), older: Some(before) };
        for _ in 0..PAYMENT_READS_MAX {
            let Some(before) = seen.older.filter(|_| seen.payments.len() < PAYMENTS_PAGE) else { break };
            let mut documents = self.store.payments(before, PAYMENTS_READ)?;
            seen.older = documents.last().filter(|_| documents.len() == PAYMENTS_READ).map(|it| it.at);
            // Of those that changed in the last instant some may be missing: the next read begins with all of them.
            if let Some(edge) = seen.older.filter(|it| documents.first().is_some_and(|first| first.at != *it)) {
                documents.retain(|it| it.at != edge);
                seen.older = Some(edge + Span::from_millis(1));
            }
            for document in documents {
                let kept: Kept<Payment> = read(document)?;
                let mut attention = Attention::of(&kept.body, kept.document.at, now);
                if attention == Some(Attention::AfterClosing) && !self.has_unused(&kept)? {
                    attention = None;
                }
                seen.looked_at.push(attention);
                if !admits(attention) {
                    continue;
                }
                let Some(known) = self.known_number(kept.document.account)? else { continue };
                seen.payments.push(self.payment_view(&known, kept, false)?);
            }
        }
        Ok(seen)
    }

    /// What a refund would do. Refused as the refund itself would be.
    pub fn preview_refund(&self, order: &RefundOrder) -> Result<RefundPreview, Error> {
        let payment = self.payment_kept(order.payment)?.ok_or(Refusal::PaymentNotFound)?;
        let (_, part) = self.to_refund(order, &payment.body)?;
        let (net, tax) = (payment.body.money(part.net), payment.body.money(part.tax));
        Ok(RefundPreview { credits: part.credits, net, tax })
    }

    /// Credits of a payment that are unused and could go back.
    pub fn unused_of(&self, payment: PaymentId) -> Result<Credits, Error> {
        let Some((grant, _)) = self.grant_paid_by(payment)? else { return Ok(Credits::ZERO) };
        let book = self.book(payment.place().account)?.brought_up_to(self.now());
        Ok(book.grant(grant).map_or(Credits::ZERO, |it| it.remaining))
    }

    /// Whether any of its credits are left that nobody used and nobody took back.
    fn has_unused(&self, payment: &Kept<Payment>) -> Result<bool, Error> {
        let id = payment.document.id.parse().map_err(|_| Refusal::PaymentNotFound)?;
        Ok(self.unused_of(id)?.is_positive())
    }

    /// Writes a note down. The same form sent twice is one note.
    pub fn add_note(&self, account: &Name, text: &str, by: &By, under: &Under) -> Result<(), Error> {
        let known = self.known(account)?;
        if text.is_empty() || NOTE_BYTES_MAX < text.len() {
            return Err(Refusal::invalid("text", format!("must be 1 to {NOTE_BYTES_MAX} bytes")).into());
        }
        let key = HouseKey::of(under, Fingerprint::of("note").text(account.as_str()).text(text));
        if self.led_before(Some(&key))?.is_some() {
            return Ok(());
        }
        let now = self.now();
        // In the order of time, for lists are in the order of ids.
        let id = format!("note_{:013}_{}", now.millis(), random_name("naming a note")?);
        let note = Note { text: text.to_owned(), by: by.name.to_string(), at: now.millis() };
        let kept = Kept::new(known.account.number, NOTE, id.clone(), note);
        let mut changes = vec![kept.next(now, None), key.led_to(&id)];
        changes.extend(by.noted(now, "account.note", account.to_string(), String::new()));
        // Not kept, the same form was faster.
        self.keep(&changes).map(drop)
    }

    /// The notes on an account, newest first.
    pub fn notes(&self, account: &Name, limit: usize) -> Result<Vec<Note>, Error> {
        let known = self.known(account)?;
        let kept = self.all_kept::<Note>(known.account.number, NOTE, None, limit)?;
        Ok(kept.into_iter().map(|it| it.body).filter(|it| !it.text.is_empty()).collect())
    }

    /// The notes on an account without what they say: it is closed, and forgets who it was.
    pub(super) fn erased_notes(&self, account: AccountNumber) -> Result<Vec<Change>, Error> {
        let mut kept = self.all_kept::<Note>(account, NOTE, None, NOTES_MAX)?;
        kept.iter_mut().for_each(|it| it.body.text.clear());
        Ok(kept.iter().map(|it| it.next(self.now(), None)).collect())
    }
}

fn has(account: &Account, word: &str) -> bool {
    let texts = [Some(account.id.as_str()), account.email.as_deref(), account.name.as_deref()];
    let begins = |text: &str| {
        let text = text.to_lowercase();
        text.starts_with(word) || text.split(|c: char| !c.is_alphanumeric()).any(|it| it.starts_with(word))
    };
    texts.into_iter().flatten().any(begins)
}
