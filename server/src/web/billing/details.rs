//! Who buys: name, address and VAT number, as invoices will say from now on; and what that means for the tax.
use std::sync::Arc;

use axum::extract::State;
use billing::Refusal;
use billing::tax::{self, Treatment, VatId};
use serde_json::{Map, Value};

use super::form::Form;
use super::{Paged, Trouble, admit_change, done, message, refused};
use crate::app::App;
use crate::http::Site;
use crate::service::{AccountProfile, COUNTRIES, Error, Registration, country_name};
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
            let country = details.country.parse::<tax::Country>().ok();
            let hint = match VatId::parse(&details.tax_id) {
                _ if details.tax_id.is_empty() => "",
                None => " The VAT number is not in the form of one, so it is not reckoned with.",
                Some(it) if country.is_some_and(|country| country != it.country) => {
                    " The VAT number is of another country than yours, so it is not reckoned with."
                }
                Some(_) => "",
            };
            format!("VAT of {rate}% is added to purchases.{hint}")
        }
        Treatment::ReverseCharge => {
            "No VAT is added: with this VAT number you account for it yourself (reverse charge).".to_owned()
        }
        Treatment::Export => "No VAT is added: the country is outside the European Union.".to_owned(),
    })
}

/// How many letters a field may have: what is longer stands on no envelope.
const LENGTHS: [(&str, usize); 6] =
    [("name", 200), ("email", 254), ("street", 120), ("postal_code", 12), ("city", 80), ("tax_id", 32)];

/// Whether each field may be what stands in it, and the VAT number as it is written on invoices.
fn checked(said: &Query) -> Result<String, Refusal> {
    let typed = |name: &str| said.get(name).unwrap_or_default().trim();
    for (field, most) in LENGTHS {
        if most < typed(field).chars().count() {
            return Err(Refusal::invalid(field, format!("must be at most {most} letters long")));
        }
    }
    let is_postal = |it: char| it.is_alphanumeric() || matches!(it, ' ' | '-');
    if !typed("postal_code").chars().all(is_postal) {
        return Err(Refusal::invalid("postal_code", "must be of letters, digits, blanks and hyphens"));
    }
    vat_number(typed("tax_id"), typed("country").parse().ok())
}

/// A VAT number in capitals, and of a member state of the Union without blanks and with its letters. One that cannot be
/// of the country it is said to be of is refused, whether or not anything is taxed here: it stands on the invoice. What
/// form those of other countries have nobody here knows.
fn vat_number(typed: &str, country: Option<tax::Country>) -> Result<String, Refusal> {
    if typed.is_empty() {
        return Ok(String::new());
    }
    if let Some(id) = VatId::parse(typed) {
        return Ok(id.text);
    }
    let typed = typed.to_uppercase();
    let began = |it: &tax::Country| it.vat().is_some() && typed.starts_with(it.vat_id_letters());
    let letters = typed.get(..2).and_then(|it| it.parse::<tax::Country>().ok());
    let of = match country {
        Some(country) => country.vat().map(|_| country),
        None => letters.filter(|it| began(it) && typed.contains(|it: char| it.is_ascii_digit())),
    };
    let Some(of) = of else { return Ok(typed) };
    // Many know their number without the letters.
    if let Some(id) = VatId::parse(&format!("{}{typed}", of.vat_id_letters())) {
        return Ok(id.text);
    }
    let name = country_name(of).unwrap_or(of.as_str());
    let example = of.vat_id_example().unwrap_or_default();
    Err(Refusal::invalid("tax_id", format!("is not in the form of one of {name}, such as {example}")))
}

/// Invoices that were written stay as they are.
pub async fn set(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    admit_change(&site, &visitor, &form).await?;
    let tax_id = match checked(form.said()) {
        Ok(tax_id) => tax_id,
        Err(refusal) => return refused(&site, &visitor, Trouble::of(SECTION, refusal.into(), form.said())).await,
    };
    // A field left empty clears what was there.
    let text = |name: &str| Some(form.get(name).unwrap_or_default().to_owned());
    let profile =
        AccountProfile { name: text("name"), email: text("email"), tax_id: Some(tax_id), ..AccountProfile::default() };
    let (app, by, account) = (Arc::clone(&site.app), visitor.by(), visitor.session.account.clone());
    let said = form.said().clone();
    let saved = site.aside(move || {
        let address = changed(app.account(&account)?.address.as_deref(), &said);
        let profile = AccountProfile { address: Some(address), ..profile };
        app.register(&Registration { id: account, profile, fingerprints: Vec::new() }, &by)
    });
    match saved.await.map_err(|it| message::failed(&site, it))? {
        Ok(_) => Ok(done(SECTION)),
        Err(error) => refused(&site, &visitor, Trouble::of(SECTION, error, form.said())).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vat_number_is_one_of_its_country_and_written_as_one() {
        for (typed, country, kept) in [
            ("", "LT", Ok("")),
            (" de 136.695.976 ", "DE", Ok("DE136695976")),
            ("136695976", "DE", Ok("DE136695976")),
            ("123456789", "GR", Ok("EL123456789")),
            ("el123456789", "", Ok("EL123456789")),
            ("FR40303265045", "DE", Ok("FR40303265045")),
            ("che-123.456.789 mwst", "CH", Ok("CHE-123.456.789 MWST")),
            ("12-3456789", "US", Ok("12-3456789")),
            ("12-3456789", "", Ok("12-3456789")),
            ("DE12", "DE", Err("is not in the form of one of Germany, such as DE123456789")),
            ("lt-none", "LT", Err("is not in the form of one of Lithuania, such as LT123456789")),
            ("US123", "FR", Err("is not in the form of one of France, such as FRXX345678912")),
            ("DE12", "", Err("is not in the form of one of Germany, such as DE123456789")),
        ] {
            let found = vat_number(typed.trim(), country.parse().ok());
            let found = found.map_err(|it| match it {
                Refusal::Invalid { why, .. } => why,
                other => panic!("{other}"),
            });
            assert_eq!(found.as_deref().map_err(|it| &**it), kept, "{typed} of {country}");
        }
    }
}
