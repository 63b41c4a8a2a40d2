//! Use cases, a file a noun. Each has one shape: parse, read once, decide, commit once, answer.
//!
//! Must never know HTTP, pages or the command line: it takes values, and answers with what was written down. Rules are
//! not here either; they are in `billing`, and a use case that branches on credits has taken one from there.
mod accounts;
mod api_keys;
mod audit;
mod balance;
mod bookkeeping;
mod budgets;
mod card_expiry;
mod charges;
mod closing;
mod collect;
mod compared;
mod console;
mod countries;
mod customers;
mod deliveries;
mod disputes;
mod documents;
mod due;
mod e_invoice;
#[cfg(test)]
mod e_invoice_oracle;
mod emails;
mod entries;
mod follow;
mod forecast;
mod forgetting;
mod free_tier;
mod grants;
mod held_work;
mod holds;
mod house_requests;
mod invoice_page;
mod invoices;
mod jobs;
mod lately;
mod money_news;
mod months;
#[cfg(not(feature = "pdf"))]
mod not_typeset;
mod notices;
mod numbered;
mod order;
mod outcomes;
mod oversight;
mod overview;
mod packages;
mod packing;
mod payment;
mod payment_methods;
mod payments;
mod plan_offers;
mod plans;
mod portal;
mod preferences;
mod prices;
pub mod printed;
mod projects;
mod provider;
mod purchase_price;
mod purchases;
mod quotes;
mod rate_cards;
mod recent;
mod recount;
mod refunds;
mod renewals;
mod report_csv;
mod reports;
mod reprice;
mod requests;
pub mod rounded;
mod sales;
mod sandbox;
mod seal;
mod server_reports;
mod servers;
mod standing;
mod statements;
mod subscriptions;
mod tips;
mod topups;
#[cfg(feature = "pdf")]
mod typeset;
#[cfg(feature = "pdf")]
mod typeset_statement;
mod usage;
mod utilisation;
mod warnings;
mod webhook_endpoints;
mod word;

pub use accounts::{AccountProfile, Registered, Registration};
pub use api_keys::{Caller, MintOrder, Minted, Scope, secret_under};
pub use audit::By;
pub use balance::BalanceView;
pub use bookkeeping::{Backlog, Freshness};
pub use budgets::{BudgetOrder, BudgetView};
pub use charges::{ChargeView, ReverseOrder};
pub use compared::{Compared, Earlier};
pub use console::{AuditFilter, AuditPage, CONSOLE_LASTS, LET_IN, Operator, WaitingJob};
pub use countries::{COUNTRIES, name as country_name};
pub use deliveries::{Delivery, DeliveryState, DeliveryView, Try};
pub use due::Settling;
pub use emails::{Email, EmailTry, EmailView};
pub use entries::{EntryBounds, EntryFilter, EntryPage};
pub use follow::{News, PaymentsSeen};
pub use forecast::{ForecastView, MeterForecast, MonthEnd, ServerForecast};
pub use grants::{GrantOrder, GrantState, GrantView, check_cost};
pub use holds::{CaptureOrder, ExtendOrder, HoldAmount, HoldAnswer, HoldMore, HoldOrder, HoldState, HoldView};
pub use house_requests::Under;
pub use invoices::{File, Form, InvoiceView};
pub use jobs::Underway;
pub(crate) use lately::Lately;
pub use months::{Month, UsedRow};
pub(crate) use notices::companions;
pub use notices::{Happening, Tidings, raise};
pub use order::{ChargeOrder, DIMENSION_LENGTH_MAX, Evidence, Order, check_reason, is_key};
pub use oversight::{Attention, Note, RefundPreview, SeenPayments};
pub use overview::{Bar, Overview, OverviewQuery, Part, PartLine, ProjectName, ProjectNames};
pub use packages::Package;
pub use payment::{DisputeState, Disputed, Payment, Purpose, Standing, Way};
pub use payment_methods::{MethodView, PaymentMethod, SetupView};
pub use payments::PaymentView;
pub use plan_offers::{PlanChange, PlanOffer};
pub use plans::Plan;
pub use portal::{Followed, LinkOrder, PortalLink, PortalPage, PortalSession, Role, SESSION_LASTS};
pub use preferences::{Preferences, Topic};
pub use prices::{bounds as purchase_bounds, chargeable};
pub(crate) use projects::ProjectsLately;
pub use provider::{NoticeRefused, SetAside};
pub use purchase_price::PriceOfCredits;
pub use purchases::{Goods, PurchaseOrder};
pub use quotes::{QuoteOrder, QuoteView};
pub use rate_cards::{Upload, Uploaded};
pub use recount::verify_months;
pub use refunds::{Much, Refund, RefundOrder, RefundState, RefundView};
pub use report_csv::{liability_csv, revenue_csv, trial_balance_csv};
pub use reports::{Liability, MoneyOfMonth, RevenueReport, TrialBalance};
pub use reprice::{Repriced, Repricing};
pub use sales::Sales;
pub use seal::Seal;
pub use server_reports::{ServerAnswer, ServerEvent};
pub use servers::{ServerOrder, ServerVerb, ServerView};
pub use standing::{GraceView, StandingGrant};
pub use statements::{Statement, StatementBalance};
pub use subscriptions::{SubscribeOrder, Subscription};
pub use tips::{Tip, TipKind};
pub use topups::{AtOnce, Charging, TopupOrder, TopupView};
pub use usage::{Bucket, Dimension, Group, Interval, UsageQuery, UsageReport};
pub use utilisation::{Busy, UtilisationReport};
pub use webhook_endpoints::{Endpoint, EndpointView, MadeEndpoint};

use std::fmt;
use std::sync::Arc;

use billing::Refusal;
use billing::id::Name;
use billing::ledger::Transaction;
use store::Fault;

/// Why a use case did nothing.
#[derive(Debug)]
pub enum Error {
    /// The rules said no.
    Refused(Refusal),
    /// A rate card document is wrong, in these places.
    BadCard(Vec<crate::rate_card::DocumentFault>),
    /// More is waiting than this process takes at once: try again in a moment.
    Busy,
    /// The world failed. Nothing was done, or it will be found done under its key.
    Fault(Fault),
}

/// For the log.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(refusal) => write!(f, "{refusal} ({})", refusal.code()),
            Error::BadCard(faults) => f.write_str(&crate::rate_card::in_lines(faults)),
            Error::Busy => f.write_str("more is waiting than this server takes at once"),
            Error::Fault(fault) => fault.fmt(f),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::Refused(refusal)
    }
}
impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        Error::Fault(fault)
    }
}
/// What was done beside the rest has panicked.
impl From<tokio::task::JoinError> for Error {
    fn from(error: tokio::task::JoinError) -> Error {
        Fault::new("doing something beside the rest", error).into()
    }
}

/// What was written down for a request, now or when its key first came.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The account's own name.
    pub account: Name,
    pub transaction: Arc<Transaction>,
    /// The key was known: this is the first answer again.
    pub is_replay: bool,
}
