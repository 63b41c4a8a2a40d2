//! Reports as sheets, for spreadsheets and what accountants import: the same from the API and the console.
use billing::invoice::Decimal;
use billing::time::Timestamp;
use billing::total::TotalMoney;

use super::typeset_statement::source_name;
use super::{Liability, RevenueReport, TrialBalance};
use crate::app::App;
use crate::csv;

fn exact(at: Timestamp) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or(jiff::Timestamp::MAX);
    instant.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

fn row(text: &mut String, values: &[&str]) {
    csv::line(text, values.iter().copied());
    text.push('\n');
}

pub fn trial_balance_csv(report: &TrialBalance) -> String {
    let mut text = String::from("ledger_account,credits\n");
    for (account, credits) in &report.accounts {
        row(&mut text, &[&account.to_string(), &credits.to_string()]);
    }
    row(&mut text, &["sum", &report.sum().to_string()]);
    text
}

pub fn liability_csv(report: &Liability) -> String {
    let mut text = String::from("at,what,unit,amount\n");
    let at = exact(report.at);
    row(&mut text, &[&at, "outstanding", "credits", &report.outstanding.to_string()]);
    for it in &report.deferred {
        let amount = Decimal(*it).to_string();
        row(&mut text, &[&at, "deferred", it.currency.as_str(), &amount]);
    }
    text
}

/// One number a line: what it is, of what, in which unit; and what people call that which it is of.
pub fn revenue_csv(app: &App, it: &RevenueReport) -> String {
    let mut text = String::from("month,what,of,unit,amount,name\n");
    let month = it.month.to_string();
    for (source, credits) in &it.issued {
        let amount = credits.to_string();
        row(&mut text, &[&month, "issued", source.as_str(), "credits", &amount, source_name(*source)]);
    }
    for (meter, credits) in &it.used {
        let (amount, category) = (credits.to_string(), app.category_of(meter));
        row(&mut text, &[&month, "used", meter, "credits", &amount, category.as_str()]);
    }
    let mut line =
        |what: &str, of: &str, unit: &str, amount: &str| row(&mut text, &[&month, what, of, unit, amount, ""]);
    for (what, credits) in [
        ("expired", it.expired),
        ("voided", it.voided),
        ("refunded", it.refunded),
        ("clawed_back", it.clawed_back),
        ("change", it.change),
        ("outstanding", it.outstanding),
    ] {
        line(what, "", "credits", &credits.to_string());
    }
    for (currency, money) in &it.money {
        let takings = money.takings;
        for (what, of, amount) in [
            ("deferred_before", "", money.deferred_before),
            ("received", "", takings.received),
            ("refunded", "", takings.refunded),
            ("clawed_back", "", takings.clawed_back),
            ("recognised", "use", takings.revenue.used),
            ("recognised", "breakage", takings.revenue.breakage),
            ("deferred", "", money.deferred),
        ] {
            let amount = Decimal(TotalMoney { amount, currency: *currency }).to_string();
            line(what, of, currency.as_str(), &amount);
        }
    }
    for sales in &it.sales {
        let rate = billing::tax::Rate(sales.rate);
        let country = sales.country.as_deref().unwrap_or("-");
        let of = format!("{}: {} {country} {rate}%", sales.seller, sales.treatment);
        for (what, money) in [("invoiced_net", sales.net), ("tax", sales.tax)] {
            line(what, &of, money.currency.as_str(), &Decimal(money).to_string());
        }
    }
    text
}
