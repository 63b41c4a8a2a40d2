//! A purchase: ordered, led to the provider's page or charged to a card, and shown until its credits are there.
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use billing::Refusal;
use billing::money::Credits;
use billing::payment::Status;

use super::agree::{Agree, CHANGED, bill, is_agreed};
use super::form::Form;
use super::{
    PATH, Paged, Trouble, admit, admit_change, examples, may_change, message, page, refused, rows, show as shown,
    trouble,
};
use crate::app::App;
use crate::http::Site;
use crate::service::{Error, Goods, PaymentView, PurchaseOrder, Way};
use crate::web::frame::{Frame, House};
use crate::web::range::Query;
use crate::web::visit::Visitor;

pub const SECTION: &str = "buy";

#[derive(Template)]
#[template(path = "billing/payment.html")]
struct PaymentPage {
    frame: Frame,
    id: String,
    title: &'static str,
    text: String,
    what: String,
    net: String,
    tax: String,
    total: String,
    status: &'static str,
    class: &'static str,
    /// It is asked again by itself.
    is_waiting: bool,
    /// On the provider's page.
    go_on: Option<String>,
    /// With the bank, for a saved card.
    can_confirm: bool,
    invoice: Option<String>,
    may_change: bool,
}

/// Leads to a page of the provider's. A page of ours in between, so that no form may be sent anywhere but here.
#[derive(Template)]
#[template(path = "billing/leave.html")]
pub struct Leave {
    pub house: House,
    pub url: String,
}

pub fn leave(site: &Site, url: String) -> axum::response::Response {
    page(StatusCode::OK, &Leave { house: House::of(&site.app.settings().brand), url })
}

/// What is chosen, with tax and total, before anybody pays.
pub async fn review(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    may_change(&site, &visitor).await?;
    let chosen = visitor.query.clone();
    reviewed(&site, &visitor, &chosen, None).await
}

async fn reviewed(site: &Arc<Site>, visitor: &Visitor, chosen: &Query, warning: Option<&'static str>) -> Paged {
    let (app, asking, said) = (Arc::clone(&site.app), visitor.clone(), chosen.clone());
    let filled = site.aside(move || agreement(&app, &asking, &said, warning)).await;
    match filled.map_err(|it| message::failed(site, it))? {
        Ok(agree) => Ok(agree.answer()),
        Err(error) => refused(site, visitor, Trouble::of(SECTION, error, chosen)).await,
    }
}

fn agreement(app: &App, visitor: &Visitor, said: &Query, warning: Option<&'static str>) -> Result<Agree, Error> {
    let account = &visitor.session.account;
    let price = app.price_of_credits(account, &goods(said)?)?;
    let balance = app.balance(account, None)?;
    let cards = app.payment_methods(account)?;
    let card = cards.iter().find(|it| Some(&*it.id) == said.get("method"));
    let credits = rows::exactly(price.credits);
    let (sentence, button) = match card {
        Some(card) => (
            format!("{credits} credits, paid with {}.", rows::card(card)),
            format!("Pay {}", shown::money(price.total)),
        ),
        None => (
            format!("{credits} credits, paid by card on the page of our payment provider."),
            format!("Go on and pay {}", shown::money(price.total)),
        ),
    };
    let mut fields = vec![("key", app.form_key()?), ("total", price.total.amount.to_string())];
    for name in ["package", "credits", "method", "save"] {
        fields.extend(said.get(name).map(|it| (name, it.to_owned())));
    }
    let mut notes = Vec::new();
    let owed = balance.balance.debt.min(price.credits);
    let left = price.credits - owed;
    if owed.is_positive() {
        notes.push(pays_back(owed, left, "pay back what is owed"));
    }
    let bought = examples::bought_by(app, left);
    if !bought.is_empty() && left.is_positive() {
        notes.push(format!("That is about {}.", bought.join(", or ")));
    }
    notes.push("Credits are added when the payment has come in, exactly once. They do not expire.".to_owned());
    if card.is_none() && said.get("save").is_some() {
        notes.push("The card is remembered, for purchases here and for what you agree to later.".to_owned());
    }
    Ok(Agree {
        frame: Frame::of(app, visitor, &balance, PATH)?,
        title: "Purchase credits".to_owned(),
        sentences: vec![sentence],
        bill: bill(format!("{credits} credits"), &price),
        notes,
        warning: warning.map(str::to_owned),
        action: "/settings/billing/buy",
        fields,
        button,
        is_danger: false,
        instead: ("/settings/billing#buy", "Back"),
    })
}

/// Debt is paid back first; what is left is what one can work with.
fn pays_back(owed: Credits, left: Credits, pay_back: &str) -> String {
    format!("{} of them {pay_back}; {} remain.", shown::used(owed), shown::have(left))
}

