//! The whole history of an account's money, a page at a time: purchases, payments, invoices.
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use std::sync::Arc;

use super::rows::{self, InvoiceRow, PaymentRow, PurchaseRow};
use super::{PATH, Paged, admit, message, page};
use crate::app::App;
use crate::http::Site;
use crate::service::{Error, GrantView};
use crate::web::frame::Frame;
use crate::web::range::Choice;
use crate::web::visit::Visitor;

const HISTORY: &str = "/settings/billing/history";
/// Rows of a page.
const PAGE: usize = 50;
/// Grants among which those of a page's purchases are looked for, and of these so many at once.
const GRANTS_MAX: usize = 500;
const GRANTS_AT_ONCE: usize = 100;

/// What there is a history of, each with its table.
#[derive(Default)]
pub struct Histories {
    pub purchases: Vec<PurchaseRow>,
    pub payments: Vec<PaymentRow>,
    pub invoices: Vec<InvoiceRow>,
    /// What the forms in them carry; nothing for one who may change nothing.
    pub mark: String,
}

#[derive(Template)]
#[template(path = "billing/history.html")]
struct HistoryPage {
    frame: Frame,
    choices: Vec<Choice>,
    title: &'static str,
    of: &'static str,
    histories: Histories,
    newest: Option<String>,
    older: Option<String>,
}

const KINDS: [(&str, &str); 3] =
    [("purchases", "Credit purchases"), ("payments", "Payments"), ("invoices", "Invoices")];

pub async fn show(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    admit(&site, &visitor).await?;
    let filled = site.look(move |app| history_page(app, &visitor)).await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}

fn history_page(app: &App, visitor: &Visitor) -> Result<HistoryPage, Error> {
    let account = &visitor.session.account;
    let asked = visitor.query.get("of").unwrap_or_default();
    let (of, title) = *KINDS.iter().find(|(name, _)| *name == asked).unwrap_or(&KINDS[0]);
    let before = visitor.query.get("cursor");
    let (mut histories, last) = read(app, visitor, of, before)?;
    let href = |of: &str, cursor: &str| visitor.query.with(&[("of", of), ("cursor", cursor)]).href(HISTORY);
    let choice = |(name, label): &(&'static str, &'static str)| Choice {
        label: (*label).to_owned(),
        href: href(name, ""),
        is_on: *name == of,
    };
    let balance = app.balance(account, None)?;
    let frame = Frame::of(app, visitor, &balance, PATH)?;
    histories.mark = if frame.decides { frame.mark.clone() } else { String::new() };
    Ok(HistoryPage {
        frame,
        choices: KINDS.iter().map(choice).collect(),
        title,
        of,
        histories,
        newest: before.map(|_| href(of, "")),
        older: last.map(|it| href(of, &it)),
    })
}

/// A page of one history, and where the next begins.
fn read(app: &App, visitor: &Visitor, of: &str, before: Option<&str>) -> Result<(Histories, Option<String>), Error> {
    let (account, known) = (&visitor.session.account, &visitor.known);
    let mut histories = Histories::default();
    let last = match of {
        "payments" => {
            let payments = app.payments(account, before, PAGE)?;
            let rows = payments.iter().map(|it| PaymentRow::of(app, it, known));
            histories.payments = rows.collect::<Result<_, _>>()?;
            payments.last().filter(|_| payments.len() == PAGE).map(|it| it.id.clone())
        }
        "invoices" => {
            let invoices = app.invoices(account, before, PAGE)?;
            histories.invoices = invoices.iter().map(|it| InvoiceRow::of(it, known)).collect();
            invoices.last().filter(|_| invoices.len() == PAGE).map(|it| it.id.clone())
        }
        _ => {
            let (rows, last) = purchases(app, visitor, before.and_then(|it| it.parse().ok()), PAGE)?;
            histories.purchases = rows;
            last.map(|it| it.to_string())
        }
    };
    Ok((histories, last))
}

/// Up to `limit` purchases made before `before`, newest first, each with the payment it was made with; and where those
/// before them begin, should there be any.
pub fn purchases(
    app: &App,
    visitor: &Visitor,
    before: Option<u64>,
    limit: usize,
) -> Result<(Vec<PurchaseRow>, Option<u64>), Error> {
    let account = &visitor.session.account;
    let mut bought: Vec<GrantView> = Vec::new();
    let mut cursor = before;
    for _ in 0..GRANTS_MAX / GRANTS_AT_ONCE {
        let grants = app.grants(account, cursor, GRANTS_AT_ONCE)?;
        let is_last = grants.len() < GRANTS_AT_ONCE;
        let wanted = limit - bought.len();
        let of_these: Vec<GrantView> =
            grants.iter().filter(|it| rows::bought(it).is_some()).take(wanted).cloned().collect();
        let is_full = of_these.len() == wanted;
        let reached = if is_full { of_these.last() } else { grants.last() };
        cursor = reached.map(|it| it.cursor).or(cursor);
        bought.extend(of_these);
        if is_full {
            break;
        }
        if is_last {
            cursor = None;
            break;
        }
    }
    let payments = app.payments_behind(account, &bought)?;
    let payment = |it: &GrantView| it.terms.payment.as_deref().and_then(|id| payments.get(id));
    let rows = bought.iter().filter_map(|it| PurchaseRow::of(it, payment(it), &visitor.known));
    Ok((rows.collect(), cursor))
}
