//! Which tokenizer counts for which model.
//!
//! Must never know: requests, usage. Invariant: every name gets a tokenizer; one that is not the model's own says so.
//!
//! Compared with the vendors' own on prose, code and several scripts: OpenAI's, Llama 3's and DeepSeek's agree to the
//! token. So does Qwen's up to Qwen 3, but for letters that are written apart from their marks (`e` and U+0301), which
//! it puts together before it counts: such a text counts for more here.

use tiktoken::CoreBpe;

/// Name and version of the crate whose vocabularies count; part of every evidence. Kept equal to Cargo.toml by a test.
pub const TOKENIZER_VERSION: &str = "tiktoken 4.1.2";

/// Counts for models whose own tokenizer is not public.
const FALLBACK: &str = "o200k_base";

/// Models that share a family's name but were trained with another vocabulary than the one shipped for the family: an
/// older one, a newer one (Llama 4, Qwen from 3.5 on), or whichever the vendor's name stands for today.
const OTHER_VOCABULARY: [&str; 25] = [
    "llama-1",
    "llama-2",
    "llama2",
    "llama-4",
    "llama4",
    "mistral-7b",
    "mistral-tiny",
    "mistral-medium-23",
    "mistral-small-24",
    "mistral-large-24",
    "mixtral",
    "codestral-22b",
    "open-mixtral",
    "open-mistral-7b",
    "deepseek-v2",
    "deepseek-coder",
    "deepseek-llm",
    "deepseek-r1-distill",
    "qwen3.",
    "qwen4",
    "qwen-flash",
    "qwen-max",
    "qwen-plus",
    "qwen-turbo",
    "qwen-long",
];

/// First-generation names are whole words: `ada` and `ada-…`, but not `adaptive-chat`.
const WHOLE_WORDS: [&str; 6] = ["ada", "babbage", "curie", "davinci", "o1", "o3"];

/// A vocabulary, and how far it can be trusted for the model it was chosen for.
#[derive(Clone)]
pub struct Tokenizer {
    /// The encoding's name, such as `o200k_base`.
    pub name: &'static str,
    /// The vocabulary is not known to be the model's own.
    pub estimated: bool,
    /// The message framing is known to be the model's own.
    pub framing_exact: bool,
    vocabulary: &'static CoreBpe,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("name", &self.name).field("estimated", &self.estimated).finish()
    }
}

impl Tokenizer {
    /// The model's own tokenizer where it ships, else `o200k_base`, marked as an estimate.
    #[must_use]
    pub fn of_model(model: &str) -> Self {
        // Routers write `vendor/model`; the vendor says nothing about the vocabulary. Case differs between hosts.
        let bare = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
        let own = tiktoken::model_to_encoding(&bare).filter(|_| is_whole_word(&bare));
        let other = OTHER_VOCABULARY.iter().any(|other| bare.starts_with(other));
        let name = own.unwrap_or(FALLBACK);
        let openai = ["o200k_base", "cl100k_base"].contains(&name);
        Self {
            name,
            estimated: own.is_none() || other,
            framing_exact: own.is_some() && openai,
            vocabulary: vocabulary(name),
        }
    }

    /// A tokenizer by the encoding's own name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = tiktoken::list_encodings().iter().copied().find(|known| *known == name)?;
        Some(Self { name, estimated: false, framing_exact: false, vocabulary: vocabulary(name) })
    }

    /// Tokens of the whole text; control tokens are not recognised in it.
    #[must_use]
    pub fn count(&self, text: &str) -> u64 {
        self.vocabulary.count(text) as u64
    }
}

fn vocabulary(name: &str) -> &'static CoreBpe {
    tiktoken::get_encoding(name).expect("every vocabulary is compiled in: Cargo.toml leaves the default features on")
}

fn is_whole_word(model: &str) -> bool {
    let starts = WHOLE_WORDS.iter().filter_map(|word| model.strip_prefix(word));
    !starts.map(|rest| rest.chars().next()).any(|next| next.is_some_and(|c| c != '-' && c != ':'))
}
