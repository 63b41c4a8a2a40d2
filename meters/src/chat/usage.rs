//! Providers' usage objects, read into one form.
//!
//! Must never know: models, text. Invariant: what was read from a cache or written to one is never inside `input`, one
//! kind of writes never inside the other, and reasoning is always inside `output`.
//!
//! | shape | told by | input holds what was cached? | output holds reasoning? |
//! |---|---|---|---|
//! | OpenAI chat completions, and those who copy it | `prompt_tokens` | yes | yes, but by the total |
//! | OpenAI responses, and those who copy it | `input_tokens` | yes | yes, but by the total |
//! | Anthropic messages | its cache's counts | no: it stands beside it | yes |
//! | Bedrock Converse | `inputTokens` | no: it stands beside it | yes |
//! | Gemini, and its interactions | `promptTokenCount`, `total_input_tokens` | yes | no, but by the total |
//! | Cohere | `billed_units`, `tokens` | yes | yes |
//! | Ollama | `prompt_eval_count` | yes | yes |
//!
//! What was cached is what was read and what was written. Those who copy OpenAI's chat have names of their own for what
//! was read (DeepSeek, Kimi) and for what was written (OpenRouter has OpenAI's, `cache_write_tokens`; Qwen, LiteLLM).
//! Cohere counts what it bills beside what its model read, which holds words of its own: what it bills counts, and it
//! takes nothing off that for its cache.
//!
//! A total decides only where reasoning stands (xAI puts it beside the output): the parts are what is priced. A count
//! that no exchange is without is not taken for none where it is missing.

use serde_json::Value;

use crate::MeasureError;

/// Counts above this are refused as absurd: no model reads a trillion tokens in one call.
pub const USAGE_TOKENS_MAX: u64 = 1_000_000_000_000;

/// Tokens of one exchange, whoever reported them. Nothing is in two of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub input: u64,
    pub cached: u64,
    pub output: u64,
    pub written: Option<Written>,
}

/// What was written to a cache, by how long it stays there: the longer costs more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// For as long as the provider keeps it unless asked: five minutes of Anthropic, thirty of OpenAI.
    pub usual: u64,
    /// For an hour, where that was asked for.
    pub hour: u64,
}

/// The shape's name, and what it says.
pub fn read(usage: &Value) -> Result<(&'static str, Tokens), MeasureError> {
    let wrapped = ["usageMetadata", "usage_metadata", "usage", "meta"].into_iter().find_map(|name| usage.get(name));
    let usage = wrapped.unwrap_or(usage);
    let has = |name: &str| usage.get(name).is_some();
    let gemini_has = |names: &Gemini| has(names.prompt) || has(names.total) && has(names.candidates);
    if let Some(names) = GEMINI.iter().find(|names| gemini_has(names)) {
        return Ok((names.shape, gemini(usage, names)?));
    }
    if has("prompt_tokens") {
        return Ok(("openai_chat", openai_chat(usage)?));
    }
    if has("cache_read_input_tokens") || has("cache_creation_input_tokens") || has("cache_creation") {
        return Ok(("anthropic", anthropic(usage)?));
    }
    if has("inputTokens") {
        return Ok(("bedrock", bedrock(usage)?));
    }
    if has("billed_units") || has("tokens") && usage["tokens"].is_object() {
        return Ok(("cohere", cohere(usage)?));
    }
    if has("prompt_eval_count") || has("eval_count") {
        return Ok(("ollama", ollama(usage)?));
    }
    if has("input_tokens") && has("output_tokens") {
        // Without cache fields Anthropic's shape and this one mean the same.
        return Ok(("openai_responses", openai_responses(usage)?));
    }
    Err(refusal("usage", "is of no known shape (OpenAI, Anthropic, Gemini, Bedrock, Cohere, Ollama)".to_owned()))
}

fn openai_chat(usage: &Value) -> Result<Tokens, MeasureError> {
    let cached = first_of(
        usage,
        &[
            &["prompt_tokens_details", "cached_tokens"],
            // DeepSeek's name, and Kimi's.
            &["prompt_cache_hit_tokens"],
            &["cached_tokens"],
        ],
    )?;
    let written = openai_written(usage, "prompt_tokens_details")?;
    let prompt = number(usage, &["prompt_tokens"])?;
    let output = number(usage, &["completion_tokens"])?;
    let reasoning = ["completion_tokens_details", "reasoning_tokens"];
    let output = with_reasoning(usage, prompt, output, &reasoning)?;
    Ok(Tokens { input: fresh(prompt, cached, written, "usage.prompt_tokens")?, cached, output, written })
}

