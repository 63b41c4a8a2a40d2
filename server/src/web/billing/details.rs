//! Who buys: name, address and VAT number, as invoices will say from now on; and what that means for the tax.
use std::sync::Arc;

use axum::extract::State;
use billing::tax::VatId;

use super::form::Form;
use super::{Paged, Trouble, admit_change, back, message, refused};
use crate::app::App;
use crate::http::Site;
use crate::service::{AccountProfile, Error, Registration};
use crate::web::countries::COUNTRIES;
use crate::web::range::Query;
use crate::web::visit::Visitor;

pub const SECTION: &str = "details";

#[derive(Default)]
pub struct Details {
    pub name: String,
    pub email: String,
    pub street: String,
    pub city: String,
    pub postal_code: String,
    pub country: String,
    pub tax_id: String,
    /// What the country and the VAT number make of the tax.
    pub tax_note: String,
    pub countries: Vec<Country>,
}

pub struct Country {
    pub code: &'static str,
    pub name: &'static str,
    pub is_on: bool,
}

impl Details {
    /// With what was typed into the form, should that have been refused.
    pub fn of(app: &App, visitor: &Visitor, said: Option<&Query>) -> Result<Details, Error> {
        let profile = app.account(&visitor.session.account)?;
        let address: serde_json::Value =
            profile.address.as_deref().and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
        let part = |names: &[&str]| names.iter().find_map(|it| address[*it].as_str()).unwrap_or_default().to_owned();
        let mut details = Details {
            name: profile.name.unwrap_or_default(),
            email: profile.email.unwrap_or_default(),
            street: part(&["street", "line1", "address"]),
            city: part(&["city", "town"]),
            postal_code: part(&["postal_code", "postcode", "zip"]),
            country: part(&["country"]),
            tax_id: profile.tax_id.unwrap_or_default(),
            tax_note: String::new(),
            countries: Vec::new(),
        };
        details.tax_note = tax_note(app, visitor, &details)?;
        if let Some(said) = said {
            let typed = |name: &str| said.get(name).unwrap_or_default().to_owned();
            details.name = typed("name");
            details.email = typed("email");
            details.street = typed("street");
            details.city = typed("city");
            details.postal_code = typed("postal_code");
            details.country = typed("country");
            details.tax_id = typed("tax_id");
        }
        let is_on = |code: &str| code.eq_ignore_ascii_case(&details.country);
        details.countries = COUNTRIES.iter().map(|(code, name)| Country { code, name, is_on: is_on(code) }).collect();
        Ok(details)
    }
}

/// How purchases are taxed as things stand, in a sentence.
fn tax_note(app: &App, visitor: &Visitor, details: &Details) -> Result<String, Error> {
    let seller = app.settings().seller.country.to_uppercase();
    if seller.is_empty() {
        return Ok("No tax is added to purchases.".to_owned());
    }
    let rate = app.tax_rate(&visitor.session.account)?;
    if 0 < rate.0 {
        let hint = match (details.tax_id.is_empty(), VatId::parse(&details.tax_id).is_some()) {
            (false, false) => " The VAT number is not in the form of one, so it is not reckoned with.",
            _ => "",
        };
        return Ok(format!("VAT of {rate} % is added to purchases.{hint}"));
    }
    Ok(match VatId::parse(&details.tax_id) {
        Some(_) => "No VAT is added: with this VAT number you account for it yourself (reverse charge).",
        None => "No VAT is added: the country is outside the European Union.",
    }
    .to_owned())
}

/// Invoices that were written stay as they are.
pub async fn set(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
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
    let (app, by) = (Arc::clone(&site.app), visitor.by());
    let done = site.aside(move || app.register(&registration, &by)).await;
    match done.map_err(|it| message::failed(&site, it))? {
        Ok(_) => Ok(back(SECTION)),
        Err(error) => refused(&site, &visitor, Trouble::of(SECTION, error, form.said())).await,
    }
}
