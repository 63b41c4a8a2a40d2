//! An hour of an account's usage as JSON: a list of what was used, by everything usage is grouped by.
//!
//! `[["ai_chat","website",null,"m",null,1200,2,{"input_tokens":9}], …]`: meter, project, server, model, actor,
//! micro-credits, count, quantities. Rows without names of columns, because they are written again with every fold.
use billing::id::Name;
use billing::money::Credits;
use billing::rating::Text;
use billing::time::Timestamp;
use billing::usage::{UsageKey, UsageSum};

use super::Malformed;
use super::json::Json;
use super::pairs::Pairs;
use super::work::read_name;

pub fn write(json: &mut Json, rows: &[(UsageKey, UsageSum)]) {
    let text = |json: &mut Json, value: Option<&str>| match value {
        Some(value) => json.string(value),
        None => json.null(),
    };
    json.array(|json| {
        for (key, sum) in rows {
            json.array(|json| {
                json.string(&key.meter);
                text(json, key.project.as_ref().map(Name::as_str));
                text(json, key.server.as_ref().map(Name::as_str));
                text(json, key.model.as_deref());
                text(json, key.actor.as_ref().map(Name::as_str));
                json.integer(sum.credits.micros());
                json.integer(sum.count);
                json.object(|json| {
                    sum.quantities.iter().for_each(|(name, quantity)| json.key(name).integer(*quantity));
                });
            });
        }
    });
}

/// Meter, project, server, model, actor, micro-credits, count, quantities.
type RowJson = (Text, Option<String>, Option<String>, Option<Text>, Option<String>, i64, u64, Pairs<u64>);

/// Reads the rows of the hour that starts at `hour`.
///
/// # Errors
/// When the text is not one that was written here.
pub fn read(text: &str, hour: Timestamp) -> Result<Vec<(UsageKey, UsageSum)>, Malformed> {
    let rows: Vec<RowJson> = serde_json::from_str(text)?;
    let row = |(meter, project, server, model, actor, credits, count, quantities): RowJson| {
        let (project, server, actor) = (read_name(project)?, read_name(server)?, read_name(actor)?);
        let key = UsageKey { hour, meter, project, server, model, actor };
        Ok((key, UsageSum { credits: Credits::from_micros(credits), count, quantities: quantities.0 }))
    };
    rows.into_iter().map(row).collect()
}
