//! Usage: added up by hour, day, week or month, by meter, project, server, model or actor. As JSON, or the same as CSV.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::super::knock::Knock;
use super::super::problem::Problem;
use super::super::query::Query;
use super::super::site::Site;
use super::super::wire::{Amount, Instant, NameIn, Quantities, QuantitiesIn};
use super::reply::{self, Answered};
use crate::csv;
use crate::service::{Dimension, Group, Interval, Scope, UsageQuery, UsageReport};

const PARAMETERS: [&str; 10] =
    ["from", "to", "interval", "group_by", "compare", "meter", "project", "server", "model", "actor"];

/// Usage, bucket by bucket. The groups of all buckets add up to the total.
#[derive(Serialize, ToSchema)]
#[schema(as = Usage)]
pub struct UsageShown<'a> {
    /// The account's zone, by which days and months are cut.
    timezone: &'a str,
    /// What is reported: whole hours, so `from` is the beginning of one.
    from: Instant,
    /// The end of the last hour; now where no `to` was given.
    to: Instant,
    /// Those in which something was used, oldest first.
    buckets: Vec<BucketShown<'a>>,
    total: Amount,
    /// The total of the range it is compared with. Only where `compare=true`, as are its ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    previous_total: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    previous_from: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    previous_to: Option<Instant>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = UsageBucket)]
pub struct BucketShown<'a> {
    start: Instant,
    #[schema(value_type = Vec<GroupShown>)]
    groups: Vec<GroupOut<'a>>,
}

/// Usage with the same value of everything it was grouped by.
#[derive(ToSchema)]
#[schema(as = UsageGroup)]
#[expect(dead_code, reason = "documents what `GroupOut` writes")]
pub struct GroupShown {
    #[schema(nullable = false)]
    meter: Option<String>,
    /// Null for spend without one.
    project: Option<String>,
    server: Option<String>,
    model: Option<String>,
    actor: Option<String>,
    credits: Amount,
    #[schema(value_type = QuantitiesIn)]
    quantities: u64,
    /// Charges, reversed ones included.
    count: u64,
    /// Of the credits, those for setting servers up. Only where there are servers among it.
    #[schema(nullable = false)]
    provisioning_credits: Option<Amount>,
    /// Of the credits, those for running servers.
    #[schema(nullable = false)]
    runtime_credits: Option<Amount>,
}

/// A group under the names it was grouped by.
struct GroupOut<'a> {
    by: &'a [Dimension],
    group: &'a Group,
}

impl Serialize for GroupOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        for (dimension, value) in self.by.iter().zip(&self.group.values) {
            members.serialize_entry(dimension.as_str(), value)?;
        }
        members.serialize_entry("credits", &Amount(self.group.sum.credits))?;
        members.serialize_entry("quantities", &Quantities(&self.group.sum.quantities))?;
        members.serialize_entry("count", &self.group.sum.count)?;
        if let Some((set_up, runtime)) = self.group.servers {
            members.serialize_entry("provisioning_credits", &Amount(set_up))?;
            members.serialize_entry("runtime_credits", &Amount(runtime))?;
        }
        members.end()
    }
}

/// An account's usage
///
/// Costs the same at a thousand charges and at a billion. Usage is kept by whole hours of the account's clock: the
/// hour that `from` falls in is the first, the hour that ends at `to` or that `to` falls in the last, and the answer
/// says so.
#[utoipa::path(get, path = "/v1/accounts/{account}/usage", operation_id = "getUsage", tag = "Usage and history",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("from" = Option<String>, Query, description = "Start of the range, rounded down to the hour; this month's \
            where nothing is said.", format = DateTime),
        ("to" = Option<String>, Query, description = "End of the range, rounded up to the hour; now where nothing is \
            said.", format = DateTime),
        ("interval" = Option<String>, Query, description = "hour, day, week, month or total (the default).",
            pattern = "^(hour|day|week|month|total)$"),
        ("group_by" = Option<String>, Query,
            description = "Of meter, project, server, model, actor, with commas between.",
            pattern = "^(meter|project|server|model|actor)(,(meter|project|server|model|actor))*$"),
        ("compare" = Option<bool>, Query, description = "true for the total of the range before, too, as the pages \
            compare: this month, where no `from` is given, with the same days of the month before, up to the same \
            hour; a range that begins with a day with the same hours of as many days before; any other with as long \
            right before it. Of a range that still runs, what has been of it counts."),
        ("meter" = Option<String>, Query, description = "Only this meter.", min_length = 1),
        ("project" = Option<String>, Query, description = "Only this project.", min_length = 1),
        ("server" = Option<String>, Query, description = "Only this server.", min_length = 1),
        ("model" = Option<String>, Query, description = "Only this model.", min_length = 1),
        ("actor" = Option<String>, Query, description = "Only this actor.", min_length = 1),
    ),
    security(("api_key" = ["read"])),
    responses(
        (status = 200, description = "The usage.", content(
            (UsageShown = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))),
        (status = 404, description = "No such account."),
    ))]
