//! Accounts, found by a word.
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use billing::id::{InvoiceId, PaymentId};
use jiff::tz::TimeZone;

use super::{Desk, Paged, message, page, show};
use crate::app::App;
use crate::http::Site;
use crate::service::Error;
use crate::web::frame::When;
use crate::web::visit::Host;

/// Rows of the list.
const SHOWN: usize = 100;

#[derive(Template)]
#[template(path = "console/accounts.html")]
struct AccountsPage {
    desk: Desk,
    search: String,
    accounts: Vec<AccountRow>,
    is_cut: bool,
}

struct AccountRow {
    id: String,
    name: String,
    email: String,
    available: String,
    exact: String,
    state: &'static str,
    since: When,
}

/// The page of what a payment's or invoice's id names, or the number on an invoice.
fn named(app: &App, search: &str) -> Result<Option<String>, Error> {
    let payment = match (search.parse::<PaymentId>(), search.parse::<InvoiceId>()) {
        (Ok(id), _) => app.payment(id).map(|it| vec![it.id]),
        (_, Ok(id)) => app.invoice(id).map(|it| vec![it.invoice.payment]),
        _ => app.invoices_numbered(search).map(|it| it.into_iter().map(|it| it.invoice.payment).collect()),
    };
    match payment {
        Ok(found) => Ok(found.first().filter(|_| found.len() == 1).map(|it| format!("/console/payments/{it}"))),
        // There is none: it may be the word of an account all the same.
        Err(Error::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

pub async fn list(State(site): State<Arc<Site>>, host: Host) -> Paged {
    let search = host.query.get("q").unwrap_or_default().trim().to_owned();
    let straight = site.look(move |app| named(app, &search)).await.map_err(|it| message::failed(&site, it))?;
    if let Some(to) = straight {
        return Ok(Redirect::to(&to).into_response());
    }
    let filled = site.look(move |app| {
        let search = host.query.get("q").unwrap_or_default().to_owned();
        let found = app.search_accounts(&search, SHOWN)?;
        let is_cut = found.len() == SHOWN;
        let mut accounts = Vec::new();
        for it in found {
            let balance = app.balance(&it.id, None)?.balance;
            accounts.push(AccountRow {
                name: it.name.unwrap_or_else(|| "no name".to_owned()),
                email: it.email.unwrap_or_default(),
                available: show::have(balance.available()),
                exact: balance.available().to_string(),
                state: match it.closed_at {
                    Some(_) => "closed",
                    None if balance.debt.is_positive() => "in debt",
                    None if !balance.available().is_positive() => "out of credits",
                    None => "",
                },
                since: When::moment(it.created_at, &TimeZone::UTC),
                id: it.id.to_string(),
            });
        }
        Ok(AccountsPage { desk: Desk::of(app, &host, "/console")?, search, accounts, is_cut })
    });
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}
