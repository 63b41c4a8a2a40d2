//! The card at the top: what is available, what it is made of, and when parts of it lapse.
use billing::ledger::Source;
use billing::money::Credits;
use billing::server::Phase;
use billing::subscription::State;
use billing::time::{Span, Timestamp};

use super::show;
use crate::app::App;
use crate::service::{BalanceView, Error, GraceView, PaymentView, ServerView, StandingGrant, Way};
use crate::web::billing::{overdue, stands_still};
use crate::web::scope;
use crate::web::visit::Visitor;

pub struct Standing {
    pub parts: Vec<PartOfBalance>,
    /// Not available: their payment is disputed.
    pub frozen: Option<String>,
    pub debt: bool,
    pub holds: String,
    /// Of servers that run now, in words; none where none does.
    pub servers: Option<String>,
    /// What the provider is collecting the money for.
    pub pending: Option<String>,
    /// Credits of a payment that waits for the customer, and where that payment is.
    pub unfinished: Option<(String, String)>,
    /// Credits that come by themselves, and when.
    pub next: Vec<(&'static str, String, String)>,
    /// What happens to running servers now that nothing is left.
    pub grace: Option<String>,
    /// What should bring credits by itself, and does not.
    pub halted: Vec<Halted>,
}

/// Why something stands still, and where it is set going again.
pub struct Halted {
    pub title: &'static str,
    pub why: String,
    pub href: &'static str,
    pub verb: &'static str,
}

/// Credits of one source.
pub struct PartOfBalance {
    pub label: &'static str,
    /// Names its colour.
    pub class: &'static str,
    pub credits: String,
    pub exact: String,
    /// Thousandths of the whole: where its piece of the bar begins, and how wide it is.
    pub start: u64,
    pub width: u64,
    pub note: String,
}

pub fn source_label(source: Source) -> &'static str {
    match source {
        Source::Welcome => "Free credits",
        Source::Promo => "Promotion",
        Source::Purchase => "Purchased",
        Source::AutoTopup => "Auto-topup",
        Source::Subscription => "Subscription",
        Source::Adjustment => "Adjustment",
        Source::Refund => "Refunded",
    }
}

impl Standing {
    pub fn of(app: &App, visitor: &Visitor, balance: &BalanceView, fleet: &[ServerView]) -> Result<Standing, Error> {
        let grants = app.standing_grants(&visitor.session.account)?;
        let holds = app.holds(&visitor.session.account)?.len();
        // What nobody can use while a bank decides stands apart.
        let (frozen, grants): (Vec<StandingGrant>, Vec<StandingGrant>) =
            grants.into_iter().partition(|it| it.is_frozen);
        let frozen: Credits = frozen.iter().map(|it| it.remaining).sum();
        let whole: Credits = grants.iter().map(|it| it.remaining + it.held).sum();
        let mut parts = Vec::new();
        let mut start = 0;
        for source in Source::ALL {
            // Scoped credits are a part of their own: they do not pay for everything.
            for is_scoped in [true, false] {
                let own: Vec<&StandingGrant> = grants
                    .iter()
                    .filter(|it| it.terms.source == source && it.terms.scope.is_general() != is_scoped)
                    .collect();
                let credits: Credits = own.iter().map(|it| it.remaining + it.held).sum();
                if own.is_empty() || !credits.is_positive() {
                    continue;
                }
                let width = show::thousandths(credits, whole);
                parts.push(PartOfBalance {
                    label: source_label(source),
                    class: source.as_str(),
                    credits: show::have(credits),
                    exact: credits.to_string(),
                    start,
                    width,
                    note: note(app, &own, visitor),
                });
                start += width;
            }
        }
        let holds = match holds {
            0 => "nothing under way".to_owned(),
            1 => "for 1 piece of work under way".to_owned(),
            count => format!("for {count} pieces of work under way"),
        };
        let running = fleet.iter().filter(|it| it.server.run.phase == Phase::Running).count();
        let servers = match running {
            0 if balance.balance.accrued.is_zero() => None,
            1 => Some("by 1 server, settled by the hour".to_owned()),
            count => Some(format!("by {count} servers, settled by the hour")),
        };
        let (pending, unfinished) = on_the_way(app, visitor, balance)?;
        let is_closed = visitor.known.account.closed_at.is_some();
        let sees_next = visitor.session.role.sees_billing() && !is_closed;
        let Coming { next, halted } = if sees_next { coming(app, visitor, balance)? } else { Coming::default() };
        let grace = app.grace(&visitor.session.account)?.map(|it| said_of(&it, visitor));
        Ok(Standing {
            parts,
            frozen: frozen.is_positive().then(|| show::have(frozen)),
            debt: balance.balance.debt.is_positive(),
            holds,
            servers,
            pending,
            unfinished,
            next,
            grace,
            halted,
        })
    }
}

/// Payments among which those that have not ended are looked for.
const LOOKED_AT: usize = 50;