pub async fn buy(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    admit_change(&site, &visitor, &form).await?;
    let goods = match goods(form.said()) {
        Ok(goods) => goods,
        Err(refusal) => return refused(&site, &visitor, Trouble::of(SECTION, refusal.into(), form.said())).await,
    };
    let (account, wanted) = (visitor.session.account.clone(), goods.clone());
    let app = Arc::clone(&site.app);
    let price = site.aside(move || app.price_of_credits(&account, &wanted)).await;
    let is_agreed = match price.map_err(|it| message::failed(&site, it))? {
        Ok(price) => is_agreed(form.get("total"), &price),
        Err(error) => return refused(&site, &visitor, Trouble::of(SECTION, error, form.said())).await,
    };
    if !is_agreed {
        let warning = form.get("total").map(|_| CHANGED);
        return reviewed(&site, &visitor, form.said(), warning).await;
    }
    let method = form.get("method").filter(|it| *it != "hosted").map(str::to_owned);
    let order = PurchaseOrder {
        account: visitor.session.account.clone(),
        goods,
        is_hosted: method.is_none(),
        method,
        save_card: form.get("save").is_some(),
        return_url: Some(format!("{}/settings/billing/returned", site.origin(&visitor.headers))),
        key: form.get("key").unwrap_or_default().into(),
        by: visitor.by().name,
    };
    let payment = match site.app.purchase(order).await {
        // Sent twice it is one payment, and who sent it wants to know how that stands now.
        Ok(payment) if payment.is_replay => match own(&site, &visitor, &payment.id).await {
            Ok(payment) => payment,
            Err(page) => return Ok(page),
        },
        Ok(payment) => payment,
        Err(error) => return refused(&site, &visitor, Trouble::of(SECTION, error, form.said())).await,
    };
    match &payment.payment.page_url {
        Some(url) if payment.payment.way == Way::Hosted && !payment.payment.status().is_final() => {
            Ok(leave(&site, url.clone()))
        }
        _ => Ok(Redirect::to(&format!("{PATH}/payments/{}", payment.id)).into_response()),
    }
}

/// A package, and a number beside it: which of them is meant, nobody may guess.
pub fn is_both(said: &Query) -> bool {
    let typed = said.get("credits").map(str::trim).unwrap_or_default();
    said.get("package").is_some_and(|it| it != "custom") && !typed.is_empty()
}

fn goods(said: &Query) -> Result<Goods, Refusal> {
    if is_both(said) {
        let typed = said.get("credits").unwrap_or_default();
        let why = format!(
            "You chose a package and typed {typed} as another amount: which do you mean? Another amount is chosen \
             now; for a package, choose it and empty the field."
        );
        return Err(Refusal::invalid(trouble::SENTENCE, why));
    }
    match said.get("package") {
        Some("custom") | None => {
            let text = said.get("credits").unwrap_or_default().replace([',', ' '], "");
            if text.is_empty() {
                return Err(Refusal::invalid("credits", "is missing: say how many"));
            }
            let credits: Result<Credits, _> = text.parse();
            credits.map(Goods::Credits).map_err(|why| Refusal::invalid("credits", why))
        }
        Some(id) => id.parse().map(Goods::Package).map_err(|_| Refusal::PackageNotFound),
    }
}

/// Back from the provider's page: to the payment it was for, the newest.
pub async fn returned(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    admit(&site, &visitor).await?;
    let account = visitor.session.account.clone();
    let newest = site.look(move |app| Ok(app.payments(&account, None, 1)?.pop()));
    let newest = newest.await.map_err(|it| message::failed(&site, it))?;
    // The provider is asked how it went: its notice may be late, or lost.
    if let Some(it) = newest.as_ref().filter(|it| it.payment.way == Way::Hosted && !it.payment.status().is_final())
        && let Ok(id) = it.id.parse()
    {
        // Whatever hinders it now, the worker does it later; the page says how it stands.
        drop(site.app.carry_out(id).await);
    }
    let to = newest.map_or_else(|| PATH.to_owned(), |it| format!("{PATH}/payments/{}", it.id));
    Ok(Redirect::to(&to).into_response())
}

/// A payment of the session's account; one of another is not found.
async fn own(site: &Arc<Site>, visitor: &Visitor, id: &str) -> Result<PaymentView, axum::response::Response> {
    let missing = || message::failed(site, Refusal::PaymentNotFound.into());
    let id = id.parse().map_err(|_| missing())?;
    let view = site.look(move |app| app.payment(id)).await.map_err(|it| message::failed(site, it))?;
    if view.account == visitor.session.account { Ok(view) } else { Err(missing()) }
}

