//! A purchase: ordered, led to the provider's page or charged to a card, and shown until its credits are there; or
//! cancelled before it is paid.
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use billing::Refusal;
use billing::money::Credits;
use billing::payment::{Failure, Status};

use super::agree::{Agree, CHANGED, bill, is_agreed};
use super::form::Form;
use super::{
    LOOKED_AT, PATH, Paged, Trouble, admit, admit_change, again, examples, may_change, message, page, refused, rows,
    show as shown, trouble,
};
use crate::app::App;
use crate::http::Site;
use crate::service::{Error, Goods, PaymentView, PurchaseOrder, Purpose, Way};
use crate::web::frame::{Frame, House};
use crate::web::number;
use crate::web::range::Query;
use crate::web::visit::Visitor;

pub const SECTION: &str = "buy";
/// In the place of a card: whichever is typed in on the provider's page.
const HOSTED: &str = "hosted";

#[derive(Template)]
#[template(path = "billing/payment.html")]
struct PaymentPage {
    frame: Frame,
    id: String,
    title: &'static str,
    text: String,
    /// What was said to the customer of each refund.
    reasons: Vec<String>,
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
    can_cancel: bool,
    /// Its form was sent a second time.
    is_again: bool,
    /// Where the same is bought again with another card, or another is chosen.
    again: Option<String>,
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
    let before = again::bought_lately(app, visitor, &price, said.get("key"))?;
    let mut fields = vec![("key", app.form_key()?), ("total", price.total.amount.to_string())];
    fields.extend(before.as_ref().map(|it| (again::FIELD, it.id.clone())));
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
    let agree = Agree {
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
        instead: ("/settings/billing#buy".to_owned(), "Back"),
    };
    Ok(match before {
        Some(it) => again::asked_of(agree, &it, visitor.now),
        None => agree,
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
    let (app, asking, wanted, said) = (Arc::clone(&site.app), visitor.clone(), goods.clone(), form.said().clone());
    let looked = site.aside(move || -> Result<(bool, bool), Error> {
        let price = app.price_of_credits(&asking.session.account, &wanted)?;
        Ok((is_agreed(said.get("total"), &price), again::is_meant(&app, &asking, &price, &said)?))
    });
    let (is_agreed, is_meant) = match looked.await.map_err(|it| message::failed(&site, it))? {
        Ok(looked) => looked,
        Err(error) => return refused(&site, &visitor, Trouble::of(SECTION, error, form.said())).await,
    };
    if !is_agreed || !is_meant {
        let warning = form.get("total").filter(|_| !is_agreed).map(|_| CHANGED);
        return reviewed(&site, &visitor, form.said(), warning).await;
    }
    let method = form.get("method").filter(|it| *it != HOSTED).map(str::to_owned);
    let order = PurchaseOrder {
        account: visitor.session.account.clone(),
        goods,
        // A card that is saved is remembered already.
        save_card: method.is_none() && form.get("save").is_some(),
        is_hosted: method.is_none(),
        method,
        return_url: Some(format!("{}{}", site.origin(&visitor.headers), again::way_back(&form.key()))),
        key: form.key(),
        by: visitor.by(),
    };
    let (payment, is_again) = match site.app.purchase(order).await {
        // Sent twice it is one payment, and who sent it wants to know how that stands now.
        Ok(payment) if payment.is_replay => match own(&site, &visitor, &payment.id).await {
            Ok(payment) => (payment, "?again=1"),
            Err(page) => return Ok(page),
        },
        Ok(payment) => (payment, ""),
        Err(error) => return refused(&site, &visitor, Trouble::of(SECTION, error, form.said())).await,
    };
    match &payment.payment.page_url {
        Some(url) if payment.payment.way == Way::Hosted && !payment.payment.status().is_final() => {
            Ok(leave(&site, url.clone()))
        }
        _ => Ok(Redirect::to(&format!("{PATH}/payments/{}{is_again}", payment.id)).into_response()),
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
            let text = said.get("credits").unwrap_or_default().trim();
            if text.is_empty() {
                return Err(Refusal::invalid("credits", "is missing: say how many"));
            }
            number::credits("credits", text).map(Goods::Credits)
        }
        Some(id) => id.parse().map(Goods::Package).map_err(|_| Refusal::PackageNotFound),
    }
}

/// Where a customer comes back to from their bank, for this payment.
fn back_to(site: &Site, visitor: &Visitor, payment: &str) -> String {
    format!("{}{PATH}/returned?payment={payment}", site.origin(&visitor.headers))
}

/// Back from the bank, which knows the payment, or from the provider's page, which knows the form it came from: to the
/// payment it was for, at an address that has nothing of what either of them put into this one.
pub async fn returned(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    admit(&site, &visitor).await?;
    let found = match visitor.query.get("payment") {
        Some(id) => Some(own(&site, &visitor, id).await?),
        None => ordered_by_form(&site, &visitor).await?,
    };
    let Some(view) = found else { return Ok(Redirect::to(PATH).into_response()) };
    // The provider is asked how it went: its notice may be late, or lost.
    if !view.payment.status().is_final()
        && let Ok(id) = view.id.parse()
    {
        // Whatever hinders it now, the worker does it later; the page says how it stands.
        drop(site.app.look_after_return(id).await);
    }
    Ok(Redirect::to(&format!("{PATH}/payments/{}", view.id)).into_response())
}

/// The payment that was ordered by the form which the address names, among the newest.
async fn ordered_by_form(site: &Arc<Site>, visitor: &Visitor) -> Result<Option<PaymentView>, axum::response::Response> {
    let Some(form) = visitor.query.get("of") else { return Ok(None) };
    let (account, way) = (visitor.session.account.clone(), again::way_back(form));
    let found = site.look(move |app| {
        Ok(app.payments(&account, None, LOOKED_AT)?.into_iter().find(|it| again::leads_back(it, &way)))
    });
    found.await.map_err(|it| message::failed(site, it))
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
    let credits = shown::used(Credits::from_micros(it.credits));
    let is_hosted = it.way == Way::Hosted;
    let (title, text) = match it.status() {
        Status::Succeeded => {
            paid(view, &credits, app.paid_back_by(view.id.parse().map_err(|_| Refusal::PaymentNotFound)?)?)
        }
        Status::Failed => ("The payment failed", failure(view)),
        Status::Canceled => ("The payment was cancelled", "No money was taken.".to_owned()),
        _ if it.is_given_up => ("Cancelling the payment…", CANCELLING.to_owned()),
        Status::RequiresAction if is_hosted && it.failure().is_some() => {
            let text = format!("{} Nothing was charged. The payment page is open still.", failure(view));
            ("The card was not charged", text)
        }
        Status::RequiresAction if is_hosted => ("Not paid yet", NOT_PAID.to_owned()),
        Status::RequiresAction if it.waits_for_customer() => {
            ("Your bank wants to hear from you", "It asks you to confirm this payment.".to_owned())
        }
        Status::Pending if is_hosted => ("Opening the payment page…", "This takes a few seconds.".to_owned()),
        // Whoever has answered their bank, too.
        Status::Pending | Status::RequiresAction => {
            ("Asking the bank…", "This takes a few seconds. You may close the page.".to_owned())
        }
    };
    let is_refunded = 0 < it.returned.net + it.returned.tax;
    let reasons = match view.id.parse() {
        Ok(id) if is_refunded => app.refund_reasons(id)?,
        _ => Vec::new(),
    };
    Ok(PaymentPage {
        frame: Frame::of(app, visitor, &balance, PATH)?,
        reasons,
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
        go_on: rows::go_on(view),
        can_confirm: it.waits_for_customer() && !is_hosted && !it.is_given_up,
        can_cancel: rows::can_cancel(view),
        is_again: visitor.query.get("again").is_some(),
        again: try_again(view),
        invoice: it.invoice.clone(),
        may_change: visitor.session.role.changes_billing(),
    })
}

const NOT_PAID: &str = "Continue on the payment page, or cancel. If you have just paid, the credits appear here by \
                        themselves in a moment.";
const CANCELLING: &str = "Nobody can pay it any more. Should it have been paid a moment before, its credits are added \
                          and this page says so.";
const PAID_FIRST: &str = "It was paid before it could be cancelled. ";

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
        _ => {
            let before = if it.is_given_up && it.purpose == Purpose::Purchase { PAID_FIRST } else { "" };
            let added = format!("{before}{credits} credits were added to your account.");
            let left = Credits::from_micros(it.credits) - paid_back;
            let of_debt = || format!("{added} {}", pays_back(paid_back, left, "paid back what was owed"));
            ("Credits added", if paid_back.is_positive() { of_debt() } else { added })
        }
    }
}

