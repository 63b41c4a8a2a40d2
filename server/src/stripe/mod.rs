//! The payment provider, in Scrip's words. The only room that knows Stripe's: what comes in and goes out here is
//! purchases, payments, saved cards, refunds and disputes, and nobody outside needs to know who carries them out.
//!
//! It decides nothing about credits, keeps nothing, and knows neither use cases nor the store. Its calls block, up to
//! half a minute when all goes badly: they belong in the worker, between two commits, never inside an ask.
//!
//! # How to be sure
//!
//! Whatever moves money takes a **key** that the caller owns: made once, committed with the intention, and given again
//! at every try. A try is repeated here with that same key, never another, so that the provider does the thing once.
//! The outcome is one of four:
//!
//! | answer | what is true | what the caller does |
//! |---|---|---|
//! | `Ok` | it was done; a declined card is an outcome too: [`PaymentStatus::Failed`] | commits it |
//! | [`Failure::Refused`] | nothing was done, and asking again would be answered the same | commits the failure |
//! | [`Failure::Busy`] | nothing was done; it has no time, or cannot be reached | asks later, with the same key |
//! | [`Failure::Ambiguous`] | sent, and perhaps done | asks again with the **same** key, or looks: `find_…` |
//!
//! Keys are remembered for [`KEY_LIVES`]: within it, asking again is safe and settles it, unless the provider stored an
//! error of its own under the key, which it then repeats (`is_kept`). After that, or then, look: every order carries
//! *our* id, and [`Provider::find_payment`], [`Provider::find_page`] and [`Provider::refunds`] read lists that show
//! without delay what was done. That a thing is *not* there counts only when it was sent at least [`CERTAIN_AFTER`]
//! ago. Only then may the caller decide on another try under a new key.
//!
//! # Hearing of it
//!
//! [`Provider::read_notice`] checks the signature and gives an [`Event`]. Notices are repeated, late, out of order and
//! lost: a notice is a reason to look, and what happened is applied by our own id, once. What notices missed is read
//! with [`Provider::events`]. Refunds and disputes made by hand at the provider carry no id of ours: their payment
//! does.
mod amounts;
mod cards;
mod customers;
mod events;
mod form;
mod lists;
mod notices;
mod payments;
mod read;
mod refunds;
mod secret;
mod wire;
mod words;

pub use amounts::charged_max;
pub use events::Heard;
pub use notices::NoticeFault;
pub use secret::Secret;
pub use words::{
    Card, CardOrder, CardSetup, Decline, DeclineReason, Dispute, DisputeStatus, Event, Failure, FinishOrder,
    NewCustomer, Notice, Page, PageStatus, Payment, PaymentStatus, PurchaseLine, PurchaseOrder, Refund, RefundOrder,
    RefundStatus, RefusedFor, SavedCharge, SetupOutcome, Unread,
};

use std::time::Duration;

use billing::time::Span;

/// The version of the provider's interface that this room was written for, sent with every request.
const VERSION: &str = "2026-10-28.endive";

/// How long the provider remembers a key at least.
pub const KEY_LIVES: Span = Span::HOUR.times(24);

/// How long a request may still be under way at the provider after its answer was lost.
pub const CERTAIN_AFTER: Span = Span::MINUTE.times(2);

/// Where the provider is, and what opens it.
#[derive(Clone, Debug)]
pub struct Access {
    /// `https://api.stripe.com`, or a simulator's address.
    pub url: String,
    pub secret_key: Secret,
    /// Public: pages that show the provider's own card field need it.
    pub publishable_key: Option<String>,
    /// What notices may be signed with; several while a secret is being changed.
    pub notice_secrets: Vec<Secret>,
}

/// How often and how long a request is tried.
#[derive(Clone, Debug)]
pub struct Patience {
    pub tries_max: u32,
    /// Pause before the second try; doubled at each further one.
    pub first_pause: Duration,
    /// Longest pause, also when the provider asks for more: then the caller is told to come back instead.
    pub longest_pause: Duration,
    /// For one try, from connecting to the last byte.
    pub one_try: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            tries_max: 4,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(4),
            one_try: Duration::from_secs(30),
        }
    }
}

/// The provider, ready to be asked.
#[derive(Debug)]
pub struct Provider {
    wire: wire::Wire,
    publishable_key: Option<String>,
    notice_secrets: Vec<Secret>,
}

impl Provider {
    pub const URL: &str = "https://api.stripe.com";

    pub fn new(access: Access, patience: Patience) -> Provider {
        Provider {
            wire: wire::Wire::new(access.url, access.secret_key, patience),
            publishable_key: access.publishable_key,
            notice_secrets: access.notice_secrets,
        }
    }

    /// Public; None where the operator has set none.
    pub fn publishable_key(&self) -> Option<&str> {
        self.publishable_key.as_deref()
    }
}