fn openai_responses(usage: &Value) -> Result<Tokens, MeasureError> {
    // As LangChain sums up other providers' counts.
    refuse_summary(usage, &[&["input_token_details", "cache_read"], &["input_token_details", "cache_creation"]])?;
    // The realtime API's name is the second.
    let cached = [&["input_tokens_details", "cached_tokens"][..], &["input_token_details", "cached_tokens"]];
    let cached = first_of(usage, &cached)?;
    let written = openai_written(usage, "input_tokens_details")?;
    let input = number(usage, &["input_tokens"])?;
    let output = number(usage, &["output_tokens"])?;
    let output = with_reasoning(usage, input, output, &["output_tokens_details", "reasoning_tokens"])?;
    Ok(Tokens { input: fresh(input, cached, written, "usage.input_tokens")?, cached, output, written })
}

/// What OpenAI and those who copy it say of writes to a cache; none where they say nothing.
fn openai_written(usage: &Value, details: &str) -> Result<Option<Written>, MeasureError> {
    let places: [&[&str]; 4] = [
        &[details, "cache_write_tokens"],
        // Qwen's name, and LiteLLM's two.
        &[details, "cache_creation_input_tokens"],
        &[details, "cache_creation_tokens"],
        &["cache_creation_input_tokens"],
    ];
    let all = first_of(usage, &places)?;
    let hour = number(usage, &[details, "cache_creation", "ephemeral_1h_input_tokens"])?;
    let field = format!("usage.{details}.cache_creation.ephemeral_1h_input_tokens");
    let written = Written { usual: without(all, hour, &field)?, hour };
    Ok(places.iter().any(|path| is_there(usage, path)).then_some(written))
}

fn anthropic(usage: &Value) -> Result<Tokens, MeasureError> {
    let minutes = number(usage, &["cache_creation", "ephemeral_5m_input_tokens"])?;
    let hour = number(usage, &["cache_creation", "ephemeral_1h_input_tokens"])?;
    let all = match is_there(usage, &["cache_creation_input_tokens"]) {
        true => number(usage, &["cache_creation_input_tokens"])?,
        false => minutes + hour,
    };
    within(minutes + hour, all, "usage.cache_creation")?;
    Ok(Tokens {
        input: required(usage, &["input_tokens"])?,
        cached: number(usage, &["cache_read_input_tokens"])?,
        output: required(usage, &["output_tokens"])?,
        written: Some(Written { usual: all - hour, hour }),
    })
}

fn bedrock(usage: &Value) -> Result<Tokens, MeasureError> {
    // The AI SDK sums up other providers' counts under the same names, and holds what is cached inside.
    refuse_summary(usage, &[&["cachedInputTokens"], &["reasoningTokens"], &["inputTokenDetails"]])?;
    // Models that are called by themselves (Nova) say `…Count`.
    let read = [&["cacheReadInputTokens"][..], &["cacheReadInputTokenCount"]];
    let write = [&["cacheWriteInputTokens"][..], &["cacheWriteInputTokenCount"]];
    let mut hour = 0;
    for (index, detail) in usage.get("cacheDetails").and_then(Value::as_array).into_iter().flatten().enumerate() {
        if detail.get("ttl").and_then(Value::as_str) == Some("1h") {
            let written = count_of(&detail["inputTokens"], &format!("cacheDetails[{index}].inputTokens"))?;
            hour = written.saturating_add(hour);
        }
    }
    let all = first_of(usage, &write)?;
    let written = Written { usual: without(all, hour, "usage.cacheDetails")?, hour };
    Ok(Tokens {
        input: required(usage, &["inputTokens"])?,
        cached: first_of(usage, &read)?,
        output: required(usage, &["outputTokens"])?,
        written: write.iter().any(|path| is_there(usage, path)).then_some(written),
    })
}

fn cohere(usage: &Value) -> Result<Tokens, MeasureError> {
    let billed = |name: &str| number(usage, &["billed_units", name]);
    let (input, output) = match (billed("input_tokens")?, billed("output_tokens")?) {
        (0, 0) => (required(usage, &["tokens", "input_tokens"])?, number(usage, &["tokens", "output_tokens"])?),
        billed => billed,
    };
    Ok(Tokens { input, output, ..Tokens::default() })
}

fn ollama(usage: &Value) -> Result<Tokens, MeasureError> {
    let prompt = required(usage, &["prompt_eval_count"])?;
    let cached = number(usage, &["prompt_eval_cached_count"])?;
    let input = without(prompt, cached, "usage.prompt_eval_count")?;
    Ok(Tokens { input, cached, output: number(usage, &["eval_count"])?, written: None })
}

/// How Gemini calls its counts.
struct Gemini {
    shape: &'static str,
    prompt: &'static str,
    cached: &'static str,
    tools: &'static str,
    candidates: &'static str,
    thoughts: &'static str,
    total: &'static str,
}

