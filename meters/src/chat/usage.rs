//! Providers' usage objects, read into one form.
//!
//! Must never know: models, text. Invariant: cached input is never inside `input`, reasoning is always inside `output`.
//!
//! | shape | input holds cached? | output holds reasoning? |
//! |---|---|---|
//! | OpenAI chat completions, and those who copy it | yes | yes; where the total says so (xAI), no |
//! | OpenAI responses | yes | yes |
//! | Anthropic messages | no: cache reads and writes stand beside it | yes |
//! | Gemini `usageMetadata` | yes | no: thoughts stand beside it; where the total says so, yes |
//!
//! Totals decide only where reasoning stands: the parts are what is priced.

use serde_json::Value;

use crate::MeasureError;

/// Counts above this are refused as absurd: no model reads a trillion tokens in one call.
pub const USAGE_TOKENS_MAX: u64 = 1_000_000_000_000;

/// Tokens of one exchange, whoever reported them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub input: u64,
    pub cached: u64,
    pub output: u64,
    pub cache_write: Option<u64>,
}

/// The shape's name, and what it says.
pub fn read(usage: &Value) -> Result<(&'static str, Tokens), MeasureError> {
    let usage = usage.get("usageMetadata").or_else(|| usage.get("usage")).unwrap_or(usage);
    let has = |name: &str| usage.get(name).is_some();
    if has("promptTokenCount") || has("totalTokenCount") {
        return Ok(("gemini", gemini(usage)?));
    }
    if has("prompt_tokens") {
        return Ok(("openai_chat", openai_chat(usage)?));
    }
    if has("cache_read_input_tokens") || has("cache_creation_input_tokens") {
        return Ok(("anthropic", anthropic(usage)?));
    }
    if has("input_tokens") && has("output_tokens") {
        // Without cache fields Anthropic's shape and this one mean the same.
        return Ok(("openai_responses", openai_responses(usage)?));
    }
    Err(refusal("usage", "is of no known shape (OpenAI, Anthropic, Gemini)".to_owned()))
}

fn openai_chat(usage: &Value) -> Result<Tokens, MeasureError> {
    // DeepSeek writes the same shape with its own name for the cached part.
    let cached = match number(usage, &["prompt_tokens_details", "cached_tokens"])? {
        0 => number(usage, &["prompt_cache_hit_tokens"])?,
        cached => cached,
    };
    let input = without(number(usage, &["prompt_tokens"])?, cached, "usage.prompt_tokens")?;
    let output = number(usage, &["completion_tokens"])?;
    let reasoning = number(usage, &["completion_tokens_details", "reasoning_tokens"])?;
    let total = number(usage, &["total_tokens"])?;
    if 0 < reasoning && total == input + cached + output + reasoning {
        return Ok(Tokens { input, cached, output: output + reasoning, cache_write: None });
    }
    within(reasoning, output, "usage.completion_tokens_details.reasoning_tokens")?;
    Ok(Tokens { input, cached, output, cache_write: None })
}

fn openai_responses(usage: &Value) -> Result<Tokens, MeasureError> {
    let cached = number(usage, &["input_tokens_details", "cached_tokens"])?;
    let input = without(number(usage, &["input_tokens"])?, cached, "usage.input_tokens")?;
    let output = number(usage, &["output_tokens"])?;
    let reasoning = number(usage, &["output_tokens_details", "reasoning_tokens"])?;
    within(reasoning, output, "usage.output_tokens_details.reasoning_tokens")?;
    Ok(Tokens { input, cached, output, cache_write: None })
}

fn anthropic(usage: &Value) -> Result<Tokens, MeasureError> {
    Ok(Tokens {
        input: number(usage, &["input_tokens"])?,
        cached: number(usage, &["cache_read_input_tokens"])?,
        output: number(usage, &["output_tokens"])?,
        cache_write: Some(number(usage, &["cache_creation_input_tokens"])?),
    })
}

fn gemini(usage: &Value) -> Result<Tokens, MeasureError> {
    let cached = number(usage, &["cachedContentTokenCount"])?;
    let prompt = without(number(usage, &["promptTokenCount"])?, cached, "usage.promptTokenCount")?;
    // What tools answered is fed back to the model: input, reported beside the prompt.
    let tools = number(usage, &["toolUsePromptTokenCount"])?;
    let (candidates, thoughts) = (number(usage, &["candidatesTokenCount"])?, number(usage, &["thoughtsTokenCount"])?);
    let total = number(usage, &["totalTokenCount"])?;
    let holds_thoughts = thoughts <= candidates && total == prompt + cached + tools + candidates;
    let output = if holds_thoughts { candidates } else { candidates + thoughts };
    Ok(Tokens { input: prompt + tools, cached, output, cache_write: None })
}

/// A count at a path; absent and null are zero, as providers mean them.
fn number(usage: &Value, path: &[&str]) -> Result<u64, MeasureError> {
    let mut value = usage;
    for name in path {
        value = match value.get(name) {
            None | Some(Value::Null) => return Ok(0),
            Some(inner) => inner,
        };
    }
    let field = || format!("usage.{}", path.join("."));
    let count = value.as_u64().ok_or_else(|| refusal(&field(), format!("{value} is not a whole number of tokens")))?;
    if USAGE_TOKENS_MAX < count {
        return Err(refusal(&field(), format!("{count} is over {USAGE_TOKENS_MAX} tokens")));
    }
    Ok(count)
}

fn without(whole: u64, part: u64, field: &str) -> Result<u64, MeasureError> {
    within(part, whole, field)?;
    Ok(whole - part)
}

fn within(part: u64, whole: u64, field: &str) -> Result<(), MeasureError> {
    if part <= whole {
        return Ok(());
    }
    Err(refusal(field, format!("a part of {part} tokens is larger than its whole of {whole}")))
}

fn refusal(field: &str, problem: String) -> MeasureError {
    MeasureError::InvalidUsage { field: field.to_owned(), problem }
}
