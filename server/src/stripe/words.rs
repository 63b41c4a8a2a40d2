//! What can be asked of the provider and what it can answer, in Scrip's words.
//!
//! `reference` is always the provider's name for a thing, to be stored and given back; `ours` is our own id, which the
//! provider keeps beside it. Text of the provider's that ends up before a customer has been put into plain words.
use std::fmt;

use billing::money::{Currency, Money};
use billing::time::{Span, Timestamp};

/// Why there is no answer. See the table at the head of this room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// Nothing was done, and the same request would be answered the same. `detail` is for the operator.
    Refused { why: RefusedFor, detail: String },
    /// Nothing was done. Ask again with the same key, not before `after` has passed.
    Busy { after: Span, detail: String },
    /// Sent, and perhaps done. `is_kept`: the provider keeps this answer under the key, and repeats it whenever asked.
    Ambiguous { is_kept: bool, detail: String },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusedFor {
    /// The provider knows no such thing.
    Missing,
    /// The key came before with another request: a bug of ours.
    KeyReused,
    /// More than is left to refund; also when all has been refunded.
    RefundTooLarge,
    /// The payment is disputed, which the refund would pay twice.
    Disputed,
    /// The thing is not in a state in which this can be done: a page that is closed, a payment that is over.
    WrongState,
    /// The secret key is wrong or may not do this.
    Unauthorized,
    /// Anything else: the request is wrong.
    Malformed,
}

/// For the operator, before what the provider said.
impl fmt::Display for RefusedFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RefusedFor::Missing => "the provider knows no such thing",
            RefusedFor::KeyReused => "its key came with another request before",
            RefusedFor::RefundTooLarge => "more than is left to refund",
            RefusedFor::Disputed => "the payment is disputed",
            RefusedFor::WrongState => "its state does not allow it",
            RefusedFor::Unauthorized => "the secret key is wrong or may not do this",
            RefusedFor::Malformed => "the request was refused",
        })
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewCustomer<'a> {
    /// The account's id.
    pub ours: &'a str,
    /// The account's number, by which it is found: ids may be used again by others who sell under the same secret key.
    pub number: u64,
    pub name: Option<&'a str>,
    pub email: Option<&'a str>,
}

/// A purchase on a page of the provider's, with a card typed in there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PurchaseOrder<'a> {
    /// The payment's id.
    pub ours: &'a str,
    pub customer: &'a str,
    pub currency: Currency,
    /// What is shown and added up; tax is a line.
    pub lines: Vec<PurchaseLine>,
    /// The customer agreed that the card be saved and charged later, when they are not there.
    pub save_card: bool,
    /// Where the page leads when it is done, and when it is left.
    pub success_url: &'a str,
    pub cancel_url: &'a str,
    /// When the page closes: from half an hour to a day ahead.
    pub expires_at: Timestamp,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PurchaseLine {
    pub name: String,
    /// In minor units.
    pub amount: i64,
}

/// A page of the provider's: to buy on, or to save a card on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    pub reference: String,
    pub ours: Option<String>,
    pub customer: Option<String>,
    pub status: PageStatus,
    /// Where the customer goes; None when it is closed.
    pub url: Option<String>,
    /// The payment made on it, once there is one.
    pub payment: Option<String>,
    /// What saves the card, on a page for that; see [`Provider::setup`](super::Provider::setup).
    pub setup: Option<String>,
    /// What was to be paid; None on a page that saves a card.
    pub total: Option<Money>,
    pub expires_at: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageStatus {
    Open,
    /// Done, and paid where there was something to pay.
    Complete,
    /// Done, and the money is on its way.
    Processing,
    /// Closed without having been done.
    Expired,
}

/// A charge of a saved card.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SavedCharge<'a> {
    /// The payment's id.
    pub ours: &'a str,
    pub customer: &'a str,
    /// The saved card.
    pub card: &'a str,
    pub total: Money,
    /// Some when the customer is there to prove who they are, and where to lead them afterwards; None when nobody is
    /// there, and a bank that wants proof declines with [`DeclineReason::NeedsCustomer`].
    pub return_url: Option<&'a str>,
}