pub async fn show(State(site): State<Arc<Site>>, Path(id): Path<String>, visitor: Visitor) -> Paged {
    admit(&site, &visitor).await?;
    let view = own(&site, &visitor, &id).await?;
    let filled = site.look(move |app| payment_page(app, &visitor, &view));
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}

fn payment_page(app: &App, visitor: &Visitor, view: &PaymentView) -> Result<PaymentPage, Error> {
    let it = &view.payment;
    let balance = app.balance(&visitor.session.account, None)?;
    let (status, class) = rows::status(view);
    let credits = shown::have(Credits::from_micros(it.credits));
    let is_hosted = it.way == Way::Hosted;
    let (title, text) = match it.status() {
        Status::Succeeded => {
            paid(view, &credits, app.paid_back_by(view.id.parse().map_err(|_| Refusal::PaymentNotFound)?)?)
        }
        Status::Failed => ("The payment failed", failure(view)),
        Status::Canceled => ("The payment was canceled", "No money was taken.".to_owned()),
        Status::RequiresAction if is_hosted => {
            let text = "If you have paid: payment received, adding credits… They appear here by themselves.";
            ("Waiting for your payment", text.to_owned())
        }
        Status::RequiresAction => {
            ("Your bank wants to hear from you", "It asks you to confirm this payment.".to_owned())
        }
        Status::Pending if is_hosted => ("Opening the payment page…", "This takes a few seconds.".to_owned()),
        Status::Pending => ("Asking the bank…", "This takes a few seconds. You may close the page.".to_owned()),
    };
    let waits_for_customer = it.status() == Status::RequiresAction;
    Ok(PaymentPage {
        frame: Frame::of(app, visitor, &balance, PATH)?,
        id: view.id.clone(),
        title,
        text,
        what: it.item.clone(),
        net: shown::money(it.money(it.net)),
        tax: shown::money(it.money(it.tax)),
        total: shown::money(it.money(it.total())),
        status,
        class,
        is_waiting: !it.status().is_final(),
        go_on: it.page_url.clone().filter(|_| is_hosted && !it.status().is_final()),
        can_confirm: waits_for_customer && !is_hosted,
        invoice: it.invoice.clone(),
        may_change: visitor.session.role.changes_billing(),
    })
}

const ON_ITS_WAY: &str = "goes back to you; a bank may take ten days to show it. The credits this money paid for are \
                          not on your account any more.";

/// What has become of money that came in.
fn paid(view: &PaymentView, credits: &str, paid_back: Credits) -> (&'static str, String) {
    let it = &view.payment;
    let back = shown::money(it.money(it.returned.net + it.returned.tax));
    match rows::status(view).0 {
        "disputed" => {
            let text =
                "Your bank was asked to give the money back. Until it has decided, unused credits of it are frozen.";
            ("The payment is disputed", text.to_owned())
        }
        "dispute lost" => {
            let text = format!(
                "You have {back} back from it. The credits this money paid for are not on your account any more."
            );
            ("The bank gave money back", text)
        }
        // A refund is one from when it is asked for: that it has come nobody tells.
        "refunded" => ("The payment was refunded", format!("{back} {ON_ITS_WAY}")),
        "refunded in part" => ("Refunded in part", format!("{back} {ON_ITS_WAY}")),
        _ if paid_back.is_positive() => {
            let left = Credits::from_micros(it.credits) - paid_back;
            let text = format!(
                "{credits} credits were added to your account. {}",
                pays_back(paid_back, left, "paid back what was owed")
            );
            ("Credits added", text)
        }
        _ => ("Credits added", format!("{credits} credits were added to your account.")),
    }
}

fn failure(view: &PaymentView) -> String {
    let why = view.payment.failure().map(billing::payment::Failure::in_words);
    why.unwrap_or("No money was taken. Try again, or use another card.").to_owned()
}

/// With the customer there, the bank can ask them.
pub async fn confirm(State(site): State<Arc<Site>>, Path(id): Path<String>, visitor: Visitor, form: Form) -> Paged {
    admit_change(&site, &visitor, &form).await?;
    let view = own(&site, &visitor, &id).await?;
    let to = format!("{PATH}/payments/{}", view.id);
    let missing = |_| message::failed(&site, Refusal::PaymentNotFound.into());
    let id = view.id.parse().map_err(missing)?;
    let return_url = format!("{}{to}", site.origin(&visitor.headers));
    let confirmed = site.app.confirm_payment(id, return_url, None).await;
    let confirmed = confirmed.map_err(|it| message::failed(&site, it.into()))?;
    match confirmed.payment.action_url {
        Some(url) if confirmed.payment.status() == Status::RequiresAction => Ok(leave(&site, url)),
        _ => Ok(Redirect::to(&to).into_response()),
    }
}
