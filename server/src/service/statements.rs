//! Monthly statements: where an account began, what came in, what it was used for, where it ended.
//!
//! Read from the account's month, which `bookkeeping` counts by the ledger's own time: what is told late is in the
//! month it was told in, so a statement that was sent stays true and the next begins where it ended. What is due is
//! posted first, at its own instant, and counted, which costs what moved since the last count; no page of it costs what
//! the month has entries. Invariant: nothing is ever added to a statement that was said to be final.
use billing::Refusal;
use billing::accounting::Sums;
use billing::id::{AccountNumber, Name, Place};
use billing::ledger::{LedgerAccount, Source};
use billing::money::Credits;
use billing::time::{Span, Timestamp};
use billing::total::TotalCredits;

use super::Error;
use super::bookkeeping::{month_of, range};
use super::months::{Month, OTHERS, UsedRow};
use super::typeset_statement::source_name;
use crate::app::{App, Known};
use crate::csv;

#[derive(Clone, Debug)]
pub struct Statement {
    pub account: Name,
    pub account_name: Option<String>,
    pub month: Month,
    /// By the account's calendar.
    pub from: Timestamp,
    pub to: Timestamp,
    pub timezone: String,
    /// The month is over, and all of it posted and counted: nothing will be added.
    pub is_final: bool,
    /// Of this project alone: then there is no balance.
    pub project: Option<Name>,
    pub balance: Option<StatementBalance>,
    /// By meter, project and server; what was taken back is taken off.
    pub used: Vec<UsedRow>,
}

/// `opening + all that came in − all that went = closing = posted + withheld`, to the micro-credit. Credits in holds
/// are still the account's; debt counts against them. What an account has is bounded; what went through it is not.
#[derive(Clone, Debug)]
pub struct StatementBalance {
    pub opening: Credits,
    pub granted: Vec<(Source, TotalCredits)>,
    pub used: TotalCredits,
    pub expired: TotalCredits,
    pub voided: TotalCredits,
    pub refunded: TotalCredits,
    pub clawed_back: TotalCredits,
    pub closing: Credits,
    /// What a balance said at the end of the month, or says now; of a month that others came after, as its last entry
    /// left it.
    pub posted: Credits,
}

impl StatementBalance {
    /// The account's, and not to be drawn: frozen while their payment is disputed, or of grants that take effect later.
    pub fn withheld(&self) -> Credits {
        self.closing - self.posted
    }
}

impl Statement {
    pub fn total_used(&self) -> TotalCredits {
        self.used.iter().map(|it| TotalCredits::from_micros(it.credits)).sum()
    }
}

impl App {
    /// The statement of a month by the account's calendar, or what of it there is so far.
    pub fn statement(&self, account: &Name, month: Month, project: Option<Name>) -> Result<Statement, Error> {
        let known = self.known(account)?;
        let now = self.now();
        if month_of(&known, now) < month {
            return Err(Refusal::invalid("month", "has not begun").into());
        }
        let number = known.account.number;
        self.settle_account(number)?;
        let due_at = self.book(number)?.due_at();
        let is_counted = self.count_account(number)?;
        // The newest month that is not after it: itself, or the one it goes on from.
        let newest = self.newest_month(number, Some(month.next()))?;
        let own = newest.as_ref().filter(|it| it.document.id == month.to_string());
        let (from, to, timezone) = match own {
            Some(it) => {
                (Timestamp::from_millis(it.body.from), Timestamp::from_millis(it.body.to), it.body.timezone.clone())
            }
            None => {
                let (from, to) = range(&known, middle_of(&known, month));
                (from, to, known.account.timezone.clone())
            }
        };
        let mut used = own.map(|it| it.body.used.clone()).unwrap_or_default();
        let balance = match (&project, own) {
            (Some(_), _) => None,
            (None, own) => {
                let had = newest.as_ref().map_or(0, |it| it.body.closing());
                let (opening, sums) = match own {
                    Some(it) => (it.body.opening, it.body.sums.read()?),
                    None => (had, Sums::default()),
                };
                let version = newest.as_ref().map_or(0, |it| it.body.version);
                let posted = self.posted_at(number, version, now.min(to - Span::from_millis(1)))?;
                Some(balance((opening, own.map_or(had, |it| it.body.closing())), &sums, posted))
            }
        };
        if let Some(project) = &project {
            if used.iter().any(|it| it.project.as_deref() == Some(OTHERS)) {
                let why = "cannot be told from the others in a month of so many projects; its usage can be asked for";
                return Err(Refusal::invalid("project", why).into());
            }
            used.retain(|it| it.project.as_deref() == Some(project.as_str()));
        }
        Ok(Statement {
            account: known.account.id.clone(),
            account_name: known.account.name.clone(),
            month,
            from,
            to,
            timezone,
            // What servers used up to the very end of the month is due at that instant, and is of the month.
            is_final: to <= now && to < due_at && is_counted,
            project,
            balance,
            used,
        })
    }

