//! A payment: one attempt to collect money, as it is written down, and what follows from that alone.
//!
//! Must never say a word of the provider's, and reads nothing but itself. Invariant: how it stands is never written, it
//! follows (see `Standing`).
use billing::id::GrantId;
use billing::ledger::{Cause, Command, Source, Terms, Withdrawal};
use billing::money::{Credits, Currency, Money};
use billing::payment::{Failure, Status};
use billing::refund::{Bought, Part};
use billing::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::prices::Taxed;
use super::subscriptions::Period;

/// What a payment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    Purchase,
    AutoTopup,
    Subscription,
}

impl Purpose {
    pub fn source(self) -> Source {
        match self {
            Purpose::Purchase => Source::Purchase,
            Purpose::AutoTopup => Source::AutoTopup,
            Purpose::Subscription => Source::Subscription,
        }
    }
}

/// How the customer pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// On a page of the provider's.
    Hosted,
    /// With a saved card, the customer being there.
    OnSession,
    /// With a saved card, nobody being there.
    OffSession,
}

/// What has gone back of a payment, or was taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    pub credits: i64,
    pub net: i64,
    pub tax: i64,
}

impl From<Part> for Returned {
    fn from(part: Part) -> Returned {
        Returned { credits: part.credits.micros(), net: part.net, tax: part.tax }
    }
}
impl From<Returned> for Part {
    fn from(it: Returned) -> Part {
        Part { credits: Credits::from_micros(it.credits), net: it.net, tax: it.tax }
    }
}

/// A refund made at the provider, by its name for it, and what it took back here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHand {
    pub reference: String,
    pub part: Returned,
    /// Micro-credits of that part that had lapsed: they were taken from nothing, and are put back into nothing.
    #[serde(default)]
    pub lapsed: i64,
    /// Our id of the credit note issued for it.
    #[serde(default)]
    pub credit_note: Option<String>,
}

/// How a dispute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeState {
    Open,
    Won,
    Lost,
}

impl DisputeState {
    pub fn as_str(self) -> &'static str {
        match self {
            DisputeState::Open => "open",
            DisputeState::Won => "won",
            DisputeState::Lost => "lost",
        }
    }
}

/// A dispute over a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disputed {
    pub reference: String,
    pub status: DisputeState,
    /// What the bank took for good, in minor units.
    pub lost: i64,
}

/// How a payment stands, with what became of its money since: it follows from the rest, and is not written down. What
/// the API, the pages and the console say of it they say by this.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Asked for, and not answered yet.
    Pending,
    /// Waits for the customer: a page to pay on, a bank that wants to hear from them.
    RequiresAction,
    /// The money is there, and so are the credits.
    Succeeded,
    /// A part of the money went back, or was taken back.
    PartiallyRefunded,
    /// All of the money went back.
    Refunded,
    /// A bank wants the money back, or has taken it. A dispute that was won, or that cost nothing, leaves the payment
    /// as it was.
    Disputed,
    /// The money will not come.
    Failed,
    /// Given up before any money moved.
    Canceled,
}

impl Standing {
    pub const ALL: [Standing; 8] = [
        Standing::Pending,
        Standing::RequiresAction,
        Standing::Succeeded,
        Standing::PartiallyRefunded,
        Standing::Refunded,
        Standing::Disputed,
        Standing::Failed,
        Standing::Canceled,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Pending => "pending",
            Standing::RequiresAction => "requires_action",
            Standing::Succeeded => "succeeded",
            Standing::PartiallyRefunded => "partially_refunded",
            Standing::Refunded => "refunded",
            Standing::Disputed => "disputed",
            Standing::Failed => "failed",
            Standing::Canceled => "canceled",
        }
    }
}

