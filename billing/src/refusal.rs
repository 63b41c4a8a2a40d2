//! Every "no" the rules can say, on one page. Variants stand in precedence: when two apply, the earlier is said.
//!
//! A refusal changes nothing. Its code is part of the public contract and never changes; its sentence may.
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use crate::id::Name;
use crate::invoice::Decimal;
use crate::ledger::HoldEnd;
use crate::money::{Credits, Money};
use crate::time::Timestamp;

type Text = Arc<str>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// A field of the request is malformed, missing or out of bounds; `why` completes "`field` …".
    Invalid {
        field: String,
        why: String,
    },
    /// The same idempotency key came with another request.
    IdempotencyConflict,
    AccountNotFound,
    AccountClosed,
    ChargeNotFound,
    HoldNotFound,
    GrantNotFound,
    PackageNotFound,
    PlanNotFound,
    PaymentNotFound,
    PaymentMethodNotFound,
    SubscriptionNotFound,
    InvoiceNotFound,
    WebhookEndpointNotFound,
    DeliveryNotFound,
    EmailNotFound,
    /// No account with a payment provider is configured.
    PaymentsNotSetUp,
    ServerNotFound,
    BudgetNotFound,
    /// The server is what it was asked to be: there is nothing to write down.
    ServerUnchanged,
    /// What was reported of a server cannot be, by what is known of it.
    ServerConflict {
        why: String,
    },
    /// The hold ended before; how is said.
    HoldClosed {
        end: HoldEnd,
    },
    /// The account has as many open holds as it may.
    TooManyHolds {
        most: usize,
    },
    /// The rate card has no such meter, dimension value, or price for this quantity: never a silent zero.
    Unpriced {
        field: String,
        why: String,
    },
    /// More would be reversed than is left of the charge.
    ReversalExceedsCharge {
        left: Credits,
    },
    /// Nothing of the grant is left to void.
    NothingToVoid,
    /// More would be refunded than is unused of what the payment bought.
    RefundExceedsUnused {
        left: Credits,
        /// The most money that can go back for them, tax included, where that was reckoned.
        most: Option<Money>,
    },
    /// The payment has brought no money, or all of it has gone back.
    NothingToRefund,
    /// The payment is disputed: what becomes of its money the bank decides.
    PaymentDisputed,
    /// The only card of something that renews or tops up by itself; `of` says what.
    PaymentMethodInUse {
        of: Text,
    },
    /// Switching the rule on would charge at once, and nobody said that this is known.
    WouldChargeNow {
        credits: Credits,
        total: Money,
    },
    NoTopupUnderWay,
    /// The account has a subscription that is not over.
    SubscriptionExists,
    /// The subscription is in a state in which this cannot be done; `why` says which.
    SubscriptionState {
        why: Text,
    },
    /// A budget that blocks would be passed.
    BudgetExceeded {
        budget: Name,
        limit: Credits,
        /// In its period, what servers accrued included.
        used: Credits,
        /// By open holds.
        reserved: Credits,
        required: Credits,
        /// When the next period begins; none for a budget that has one for ever.
        resets_at: Option<Timestamp>,
    },
    /// `available` is what could be spent on this very work: scoped grants that do not admit it are not in it.
    InsufficientCredits {
        required: Credits,
        available: Credits,
    },
}

impl Refusal {
    pub fn invalid(field: impl Into<String>, why: impl fmt::Display) -> Refusal {
        Refusal::Invalid { field: field.into(), why: alloc::format!("{why}") }
    }
    pub fn unpriced(field: impl Into<String>, why: impl fmt::Display) -> Refusal {
        Refusal::Unpriced { field: field.into(), why: alloc::format!("{why}") }
    }