/// As its API writes them, as its Python client does, and as its interactions are counted.
const GEMINI: [Gemini; 3] = [
    Gemini {
        shape: "gemini",
        prompt: "promptTokenCount",
        cached: "cachedContentTokenCount",
        tools: "toolUsePromptTokenCount",
        candidates: "candidatesTokenCount",
        thoughts: "thoughtsTokenCount",
        total: "totalTokenCount",
    },
    Gemini {
        shape: "gemini",
        prompt: "prompt_token_count",
        cached: "cached_content_token_count",
        tools: "tool_use_prompt_token_count",
        candidates: "candidates_token_count",
        thoughts: "thoughts_token_count",
        total: "total_token_count",
    },
    Gemini {
        shape: "gemini_interactions",
        prompt: "total_input_tokens",
        cached: "total_cached_tokens",
        tools: "total_tool_use_tokens",
        candidates: "total_output_tokens",
        thoughts: "total_thought_tokens",
        total: "total_tokens",
    },
];

fn gemini(usage: &Value, names: &Gemini) -> Result<Tokens, MeasureError> {
    let count = |name: &str| number(usage, &[name]);
    let cached = count(names.cached)?;
    let prompt = without(count(names.prompt)?, cached, &format!("usage.{}", names.prompt))?;
    // What tools answered is fed back to the model: input, reported beside the prompt.
    let tools = count(names.tools)?;
    let (candidates, thoughts) = (count(names.candidates)?, count(names.thoughts)?);
    let holds_thoughts = thoughts <= candidates && count(names.total)? == prompt + cached + tools + candidates;
    let output = if holds_thoughts { candidates } else { candidates + thoughts };
    Ok(Tokens { input: prompt + tools, cached, output, written: None })
}

/// The output with its reasoning: inside it, unless the total is that of all three.
fn with_reasoning(usage: &Value, input: u64, output: u64, path: &[&str]) -> Result<u64, MeasureError> {
    let reasoning = number(usage, path)?;
    if 0 < reasoning && number(usage, &["total_tokens"])? == input + output + reasoning {
        return Ok(output + reasoning);
    }
    within(reasoning, output, &format!("usage.{}", path.join(".")))?;
    Ok(output)
}

/// What of a whole input was neither read from a cache nor written to one.
fn fresh(whole: u64, cached: u64, written: Option<Written>, field: &str) -> Result<u64, MeasureError> {
    without(whole, cached + written.map_or(0, |it| it.usual + it.hour), field)
}

/// Refuses what a library made of a provider's counts, told by a name that no provider has: what is inside what was
/// the provider's to say.
fn refuse_summary(usage: &Value, names: &[&[&str]]) -> Result<(), MeasureError> {
    let Some(path) = names.iter().find(|path| is_there(usage, path)) else { return Ok(()) };
    Err(refusal(&format!("usage.{}", path.join(".")), "is a library's, and not the provider's own".to_owned()))
}

/// The first count that is more than none, of several names for the same.
fn first_of(usage: &Value, paths: &[&[&str]]) -> Result<u64, MeasureError> {
    for path in paths {
        match number(usage, path)? {
            0 => {}
            count => return Ok(count),
        }
    }
    Ok(0)
}

/// A count at a path; absent and null are zero, as providers mean them.
fn number(usage: &Value, path: &[&str]) -> Result<u64, MeasureError> {
    match at(usage, path) {
        None => Ok(0),
        Some(value) => count_of(value, &path.join(".")),
    }
}

/// A count without which nothing is known.
fn required(usage: &Value, path: &[&str]) -> Result<u64, MeasureError> {
    let missing = || refusal(&format!("usage.{}", path.join(".")), "is missing".to_owned());
    count_of(at(usage, path).ok_or_else(missing)?, &path.join("."))
}

fn is_there(usage: &Value, path: &[&str]) -> bool {
    at(usage, path).is_some()
}

fn at<'v>(usage: &'v Value, path: &[&str]) -> Option<&'v Value> {
    let found = path.iter().try_fold(usage, |value, name| value.get(name));
    found.filter(|value| !value.is_null())
}

fn count_of(value: &Value, field: &str) -> Result<u64, MeasureError> {
    let field = format!("usage.{field}");
    let count = whole(value).ok_or_else(|| refusal(&field, format!("{value} is not a whole number of tokens")))?;
    if USAGE_TOKENS_MAX < count {
        return Err(refusal(&field, format!("{count} is over {USAGE_TOKENS_MAX} tokens")));
    }
    Ok(count)
}

/// A whole number, though it were written `11.0`, as clients do that read every number as a fraction (Cohere's).
fn whole(value: &Value) -> Option<u64> {
    let Value::Number(number) = value else { return None };
    let written = number.to_string();
    written.strip_suffix(".0").unwrap_or(&written).parse().ok()
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
