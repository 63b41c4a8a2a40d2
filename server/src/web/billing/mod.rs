//! *Settings > Billing*: buying credits, subscribing, topping up by itself, cards, details, history, invoices.
//!
//! Money is collected on the provider's own page or from a saved card; no card's number ever comes here. What a form
//! asks for is committed before the provider is asked, so a page that is closed in between loses nothing.
mod actions;
mod again;
mod agree;
mod details;
mod examples;
mod history;
mod mails;
mod papers;
mod pay;
mod plans;
mod rows;
mod subscription;
mod topup;
mod trouble;

pub use rows::status;
pub(in crate::web) use subscription::{lapses, overdue};
pub(in crate::web) use topup::stands_still;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use billing::Refusal;
use billing::money::Credits;

use super::frame::Frame;
use super::visit::Visitor;
use super::{Paged, form, message, page, show};
use crate::app::App;
use crate::http::{Site, invoice_json};
use crate::service::printed::at_least;
use crate::service::{Error, Form, PaymentView, Way};

use details::Details;
use history::Histories;
use mails::{MailRow, TopicRow};
use papers::Statements;
use rows::{CardRow, InvoiceRow, PackageRow, PaymentRow};
use subscription::{Around, SubscriptionView};
use topup::RuleView;
use trouble::Trouble;

pub const PATH: &str = "/settings/billing";
/// Rows of each history, before one asks for all of it.
const SHOWN: usize = 6;
/// Payments among which one that waits is looked for.
const LOOKED_AT: usize = 50;

pub fn router() -> Router<Arc<Site>> {
    // Whoever loads such an address again is led to the page its form is on.
    fn form<H, T>(handler: H) -> MethodRouter<Arc<Site>>
    where
        H: axum::handler::Handler<T, Arc<Site>>,
        T: 'static,
    {
        post(handler).get(async || Redirect::to(PATH))
    }
    Router::new()
        .route(PATH, get(show))
        .route("/settings/billing/buy", get(pay::review).post(pay::buy))
        .route("/settings/billing/returned", get(pay::returned))
        .route("/settings/billing/payments/{payment}", get(pay::show))
        .route("/settings/billing/payments/{payment}/confirm", form(pay::confirm))
        .route("/settings/billing/payments/{payment}/cancel", form(pay::cancel))
        .route("/settings/billing/subscription", get(plans::review).post(plans::agree))
        .route("/settings/billing/subscription/end", get(plans::review_end).post(plans::end))
        .route("/settings/billing/auto-topup", form(topup::set))
        .route(topup::REVIEW, get(topup::review))
        .route("/settings/billing/cards", form(actions::add_card))
        .route(actions::RETURNED, get(actions::returned))
        .route("/settings/billing/cards/default", form(actions::make_default))
        .route("/settings/billing/cards/remove", get(actions::review_removal).post(actions::remove_card))
        .route("/settings/billing/details", form(details::set))
        .route("/settings/billing/mails", form(mails::set))
        .route("/settings/billing/statement", get(papers::statement))
        .route("/settings/billing/invoices.zip", get(papers::invoices))
        .route("/settings/billing/history", get(history::show))
        .route("/settings/billing/invoices/{invoice}", get(invoice))
}

#[derive(Template)]
#[template(path = "billing/page.html")]
struct BillingPage {
    frame: Frame,
    /// Credits that the next ones pay back first; none where nothing is owed.
    owed: Option<String>,
    /// Somebody collects money. Where nobody does, there is nothing to buy and nothing to pay with.
    sells: bool,
    /// The role may change what it sees.
    may_change: bool,
    /// Makes a form that is sent twice one purchase.
    key: String,
    currency: String,
    /// So many credits, and what they cost at list price.
    list_price: (String, String),
    thousand_buys: Vec<String>,
    packages: Vec<PackageRow>,
    /// Credits that whoever sent them here says are missing.
    needed: Option<String>,
    /// What was typed as another amount, or what no package is enough for.
    custom: Option<String>,
    subscription: SubscriptionView,
    cards: Vec<CardRow>,
    rule: RuleView,
    details: Details,
    statements: Statements,
    /// What one is written to about; nothing where no mail is sent.
    mails: Vec<TopicRow>,
    written: Vec<MailRow>,
    histories: Histories,
    waiting: Option<Waiting>,
    /// What was done just now: the section whose form was sent, and what is said of it.
    said: Option<(&'static str, &'static str)>,
    trouble: Option<Trouble>,
}

