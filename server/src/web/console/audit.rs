//! Who did what, narrowed to a person, an action or a thing.
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use billing::money::{Credits, Currency, Money};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::{Desk, Paged, message, page, show};
use crate::http::Site;
use crate::service::{AuditFilter, LET_IN};
use crate::web::frame::When;
use crate::web::visit::Host;

/// Rows of a page.
const SHOWN: usize = 100;

#[derive(Template)]
#[template(path = "console/audit.html")]
struct AuditPage {
    desk: Desk,
    by: String,
    action: String,
    subject: String,
    rows: Vec<AuditRow>,
    older: Option<String>,
    /// What is left out unless it is asked for.
    let_in: &'static str,
}

struct AuditRow {
    when: When,
    by: String,
    action: String,
    subject: String,
    detail: String,
}

/// What is written of a package or a plan is the whole of it as it is kept; here it is said in credits and money.
fn readable(action: &str, detail: String) -> String {
    let is_offer = action.starts_with("package.") || action.starts_with("plan.");
    let Some(Value::Object(members)) = serde_json::from_str(&detail).ok().filter(|_| is_offer) else { return detail };
    let currency = members.get("currency").and_then(|it| it.as_str()?.parse::<Currency>().ok());
    let said = |(name, value): (&String, &Value)| {
        let value = match (&**name, value, value.as_i64(), currency) {
            ("is_gone" | "currency", ..) | (_, Value::Null, ..) => return None,
            ("credits" | "bonus" | "carry_over_maximum", _, Some(micros), _) => {
                Credits::from_micros(micros).to_string()
            }
            ("price", _, Some(amount), Some(currency)) => show::money(Money { amount, currency }),
            (_, Value::String(text), ..) => text.clone(),
            _ => value.to_string(),
        };
        Some(format!("{} {value}", name.replace('_', " ")))
    };
    members.iter().filter_map(said).collect::<Vec<_>>().join(", ")
}

pub async fn list(State(site): State<Arc<Site>>, host: Host) -> Paged {
    let filled = site.look(move |app| {
        let before = host.query.get("before").and_then(|it| it.parse().ok());
        let said = |name: &str| host.query.get(name).unwrap_or_default().trim().to_owned();
        let filter = AuditFilter { by: said("by"), action: said("action"), subject: said("subject") };
        let read = app.audit_log(&filter, before, SHOWN)?;
        let href = |it: u64| host.query.with(&[("before", &it.to_string()), ("did", "")]).href("/console/audit");
        let older = read.older.map(href);
        let rows = read.lines.into_iter().map(|it| AuditRow {
            when: When::moment(it.at, &TimeZone::UTC),
            by: it.by,
            detail: readable(&it.action, it.detail),
            action: it.action,
            subject: it.subject,
        });
        let rows = rows.collect();
        let AuditFilter { by, action, subject } = filter;
        Ok(AuditPage {
            desk: Desk::of(app, &host, "/console/audit")?,
            by,
            action,
            subject,
            rows,
            older,
            let_in: LET_IN,
        })
    });
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_said_in_credits_and_money() {
        let kept = r#"{"id":"big","name":"Big","credits":1000000000,"bonus":50500000,"price":950,"currency":"eur",
            "carry_over_periods":null,"is_gone":false}"#;
        let said = "bonus 50.5, credits 1000, id big, name Big, price €9.50";
        assert_eq!(readable("package.put", kept.to_owned()), said);
        for (action, detail) in [("package.put", "no JSON"), ("grant.make", r#"{"credits":"10"}"#)] {
            assert_eq!(readable(action, detail.to_owned()), detail);
        }
    }
}