/// A payment as it is written down. Credits in micro-credits, money in minor units, instants in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Payment {
    pub purpose: Purpose,
    pub way: Way,
    #[serde(with = "super::word")]
    pub(super) status: Status,
    pub credits: i64,
    pub net: i64,
    pub tax: i64,
    #[serde(with = "super::word")]
    pub(super) currency: Currency,
    pub taxed: Taxed,
    /// What is bought, in words.
    pub item: String,
    pub package: Option<String>,
    /// Our id of the card that is charged.
    pub method: Option<String>,
    /// The card may be charged later, when the customer is not there.
    pub save_card: bool,
    pub return_url: Option<String>,
    pub by: Option<String>,
    pub created_at: i64,
    /// When it was first sent to the provider.
    pub sent_at: Option<i64>,
    /// Nobody waits for it any more: it is ended at the provider unless the money is there.
    #[serde(default)]
    pub is_given_up: bool,
    /// It came in when its subscription had ended: its credits are given, and no period begins.
    #[serde(default)]
    pub is_too_late: bool,
    /// It came in when its account had been closed: its credits are given, and nobody can use them.
    #[serde(default)]
    pub is_after_closing: bool,
    pub tries: u32,
    /// Our customer, page, card and payment, by the provider's names.
    pub customer: Option<String>,
    /// Customers of ours that were deleted there before it was paid: each time it is sent under another key.
    #[serde(default)]
    pub customers_lost: u32,
    pub card: Option<String>,
    pub page: Option<String>,
    pub page_url: Option<String>,
    pub page_ends_at: i64,
    pub reference: Option<String>,
    pub client_secret: Option<String>,
    /// Where the customer proves who they are.
    pub action_url: Option<String>,
    #[serde(default, with = "super::word::perhaps")]
    pub(super) failure: Option<Failure>,
    /// Our id of the invoice.
    pub invoice: Option<String>,
    pub returned: Returned,
    /// Micro-credits of it that had been voided unspent, or had expired long ago, when their money went: they were
    /// taken of nothing. In payments of before the ledger took of what had expired, those that had expired lately too.
    #[serde(default)]
    pub lapsed: i64,
    /// The newest dispute, and those before it.
    pub dispute: Option<Disputed>,
    #[serde(default)]
    pub earlier_disputes: Vec<Disputed>,
    /// Refunds made at the provider, by its names for them, that are reckoned with in `returned`.
    #[serde(default)]
    pub by_hand: Vec<ByHand>,
    /// What it pays for, of a subscription.
    #[serde(default)]
    pub period: Option<Period>,
}

impl Payment {
    pub fn status(&self) -> Status {
        self.status
    }
    pub fn standing(&self) -> Standing {
        let lost = |it: &Disputed| it.status == DisputeState::Lost;
        let is_lost = self.dispute.iter().chain(&self.earlier_disputes).any(lost);
        let returned = Part::from(self.returned).total();
        match self.status {
            Status::Pending => Standing::Pending,
            Status::RequiresAction if self.waits_for_customer() => Standing::RequiresAction,
            Status::RequiresAction => Standing::Pending,
            Status::Failed => Standing::Failed,
            Status::Canceled => Standing::Canceled,
            Status::Succeeded if is_lost || self.is_disputed(None) => Standing::Disputed,
            Status::Succeeded if returned <= 0 => Standing::Succeeded,
            Status::Succeeded if returned < self.total() => Standing::PartiallyRefunded,
            Status::Succeeded => Standing::Refunded,
        }
    }
    /// Whether there is something for the customer to do: a page to pay on, or a bank to answer. One that was answered
    /// decides by itself, and nobody else can do anything meanwhile.
    pub fn waits_for_customer(&self) -> bool {
        let is_asked = self.action_url.is_some() || self.client_secret.is_some();
        let may_answer = is_asked || self.failure == Some(Failure::AuthenticationRequired);
        self.status == Status::RequiresAction && (self.way == Way::Hosted || may_answer)
    }
    /// The bank has been answered, as far as it asked.
    pub(super) fn bank_decides(&mut self) {
        if self.way != Way::Hosted {
            (self.action_url, self.client_secret, self.failure) = (None, None, None);
        }
    }
    pub fn failure(&self) -> Option<Failure> {
        self.failure
    }
    pub fn currency(&self) -> Currency {
        self.currency
    }
    pub fn money(&self, amount: i64) -> Money {
        Money { amount, currency: self.currency() }
    }
    pub fn total(&self) -> i64 {
        self.net + self.tax
    }
    /// The key it is sent to the provider under.
    pub(super) fn key(&self, ours: &str) -> String {
        if self.customers_lost == 0 { ours.to_owned() } else { format!("{ours}:{}", self.customers_lost) }
    }
    /// Who pays is not there any more, and so nothing was sent. With what card is asked anew: theirs are gone too. The
    /// tries were at that customer; how often this happens has a bound of its own.
    pub(super) fn lose_customer(&mut self) {
        (self.customer, self.card, self.sent_at) = (None, None, None);
        self.tries = 0;
        self.customers_lost += 1;
    }
    pub(super) fn bought(&self) -> Bought {
        let step = self.currency().step();
        Bought { credits: Credits::from_micros(self.credits), net: self.net, tax: self.tax, step }
    }