    /// The stable code a program may branch on.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Invalid { .. } => "invalid_request",
            Refusal::IdempotencyConflict => "idempotency_conflict",
            Refusal::AccountNotFound => "account_not_found",
            Refusal::AccountClosed => "account_closed",
            Refusal::ChargeNotFound => "charge_not_found",
            Refusal::HoldNotFound => "hold_not_found",
            Refusal::GrantNotFound => "grant_not_found",
            Refusal::PackageNotFound => "package_not_found",
            Refusal::PlanNotFound => "plan_not_found",
            Refusal::PaymentNotFound => "payment_not_found",
            Refusal::PaymentMethodNotFound => "payment_method_not_found",
            Refusal::SubscriptionNotFound => "subscription_not_found",
            Refusal::InvoiceNotFound => "invoice_not_found",
            Refusal::WebhookEndpointNotFound => "webhook_endpoint_not_found",
            Refusal::DeliveryNotFound => "delivery_not_found",
            Refusal::EmailNotFound => "email_not_found",
            Refusal::PaymentsNotSetUp => "payments_not_set_up",
            Refusal::ServerNotFound => "server_not_found",
            Refusal::BudgetNotFound => "budget_not_found",
            Refusal::ServerUnchanged => "server_unchanged",
            Refusal::ServerConflict { .. } => "server_conflict",
            Refusal::HoldClosed { .. } => "hold_closed",
            Refusal::TooManyHolds { .. } => "too_many_holds",
            Refusal::Unpriced { .. } => "unpriced",
            Refusal::ReversalExceedsCharge { .. } => "reversal_exceeds_charge",
            Refusal::NothingToVoid => "nothing_to_void",
            Refusal::RefundExceedsUnused { .. } => "refund_exceeds_unused",
            Refusal::NothingToRefund => "nothing_to_refund",
            Refusal::PaymentDisputed => "payment_disputed",
            Refusal::PaymentMethodInUse { .. } => "payment_method_in_use",
            Refusal::WouldChargeNow { .. } => "would_charge_now",
            Refusal::NoTopupUnderWay => "no_topup_under_way",
            Refusal::SubscriptionExists => "subscription_exists",
            Refusal::SubscriptionState { .. } => "subscription_state",
            Refusal::BudgetExceeded { .. } => "budget_exceeded",
            Refusal::InsufficientCredits { .. } => "insufficient_credits",
        }
    }

    /// The field of the request that is at fault, as a JSON path without the root.
    pub fn field(&self) -> Option<&str> {
        match self {
            Refusal::Invalid { field, .. } | Refusal::Unpriced { field, .. } => Some(field),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    /// What is wrong, and what to do about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Invalid { field, why } | Refusal::Unpriced { field, why } => write!(f, "`{field}` {why}"),
            Refusal::IdempotencyConflict => {
                f.write_str("this idempotency key was used for another request; use a new key for new work")
            }
            Refusal::AccountNotFound => f.write_str("no such account; register it with PUT /v1/accounts/{account}"),
            Refusal::AccountClosed => f.write_str("the account is closed and takes no new spending"),
            Refusal::ChargeNotFound => f.write_str("no such charge"),
            Refusal::HoldNotFound => f.write_str("no such hold"),
            Refusal::GrantNotFound => f.write_str("no such grant"),
            Refusal::PackageNotFound => f.write_str("no such package; GET /v1/packages lists what is sold"),
            Refusal::PlanNotFound => f.write_str("no such plan; GET /v1/plans lists what is sold"),
            Refusal::PaymentNotFound => f.write_str("no such payment"),
            Refusal::PaymentMethodNotFound => f.write_str("no such payment method of this account"),
            Refusal::SubscriptionNotFound => f.write_str("the account has no subscription"),
            Refusal::InvoiceNotFound => f.write_str("no such invoice"),
            Refusal::WebhookEndpointNotFound => {
                f.write_str("no such webhook endpoint; GET /v1/webhook-endpoints lists those there are")
            }
            Refusal::DeliveryNotFound => f.write_str("no such delivery to this endpoint"),
            Refusal::EmailNotFound => f.write_str("no such e-mail to this account"),
            Refusal::PaymentsNotSetUp => {
                f.write_str("this server takes no payments; set STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET")
            }
            Refusal::ServerNotFound => f.write_str("no such server; provision it with PUT"),
            Refusal::BudgetNotFound => f.write_str("no such budget; PUT makes one"),
            Refusal::ServerUnchanged => f.write_str("the server is so already"),
            Refusal::ServerConflict { why } => write!(f, "the server {why}"),
            Refusal::HoldClosed { end } => write!(f, "the hold has been {end}; open a new one"),
            Refusal::TooManyHolds { most } => {
                write!(f, "the account has {most} open holds, the most it may; capture or release some")
            }
            Refusal::ReversalExceedsCharge { left } => {
                write!(f, "only {left} credits of the charge are left to reverse")
            }
            Refusal::NothingToVoid => f.write_str("nothing of the grant is left to void"),
            Refusal::RefundExceedsUnused { left, most } => {
                write!(f, "only {left} credits of the payment are unused and can be refunded")?;
                let Some(most) = most else { return Ok(()) };
                write!(f, ", for {} {} at most", Decimal(*most), most.currency.as_str().to_uppercase())
            }
            Refusal::NothingToRefund => f.write_str("nothing of the payment is left to refund"),
            Refusal::PaymentDisputed => f.write_str("the payment is disputed; the bank decides what becomes of it"),
            Refusal::PaymentMethodInUse { of } => {
                write!(f, "it is the only card for {of}: add another one first, or end what charges it")
            }
            Refusal::WouldChargeNow { credits, total } => write!(
                f,
                "this would buy {credits} credits for {} {} right now; to agree, send it with \"charge_now\": true",
                Decimal(*total),
                total.currency.as_str()
            ),
            Refusal::NoTopupUnderWay => f.write_str("no top-up is under way"),
            Refusal::SubscriptionExists => {
                f.write_str("the account has a subscription; change it with …/subscription/change")
            }
            Refusal::SubscriptionState { why } => f.write_str(why),
            Refusal::BudgetExceeded { budget, limit, used, reserved, required, .. } => write!(
                f,
                "{required} credits are needed, and the budget `{budget}` of {limit} has {} left in its period; \
                 raise it, or wait for the next",
                (*used + *reserved).short_of(*limit)
            ),
            Refusal::InsufficientCredits { required, available } => {
                write!(f, "{required} credits are needed and {available} are available; add credits and try again")
            }
        }
    }
}
