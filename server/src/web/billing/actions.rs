//! Cards: added on the provider's page, made the default, removed.
use std::sync::Arc;

use axum::extract::State;
use billing::id::Name;

use super::agree::Agree;
use super::form::Form;
use super::pay::leave;
use super::{PATH, Paged, Trouble, admit_change, back, may_change, message, refused, rows};
use crate::app::App;
use crate::http::Site;
use crate::service::{By, Error};
use crate::web::frame::Frame;
use crate::web::visit::Visitor;

const SECTION: &str = "cards";

/// To the provider's page, where a card is typed in.
pub async fn add_card(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    admit_change(&site, &visitor, &form).await?;
    let to = format!("{}{}#{SECTION}", site.origin(&visitor.headers), PATH);
    let key = form.get("key").unwrap_or_default().into();
    match site.app.set_up_card(&visitor.session.account, Some(to), &key).await {
        Ok(begun) => Ok(begun.setup_url.map_or_else(|| back(SECTION), |url| leave(&site, url))),
        Err(error) => refused(&site, &visitor, Trouble::of(SECTION, error, form.said())).await,
    }
}

pub async fn make_default(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    done(&site, &visitor, &form, |app, account, (card, by)| app.make_default(account, card, by, None).map(drop)).await
}

/// The first of two clicks.
pub async fn review_removal(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    may_change(&site, &visitor).await?;
    let filled = site.look(move |app| {
        let account = &visitor.session.account;
        let cards = app.payment_methods(account)?;
        let Some(card) = cards.iter().find(|it| Some(&*it.id) == visitor.query.get("card")) else { return Ok(None) };
        let (label, balance) = (rows::card(card), app.balance(account, None)?);
        Ok(Some(Agree {
            frame: Frame::of(app, &visitor, &balance, PATH)?,
            title: format!("Remove {label}?"),
            sentences: vec![format!("{label} is forgotten here, and nothing is charged to it any more.")],
            bill: Vec::new(),
            notes: vec!["Your credits stay. The card can be added again at any time.".to_owned()],
            warning: None,
            action: "/settings/billing/cards/remove",
            fields: vec![("card", card.id.clone())],
            button: format!("Remove {label}"),
            is_danger: true,
            instead: ("/settings/billing#cards", "Keep it"),
        }))
    });
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    Ok(filled.map_or_else(|| back(SECTION), |it| it.answer()))
}

pub async fn remove_card(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    done(&site, &visitor, &form, |app, account, (card, by)| app.remove_method(account, card, by)).await
}

async fn done(
    site: &Arc<Site>,
    visitor: &Visitor,
    form: &Form,
    act: impl FnOnce(&App, &Name, (&str, &By)) -> Result<(), Error> + Send + 'static,
) -> Paged {
    admit_change(site, visitor, form).await?;
    let (app, account) = (Arc::clone(&site.app), visitor.session.account.clone());
    let card = form.get("card").unwrap_or_default().to_owned();
    let by = visitor.by();
    let acted = site.aside(move || act(&app, &account, (&card, &by))).await;
    match acted.map_err(|it| message::failed(site, it))? {
        Ok(()) => Ok(back(SECTION)),
        Err(error) => refused(site, visitor, Trouble::of(SECTION, error, form.said())).await,
    }
}
