//! Exports: what the page shows, to the last digit, as CSV.
use billing::id::Name;
use billing::ledger::What;

use super::entry::{Reader, gain};
use super::{breakdown, show};
use crate::app::{App, Known};
use crate::csv;
use crate::service::{EntryFilter, Error, Overview, PartLine, ProjectNames};

/// Entries of one export.
const ENTRIES_MAX: usize = 100_000;
/// Entries read at once.
const READ_AT_ONCE: usize = 500;

/// The chart and every table of the usage page, one below the other in the same columns.
pub fn usage(overview: &Overview, names: &ProjectNames, known: &Known) -> String {
    let mut text = String::from("table,name,from,to");
    for (category, _) in &overview.categories {
        csv::value(&mut text, category.as_str());
    }
    text.push_str(",total,charges,provisioning,runtime,ran_seconds\n");
    for bar in &overview.bars {
        csv::line(&mut text, ["by time", "", &show::exact(bar.start), &show::exact(bar.end)]);
        let total: billing::money::Credits = bar.by_category.iter().copied().sum();
        for credits in bar.by_category.iter().chain([&total]) {
            csv::value(&mut text, &credits.to_string());
        }
        text.push_str(",,,,\n");
    }
    let tables: [(&str, &[PartLine]); 4] = [
        ("by project", &overview.projects),
        ("by server", &overview.servers),
        ("by model", &overview.models),
        ("by person", &overview.actors),
    ];
    let range = [overview.bars.first().map(|it| it.start), overview.bars.last().map(|it| it.end)];
    let range = range.map(|it| it.map(show::exact).unwrap_or_default());
    for (table, lines) in tables {
        for line in lines {
            let name = match table {
                "by project" => breakdown::project_label(line.id.as_deref(), names),
                _ => line.id.clone().unwrap_or_default(),
            };
            csv::line(&mut text, [table, &name, &range[0], &range[1]]);
            for credits in line.by_category.iter().chain([&line.part.credits]) {
                csv::value(&mut text, &credits.to_string());
            }
            csv::value(&mut text, &line.part.count.to_string());
            let of_server = line.id.is_some() && table == "by server";
            let runtime = line.part.credits - line.set_up;
            for it in [line.set_up.to_string(), runtime.to_string(), line.seconds.to_string()] {
                csv::value(&mut text, if of_server { &it } else { "" });
            }
            text.push('\n');
        }
    }
    csv::line(&mut text, ["all", &known.account.timezone, &range[0], &range[1]]);
    for (_, part) in &overview.categories {
        csv::value(&mut text, &part.credits.to_string());
    }
    csv::value(&mut text, &overview.total.credits.to_string());
    csv::value(&mut text, &overview.total.count.to_string());
    text.push_str(",,,\n");
    text
}

/// The entries of the activity page, all of its pages.
pub fn activity(app: &App, account: &Name, filter: &EntryFilter, reader: &Reader<'_>) -> Result<String, Error> {
    let mut text = String::from(
        "entry,written_at,what,credits,available_afterwards,happened_at,meter,project,model,person,resource,quantities,\
         rate_card,reference\n",
    );
    let mut cursor = None;
    let mut count = 0;
    while count < ENTRIES_MAX {
        let page = app.entries(account, filter, cursor, READ_AT_ONCE)?;
        for transaction in &page.entries {
            let (title, work) = reader.title(&transaction.what);
            let dimension = |name: &str| {
                let found = work.and_then(|it| it.usage.dimensions.iter().find(|(it, _)| &**it == name));
                found.map(|(_, it)| it.to_string()).unwrap_or_default()
            };
            let name = |it: Option<&Name>| it.map(ToString::to_string).unwrap_or_default();
            let quantities = work.filter(|_| !matches!(transaction.what, What::Reversed(_))).map(|it| {
                let pairs: Vec<String> = it.usage.quantities.iter().map(|(name, it)| format!("{name}={it}")).collect();
                pairs.join(" ")
            });
            let values = [
                transaction.id().to_string(),
                show::exact(transaction.at),
                title,
                gain(&transaction.what).to_string(),
                transaction.after.available().to_string(),
                work.map(|it| show::exact(it.occurred_at)).unwrap_or_default(),
                work.map(|it| it.usage.meter.to_string()).unwrap_or_default(),
                name(work.and_then(|it| it.project.as_ref())),
                dimension("model"),
                name(work.and_then(|it| it.actor.as_ref())),
                name(work.and_then(|it| it.resource.as_ref())),
                quantities.unwrap_or_default(),
                work.map(|it| it.price.rate_card.to_string()).unwrap_or_default(),
                transaction.origin.key.as_deref().unwrap_or_default().to_owned(),
            ];
            csv::line(&mut text, values.iter().map(String::as_str));
            text.push('\n');
        }
        count += page.entries.len();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(text)
}