/// A page that is open, or a bank that was not answered, brings nothing by itself: that is not on the way.
fn on_the_way(app: &App, visitor: &Visitor, balance: &BalanceView) -> Result<(Option<String>, Link), Error> {
    if !balance.pending_purchases.is_positive() {
        return Ok((None, None));
    }
    let payments = app.payments(&visitor.session.account, None, LOOKED_AT)?;
    let open = payments.iter().filter(|it| !it.payment.status().is_final());
    let is_left = |it: &PaymentView| it.payment.way == Way::Hosted || it.payment.waits_for_customer();
    let (left, collected): (Vec<&PaymentView>, Vec<&PaymentView>) = open.partition(|it| is_left(it));
    let credits =
        |of: &[&PaymentView]| -> Credits { of.iter().map(|it| Credits::from_micros(it.payment.credits)).sum() };
    let sees = visitor.session.role.sees_billing();
    let newest = left.first().filter(|_| sees);
    Ok((
        (!collected.is_empty()).then(|| show::have(credits(&collected))),
        newest.map(|it| (show::have(credits(&left)), format!("/settings/billing/payments/{}", it.id))),
    ))
}

type Link = Option<(String, String)>;

/// What a subscription and an auto-topup will bring, or why they do not.
#[derive(Default)]
struct Coming {
    next: Vec<(&'static str, String, String)>,
    halted: Vec<Halted>,
}

fn coming(app: &App, visitor: &Visitor, balance: &BalanceView) -> Result<Coming, Error> {
    let account = &visitor.session.account;
    let Coming { mut next, mut halted } = Coming::default();
    match app.subscription(account) {
        Ok(it) if it.state() == State::Active && !it.ends => {
            let plan = it.next_plan.as_ref().unwrap_or(&it.plan);
            let on = show::day(Timestamp::from_millis(it.period_end), &visitor.known.zone);
            let credits = format!("+{}", show::have(plan.credits()));
            next.push(("Next renewal", credits, format!("on {on}, {}", plan.name)));
        }
        Ok(it) => {
            let (title, href) = ("Your subscription’s renewal is not paid.", "/settings/billing#subscription");
            let why = overdue(app, visitor, balance, &it)?;
            halted.extend(why.map(|why| Halted { title, why, href, verb: "See your subscription" }));
        }
        Err(Error::Refused(_)) => {}
        Err(other) => return Err(other),
    }
    if let Some((topup, price)) = app.topup_that_is_on(account)? {
        let rule = &topup.rule;
        match stands_still(&topup, &price) {
            Some((title, why, href)) => {
                // Only who may agree to a new price is led to where that is done.
                let href = if visitor.session.role.changes_billing() { href } else { "/settings/billing#auto-topup" };
                halted.push(Halted { title, why, href, verb: "See auto-topup" });
            }
            None => {
                let below = show::have(rule.threshold);
                next.push(("Auto-topup", format!("+{}", show::have(rule.credits)), format!("when below {below}")));
            }
        }
    }
    Ok(Coming { next, halted })
}

fn said_of(grace: &GraceView, visitor: &Visitor) -> String {
    let when = |at: Timestamp| show::minute(at, &visitor.known.zone);
    match grace.release_at {
        None => format!(
            "New work is refused. Servers run on until {}, or until {} credits are owed; then they are stopped. \
             Credits that are added pay back what is owed first, and servers go on.",
            when(grace.until),
            show::used(grace.debt_max)
        ),
        Some(at) => format!(
            "New work is refused, and servers were told to stop. From {} on they may be released, with what is on \
             them. Credits that are added before start them again.",
            when(at)
        ),
    }
}

/// What they may be spent on, and until when.
fn note(app: &App, grants: &[&StandingGrant], visitor: &Visitor) -> String {
    let mut said = Vec::new();
    let first = &grants[0].terms.scope;
    if grants.iter().any(|it| it.terms.scope != *first) {
        said.push("each for some work only".to_owned());
    } else if !first.is_general() {
        said.push(format!("for {} only", scope::work(app, first)));
    }
    let lapsing = grants.iter().filter(|it| it.expires_at < Timestamp::NEVER);
    let soonest = lapsing.min_by_key(|it| it.expires_at);
    said.push(match soonest {
        None if grants[0].terms.cost.is_some() || grants[0].terms.source == Source::Purchase => {
            "never expire".to_owned()
        }
        None => "no expiry".to_owned(),
        Some(first) if first.expires_at <= visitor.now => "expired; set aside for work under way".to_owned(),
        Some(first) => {
            let left = Span::from_millis(first.expires_at.millis() - visitor.now.millis());
            let day = show::day(first.expires_at, &visitor.known.zone);
            let credits: Credits =
                grants.iter().filter(|it| it.expires_at == first.expires_at).map(|it| it.remaining).sum();
            if grants.len() == 1 {
                format!("until {day}, in {}", show::span(left))
            } else {
                format!("{} until {day}, in {}", show::have(credits), show::span(left))
            }
        }
    });
    said.join(" · ")
}
