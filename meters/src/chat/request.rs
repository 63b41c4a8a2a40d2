//! The chat request: the one JSON form of API, CLI and library.
//!
//! Must never know: tokenizers. Invariant: a request that deserialised has a model and something to count.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};

use super::{MESSAGES_MAX, TEXT_BYTES_MAX};
use crate::{MeasureError, plain};

/// The role of what a model is told beside the messages, and the field where it is told.
pub(super) const SYSTEM: &str = "system";

/// Parts of messages that call something, and have what came of it.
const CALL: &str = "tool_use";
const RESULT: &str = "tool_result";

/// `{model, asked_model?, messages | text, system?, tools?, reply?, tool_calls?, usage?, outcome?}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct ChatRequest {
    /// The model that answered.
    pub model: String,
    /// The model that was asked for, where a fallback answered instead.
    pub asked_model: Option<String>,
    /// What was sent to the model. May be left out when `usage` is there.
    pub input: Option<Input>,
    /// Where the provider takes it beside the messages; counted with them, as a message.
    pub system: Option<Content>,
    /// What the model was told that it may call.
    pub tools: Vec<serde_json::Value>,
    /// What came back; none before the work (a quote).
    pub reply: Option<String>,
    /// What the reply calls, beside its words or instead of them; none where nothing is said of it.
    pub tool_calls: Option<Vec<serde_json::Value>>,
    /// The provider's usage object, unchanged.
    pub usage: Option<serde_json::Value>,
    /// Said by the caller where it knows better than the reply shows.
    pub outcome: Option<Outcome>,
}

/// What was sent to the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Words alone, counted without framing.
    Text(String),
    /// A message list, counted with the framing of the chat format.
    Messages(Vec<Message>),
}

/// Whether the work gave something to pay for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    Empty,
    Failed,
}

/// One message, as chat APIs write it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub role: String,
    #[serde(default)]
    pub content: Content,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_none")]
    pub tool_calls: Vec<serde_json::Value>,
    /// As calls were written before there were several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function_call: Option<serde_json::Value>,
}

/// A message's content: nothing (a tool call), words, or parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    #[default]
    None,
    Text(String),
    Parts(Vec<Part>),
}

/// A part of a message. Only parts with words can be counted without the provider: text, and where calls are parts of
/// messages (Anthropic), what is called and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Of a `tool_use`, with its `input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<serde_json::Value>,
    /// Of a `tool_result`: nothing, words, or parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<serde_json::Value>,
    /// Of a `refusal`, which is what a model said instead of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<serde_json::Value>,
}

impl ChatRequest {
    /// A request for plain text, with no reply yet.
    #[must_use]
    pub fn of_text(model: &str, text: &str) -> Self {
        Self {
            model: model.to_owned(),
            asked_model: None,
            input: Some(Input::Text(text.to_owned())),
            system: None,
            tools: Vec::new(),
            reply: None,
            tool_calls: None,
            usage: None,
            outcome: None,
        }
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`MeasureError::InvalidChat`] naming what is wrong.
    pub fn from_json(bytes: &[u8]) -> Result<Self, MeasureError> {
        serde_json::from_slice(bytes)
            .map_err(|error| MeasureError::InvalidChat { field: "body".to_owned(), problem: plain::of_json(&error) })
    }

    /// The words of what came back; none before the work.
    pub(super) fn reply_texts(&self) -> Result<Option<Vec<Cow<'_, str>>>, MeasureError> {
        let calls = self.tool_calls.as_deref().unwrap_or_default();
        if self.reply.is_none() && calls.is_empty() {
            return Ok(None);
        }
        let mut texts: Vec<_> = self.reply.as_deref().map(Cow::from).into_iter().collect();
        for (at, call) in calls.iter().enumerate() {
            texts.extend(words_of(call, || format!("tool_calls[{at}]"))?);
        }
        Ok(Some(texts))
    }

    /// The limits, before any counting.
    pub(super) fn check(&self) -> Result<(), MeasureError> {
        let length = |texts: Vec<Cow<'_, str>>| texts.iter().map(|text| text.len()).sum::<usize>();
        let mut bytes = self.reply.as_deref().map_or(0, str::len);
        if let Some(system) = &self.system {
            bytes += length(system.texts(SYSTEM)?);
        }
        match &self.input {
            None => {}
            Some(Input::Text(text)) => bytes += text.len(),
            Some(Input::Messages(messages)) => {
                limit("messages", messages.len() as u64, MESSAGES_MAX)?;
                for (index, message) in messages.iter().enumerate() {
                    bytes += message.role.len() + message.name.as_deref().map_or(0, str::len);
                    bytes += length(message.texts(index)?);
                }
            }
        }
        let documents = self.tools.iter().chain(self.tool_calls.iter().flatten());
        bytes += documents.map(|it| it.to_string().len()).sum::<usize>();
        limit("text", bytes as u64, TEXT_BYTES_MAX)
    }
}