/// A payment that wanted the customer, tried again with the customer there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FinishOrder<'a> {
    pub payment: &'a str,
    pub card: &'a str,
    pub return_url: &'a str,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payment {
    pub reference: String,
    pub ours: Option<String>,
    pub customer: Option<String>,
    /// The card it was paid with, or last tried with.
    pub card: Option<String>,
    /// What was asked. Compare it, currency and all, with what was meant.
    pub asked: Money,
    /// What came in, in minor units of the same currency.
    pub received: i64,
    pub status: PaymentStatus,
    pub created_at: Timestamp,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PaymentStatus {
    /// Begun; nothing has been decided yet.
    Pending,
    /// The bank wants proof of who the customer is. `url` is where they give it; where there is none, the provider's
    /// own script does it with `client_secret`.
    NeedsCustomer {
        url: Option<String>,
        client_secret: Option<String>,
    },
    Succeeded,
    /// The last try was declined. On a page the customer may try again until it closes.
    Failed(Decline),
    /// Over, without money.
    Canceled,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decline {
    pub reason: DeclineReason,
    /// For the customer, in plain words; says nothing that would help a thief.
    pub words: &'static str,
    /// The provider's code, for the operator.
    pub code: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeclineReason {
    InsufficientFunds,
    Expired,
    /// The bank wants the customer to be there: finish it with [`Provider::finish`](super::Provider::finish).
    NeedsCustomer,
    /// The customer was there and could not, or would not, prove who they are.
    ProofFailed,
    /// Number or security code are wrong.
    Incorrect,
    /// The bank, or the way to it, failed: the same card may work later.
    TryLater,
    /// The bank gave no reason, or one that is not for telling.
    Declined,
}

/// A saved card.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Card {
    pub reference: String,
    /// None when it has been removed.
    pub customer: Option<String>,
    pub brand: String,
    pub last4: String,
    pub expiry_month: u8,
    pub expiry_year: u16,
    /// The same for the same card number, whoever saved it.
    pub fingerprint: Option<String>,
    pub created_at: Timestamp,
}

/// To save a card on a page of the provider's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CardOrder<'a> {
    /// The account's id, or whatever leads home.
    pub ours: &'a str,
    pub customer: &'a str,
    pub currency: Currency,
    pub success_url: &'a str,
    pub cancel_url: &'a str,
}

/// A card being saved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CardSetup {
    pub reference: String,
    pub ours: Option<String>,
    pub customer: Option<String>,
    /// For the provider's own script in the customer's browser.
    pub client_secret: Option<String>,
    pub outcome: SetupOutcome,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SetupOutcome {
    Open,
    Saved { card: String },
    Failed(Decline),
    Canceled,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefundOrder<'a> {
    /// The refund's id.
    pub ours: &'a str,
    pub payment: &'a str,
    /// In the payment's currency.
    pub amount: Money,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refund {
    pub reference: String,
    /// None for one made by hand at the provider.
    pub ours: Option<String>,
    pub payment: Option<String>,
    pub refunded: Money,
    pub status: RefundStatus,
    pub created_at: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefundStatus {
    Pending,
    Succeeded,
    /// The money came back, or was never sent.
    Failed,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dispute {
    pub reference: String,
    pub payment: Option<String>,
    /// What the customer's bank wants back; may be less than was paid.
    pub disputed: Money,
    /// What is gone from the operator's balance on its account now, without fees, in minor units of what is disputed;
    /// falls again when the dispute is won, wholly or partly. None where the balance is kept in another currency: what
    /// was converted cannot be compared with what was paid.
    pub withdrawn: Option<i64>,
    pub status: DisputeStatus,
    /// The bank's reason, for the operator.
    pub reason: String,
    pub opened_at: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DisputeStatus {
    /// A question of the bank's; no money has been taken.
    Inquiry,
    Open,
    Won,
    Lost,
}

/// What the provider told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// The same however often it is told.
    pub reference: String,
    pub at: Timestamp,
    /// False in the provider's test mode.
    pub is_live: bool,
    pub event: Event,
}

/// A notice that does not say how much money it is about, so that nobody knows what it tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unread {
    /// As of a notice.
    pub reference: String,
    pub at: Timestamp,
    /// What of it cannot be read.
    pub why: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A payment has another status now: read it there.
    Payment(Payment),
    /// A page was done, or has expired.
    Page(Page),
    /// A card was saved, or could not be.
    CardSetup(CardSetup),
    CardAdded(Card),
    /// New expiry, or the bank replaced it.
    CardChanged(Card),
    CardRemoved(Card),
    /// By hand, and its cards with it.
    CustomerDeleted(String),
    Refund(Refund),
    Dispute(Dispute),
    /// Something else, by the provider's name for it: nothing to us.
    Other(String),
}
