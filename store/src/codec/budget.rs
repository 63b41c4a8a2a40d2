//! Budgets as JSON: what was agreed, what happened to one, and where they stand in a book.
use std::sync::Arc;

use billing::ledger::{BUDGETS_MAX, Budget, BudgetChange, BudgetScope, BudgetTerms, Counted};
use billing::money::Credits;
use billing::rating::Text;
use billing::time::Timestamp;
use billing::zone::{Calendar, Period};
use serde::{Deserialize, Serialize};

use super::Malformed;
use super::burn::{name, optional_name, written};
use super::json::Json;

/// Micro-credits that no period comes to, either way: far beyond the largest grant, far from the end of `i64`.
const USED_MAX: i64 = 1 << 60;

/// Instants, and seconds ahead of UTC from then on.
type CalendarJson = Vec<(i64, i32)>;

fn calendar_of(calendar: &Calendar) -> CalendarJson {
    calendar.changes().iter().map(|(from, offset)| (from.millis(), *offset)).collect()
}

fn read_calendar(changes: CalendarJson) -> Result<Calendar, Malformed> {
    let changes = changes.into_iter().map(|(from, offset)| (Timestamp::from_millis(from), offset));
    Calendar::new(changes.collect()).ok_or_else(|| Malformed::not("a calendar", "its changes"))
}

/// What was agreed, without its calendar.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AgreedJson {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    meters: Vec<Text>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    except: Vec<Text>,
    period: Text,
    limit: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    blocks: bool,
}

impl AgreedJson {
    fn of(terms: &BudgetTerms) -> AgreedJson {
        AgreedJson {
            project: terms.scope.project.as_ref().map(ToString::to_string),
            actor: terms.scope.actor.as_ref().map(ToString::to_string),
            meters: terms.scope.meters.clone(),
            except: terms.scope.except.clone(),
            period: terms.period.as_str().into(),
            limit: terms.limit.micros(),
            blocks: terms.blocks,
        }
    }
    fn read(self, calendar: Calendar) -> Result<Arc<BudgetTerms>, Malformed> {
        let period = Period::ALL.into_iter().find(|it| it.as_str() == &*self.period);
        if !(0..=Credits::MAX.micros()).contains(&self.limit) {
            return Err(Malformed::not("a budget's limit", &self.limit.to_string()));
        }
        let (project, actor) = (optional_name(self.project)?, optional_name(self.actor)?);
        Ok(Arc::new(BudgetTerms {
            scope: BudgetScope { project, actor, meters: self.meters, except: self.except },
            period: period.ok_or_else(|| Malformed::not("a period", &self.period))?,
            limit: Credits::from_micros(self.limit),
            blocks: self.blocks,
            calendar,
        }))
    }
}