/// What failed is bought anew on the provider's page, where any card can be typed in; what charges a saved card by
/// itself goes on with another default.
fn try_again(view: &PaymentView) -> Option<String> {
    let it = &view.payment;
    let is_of_card = match it.failure()? {
        Failure::WrongAmount | Failure::SwitchedOff | Failure::PriceChanged => false,
        Failure::Abandoned | Failure::Disputed | Failure::DisputeLost => false,
        _ => it.status() == Status::Failed,
    };
    if it.purpose != Purpose::Purchase {
        return is_of_card.then(|| format!("{PATH}#cards"));
    }
    let credits = number::typed(Credits::from_micros(it.credits));
    let goods = match &it.package {
        Some(package) => ("package", package.as_str()),
        None => ("credits", credits.as_str()),
    };
    is_of_card.then(|| Query::default().with(&[goods, ("method", HOSTED)]).href("/settings/billing/buy"))
}

fn failure(view: &PaymentView) -> String {
    let why = view.payment.failure().map(Failure::in_words);
    why.unwrap_or("No money was taken. Try again, or use another card.").to_owned()
}

/// With the customer there, the bank can ask them.
pub async fn confirm(State(site): State<Arc<Site>>, Path(id): Path<String>, visitor: Visitor, form: Form) -> Paged {
    admit_change(&site, &visitor, &form).await?;
    let view = own(&site, &visitor, &id).await?;
    let to = format!("{PATH}/payments/{}", view.id);
    let missing = |_| message::failed(&site, Refusal::PaymentNotFound.into());
    let id = view.id.parse().map_err(missing)?;
    let return_url = back_to(&site, &visitor, &view.id);
    let confirmed = site.app.confirm_payment(id, return_url, None, &visitor.by()).await;
    let confirmed = confirmed.map_err(|it| message::failed(&site, it.into()))?;
    match confirmed.payment.action_url {
        Some(url) if confirmed.payment.status() == Status::RequiresAction => Ok(leave(&site, url)),
        _ => Ok(Redirect::to(&to).into_response()),
    }
}

/// Nobody pays it any more. What was paid first is said to be, on the page that this leads to.
pub async fn cancel(State(site): State<Arc<Site>>, Path(id): Path<String>, visitor: Visitor, form: Form) -> Paged {
    admit_change(&site, &visitor, &form).await?;
    let view = own(&site, &visitor, &id).await?;
    let id = view.id.parse().map_err(|_| message::failed(&site, Refusal::PaymentNotFound.into()))?;
    site.app.cancel_purchase(id, &visitor.by()).await.map_err(|it| message::failed(&site, it.into()))?;
    Ok(Redirect::to(&format!("{PATH}/payments/{}", view.id)).into_response())
}