fn limit(field: &str, found: u64, max: u64) -> Result<(), MeasureError> {
    if found <= max {
        return Ok(());
    }
    Err(MeasureError::ChatTooLong { field: field.to_owned(), found, max })
}

impl Content {
    fn is_empty(&self) -> bool {
        match self {
            Content::None => true,
            Content::Text(text) => text.is_empty(),
            Content::Parts(parts) => parts.is_empty(),
        }
    }

    /// Its words, if it has no others than those; `field` is where it stands.
    pub(super) fn texts(&self, field: &str) -> Result<Vec<Cow<'_, str>>, MeasureError> {
        let parts = match self {
            Content::None => return Ok(Vec::new()),
            Content::Text(text) => return Ok(vec![Cow::from(text)]),
            Content::Parts(parts) => parts.iter().enumerate(),
        };
        let mut texts = Vec::new();
        for (index, part) in parts {
            texts.extend(part.texts(&format!("{field}[{index}]"))?);
        }
        Ok(texts)
    }

    /// Whether it calls something, or has what came of a call: how that is framed is its provider's own.
    pub(super) fn has_calls(&self) -> bool {
        matches!(self, Content::Parts(parts) if parts.iter().any(|part| [CALL, RESULT].contains(&&*part.kind)))
    }
}

impl Part {
    fn texts(&self, field: &str) -> Result<Vec<Cow<'_, str>>, MeasureError> {
        // A part without words would be free if it were skipped: better no answer than a wrong one.
        let unsupported =
            |field: &str, kind: &str| MeasureError::UnsupportedPart { field: field.to_owned(), kind: kind.to_owned() };
        let content = self.content.as_ref().filter(|content| !content.is_null());
        match (&*self.kind, &self.text) {
            (_, Some(text)) => Ok(vec![Cow::from(text)]),
            (CALL, None) => Ok([&self.name, &self.input].into_iter().flatten().map(words).collect()),
            (RESULT, None) => match content {
                Some(serde_json::Value::Array(parts)) => {
                    let mut texts = Vec::new();
                    for (index, part) in parts.iter().enumerate() {
                        let said = |name: &str| part.get(name).and_then(serde_json::Value::as_str);
                        let kind = said("type").unwrap_or("part");
                        let text =
                            said("text").ok_or_else(|| unsupported(&format!("{field}.content[{index}]"), kind))?;
                        texts.push(Cow::from(text));
                    }
                    Ok(texts)
                }
                content => Ok(content.map(words).into_iter().collect()),
            },
            ("refusal", None) if self.refusal.is_some() => Ok(self.refusal.iter().map(words).collect()),
            (kind, None) => Err(unsupported(field, kind)),
        }
    }
}

/// A value as it reaches a model: text as it is, anything else as JSON.
fn words(value: &serde_json::Value) -> Cow<'_, str> {
    value.as_str().map_or_else(|| Cow::from(value.to_string()), Cow::from)
}

impl Message {
    /// All of the message's own words: content, then what it calls.
    pub(super) fn texts(&self, index: usize) -> Result<Vec<Cow<'_, str>>, MeasureError> {
        let mut texts = self.content.texts(&format!("messages[{index}].content"))?;
        let several = self.tool_calls.iter().enumerate().map(|(at, call)| (Some(at), call));
        for (at, call) in several.chain(self.function_call.iter().map(|call| (None, call))) {
            texts.extend(words_of(call, || match at {
                Some(at) => format!("messages[{index}].tool_calls[{at}]"),
                None => format!("messages[{index}].function_call"),
            })?);
        }
        Ok(texts)
    }
}

