//! Cards: added on the provider's page, made the default, removed.
use std::sync::Arc;

use axum::extract::State;
use billing::id::Name;

use super::agree::Agree;
use super::form::Form;
use super::pay::leave;
use super::{PATH, Paged, Trouble, admit, admit_change, back, done, may_change, message, refused, rows};
use crate::app::App;
use crate::http::Site;
use crate::service::{By, Charging, Error, MethodView};
use crate::web::frame::Frame;
use crate::web::visit::Visitor;

const SECTION: &str = "cards";
pub const RETURNED: &str = "/settings/billing/cards/returned";

/// To the provider's page, where a card is typed in.
pub async fn add_card(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    admit_change(&site, &visitor, &form).await?;
    let to = format!("{}{RETURNED}", site.origin(&visitor.headers));
    let key = form.get("key").unwrap_or_default().into();
    match site.app.set_up_card(&visitor.session.account, Some(to), &key, &visitor.by()).await {
        Ok(begun) => Ok(begun.setup_url.map_or_else(|| back(SECTION), |url| leave(&site, url))),
        Err(error) => refused(&site, &visitor, Trouble::of(SECTION, error, form.said())).await,
    }
}

/// Back from the provider's page: with a card that was not there before, or without one.
pub async fn returned(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    admit(&site, &visitor).await?;
    let account = visitor.session.account.clone();
    // The provider is asked which cards there are: its notice may be late, or lost. Whatever hinders that now, the
    // worker does it later.
    let is_new = site.app.look_for_cards(&account).await.unwrap_or(false);
    Ok(if is_new { done("card") } else { back(SECTION) })
}

pub async fn make_default(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    let act = |app: &App, account: &Name, (card, by): (&str, &By)| app.make_default(account, card, by, None).map(drop);
    to_card(&site, &visitor, &form, ("default", act)).await
}

/// The first of two clicks.
pub async fn review_removal(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    may_change(&site, &visitor).await?;
    let (app, asking) = (Arc::clone(&site.app), visitor.clone());
    let filled = site.aside(move || removal(&app, &asking)).await;
    match filled.map_err(|it| message::failed(&site, it))? {
        Ok(filled) => Ok(filled.map_or_else(|| back(SECTION), |it| it.answer())),
        Err(error) => refused(&site, &visitor, Trouble::of(SECTION, error, &visitor.query)).await,
    }
}

/// What removing a card does; none where there is no such card.
fn removal(app: &App, visitor: &Visitor) -> Result<Option<Agree>, Error> {
    let account = &visitor.session.account;
    let cards = app.payment_methods(account)?;
    let Some(card) = cards.iter().find(|it| Some(&*it.id) == visitor.query.get("card")) else { return Ok(None) };
    if cards.len() == 1 {
        app.may_be_without_card(&visitor.known)?;
    }
    let (label, balance) = (rows::card(card), app.balance(account, None)?);
    let mut sentences = vec![format!("{label} is forgotten here, and nothing is charged to it any more.")];
    sentences.extend(charged_instead(&cards, card, &app.charged_by_itself(&visitor.known)?));
    Ok(Some(Agree {
        frame: Frame::of(app, visitor, &balance, PATH)?,
        title: format!("Remove {label}?"),
        sentences,
        bill: Vec::new(),
        notes: vec!["Your credits stay. The card can be added again at any time.".to_owned()],
        warning: None,
        action: "/settings/billing/cards/remove",
        fields: vec![("card", card.id.clone())],
        button: format!("Remove {label}"),
        is_danger: true,
        instead: ("/settings/billing#cards".to_owned(), "Keep it"),
    }))
}

/// What is charged to a card by itself goes to the one that is the default once it is gone.
fn charged_instead(cards: &[MethodView], removed: &MethodView, charging: &[Charging]) -> Option<String> {
    let is_its = |it: &&Charging| {
        let named = cards.iter().find(|card| Some(&card.id) == it.method.as_ref());
        named.or_else(|| cards.iter().find(|card| card.is_default)).is_some_and(|card| card.id == removed.id)
    };
    let name = |it: &Charging| it.plan.clone().unwrap_or_else(|| "auto-topup".to_owned());
    let moved: Vec<String> = charging.iter().filter(is_its).map(name).collect();
    let mut rest = cards.iter().filter(|it| it.id != removed.id);
    let next = rest.clone().find(|it| it.is_default).or_else(|| rest.next())?;
    let verb = if moved.len() == 1 { "is" } else { "are" };
    let text = format!("From now on {} {verb} charged to {}.", moved.join(" and "), rows::card(next));
    (!moved.is_empty()).then_some(text)
}

pub async fn remove_card(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    let act = |app: &App, account: &Name, (card, by): (&str, &By)| app.remove_method(account, card, by);
    to_card(&site, &visitor, &form, ("removed", act)).await
}

/// What is done to a card, and by what name that is told.
async fn to_card(
    site: &Arc<Site>,
    visitor: &Visitor,
    form: &Form,
    (did, act): (&str, impl FnOnce(&App, &Name, (&str, &By)) -> Result<(), Error> + Send + 'static),
) -> Paged {
    admit_change(site, visitor, form).await?;
    let (app, account) = (Arc::clone(&site.app), visitor.session.account.clone());
    let card = form.get("card").unwrap_or_default().to_owned();
    let by = visitor.by();
    let acted = site.aside(move || act(&app, &account, (&card, &by))).await;
    match acted.map_err(|it| message::failed(site, it))? {
        Ok(()) => Ok(done(did)),
        Err(error) => refused(site, visitor, Trouble::of(SECTION, error, form.said())).await,
    }
}