    /// What it takes of its grant that so much of its money has gone: first of what is left of the credits, then of
    /// what had lapsed, for which nothing is owed, for nobody had it; the rest was spent, and is owed. Of what the
    /// grant has left, and of what expired lately, the ledger takes itself. Nothing where all of it went back before.
    pub(super) fn take_back(&mut self, of: &Leftover, amount: i64, (cause, why): (Cause, &str)) -> Option<Taken> {
        let (bought, gone) = (self.bought(), Part::from(self.returned));
        let part = bought.part_of_amount(gone, amount.min(bought.total() - gone.total()))?;
        self.returned = gone.plus(part).into();
        let beyond = of.unspent.short_of(part.credits);
        let lapsed = (of.lapsed - Credits::from_micros(self.lapsed)).at_least_zero().min(beyond);
        self.lapsed += lapsed.micros();
        let credits = part.credits - lapsed;
        let withdrawal = Withdrawal { owed: credits, ..withdrawal(of.grant, credits, (part.net, cause, why)) };
        let command = Command::Withdraw(withdrawal);
        Some(Taken { command, part, lapsed: lapsed.micros() })
    }

    /// A dispute over it, by the provider's name.
    pub(super) fn disputed(&self, reference: &str) -> Option<&Disputed> {
        self.dispute.iter().chain(&self.earlier_disputes).find(|it| it.reference == reference)
    }
    /// Whether a dispute is open, other than the one named.
    pub fn is_disputed(&self, but: Option<&str>) -> bool {
        let open = |it: &&Disputed| it.status == DisputeState::Open && Some(&*it.reference) != but;
        self.dispute.iter().chain(&self.earlier_disputes).any(|it| open(&it))
    }
    pub(super) fn put_dispute(&mut self, dispute: Disputed) {
        let all = self.dispute.iter_mut().chain(&mut self.earlier_disputes);
        match all.into_iter().find(|it| it.reference == dispute.reference) {
            Some(known) => *known = dispute,
            None => self.earlier_disputes.extend(self.dispute.replace(dispute)),
        }
    }

    /// The terms of the grant it pays for. Credits that were paid for expire only where a plan says so.
    pub(super) fn terms(&self, id: &str, at: Timestamp, expires_at: Option<Timestamp>) -> Terms {
        Terms {
            source: self.purpose.source(),
            credits: Credits::from_micros(self.credits),
            effective_at: at,
            expires_at: expires_at.unwrap_or(Timestamp::NEVER),
            priority: Terms::PRIORITY,
            scope: billing::ledger::Scope::default(),
            cost: Some(self.money(self.net)),
            charged: (self.purpose == Purpose::AutoTopup).then(|| self.total()),
            payment: Some(id.into()),
            reason: self.item.as_str().into(),
        }
    }

    /// Nothing about who pays how is known yet.
    pub(super) fn blank(purpose: Purpose, way: Way, currency: Currency, at: Timestamp) -> Payment {
        Payment {
            purpose,
            way,
            status: Status::Pending,
            credits: 0,
            net: 0,
            tax: 0,
            currency,
            taxed: Taxed::of(billing::tax::Treatment::None),
            item: String::new(),
            package: None,
            method: None,
            save_card: false,
            return_url: None,
            by: None,
            created_at: at.millis(),
            sent_at: None,
            is_given_up: false,
            is_too_late: false,
            is_after_closing: false,
            tries: 0,
            customer: None,
            customers_lost: 0,
            card: None,
            page: None,
            page_url: None,
            page_ends_at: 0,
            reference: None,
            client_secret: None,
            action_url: None,
            failure: None,
            invoice: None,
            returned: Returned::default(),
            lapsed: 0,
            dispute: None,
            earlier_disputes: Vec::new(),
            by_hand: Vec::new(),
            period: None,
        }
    }
}

