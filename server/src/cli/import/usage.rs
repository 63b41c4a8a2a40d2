//! Usage: rows become charges, sent in batches.
use std::cell::RefCell;

use serde_json::{Map, Value};

use super::journey::{Done, Refused};
use super::price::Prices;
use super::residents::Residents;
use super::rows::{Row, Saying};
use super::{GO_ON, Manner, Outcomes, Pace, Ready, Work, name_of, patiently, refused};
use crate::cli::Failure;
use crate::cli::remote::Server;
use billing::money::Credits;

const COLUMNS: [&str; 10] = [
    "account",
    "project",
    "meter",
    "at",
    "actor",
    "resource",
    "idempotency_key",
    "quantities.",
    "dimensions.",
    "metadata.",
];
/// The column that names a row.
const KEY: &str = "idempotency_key";
/// How often rows that were not looked at, because the server was busy, are sent.
const ROUNDS: u32 = 5;

pub struct Charging<'a> {
    server: &'a Server,
    key_column: Option<String>,
    /// The file's name as far as it may stand in a key.
    file: String,
    /// For rehearsals.
    prices: Option<Prices>,
    residents: RefCell<Residents<'a>>,
}

pub struct Charge {
    members: Map<String, Value>,
    /// As it is sent.
    text: String,
}

impl<'a> Charging<'a> {
    pub fn new(manner: &'a Manner, key_column: Option<&str>) -> Result<Charging<'a>, Failure> {
        let prices = if manner.dry_run || manner.strict { Some(Prices::of(&manner.server)?) } else { None };
        let visible = |it: char| if it.is_ascii_graphic() { it } else { '_' };
        let file = name_of(&manner.file).chars().take(100).map(visible).collect();
        let residents = RefCell::new(Residents::of(&manner.server));
        Ok(Charging { server: &manner.server, key_column: key_column.map(str::to_owned), file, prices, residents })
    }

    /// The name a row has, or one that it and no other row has: of what it says and not of where it stands, so that
    /// other rows may come and go; and of the file, as two months may say the same.
    fn name(&self, line: u64, saying: Option<Saying>, members: &mut Map<String, Value>) -> Result<(), Refused> {
        if let Some(column) = &self.key_column {
            let Some(Value::String(key)) = members.remove(column) else {
                return Err(refused(line, column.clone(), "is empty, and names the row"));
            };
            members.insert(KEY.to_owned(), key.into());
        } else if let Some(Saying { digest, nth }) = saying {
            let hash: String = digest.iter().take(16).map(|it| format!("{it:02x}")).collect();
            members.insert(KEY.to_owned(), format!("import:{}:{hash}:{nth}", self.file).into());
        }
        Ok(())
    }
}

impl Charging<'_> {
    /// What the server says of each row of a group.
    fn results(&self, group: &[Ready<Charge>]) -> Result<Vec<Value>, Failure> {
        let mut body = String::with_capacity(group.iter().map(|it| it.bytes + 1).sum());
        for ready in group {
            body.push_str(&ready.value.text);
            body.push('\n');
        }
        let asked = patiently(|| self.server.try_post("/v1/charges/batch", "application/x-ndjson", &body));
        let mut answer = asked.map_err(|it| it.and(GO_ON))?;
        match answer["results"].take() {
            Value::Array(results) if results.len() == group.len() => Ok(results),
            _ => Err(format!("the server did not answer for every row; {GO_ON}").into()),
        }
    }

    /// What is refused stops none of the others.
    fn send_together(&self, mut group: Vec<Ready<Charge>>) -> Result<Outcomes, Failure> {
        let (mut done, mut all) = (Vec::new(), Vec::new());
        for attempt in 1..=ROUNDS {
            let results = self.results(&group)?;
            let mut again = Vec::new();
            for (ready, result) in group.into_iter().zip(&results) {
                match result["status"].as_u64() {
                    Some(201) => done.push(charged(result)),
                    // The server was busy or in trouble, and the row is not to blame.
                    Some(429 | 500..) if attempt < ROUNDS => again.push(ready),
                    _ => all.push(told(ready.line, &result["error"])),
                }
            }
            group = again;
            if group.is_empty() {
                break;
            }
        }
        Ok((done, all))
    }
}

impl Work for Charging<'_> {
    type Item = Charge;

    fn what(&self) -> &'static str {
        "usage"
    }

    fn columns(&self) -> Vec<&str> {
        COLUMNS.into_iter().chain(self.key_column.as_deref()).collect()
    }

    fn name_column(&self) -> &str {
        self.key_column.as_deref().unwrap_or(KEY)
    }

    fn read(&self, row: Row) -> Result<Ready<Charge>, Refused> {
        let mut members = row.members.map_err(|why| refused(row.line, "", why))?;
        self.name(row.line, row.saying, &mut members)?;
        let text = Value::Object(members.clone()).to_string();
        Ok(Ready { line: row.line, bytes: text.len(), value: Charge { members, text } })
    }

    fn rehearse(&self, group: &[Ready<Charge>]) -> Result<Outcomes, Failure> {
        let prices = self.prices.as_ref().ok_or_else(|| "prices are read for a rehearsal".to_owned())?;
        let (mut done, mut all) = (Vec::new(), Vec::new());
        for &Ready { line, ref value, .. } in group {
            let credits = match prices.price(&value.members) {
                Ok(credits) => credits,
                Err((code, field, detail)) => {
                    all.push(Refused { line, code: code.to_owned(), field, detail });
                    continue;
                }
            };
            let account = value.members.get("account").and_then(Value::as_str).unwrap_or_default();
            match self.residents.borrow_mut().look_up(account)? {
                Ok(()) => done.push(Done { is_duplicate: false, micros: credits.micros() }),
                Err(problem) => all.push(told(line, problem)),
            }
        }
        Ok((done, all))
    }

    fn send(&self, group: Vec<Ready<Charge>>, pace: Pace) -> Result<Outcomes, Failure> {
        if pace == Pace::Together {
            return self.send_together(group);
        }
        let (mut done, mut all) = (Vec::new(), Vec::new());
        for ready in group {
            let (charged, refused) = self.send_together(vec![ready])?;
            done.extend(charged);
            all.extend(refused);
            if !all.is_empty() {
                break;
            }
        }
        Ok((done, all))
    }
}

fn charged(result: &Value) -> Done {
    let is_duplicate = result["replay"] == true;
    let credits = result["charge"]["credits"].as_str().and_then(|it| it.parse::<Credits>().ok()).unwrap_or_default();
    Done { is_duplicate, micros: if is_duplicate { 0 } else { credits.micros() } }
}

/// A problem as a line of the report.
pub fn told(line: u64, problem: &Value) -> Refused {
    let text = |member: &str| problem[member].as_str().unwrap_or_default().to_owned();
    Refused { line, code: text("code"), field: text("field"), detail: text("detail") }
}