/// The kind of transaction that changes a budget so.
pub fn kind(change: &BudgetChange) -> &'static str {
    match change {
        BudgetChange::Set { .. } => "budget_set",
        BudgetChange::Counted { .. } => "budget_counted",
        BudgetChange::Deleted { .. } => "budget_deleted",
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeJson {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    terms: Option<AgreedJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calendar: Option<CalendarJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
    /// Starts of periods, and micro-credits used in each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    used: Vec<(i64, i64)>,
}

pub fn write_change(json: &mut Json, change: &BudgetChange) {
    let blank = |id: &billing::id::Name| ChangeJson {
        id: id.to_string(),
        terms: None,
        calendar: None,
        since: None,
        used: Vec::new(),
    };
    let body = match change {
        BudgetChange::Set { budget, terms } => ChangeJson {
            terms: Some(AgreedJson::of(terms)),
            calendar: Some(calendar_of(&terms.calendar)),
            ..blank(budget)
        },
        BudgetChange::Counted { budget, since, used } => ChangeJson {
            since: Some(*since),
            used: used.iter().map(|(start, credits)| (start.millis(), credits.micros())).collect(),
            ..blank(budget)
        },
        BudgetChange::Deleted { budget } => blank(budget),
    };
    json.raw(&written(&body));
}

impl ChangeJson {
    pub fn read(self, kind: &str) -> Result<BudgetChange, Malformed> {
        let budget = name(&self.id)?;
        Ok(match kind {
            "budget_set" => {
                let calendar = read_calendar(self.calendar.ok_or(Malformed::lacks("calendar"))?)?;
                BudgetChange::Set { budget, terms: self.terms.ok_or(Malformed::lacks("terms"))?.read(calendar)? }
            }
            "budget_counted" => {
                let used = self.used.into_iter();
                let used = used.map(|(start, it)| (Timestamp::from_millis(start), Credits::from_micros(it))).collect();
                BudgetChange::Counted { budget, since: self.since.ok_or(Malformed::lacks("since"))?, used }
            }
            _ => BudgetChange::Deleted { budget },
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BudgetJson {
    id: String,
    terms: AgreedJson,
    /// Among the calendars of all.
    calendar: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
    /// Start, start of the next, micro-credits used, percent told.
    periods: Vec<(i64, i64, i64, u8)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stop_until: Option<i64>,
}

/// The budgets of a book; one calendar for all that count by it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetsJson {
    calendars: Vec<CalendarJson>,
    budgets: Vec<BudgetJson>,
}

pub fn write_budgets(json: &mut Json, budgets: &[Budget]) {
    let mut calendars: Vec<&Calendar> = Vec::new();
    let written_one = |budget: &Budget, calendar: usize| BudgetJson {
        id: budget.id.to_string(),
        terms: AgreedJson::of(&budget.terms),
        calendar,
        since: budget.counting_since,
        periods: budget
            .periods
            .iter()
            .map(|it| (it.start.millis(), it.next.millis(), it.used.micros(), it.told))
            .collect(),
        stop_until: budget.stop_until.map(Timestamp::millis),
    };
    let budgets = budgets.iter().map(|budget| {
        let own = &budget.terms.calendar;
        let place = calendars.iter().position(|it| *it == own).unwrap_or_else(|| {
            calendars.push(own);
            calendars.len() - 1
        });
        written_one(budget, place)
    });
    let budgets = budgets.collect();
    let calendars = calendars.into_iter().map(calendar_of).collect();
    json.raw(&written(&BudgetsJson { calendars, budgets }));
}

impl BudgetsJson {
    pub fn read(self) -> Result<Vec<Budget>, Malformed> {
        let calendars = self.calendars.into_iter().map(read_calendar).collect::<Result<Vec<_>, _>>()?;
        let budgets = self.budgets.into_iter().map(|it| it.read(&calendars)).collect::<Result<Vec<_>, _>>()?;
        if BUDGETS_MAX < budgets.len() || budgets.windows(2).any(|it| it[1].id <= it[0].id) {
            return Err(Malformed::not("sorted by name, and as many as may be", "the budgets"));
        }
        Ok(budgets)
    }
}

impl BudgetJson {
    fn read(self, calendars: &[Calendar]) -> Result<Budget, Malformed> {
        let calendar = calendars.get(self.calendar).ok_or(Malformed::lacks("a calendar that is referred to"))?;
        let periods = self.periods.into_iter().map(|(start, next, used, told)| {
            if next <= start || USED_MAX.unsigned_abs() < used.unsigned_abs() {
                return Err(Malformed::not("a period of a budget", &format!("{start}, {next}, {used}")));
            }
            let (start, next) = (Timestamp::from_millis(start), Timestamp::from_millis(next));
            Ok(Counted { start, next, used: Credits::from_micros(used), told })
        });
        Ok(Budget {
            id: name(&self.id)?,
            terms: self.terms.read(calendar.clone())?,
            counting_since: self.since,
            periods: periods.collect::<Result<_, _>>()?,
            // Follows from the holds.
            reserved: Credits::ZERO,
            stop_until: self.stop_until.map(Timestamp::from_millis),
        })
    }
}