/// What became of a payment's grant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leftover {
    pub grant: GrantId,
    /// Free to be drawn; or expired, and lately enough for late events to draw it.
    pub unspent: Credits,
    /// Voided, or expired long ago.
    pub lapsed: Credits,
}

/// A withdrawal as it is asked for.
pub(super) fn withdrawal(grant: GrantId, credits: Credits, (net, cause, why): (i64, Cause, &str)) -> Withdrawal {
    let (lapsed, owed, lost) = (Credits::ZERO, Credits::ZERO, Credits::ZERO);
    Withdrawal { grant, credits, lapsed, owed, lost, net, cause, reason: why.into() }
}

/// What is taken back of a payment.
pub(super) struct Taken {
    pub command: Command,
    pub part: Part,
    /// Micro-credits of the part that had lapsed, and were taken of nothing.
    pub lapsed: i64,
}

#[cfg(test)]
mod tests {
    use billing::id::AccountNumber;
    use store::{Change, Document};

    use super::super::documents::{Kept, read};
    use super::super::payments::KIND;
    use super::*;

    fn blank(way: Way) -> Payment {
        Payment::blank(Purpose::Purchase, way, Currency::USD, Timestamp::EPOCH)
    }

    /// A bank that has been answered takes its time: nobody is told to answer it again.
    #[test]
    fn a_customer_is_waited_for_while_there_is_something_they_can_do() {
        let bank = Some("https://bank.example/".to_owned());
        let asks = Some(Failure::AuthenticationRequired);
        for (way, action_url, failure, stands) in [
            (Way::Hosted, None, None, Standing::RequiresAction),
            (Way::Hosted, None, Some(Failure::Declined), Standing::RequiresAction),
            (Way::OnSession, bank.clone(), None, Standing::RequiresAction),
            (Way::OffSession, None, asks, Standing::RequiresAction),
            (Way::OffSession, bank.clone(), asks, Standing::RequiresAction),
            (Way::OnSession, None, None, Standing::Pending),
            (Way::OffSession, None, None, Standing::Pending),
        ] {
            let mut payment = Payment { status: Status::RequiresAction, action_url, failure, ..blank(way) };
            assert_eq!(payment.standing(), stands, "{payment:?}");
            payment.bank_decides();
            let then = if way == Way::Hosted { Standing::RequiresAction } else { Standing::Pending };
            assert_eq!(payment.standing(), then, "{payment:?}");
        }
    }

    #[test]
    fn a_word_nobody_knows_is_a_fault_and_never_a_guess() {
        let account = AccountNumber::from_random(7);
        let mut payment = blank(Way::Hosted);
        payment.status = Status::RequiresAction;
        payment.dispute = Some(Disputed { reference: "dp_1".to_owned(), status: DisputeState::Lost, lost: 5 });
        let kept = Kept::new(account, KIND, "payment_1".to_owned(), payment);
        let Change::Document(document) = kept.next(Timestamp::EPOCH, None) else { panic!("not a document") };
        let check = |word: &str, other: &str| {
            assert_eq!(document.body.matches(word).count(), 1, "{word} in {}", document.body);
            let body = document.body.replace(word, other);
            read::<Payment>(Document { body, ..document.clone() }).map(|it| (it.body.status, it.body.currency))
        };
        let whole = check("\"currency\":\"usd\"", "\"currency\":\"jpy\"").unwrap();
        assert_eq!((whole.0, whole.1.as_str()), (Status::RequiresAction, "jpy"));
        for (word, other) in [
            ("\"currency\":\"usd\"", "\"currency\":\"dollars\""),
            ("\"currency\":\"usd\"", "\"currency\":\"\""),
            ("\"status\":\"requires_action\"", "\"status\":\"paused\""),
            ("\"status\":\"lost\"", "\"status\":\"forgotten\""),
        ] {
            let fault = check(word, other).unwrap_err().to_string();
            assert!(fault.contains("payment payment_1"), "{other}: {fault}");
        }
    }
}
