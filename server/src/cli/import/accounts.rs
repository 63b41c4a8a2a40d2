//! Accounts: rows become registrations, and grants where they bring a balance along.
use std::cell::RefCell;

use billing::id::Name;
use billing::money::{Credits, Currency};
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::journey::{Done, Refused};
use super::residents::{Residents, is_missing};
use super::rows::Row;
use super::usage::told;
use super::{GO_ON, Outcomes, Pace, Ready, Work, patiently, refused};
use crate::cli::Failure;
use crate::cli::remote::{Server, Trouble};
use crate::http::check_account;
use crate::service::check_reason;

const COLUMNS: [&str; 9] =
    ["account", "name", "email", "currency", "timezone", "tax_id", "credits", "reason", "address."];
/// Why credits are granted where the file does not say.
const REASON: &str = "Balance brought along";

pub struct Registering<'a> {
    server: &'a Server,
    residents: RefCell<Residents<'a>>,
}

pub struct Registration {
    account: Name,
    profile: Value,
    /// Granted once, whatever the account has.
    credits: Option<Credits>,
    reason: String,
}

impl<'a> Registering<'a> {
    pub fn new(server: &'a Server) -> Registering<'a> {
        Registering { server, residents: RefCell::new(Residents::of(server)) }
    }

    /// Whether it was new; an account that was there is brought up to date.
    fn register(&self, it: &Registration) -> Result<bool, Trouble> {
        let path = format!("/v1/accounts/{}", it.account);
        let is_new = self.server.try_put(&path, &it.profile)?;
        if let Some(credits) = it.credits {
            let grant = json!({"credits": credits.to_string(), "source": "adjustment", "reason": it.reason});
            // One balance an account, however often the file is imported.
            self.server.try_post_keyed(&format!("{path}/grants"), "import:balance", &grant)?;
        }
        Ok(is_new)
    }
}

impl Work for Registering<'_> {
    type Item = Registration;

    fn what(&self) -> &'static str {
        "accounts"
    }

    fn columns(&self) -> Vec<&str> {
        COLUMNS.to_vec()
    }

    fn name_column(&self) -> &str {
        "account"
    }

    fn read(&self, row: Row) -> Result<Ready<Registration>, Refused> {
        let line = row.line;
        let members = row.members.map_err(|why| refused(line, "", why))?;
        registration(members)
            .map(|value| Ready { line, value, bytes: 0 })
            .map_err(|(field, why)| refused(line, field, why))
    }

    fn rehearse(&self, group: &[Ready<Registration>]) -> Result<Outcomes, Failure> {
        let (mut all, mut refused) = (Vec::new(), Vec::new());
        for ready in group {
            let it = &ready.value;
            if let Err(why) = check_account(it.account.clone(), it.profile.to_string().as_bytes()) {
                refused.push(told(ready.line, &json!(why)));
                continue;
            }
            match self.residents.borrow_mut().look_up(it.account.as_str())? {
                Ok(()) => all.push(done(ready, false)),
                Err(problem) if is_missing(problem) => all.push(done(ready, true)),
                Err(problem) => refused.push(told(ready.line, problem)),
            }
        }
        Ok((all, refused))
    }

    fn send(&self, group: Vec<Ready<Registration>>, pace: Pace) -> Result<Outcomes, Failure> {
        let (mut all, mut refused) = (Vec::new(), Vec::new());
        for ready in group {
            match patiently(|| self.register(&ready.value)) {
                Ok(is_new) => all.push(done(&ready, is_new)),
                Err(it) if it.is_passing || it.problem.is_null() => return Err(it.and(GO_ON)),
                Err(it) => refused.push(told(ready.line, &it.problem)),
            }
            if pace == Pace::OneByOne && !refused.is_empty() {
                break;
            }
        }
        Ok((all, refused))
    }
}

fn done(ready: &Ready<Registration>, is_new: bool) -> Done {
    let credits = ready.value.credits.filter(|_| is_new).unwrap_or_default();
    Done { is_duplicate: !is_new, micros: credits.micros() }
}

fn registration(mut members: Map<String, Value>) -> Result<Registration, (String, String)> {
    let wrong = |field: &str, why: String| (field.to_owned(), why);
    let mut text = |name: &str| match members.remove(name) {
        None => Ok(None),
        Some(Value::String(it)) => Ok(Some(it)),
        Some(_) => Err(wrong(name, "must be a text".to_owned())),
    };
    let account = text("account")?.ok_or_else(|| wrong("account", "is missing".to_owned()))?;
    let account: Name = account.parse().map_err(|why| wrong("account", format!("{why}")))?;
    let credits = text("credits")?
        .map(|it| it.parse::<Credits>().map_err(|why| wrong("credits", why.to_string())))
        .transpose()?;
    if credits.is_some_and(|it| !it.is_positive()) {
        return Err(wrong("credits", "must be more than 0, or left out".to_owned()));
    }
    if credits.is_some_and(|it| Credits::MAX < it) {
        return Err(wrong("credits", format!("is beyond {} credits", Credits::MAX)));
    }
    let reason = text("reason")?.unwrap_or_else(|| REASON.to_owned());
    check_reason(&reason).map_err(|why| wrong("reason", why.to_string()))?;
    if let Some(currency) = members.get("currency").and_then(Value::as_str) {
        let why = "must be an ISO 4217 code such as eur, of a currency in use";
        Currency::in_use(currency).map_err(|_| wrong("currency", why.to_owned()))?;
    }
    if let Some(zone) = members.get("timezone").and_then(Value::as_str) {
        TimeZone::get(zone).map_err(|_| wrong("timezone", "must be an IANA name such as Europe/Vilnius".to_owned()))?;
    }
    let known = |it: &&String| COLUMNS.contains(&it.as_str()) || *it == "address";
    if let Some(unknown) = members.keys().find(|it| !known(it)) {
        return Err(wrong(unknown, "is not known".to_owned()));
    }
    Ok(Registration { account, profile: Value::Object(members), credits, reason })
}