/// The words of a call: what is called, and with what. `field` is where it stands.
fn words_of(call: &serde_json::Value, field: impl Fn() -> String) -> Result<Vec<Cow<'_, str>>, MeasureError> {
    let called = call.get("function").or_else(|| call.get("custom")).unwrap_or(call);
    let parts = ["name", "arguments", "input"].into_iter().filter_map(|key| called.get(key));
    let words: Vec<_> = parts.map(words).collect();
    if words.is_empty() {
        let kind = call.get("type").and_then(serde_json::Value::as_str).unwrap_or("tool call").to_owned();
        return Err(MeasureError::UnsupportedPart { field: field(), kind });
    }
    Ok(words)
}

/// A list; none where it is null, as clients write what they have not.
fn null_as_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(list: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(list)?.unwrap_or_default())
}

#[derive(Serialize, Deserialize)]
struct Raw {
    model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked_model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<Message>>,
    /// Some providers take it beside the messages, under one name or the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    system: Option<Content>,
    #[serde(default, skip_serializing)]
    instructions: Option<Content>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_none")]
    tools: Vec<serde_json::Value>,
    /// As tools were written before there were others than functions.
    #[serde(default, skip_serializing, deserialize_with = "null_as_none")]
    functions: Vec<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tool_calls: Option<Vec<serde_json::Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usage: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
}

impl TryFrom<Raw> for ChatRequest {
    type Error = &'static str;

    fn try_from(raw: Raw) -> Result<Self, Self::Error> {
        if raw.model.trim().is_empty() {
            return Err("has an empty model");
        }
        let spoken = |content: Option<Content>| content.filter(|it| !it.is_empty());
        let system = match (spoken(raw.system), spoken(raw.instructions)) {
            (Some(_), Some(_)) => return Err("has both system and instructions; one is enough"),
            (system, instructions) => system.or(instructions),
        };
        if !raw.tools.is_empty() && !raw.functions.is_empty() {
            return Err("has both tools and functions; one is enough");
        }
        if !raw.tools.iter().chain(&raw.functions).all(serde_json::Value::is_object) {
            return Err("has something among tools or functions that is no object");
        }
        let input = match (raw.text, raw.messages) {
            (Some(_), Some(_)) => return Err("has both text and messages; one is enough"),
            // Beside a system prompt it is a message: the two are told apart by their frames.
            (Some(text), None) if system.is_some() => {
                let content = Content::Text(text);
                Some(Input::Messages(vec![Message { role: "user".to_owned(), content, ..Message::default() }]))
            }
            (Some(text), None) => Some(Input::Text(text)),
            (None, Some(messages)) => Some(Input::Messages(messages)),
            (None, None) if raw.usage.is_none() => return Err("has none of text, messages and usage"),
            (None, None) => None,
        };
        // Alone beside the provider's count it is the least of what was sent: that is not counted here.
        let system = system.filter(|_| input.is_some());
        Ok(Self {
            model: raw.model,
            asked_model: raw.asked_model,
            input,
            system,
            tools: if raw.tools.is_empty() { raw.functions } else { raw.tools },
            reply: raw.reply,
            tool_calls: raw.tool_calls,
            usage: raw.usage,
            outcome: raw.outcome,
        })
    }
}

impl From<ChatRequest> for Raw {
    fn from(request: ChatRequest) -> Self {
        let (text, messages) = match request.input {
            None => (None, None),
            Some(Input::Text(text)) => (Some(text), None),
            Some(Input::Messages(messages)) => (None, Some(messages)),
        };
        Self {
            model: request.model,
            asked_model: request.asked_model,
            text,
            messages,
            system: request.system,
            instructions: None,
            tools: request.tools,
            functions: Vec::new(),
            reply: request.reply,
            tool_calls: request.tool_calls,
            usage: request.usage,
            outcome: request.outcome,
        }
    }
}
