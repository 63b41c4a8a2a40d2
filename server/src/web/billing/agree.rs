//! Before money moves, or is promised: one page that says what will be charged, what it brings, and what comes later;
//! and one button that agrees to exactly that.
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use billing::tax::Treatment;

use super::show;
use crate::service::PriceOfCredits;
use crate::web::frame::Frame;
use crate::web::page;

#[derive(Template)]
#[template(path = "billing/agree.html")]
pub struct Agree {
    pub frame: Frame,
    pub title: String,
    /// What happens, in whole sentences; the first stands out.
    pub sentences: Vec<String>,
    /// The bill, line by line, its last line the sum; empty where nothing is charged.
    pub bill: Vec<(String, String)>,
    pub notes: Vec<String>,
    /// What has to be read before the button is pressed.
    pub warning: Option<String>,
    pub action: &'static str,
    pub fields: Vec<(&'static str, String)>,
    pub button: String,
    pub is_danger: bool,
    /// Where it leads not to agree, and what that is called.
    pub instead: (String, &'static str),
}

impl Agree {
    pub fn answer(&self) -> Response {
        page(StatusCode::OK, self)
    }
}

/// Price, tax and total as lines of a bill.
pub fn bill(what: String, price: &PriceOfCredits) -> Vec<(String, String)> {
    vec![
        (what, show::money(price.net)),
        (tax_line(price), show::money(price.tax)),
        ("To pay now".to_owned(), show::money(price.total)),
    ]
}

fn tax_line(price: &PriceOfCredits) -> String {
    match price.tax_rate {
        0 if price.treatment == Treatment::ReverseCharge => "VAT (reverse charge)".to_owned(),
        0 => "Tax".to_owned(),
        it => format!("VAT, {}%", billing::tax::Rate(it)),
    }
}

/// What was agreed to is what is charged: the total that was on the page when the button was pressed.
pub fn is_agreed(said: Option<&str>, price: &PriceOfCredits) -> bool {
    said.and_then(|it| it.parse().ok()) == Some(price.total.amount)
}

pub const CHANGED: &str = "The price has changed since you opened the page. Please look at it once more.";