pub async fn show(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let account = call.name("account").await?;
    let query = call.query(&PARAMETERS)?;
    let wanted = UsageQuery {
        account,
        from: query.instant("from")?,
        to: query.instant("to")?,
        interval: query.text("interval").map_or(Ok(Interval::Total), str::parse)?,
        group_by: group_by(&query)?,
        only: only(&query),
        compares: query.flag("compare")?,
    };
    let (wants_csv, wants_lines) = (call.wants_csv(), call.accepts("application/x-ndjson"));
    let report = site.look(move |app| app.usage(&wanted)).await?;
    if wants_lines {
        return Ok(reply::with_body(StatusCode::OK, "application/x-ndjson", as_lines(&report)?));
    }
    if wants_csv { Ok(reply::csv(as_csv(&report))) } else { reply::json(StatusCode::OK, &shown(&report)) }
}

fn group_by(query: &Query) -> Result<Vec<Dimension>, Problem> {
    let mut group_by = Vec::new();
    for name in query.text("group_by").into_iter().flat_map(|it| it.split(',')) {
        let dimension: Dimension = name.parse()?;
        // Named twice is grouped by once: the groups are the same.
        if !group_by.contains(&dimension) {
            group_by.push(dimension);
        }
    }
    Ok(group_by)
}

fn only(query: &Query) -> Vec<(Dimension, String)> {
    let wanted = Dimension::ALL.into_iter().map(|it| (it, query.text(it.as_str())));
    wanted.filter_map(|(dimension, it)| Some((dimension, it?.to_owned()))).collect()
}

fn shown(report: &UsageReport) -> UsageShown<'_> {
    UsageShown {
        timezone: &report.timezone,
        from: Instant(report.from),
        to: Instant(report.to),
        buckets: report
            .buckets
            .iter()
            .map(|it| BucketShown {
                start: Instant(it.start),
                groups: it.groups.iter().map(|group| GroupOut { by: &report.group_by, group }).collect(),
            })
            .collect(),
        total: Amount(report.total),
        previous_total: report.previous.map(|it| Amount(it.1)),
        previous_from: report.previous.map(|it| Instant(it.0.from)),
        previous_to: report.previous.map(|it| Instant(it.0.to)),
    }
}

/// The same groups, each a line of JSON with the start of its bucket.
fn as_lines(report: &UsageReport) -> Result<Vec<u8>, Problem> {
    #[derive(Serialize)]
    struct Line<'a> {
        start: Instant,
        #[serde(flatten)]
        group: GroupOut<'a>,
    }
    let mut lines = Vec::new();
    for bucket in &report.buckets {
        for group in &bucket.groups {
            let line = Line { start: Instant(bucket.start), group: GroupOut { by: &report.group_by, group } };
            serde_json::to_writer(&mut lines, &line).map_err(Problem::internal)?;
            lines.push(b'\n');
        }
    }
    Ok(lines)
}

/// The same numbers, a group a line, its quantities in one column.
fn as_csv(report: &UsageReport) -> String {
    let mut text = String::from("start");
    for dimension in &report.group_by {
        csv::value(&mut text, dimension.as_str());
    }
    text.push_str(",credits,count,quantities,provisioning_credits,runtime_credits\n");
    for bucket in &report.buckets {
        for group in &bucket.groups {
            text.push_str(&Instant(bucket.start).to_string());
            for value in &group.values {
                csv::value(&mut text, value.as_deref().unwrap_or_default());
            }
            csv::value(&mut text, &group.sum.credits.to_string());
            csv::value(&mut text, &group.sum.count.to_string());
            let quantities: Vec<String> =
                group.sum.quantities.iter().map(|(name, it)| format!("{name}={it}")).collect();
            csv::value(&mut text, &quantities.join(" "));
            let (set_up, runtime) = group.servers.unzip();
            for credits in [set_up, runtime] {
                csv::value(&mut text, &credits.map(|it| it.to_string()).unwrap_or_default());
            }
            text.push('\n');
        }
    }
    text
}