/// A payment that has not ended: what it waits for, and where that is done.
struct Waiting {
    id: String,
    says: String,
    link: &'static str,
    /// The provider's page, where it is open and this role may pay on it.
    go_on: Option<String>,
    can_cancel: bool,
}

impl Waiting {
    fn of(view: &PaymentView, may_change: bool) -> Waiting {
        let it = &view.payment;
        let what = format!("{}, {}", it.item, show::money(it.money(it.total())));
        let (says, link) = match it.way {
            _ if it.is_given_up => (format!("A payment is being cancelled: {what}."), "See how it stands"),
            // Whether somebody has paid there, the provider has not said: a page is all there is so far.
            Way::Hosted => (format!("Not paid yet: {what}."), "See the payment"),
            _ if it.waits_for_customer() => (format!("The bank waits to be answered: {what}."), "See the payment"),
            _ => (format!("A payment is under way: {what}."), "See how it stands"),
        };
        Waiting {
            id: view.id.clone(),
            says,
            link,
            go_on: rows::go_on(view).filter(|_| may_change),
            can_cancel: may_change && rows::can_cancel(view),
        }
    }
}

/// What is said once something was done, and in which section, by what the address says of it: no stranger's words are
/// ever shown.
const DONE: [(&str, &str, &str); 10] = [
    ("details", details::SECTION, "Your billing details are saved."),
    ("mails", "mails", "What we write about is saved."),
    ("card", "cards", "The card is saved."),
    ("default", "cards", "The default card is set. What was declined is tried again with it."),
    ("removed", "cards", "The card is removed."),
    ("topup-on", topup::SECTION, "Auto-topup is on, as you agreed."),
    ("topup-off", topup::SECTION, "Auto-topup is off. Nothing is bought by itself any more."),
    ("plan", plans::SECTION, "The change of your plan is noted."),
    ("end", plans::SECTION, "Your subscription is cancelled."),
    ("keep", plans::SECTION, "Your subscription goes on."),
];

impl BillingPage {
    fn said(&self, section: &str) -> Option<&'static str> {
        self.said.filter(|it| it.0 == section).map(|it| it.1)
    }
    fn trouble(&self, section: &str) -> Option<&str> {
        let found = self.trouble.as_ref().filter(|it| it.section == section);
        found.and_then(|it| it.why.as_deref().ok())
    }
    /// What was refused, where no field of the form is to blame.
    fn at_large(&self, section: &str) -> Option<&str> {
        self.trouble(section).filter(|_| self.trouble.as_ref().is_some_and(|it| it.field.is_empty()))
    }
    /// The same, beside the field that is.
    fn beside(&self, section: &str, field: &str) -> Option<&str> {
        self.trouble(section).filter(|_| self.trouble.as_ref().is_some_and(|it| it.field == field))
    }
    fn is_of_needed_card(&self) -> bool {
        self.trouble.as_ref().is_some_and(|it| it.is_of_needed_card)
    }
    /// Attributes of a field: where it is the one that was refused, it has the focus, and says so.
    fn wrong(&self, section: &str, field: &str) -> String {
        let is_it = self.trouble.as_ref().is_some_and(|it| (it.section, it.field) == (section, field));
        if !is_it {
            return String::new();
        }
        format!(" aria-invalid=\"true\" aria-describedby=\"{section}-trouble\" autofocus")
    }
    /// Attributes of what was refused: where no field is to blame, it has the focus itself, so that it is in sight.
    fn seen(&self, section: &str) -> &'static str {
        let is_of_none = self.trouble.as_ref().is_some_and(|it| it.section == section && it.field.is_empty());
        if is_of_none { " tabindex=\"-1\" autofocus" } else { "" }
    }
}

