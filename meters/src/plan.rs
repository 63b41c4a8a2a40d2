//! Infrastructure plans: plan bytes in, a complexity score and its lines out.
//!
//! Must never know: what a plan's resources cost to run, or credits.
//!
//! Invariant: the score is an exact number of hundredths of a point, and the lines shown add up to it.

mod compose;
mod design;
mod score;
mod scrip;
mod terraform;
mod weights;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::{MeasureError, Measurement, plain};
use score::Score;

/// Bytes of a plan. A 5 000-resource plan is about 20 MB.
pub const PLAN_BYTES_MAX: usize = 64 << 20;
/// Bytes of YAML, whose parser is slower and whose files are written by hand.
pub const YAML_BYTES_MAX: usize = 2 << 20;
/// Resources, services and servers together.
pub const RESOURCES_MAX: usize = 100_000;

/// Scores a Terraform or OpenTofu plan, a compose file, or Scrip's own plan; which of them it is shows in the bytes.
///
/// Quantities: `points` (the score, rounded up), `resources`. Dimensions: `band` S, M, L or XL by the exact score;
/// `kind` terraform, compose or scrip. Evidence: the exact score and its lines.
///
/// # Errors
/// [`MeasureError`] when the bytes are no plan, a failed plan, of an unknown major version, or over a limit.
pub fn measure(bytes: &[u8]) -> Result<Measurement, MeasureError> {
    if PLAN_BYTES_MAX < bytes.len() {
        return Err(MeasureError::PlanTooLarge { what: "bytes", max: PLAN_BYTES_MAX as u64 });
    }
    let text = decode(bytes)?;
    let score = if text.trim_start().starts_with('{') { json_plan(&text)? } else { compose::score(&text)? };
    Ok(measurement(&score))
}

/// What is null is not there, as clients write what they have not.
fn or_none<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(value: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

/// The fields that tell the kinds of JSON plan apart.
#[derive(Deserialize)]
struct Marks {
    format_version: Option<IgnoredAny>,
    scrip_plan: Option<IgnoredAny>,
    services: Option<IgnoredAny>,
}

fn json_plan(text: &str) -> Result<Score, MeasureError> {
    let marks: Marks =
        serde_json::from_str(text).map_err(|error| MeasureError::UnknownPlan { problem: plain::of_json(&error) })?;
    match marks {
        Marks { format_version: Some(_), .. } => terraform::score(text),
        Marks { scrip_plan: Some(_), .. } => scrip::score(text),
        Marks { services: Some(_), .. } => compose::score_json(text),
        _ => Err(MeasureError::UnknownPlan {
            problem: "it has none of format_version, scrip_plan and services".to_owned(),
        }),
    }
}

/// UTF-8, or UTF-16 with its mark, which is what a redirection in Windows PowerShell writes.
fn decode(bytes: &[u8]) -> Result<std::borrow::Cow<'_, str>, MeasureError> {
    let broken = |what: &str| MeasureError::UnknownPlan { problem: format!("it is not {what} text") };
    let wide = |pair: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|two| pair([two[0], two[1]])).collect();
        String::from_utf16(&units).map(Into::into).map_err(|_| broken("UTF-16"))
    };
    match bytes {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        _ => {
            let text = std::str::from_utf8(bytes).map_err(|_| broken("UTF-8"))?;
            Ok(text.strip_prefix('\u{feff}').unwrap_or(text).into())
        }
    }
}

fn measurement(score: &Score) -> Measurement {
    let evidence = json!({
        "score": score::shown(score.hundredths()),
        "lines": score.lines(),
        "bands": "S up to 15, M up to 40, L up to 100, XL above",
        "notes": score.notes,
    });
    Measurement::new("infra_plan", evidence)
        .quantity("points", score.hundredths().div_ceil(100))
        .quantity("resources", score.resources)
        .dimension("band", score::band(score.hundredths()))
        .dimension("kind", score.kind)
}