    /// The statement as a table for a spreadsheet: what kind of line, what it is of, entries, credits, and what the
    /// pages call what it is of.
    pub fn statement_csv(&self, statement: &Statement) -> String {
        let mut text = String::from("line,meter_or_source,project,server,entries,credits,name\n");
        let mut row = |values: [&str; 7]| {
            csv::line(&mut text, values);
            text.push('\n');
        };
        if let Some(it) = &statement.balance {
            row(["opening", "", "", "", "", &it.opening.to_string(), ""]);
            for (source, credits) in &it.granted {
                row(["granted", source.as_str(), "", "", "", &credits.to_string(), source_name(*source)]);
            }
        }
        for it in &statement.used {
            let (count, credits) = (it.count.to_string(), (-TotalCredits::from_micros(it.credits)).to_string());
            let text = |it: &Option<String>| it.clone().unwrap_or_default();
            row([
                "used",
                &it.meter,
                &text(&it.project),
                &text(&it.server),
                &count,
                &credits,
                self.category_of(&it.meter).as_str(),
            ]);
        }
        if let Some(it) = &statement.balance {
            let gone = [
                ("expired", it.expired),
                ("voided", it.voided),
                ("refunded", it.refunded),
                ("clawed_back", it.clawed_back),
            ];
            for (name, credits) in gone.into_iter().filter(|it| !it.1.is_zero()) {
                row([name, "", "", "", "", &(-credits).to_string(), ""]);
            }
            row(["closing", "", "", "", "", &it.closing.to_string(), ""]);
        }
        text
    }
}

impl App {
    /// The posted balance of a version: as its transaction left it, and of the newest as it is by `at`.
    fn posted_at(&self, account: AccountNumber, version: u64, at: Timestamp) -> Result<Credits, Error> {
        let book = self.book(account)?;
        if book.version <= version {
            let at = at.max(book.at);
            return Ok(book.brought_up_to(at).balance(at).posted);
        }
        let last = self.store.transaction(Place { account, version })?;
        Ok(last.map_or(Credits::ZERO, |it| it.after.posted))
    }
}

fn balance((opening, closing): (i64, i64), sums: &Sums, posted: Credits) -> StatementBalance {
    let of = |account: &LedgerAccount| sums.of(account);
    let granted = Source::ALL.into_iter().map(|it| (it, -of(&LedgerAccount::Issuance(it))));
    let used = sums.ledger.iter().filter(|(it, _)| matches!(it, LedgerAccount::Usage(_))).map(|(_, it)| *it).sum();
    StatementBalance {
        opening: Credits::from_micros(opening),
        granted: granted.filter(|it| !it.1.is_zero()).collect(),
        used,
        expired: of(&LedgerAccount::Breakage),
        voided: of(&LedgerAccount::Voided),
        refunded: of(&LedgerAccount::Refunded),
        clawed_back: of(&LedgerAccount::Clawback),
        closing: Credits::from_micros(closing),
        posted,
    }
}

/// An instant that is in this month in every zone.
fn middle_of(known: &Known, month: Month) -> Timestamp {
    let year = i16::try_from(month.year).unwrap_or(i16::MAX);
    let number = i8::try_from(month.number).unwrap_or(1);
    let noon = jiff::civil::date(year, number, 15).at(12, 0, 0, 0);
    let instant = noon.to_zoned(known.zone.clone()).map(|it| it.timestamp().as_millisecond());
    Timestamp::from_millis(instant.unwrap_or_default())
}
