//! Words of the rules within documents, such as a currency or how a payment stands: `#[serde(with = "super::word")]`.
//!
//! Kept as the text they are shown as. Invariant: a word nobody here knows is a fault and never a guess, for money in a
//! currency that cannot be read is not euros.
use std::fmt::Display;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub fn serialize<T: Display, S: Serializer>(word: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(word)
}

pub fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| D::Error::custom(format_args!("`{text}` is no word that is known here")))
}

/// The same where there may be none: nothing is said then, and what is said is still no guess.
pub mod perhaps {
    use super::*;

    pub fn serialize<T: Display, S: Serializer>(word: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        word.as_ref().map(ToString::to_string).serialize(serializer)
    }

    pub fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
        #[derive(Deserialize)]
        #[serde(bound = "T: FromStr")]
        struct Word<T>(#[serde(with = "super")] T);

        Ok(Option::<Word<T>>::deserialize(deserializer)?.map(|it| it.0))
    }
}

#[cfg(test)]
mod tests {
    use billing::payment::Failure;
    use billing::subscription::{Every, State};

    use super::*;

    #[derive(Deserialize, Serialize, Debug, PartialEq)]
    struct Words {
        #[serde(with = "super")]
        every: Every,
        #[serde(with = "super")]
        state: State,
        #[serde(default, with = "super::perhaps")]
        failure: Option<Failure>,
    }

    #[test]
    fn words_are_kept_as_the_text_they_were_and_never_guessed() {
        let read = |text: &str| serde_json::from_str::<Words>(text);
        let failed = r#"{"every":"year","state":"past_due","failure":"expired_card"}"#;
        let whole = Words { every: Every::Year, state: State::PastDue, failure: Some(Failure::ExpiredCard) };
        assert_eq!(read(failed).unwrap(), whole);
        assert_eq!(serde_json::to_string(&whole).unwrap(), failed);
        let fine = r#"{"every":"month","state":"active","failure":null}"#;
        let without = Words { every: Every::Month, state: State::Active, failure: None };
        assert_eq!(read(fine).unwrap(), without);
        assert_eq!(serde_json::to_string(&without).unwrap(), fine);
        assert_eq!(read(r#"{"every":"month","state":"active"}"#).unwrap(), without);
        for (word, other) in [("year", "week"), ("past_due", "paused"), ("expired_card", "lost_card")] {
            let unknown = failed.replace(word, other);
            let said = read(&unknown).unwrap_err().to_string();
            assert!(said.contains(&format!("`{other}` is no word that is known here")), "{said}");
        }
    }
}
