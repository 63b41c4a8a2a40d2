//! Which tokenizer counts for which model.
//!
//! Must never know: requests, usage. Invariant: every name gets a tokenizer; one that is not the model's own says so.

use tiktoken::CoreBpe;

/// Name and version of the crate whose vocabularies count; part of every evidence. Kept equal to Cargo.toml by a test.
pub const TOKENIZER_VERSION: &str = "tiktoken 4.1.2";

/// Counts for models whose own tokenizer is not public.
const FALLBACK: &str = "o200k_base";

/// Models that share a family's name but were trained with an older vocabulary than the one shipped for the family.
const OLDER_VOCABULARY: [&str; 8] =
    ["llama-1", "llama-2", "llama2", "mistral-7b", "mistral-tiny", "mixtral", "codestral-22b", "open-mixtral"];

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
        let older = OLDER_VOCABULARY.iter().any(|old| bare.starts_with(old));
        let name = own.unwrap_or(FALLBACK);
        let openai = ["o200k_base", "cl100k_base"].contains(&name);
        Self {
            name,
            estimated: own.is_none() || older,
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
