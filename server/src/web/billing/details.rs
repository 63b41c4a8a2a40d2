//! Who buys: name, address and VAT number, as invoices will say from now on; and what that means for the tax.
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use billing::tax::{Treatment, VatId};
use serde_json::{Map, Value};

use super::form::Form;
use super::{Paged, Trouble, admit_change, message, refused};
use crate::app::App;
use crate::http::Site;
use crate::service::{AccountProfile, COUNTRIES, Error, Registration};
use crate::web::range::Query;
use crate::web::visit::Visitor;

pub const SECTION: &str = "details";
/// The parts of an address that the form shows, by our name and by those that platforms give them.
const PARTS: [&[&str]; 4] =
    [&["street", "line1", "address"], &["city", "town"], &["postal_code", "postcode", "zip"], &["country"]];

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
        let address = parsed(profile.address.as_deref());
        let [street, city, postal_code, country] =
            PARTS.map(|names| shown(&address, names).map(|it| it.1.to_owned()).unwrap_or_default());
        let mut details = Details {
            name: profile.name.unwrap_or_default(),
            email: profile.email.unwrap_or_default(),
            street,
            city,
            postal_code,
            country,
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

fn parsed(address: Option<&str>) -> Map<String, Value> {
    address.and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default()
}

/// A part of an address, and what it is called there.
fn shown<'a>(address: &'a Map<String, Value>, names: &[&'a str]) -> Option<(&'a str, &'a str)> {
    names.iter().find_map(|it| Some((*it, address.get(*it)?.as_str()?)))
}

/// The address with what the form says of it: what the form does not show, such as a second line, stays.
fn changed(address: Option<&str>, said: &Query) -> String {
    let mut address = parsed(address);
    for names in PARTS {
        match said.get(names[0]).map(str::trim).filter(|it| !it.is_empty()) {
            Some(value) => {
                let value = if names[0] == "country" { value.to_uppercase() } else { value.to_owned() };
                let name = shown(&address, names).map_or(names[0], |it| it.0).to_owned();
                address.insert(name, value.into());
            }
            // A field left empty clears what was there.
            None => address.retain(|name, value| !(names.contains(&&**name) && value.is_string())),
        }
    }
    if address.is_empty() { String::new() } else { Value::from(address).to_string() }
}

/// How purchases are taxed as things stand, in a sentence.
fn tax_note(app: &App, visitor: &Visitor, details: &Details) -> Result<String, Error> {
    Ok(match app.tax_treatment(&visitor.session.account)? {
        Treatment::None => "No tax is added to purchases.".to_owned(),
        Treatment::Taxed(_, rate) => {
            let hint = match (details.tax_id.is_empty(), VatId::parse(&details.tax_id).is_some()) {
                (false, false) => " The VAT number is not in the form of one, so it is not reckoned with.",
                _ => "",
            };
            format!("VAT of {rate} % is added to purchases.{hint}")
        }
        Treatment::ReverseCharge => {
            "No VAT is added: with this VAT number you account for it yourself (reverse charge).".to_owned()
        }
        Treatment::Export => "No VAT is added: the country is outside the European Union.".to_owned(),
    })
}

/// Invoices that were written stay as they are.
pub async fn set(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    admit_change(&site, &visitor, &form).await?;
    // A field left empty clears what was there.
    let text = |name: &str| Some(form.get(name).unwrap_or_default().to_owned());
    let profile = AccountProfile {
        name: text("name"),
        email: text("email"),
        tax_id: text("tax_id"),
        ..AccountProfile::default()
    };
    let (app, by, account) = (Arc::clone(&site.app), visitor.by(), visitor.session.account.clone());
    let said = form.said().clone();
    let done = site.aside(move || {
        let address = changed(app.account(&account)?.address.as_deref(), &said);
        let profile = AccountProfile { address: Some(address), ..profile };
        app.register(&Registration { id: account, profile, fingerprints: Vec::new() }, &by)
    });
    let done = done.await;
    match done.map_err(|it| message::failed(&site, it))? {
        Ok(_) => Ok(Redirect::to(&format!("{}?saved=1#{SECTION}", super::PATH)).into_response()),
        Err(error) => refused(&site, &visitor, Trouble::of(SECTION, error, form.said())).await,
    }
}
