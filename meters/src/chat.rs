//! Chat: a message list or text, a reply and a model in; tokens out.
//!
//! Must never know: what a token costs, or who spoke. No network: the vocabularies are inside the binary.
//!
//! Invariant: tokens are those of the whole text, however it arrived: [`Counter`] fed in pieces ends at the same count
//! as one call. Text that looks like a control token (`<|endoftext|>`) is counted as the plain text it is.

mod counter;
mod request;
mod tokenizer;
mod usage;

pub use counter::Counter;
pub use request::{ChatRequest, Content, Input, Message, Outcome, Part};
pub use tokenizer::{TOKENIZER_VERSION, Tokenizer};

use std::borrow::Cow;

use request::SYSTEM;
use serde_json::json;

use crate::{MeasureError, Measurement};

/// Bytes of text in one request, all messages and the reply together.
pub const TEXT_BYTES_MAX: u64 = 16 << 20;
/// Messages in one request.
pub const MESSAGES_MAX: u64 = 10_000;

/// Tokens that frame a message, the name in a message, and the reply to come.
///
/// Source: OpenAI Cookbook, "How to count tokens with tiktoken", `num_tokens_from_messages`: 3 a message, 1 a name, and
/// "every reply is primed with `<|start|>assistant<|message|>`", 3. Other vendors frame alike, not equally: there it is
/// an estimate, and marked so.
const FRAME_MESSAGE: u64 = 3;
const FRAME_NAME: u64 = 1;
const FRAME_REPLY: u64 = 3;

/// Counts the tokens of one chat exchange.
///
/// Quantities: `input_tokens` (neither from a cache nor written to one), `cached_input_tokens`, `output_tokens`
/// (reasoning included) and, where the provider reports them, `cache_write_tokens` and `cache_write_1h_tokens` (what
/// was written for an hour). Dimensions: `model`; `asked_model` when another model was asked for; `outcome` (`empty` or
/// `failed`) when there was no usable reply.
///
/// The provider's usage object wins over a local count, which is then kept in the evidence beside it, or is null where
/// something in the request cannot be counted here.
///
/// Tools are counted as the JSON that they are, which is an estimate: how a provider writes them down is its own.
///
/// # Errors
/// [`MeasureError`] when the request is too long, has a part without text, or a usage object of no known shape.
pub fn measure(request: &ChatRequest) -> Result<Measurement, MeasureError> {
    let tokenizer = Tokenizer::of_model(&request.model);
    let counted = match request.check().and_then(|()| count(request, &tokenizer)) {
        // Its provider has counted what cannot be counted here.
        Err(MeasureError::UnsupportedPart { .. } | MeasureError::ChatTooLong { .. }) if request.usage.is_some() => None,
        counted => Some(counted?),
    };
    let here = counted.as_ref();
    let (input, output) = here.map_or((0, 0), |it| (it.input, it.reply.unwrap_or(0)));
    let (tokens, mut evidence) = match &request.usage {
        None => (usage::Tokens { input, output, ..usage::Tokens::default() }, json!({ "source": "text" })),
        Some(reported) => {
            let (shape, tokens) = usage::read(reported)?;
            (tokens, json!({ "source": "usage", "usage_shape": shape, "usage": reported }))
        }
    };
    if request.input.is_some() || request.reply.is_some() || request.tool_calls.is_some() {
        evidence["counted"] = here.map_or(serde_json::Value::Null, |it| it.evidence(&tokenizer));
    }
    let framing_exact = here.is_none_or(|it| it.framing_exact);
    evidence["estimated"] = json!(request.usage.is_none() && (tokenizer.estimated || !framing_exact));

    let mut measurement = Measurement::new("ai_chat", evidence)
        .quantity("input_tokens", tokens.input)
        .quantity("cached_input_tokens", tokens.cached)
        .quantity("output_tokens", tokens.output)
        .dimension("model", request.model.as_str());
    if let Some(written) = tokens.written {
        measurement = measurement.quantity("cache_write_tokens", written.usual);
        if 0 < written.hour {
            measurement = measurement.quantity("cache_write_1h_tokens", written.hour);
        }
    }
    if let Some(asked) = request.asked_model.as_deref().filter(|asked| *asked != request.model) {
        measurement = measurement.dimension("asked_model", asked);
    }
    match outcome(request, tokens.output) {
        Outcome::Ok => Ok(measurement),
        Outcome::Empty => Ok(measurement.dimension("outcome", "empty")),
        Outcome::Failed => Ok(measurement.dimension("outcome", "failed")),
    }
}

