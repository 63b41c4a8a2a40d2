//! The notices of a transaction as JSON: rare, so they go through serde.
use billing::id::Name;
use billing::ledger::Notice;
use billing::money::Credits;
use billing::rating::Text;
use billing::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::Malformed;
use super::burn::{name, read_rung, written};
use super::json::Json;

pub fn write_notices(json: &mut Json, notices: &[Notice]) {
    if notices.is_empty() {
        return;
    }
    let notices: Vec<NoticeJson> = notices.iter().map(NoticeJson::of).collect();
    json.key("notices").raw(&written(&notices));
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case", deny_unknown_fields)]
pub enum NoticeJson {
    RunwayLow { rung: Text, runs_out_at: i64 },
    RunwayRecovered { rung: Text },
    Exhausted { grace_until: i64, debt_max: i64 },
    StopDue { servers: Vec<String> },
    ReleaseDue { servers: Vec<String> },
    Recovered { servers: Vec<String> },
    BudgetReached { budget: String, percent: u8, used: i64, limit: i64, start: i64, next: i64 },
    BudgetStop { budget: String, servers: Vec<String> },
    BudgetResume { budget: String, servers: Vec<String> },
}

impl NoticeJson {
    fn of(notice: &Notice) -> NoticeJson {
        let texts = |names: &[Name]| names.iter().map(ToString::to_string).collect();
        match notice {
            Notice::RunwayLow { rung, runs_out_at } => {
                NoticeJson::RunwayLow { rung: rung.as_str().into(), runs_out_at: runs_out_at.millis() }
            }
            Notice::RunwayRecovered { rung } => NoticeJson::RunwayRecovered { rung: rung.as_str().into() },
            Notice::Exhausted { grace_until, debt_max } => {
                NoticeJson::Exhausted { grace_until: grace_until.millis(), debt_max: debt_max.micros() }
            }
            Notice::StopDue { servers } => NoticeJson::StopDue { servers: texts(servers) },
            Notice::ReleaseDue { servers } => NoticeJson::ReleaseDue { servers: texts(servers) },
            Notice::Recovered { servers } => NoticeJson::Recovered { servers: texts(servers) },
            Notice::BudgetReached { budget, percent, used, limit, start, next } => NoticeJson::BudgetReached {
                budget: budget.to_string(),
                percent: *percent,
                used: used.micros(),
                limit: limit.micros(),
                start: start.millis(),
                next: next.millis(),
            },
            Notice::BudgetStop { budget, servers } => {
                NoticeJson::BudgetStop { budget: budget.to_string(), servers: texts(servers) }
            }
            Notice::BudgetResume { budget, servers } => {
                NoticeJson::BudgetResume { budget: budget.to_string(), servers: texts(servers) }
            }
        }
    }
    pub fn read(self) -> Result<Notice, Malformed> {
        let names = |texts: Vec<String>| texts.iter().map(|it| name(it)).collect::<Result<Vec<_>, _>>();
        Ok(match self {
            NoticeJson::RunwayLow { rung, runs_out_at } => {
                Notice::RunwayLow { rung: read_rung(&rung)?, runs_out_at: Timestamp::from_millis(runs_out_at) }
            }
            NoticeJson::RunwayRecovered { rung } => Notice::RunwayRecovered { rung: read_rung(&rung)? },
            NoticeJson::Exhausted { grace_until, debt_max } => Notice::Exhausted {
                grace_until: Timestamp::from_millis(grace_until),
                debt_max: Credits::from_micros(debt_max),
            },
            NoticeJson::StopDue { servers } => Notice::StopDue { servers: names(servers)? },
            NoticeJson::ReleaseDue { servers } => Notice::ReleaseDue { servers: names(servers)? },
            NoticeJson::Recovered { servers } => Notice::Recovered { servers: names(servers)? },
            NoticeJson::BudgetReached { budget, percent, used, limit, start, next } => Notice::BudgetReached {
                budget: name(&budget)?,
                percent,
                used: Credits::from_micros(used),
                limit: Credits::from_micros(limit),
                start: Timestamp::from_millis(start),
                next: Timestamp::from_millis(next),
            },
            NoticeJson::BudgetStop { budget, servers } => {
                Notice::BudgetStop { budget: name(&budget)?, servers: names(servers)? }
            }
            NoticeJson::BudgetResume { budget, servers } => {
                Notice::BudgetResume { budget: name(&budget)?, servers: names(servers)? }
            }
        })
    }
}
