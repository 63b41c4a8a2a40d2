//! An hour of an account's usage as JSON: a list of what was used, by everything usage is grouped by.
//!
//! `[{"meter":"ai_chat","project":"website","model":"m","credits":1200,"count":2,"quantities":{"input_tokens":9}}]`
use billing::money::Credits;
use billing::rating::Text;
use billing::time::Timestamp;
use billing::usage::{UsageKey, UsageSum};
use serde::Deserialize;

use super::Malformed;
use super::json::Json;
use super::pairs::Pairs;
use super::work::read_name;

pub fn write(json: &mut Json, rows: &[(UsageKey, UsageSum)]) {
    json.array(|json| {
        for (key, sum) in rows {
            json.object(|json| {
                json.key("meter").string(&key.meter);
                let names = [("project", &key.project), ("server", &key.server), ("actor", &key.actor)];
                for (name, value) in names {
                    if let Some(value) = value {
                        json.key(name).string(value.as_str());
                    }
                }
                if let Some(model) = &key.model {
                    json.key("model").string(model);
                }
                json.key("credits").integer(sum.credits.micros());
                json.key("count").integer(sum.count);
                if !sum.quantities.is_empty() {
                    json.key("quantities").object(|json| {
                        sum.quantities.iter().for_each(|(name, quantity)| json.key(name).integer(*quantity));
                    });
                }
            });
        }
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowJson {
    meter: Text,
    project: Option<String>,
    server: Option<String>,
    actor: Option<String>,
    model: Option<Text>,
    credits: i64,
    count: u64,
    #[serde(default)]
    quantities: Pairs<u64>,
}

/// Reads the rows of the hour that starts at `hour`.
///
/// # Errors
/// When the text is not one that was written here.
pub fn read(text: &str, hour: Timestamp) -> Result<Vec<(UsageKey, UsageSum)>, Malformed> {
    let rows: Vec<RowJson> = serde_json::from_str(text)?;
    let row = |it: RowJson| {
        let key = UsageKey {
            hour,
            meter: it.meter,
            project: read_name(it.project)?,
            server: read_name(it.server)?,
            model: it.model,
            actor: read_name(it.actor)?,
        };
        let sum = UsageSum { credits: Credits::from_micros(it.credits), count: it.count, quantities: it.quantities.0 };
        Ok((key, sum))
    };
    rows.into_iter().map(row).collect()
}