/// What the caller says, else what the reply shows. A request without a reply yet (a quote) is not an empty reply.
///
/// A reply without words is empty, whatever its provider counted: that was thought, and nobody can read it. One that
/// calls something is not; and where nothing is said of calls, a provider that counted some output of a model that had
/// tools is taken to have counted a call.
fn outcome(request: &ChatRequest, output_tokens: u64) -> Outcome {
    if let Some(said) = request.outcome {
        return said;
    }
    let is_blank = request.reply.as_deref().is_some_and(|reply| reply.trim().is_empty());
    let calls = match &request.tool_calls {
        Some(calls) => !calls.is_empty(),
        None => request.usage.is_some() && !request.tools.is_empty(),
    };
    if request.usage.is_some() && output_tokens == 0 || is_blank && !calls { Outcome::Empty } else { Outcome::Ok }
}

/// What the local tokenizer counted.
struct Counted {
    input: u64,
    reply: Option<u64>,
    /// Role and tokens of each message, framing included.
    messages: Vec<(String, u64)>,
    framing: u64,
    framing_exact: bool,
}

impl Counted {
    fn add(&mut self, role: &str, texts: &[Cow<'_, str>], name: Option<&str>, tokenizer: &Tokenizer) {
        let (mut words, mut framing) = (tokenizer.count(role), FRAME_MESSAGE);
        words += texts.iter().map(|text| counter::count_whole(tokenizer, text)).sum::<u64>();
        if let Some(name) = name {
            words += tokenizer.count(name);
            framing += FRAME_NAME;
        }
        self.framing += framing;
        self.input += words + framing;
        self.messages.push((role.to_owned(), words + framing));
    }

    fn evidence(&self, tokenizer: &Tokenizer) -> serde_json::Value {
        let messages: Vec<_> =
            self.messages.iter().map(|(role, tokens)| json!({ "role": role, "tokens": tokens })).collect();
        json!({
            "tokenizer": tokenizer.name,
            "tokenizer_version": TOKENIZER_VERSION,
            "tokenizer_estimated": tokenizer.estimated,
            "messages": messages,
            "framing_tokens": self.framing,
            "input_tokens": self.input,
            "reply_tokens": self.reply,
        })
    }
}

fn count(request: &ChatRequest, tokenizer: &Tokenizer) -> Result<Counted, MeasureError> {
    let mut counted =
        Counted { input: 0, reply: None, messages: Vec::new(), framing: 0, framing_exact: tokenizer.framing_exact };
    match &request.input {
        None => {}
        // Plain text is one person's words: no frame is known, so none is added.
        Some(Input::Text(text)) => {
            counted.framing_exact = true;
            counted.input = counter::count_whole(tokenizer, text);
            counted.messages.push(("text".to_owned(), counted.input));
        }
        Some(Input::Messages(messages)) => {
            if let Some(system) = &request.system {
                counted.add(SYSTEM, &system.texts(SYSTEM)?, None, tokenizer);
            }
            for (index, message) in messages.iter().enumerate() {
                counted.add(&message.role, &message.texts(index)?, message.name.as_deref(), tokenizer);
                let has_calls = !message.tool_calls.is_empty() || message.function_call.is_some();
                counted.framing_exact &= !has_calls && !message.content.has_calls();
            }
            counted.framing += FRAME_REPLY;
            counted.input += FRAME_REPLY;
        }
    }
    if !request.tools.is_empty() {
        let tokens = request.tools.iter().map(|it| counter::count_whole(tokenizer, &it.to_string())).sum();
        counted.messages.push(("tools".to_owned(), tokens));
        counted.input += tokens;
        counted.framing_exact = false;
    }
    let replied = request.reply_texts()?;
    counted.reply = replied.map(|texts| texts.iter().map(|it| counter::count_whole(tokenizer, it)).sum());
    counted.framing_exact &= request.tool_calls.as_ref().is_none_or(Vec::is_empty);
    Ok(counted)
}
