//! The chat request: the one JSON form of API, CLI and library.
//!
//! Must never know: tokenizers. Invariant: a request that deserialised has a model and something to count.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{MESSAGES_MAX, TEXT_BYTES_MAX};
use crate::MeasureError;

/// `{model, asked_model?, messages | text, system?, tools?, reply?, usage?, outcome?}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct ChatRequest {
    /// The model that answered.
    pub model: String,
    /// The model that was asked for, where a fallback answered instead.
    pub asked_model: Option<String>,
    /// What was sent to the model. May be left out when `usage` is there.
    pub input: Option<Input>,
    /// What the model was told that it may call.
    pub tools: Vec<serde_json::Value>,
    /// What came back; none before the work (a quote).
    pub reply: Option<String>,
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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

/// A part of a message. Only parts with text can be counted without the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl ChatRequest {
    /// A request for plain text, with no reply yet.
    #[must_use]
    pub fn of_text(model: &str, text: &str) -> Self {
        Self {
            model: model.to_owned(),
            asked_model: None,
            input: Some(Input::Text(text.to_owned())),
            tools: Vec::new(),
            reply: None,
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
            .map_err(|error| MeasureError::InvalidChat { field: "body".to_owned(), problem: error.to_string() })
    }

    /// The limits, before any counting.
    pub(super) fn check(&self) -> Result<(), MeasureError> {
        let mut bytes = self.reply.as_deref().map_or(0, str::len);
        match &self.input {
            None => {}
            Some(Input::Text(text)) => bytes += text.len(),
            Some(Input::Messages(messages)) => {
                limit("messages", messages.len() as u64, MESSAGES_MAX)?;
                for (index, message) in messages.iter().enumerate() {
                    bytes += message.role.len() + message.name.as_deref().map_or(0, str::len);
                    bytes += message.texts(index)?.iter().map(|text| text.len()).sum::<usize>();
                }
            }
        }
        bytes += self.tools.iter().map(|tool| tool.to_string().len()).sum::<usize>();
        limit("text", bytes as u64, TEXT_BYTES_MAX)
    }
}

fn limit(field: &str, found: u64, max: u64) -> Result<(), MeasureError> {
    if found <= max {
        return Ok(());
    }
    Err(MeasureError::ChatTooLong { field: field.to_owned(), found, max })
}

impl Message {
    /// All of the message's own words: content, then what it calls.
    pub(super) fn texts(&self, index: usize) -> Result<Vec<Cow<'_, str>>, MeasureError> {
        let mut texts = Vec::new();
        match &self.content {
            Content::None => {}
            Content::Text(text) => texts.push(Cow::from(text)),
            Content::Parts(parts) => {
                for (part_index, part) in parts.iter().enumerate() {
                    // A part without text would be free if it were skipped: better no answer than a wrong one.
                    texts.push(part.text.as_deref().map(Cow::from).ok_or_else(|| MeasureError::UnsupportedPart {
                        field: format!("messages[{index}].content[{part_index}]"),
                        kind: part.kind.clone(),
                    })?);
                }
            }
        }
        for (call_index, call) in self.tool_calls.iter().chain(&self.function_call).enumerate() {
            let called = call.get("function").or_else(|| call.get("custom")).unwrap_or(call);
            let words = ["name", "arguments", "input"].into_iter().filter_map(|key| called.get(key));
            let before = texts.len();
            texts.extend(words.map(|it| it.as_str().map_or_else(|| Cow::from(it.to_string()), Cow::from)));
            if texts.len() == before {
                let kind = call.get("type").and_then(serde_json::Value::as_str).unwrap_or("tool call").to_owned();
                let field = format!("messages[{index}].tool_calls[{call_index}]");
                return Err(MeasureError::UnsupportedPart { field, kind });
            }
        }
        Ok(texts)
    }
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
    /// Some providers take it beside the messages.
    #[serde(default, alias = "instructions", skip_serializing)]
    system: Option<Content>,
    #[serde(default, alias = "functions", skip_serializing_if = "Vec::is_empty")]
    tools: Vec<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usage: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
}

impl TryFrom<Raw> for ChatRequest {
    type Error = &'static str;

    fn try_from(raw: Raw) -> Result<Self, Self::Error> {
        if raw.model.trim().is_empty() {
            return Err("model is empty");
        }
        let mut messages = raw.messages;
        if let Some(content) = raw.system.filter(|it| *it != Content::None) {
            let system = Message { role: "system".to_owned(), content, ..Message::default() };
            messages.as_mut().ok_or("system goes with messages")?.insert(0, system);
        }
        let input = match (raw.text, messages) {
            (Some(_), Some(_)) => return Err("both text and messages are given; one is enough"),
            (Some(text), None) => Some(Input::Text(text)),
            (None, Some(messages)) => Some(Input::Messages(messages)),
            (None, None) if raw.usage.is_none() => return Err("none of text, messages or usage is given"),
            (None, None) => None,
        };
        Ok(Self {
            model: raw.model,
            asked_model: raw.asked_model,
            input,
            tools: raw.tools,
            reply: raw.reply,
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
            system: None,
            tools: request.tools,
            reply: request.reply,
            usage: request.usage,
            outcome: request.outcome,
        }
    }
}