/// Whoever may see billing, or the page that says why not and whom to ask.
async fn admit(site: &Site, visitor: &Visitor) -> Result<(), Response> {
    if visitor.session.role.sees_billing() {
        return Ok(());
    }
    Err(message::forbidden(
        site,
        "Billing is for owners and billing contacts of the account. Ask one of them to add credits or to send you an \
         invoice. What was used, you see under Usage.",
    ))
}

/// Whoever may change billing, which nobody may once the account is closed.
async fn may_change(site: &Site, visitor: &Visitor) -> Result<(), Response> {
    admit(site, visitor).await?;
    if visitor.known.account.closed_at.is_some() {
        return Err(message::closed(site));
    }
    if visitor.session.role.changes_billing() {
        return Ok(());
    }
    Err(message::forbidden(site, "Your role sees billing and changes nothing. Ask an owner of the account."))
}

/// Whoever may change billing, with a form of this session.
async fn admit_change(site: &Arc<Site>, visitor: &Visitor, form: &form::Form) -> Result<(), Response> {
    form.check_from(site, visitor).await?;
    may_change(site, visitor).await
}

async fn show(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    admit(&site, &visitor).await?;
    let filled = site.look(move |app| billing_page(app, &visitor, None)).await;
    Ok(page(StatusCode::OK, &filled.map_err(|it| message::failed(&site, it))?))
}

/// The page again, with what is wrong said beside the form that was sent.
async fn refused(site: &Arc<Site>, visitor: &Visitor, trouble: Trouble) -> Paged {
    let trouble = match trouble.why {
        Ok(_) => trouble,
        Err(error) => {
            let error = Arc::into_inner(error).unwrap_or(Error::Busy);
            return Err(message::failed(site, error.into()));
        }
    };
    let visitor = visitor.clone();
    let filled = site.look(move |app| billing_page(app, &visitor, Some(trouble))).await;
    Ok(page(StatusCode::UNPROCESSABLE_ENTITY, &filled.map_err(|it| message::failed(site, it))?))
}

