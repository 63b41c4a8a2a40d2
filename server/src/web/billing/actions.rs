//! Cards and billing details: the small forms of the billing page.
use std::sync::Arc;

use axum::extract::State;

use super::form::Form;
use super::pay::leave;
use super::{Paged, admit_change, back, message};
use crate::http::Site;
use crate::service::{AccountProfile, Error, Registration};
use crate::web::visit::Visitor;

/// To the provider's page, where a card is typed in.
pub async fn add_card(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    admit_change(&site, &visitor, &form).await?;
    let to = format!("{}{}", site.origin(&visitor.headers), super::PATH);
    let key = form.get("key").unwrap_or_default().into();
    let begun = site.app.set_up_card(&visitor.session.account, Some(to), &key).await;
    let begun = begun.map_err(|it: Error| message::failed(&site, it.into()))?;
    match begun.setup_url {
        Some(url) => Ok(leave(&site, url)),
        None => Ok(back("cards")),
    }
}

pub async fn make_default(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    admit_change(&site, &visitor, &form).await?;
    let card = form.get("card").unwrap_or_default().to_owned();
    let done = site.look(move |app| app.make_default(&visitor.session.account, &card)).await;
    done.map_err(|it| message::failed(&site, it))?;
    Ok(back("cards"))
}

pub async fn remove_card(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    admit_change(&site, &visitor, &form).await?;
    let card = form.get("card").unwrap_or_default().to_owned();
    let done = site.look(move |app| app.remove_method(&visitor.session.account, &card)).await;
    done.map_err(|it| message::failed(&site, it))?;
    Ok(back("cards"))
}

/// Who buys. Invoices that were written stay as they are.
pub async fn details(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    admit_change(&site, &visitor, &form).await?;
    // A field left empty clears what was there.
    let text = |name: &str| Some(form.get(name).unwrap_or_default().to_owned());
    let mut address = serde_json::Map::new();
    for name in ["street", "city", "postal_code", "country"] {
        if let Some(value) = form.get(name) {
            let value = if name == "country" { value.to_uppercase() } else { value.to_owned() };
            address.insert(name.to_owned(), value.into());
        }
    }
    let address = if address.is_empty() { String::new() } else { serde_json::Value::from(address).to_string() };
    let profile = AccountProfile {
        name: text("name"),
        email: text("email"),
        address: Some(address),
        tax_id: text("tax_id"),
        ..AccountProfile::default()
    };
    let registration = Registration { id: visitor.session.account.clone(), profile, fingerprints: Vec::new() };
    site.look(move |app| app.register(&registration)).await.map_err(|it| message::failed(&site, it))?;
    Ok(back("details"))
}