fn billing_page(app: &App, visitor: &Visitor, trouble: Option<Trouble>) -> Result<BillingPage, Error> {
    let account = &visitor.session.account;
    let known = &visitor.known;
    let balance = app.balance(account, None)?;
    let payments = app.payments(account, None, LOOKED_AT)?;
    let invoices = app.invoices(account, None, SHOWN)?;
    let cards = app.payment_methods(account)?;
    let (purchases, _) = history::purchases(app, visitor, None, SHOWN)?;
    let trouble = trouble.map(|it| it.with_bounds(app, known.account.currency));
    let is_closed = known.account.closed_at.is_some();
    let may_change = visitor.session.role.changes_billing() && !is_closed;
    let waiting = payments.iter().find(|it| !it.payment.status().is_final()).map(|it| Waiting::of(it, may_change));
    let (thousand, lot) = (Credits::whole(1_000), rows::lot(app, known.account.currency));
    let of = |section: &str| trouble.as_ref().filter(|it| it.section == section).map(|it| &it.said);
    let tried = payments.iter().take(SHOWN).map(|it| PaymentRow::of(app, it, known));
    let around = Around { app, visitor, balance: &balance, cards: &cards, payments: &payments };
    let did = visitor.query.get("did");
    let debt = balance.balance.debt;
    // What is owed is paid back first: less than that would leave nothing to work with.
    let owed = debt.is_positive().then(|| -balance.balance.available());
    let asked = visitor.query.get("needed").and_then(|it| it.parse().ok()).filter(|it: &Credits| it.is_positive());
    let needed = asked.max(owed);
    let packages = rows::packages(app, known, needed)?;
    let beyond = asked.filter(|_| packages.iter().all(|it| !it.is_chosen)).map(at_least);
    let frame = Frame::of(app, visitor, &balance, PATH)?;
    Ok(BillingPage {
        owed: debt.is_positive().then(|| show::used(debt)),
        sells: app.settings().payments.is_some() && !is_closed,
        may_change,
        said: DONE.iter().find(|it| trouble.is_none() && Some(it.0) == did).map(|it| (it.1, it.2)),
        key: app.form_key()?,
        currency: known.account.currency.as_str().to_uppercase(),
        list_price: (rows::whole(lot), show::money(app.at_list_price(lot, known.account.currency))),
        thousand_buys: examples::bought_by(app, thousand),
        packages,
        needed: needed.map(at_least),
        custom: of("buy").and_then(|it| it.get("credits")).map(str::to_owned).or(beyond),
        subscription: SubscriptionView::of(&around)?,
        cards: cards.iter().map(|it| CardRow::of(it, show::zoned(visitor.now, &known.zone).date())).collect(),
        rule: RuleView::of(&around, of(topup::SECTION))?,
        mails: if app.sends_email() { mails::rows(app, visitor)? } else { Vec::new() },
        written: if app.sends_email() { mails::written(app, visitor)? } else { Vec::new() },
        statements: Statements::of(visitor, app)?,
        details: Details::of(app, visitor, of(details::SECTION))?,
        histories: Histories {
            purchases,
            payments: tried.collect::<Result<_, _>>()?,
            invoices: invoices.iter().map(|it| InvoiceRow::of(it, known)).collect(),
            mark: if may_change { frame.mark.clone() } else { String::new() },
        },
        frame,
        waiting,
        trouble,
    })
}

/// An invoice of this account: a page to print, or with `.pdf`, `.xml` or `.json` after its id the file.
async fn invoice(State(site): State<Arc<Site>>, Path(named): Path<String>, visitor: Visitor) -> Paged {
    admit(&site, &visitor).await?;
    let (id, form) = named.split_once('.').unwrap_or((&named, "html"));
    let missing = || message::failed(&site, Refusal::InvoiceNotFound.into());
    let form = match form {
        "html" => Some(Form::Html),
        "xml" => Some(Form::Xml),
        "pdf" => Some(Form::Pdf),
        "json" => None,
        _ => return Err(missing()),
    };
    let id = id.parse().map_err(|_| missing())?;
    let view = site.look(move |app| app.invoice(id)).await.map_err(|it| message::failed(&site, it))?;
    // An id leads home, and home must be this one.
    if view.account != visitor.session.account {
        return Err(missing());
    }
    let Some(form) = form else {
        let (name, bytes) = invoice_json(&view);
        return Ok(papers::file(&name, "application/json", bytes));
    };
    let file = site.look(move |app| app.invoice_file(&view.invoice, form)).await;
    let file = file.map_err(|it| message::failed(&site, it))?;
    let how = if form == Form::Xml { "attachment" } else { "inline" };
    let disposition = format!("{how}; filename=\"{}\"", file.name);
    let headers = [(header::CONTENT_TYPE, file.media_type.to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    let mut response = (headers, file.bytes).into_response();
    if form == Form::Html {
        response.extensions_mut().insert(super::OwnStyle);
    }
    Ok(response)
}

/// Back to the page, where something was done and what that is: it is in sight there, and has the focus, so that it is
/// also read out.
fn done(did: &str) -> Response {
    let section = DONE.iter().find(|it| it.0 == did).map_or("", |it| it.1);
    Redirect::to(&format!("{PATH}?did={did}#{section}-said")).into_response()
}

/// Back to the page, at one of its sections.
fn back(section: &str) -> Response {
    Redirect::to(&format!("{PATH}#{section}")).into_response()
}
