//! What an account wants to be written to about. Everything, until somebody says otherwise; what it must not miss, such
//! as a payment that failed or servers about to be stopped, is no matter of preference.
//!
//! A mail carries a sealed link that ends its topic without signing in, and opens nothing else.
use std::str::FromStr;

use billing::id::{AccountNumber, Name};
use serde::{Deserialize, Serialize};
use store::{Audit, Change};

use super::Error;
use super::documents::Kept;
use crate::app::App;

const KIND: &str = "notice_preferences";
const ID: &str = "1";
/// What the link in a mail is sealed for.
const LINK: &str = "unsubscribe";

/// Mails that one may do without.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    Receipts,
    Balance,
    Budgets,
    Expiry,
    Renewals,
    Digest,
}

impl Topic {
    pub const ALL: [Topic; 6] =
        [Topic::Receipts, Topic::Balance, Topic::Budgets, Topic::Expiry, Topic::Renewals, Topic::Digest];

    pub fn as_str(self) -> &'static str {
        match self {
            Topic::Receipts => "receipts",
            Topic::Balance => "balance",
            Topic::Budgets => "budgets",
            Topic::Expiry => "expiry",
            Topic::Renewals => "renewals",
            Topic::Digest => "digest",
        }
    }
    /// As people read it.
    pub fn label(self) -> &'static str {
        match self {
            Topic::Receipts => "Receipts and invoices",
            Topic::Balance => "Low balance and runway",
            Topic::Budgets => "Budgets",
            Topic::Expiry => "Cards and credits that expire",
            Topic::Renewals => "Renewals ahead",
            Topic::Digest => "The weekly summary",
        }
    }
}

impl FromStr for Topic {
    type Err = ();
    fn from_str(text: &str) -> Result<Topic, ()> {
        Topic::ALL.into_iter().find(|it| it.as_str() == text).ok_or(())
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Preferences {
    /// What is not wanted.
    off: Vec<Topic>,
}

impl Preferences {
    pub fn wants(&self, topic: Topic) -> bool {
        !self.off.contains(&topic)
    }
    pub fn set(&mut self, topic: Topic, is_wanted: bool) {
        self.off.retain(|it| *it != topic);
        if !is_wanted {
            self.off.push(topic);
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    account: String,
    topic: Topic,
}

impl App {
    pub fn notice_preferences(&self, account: &Name) -> Result<Preferences, Error> {
        self.preferences_of(self.known(account)?.account.number)
    }

    /// Changes what is said, and leaves the rest.
    pub fn set_notice_preferences(
        &self,
        account: &Name,
        changes: &[(Topic, bool)],
        by: &str,
    ) -> Result<Preferences, Error> {
        let number = self.known(account)?.account.number;
        loop {
            let found = self.kept::<Preferences>(number, KIND, ID)?;
            let mut kept = found.unwrap_or_else(|| Kept::new(number, KIND, ID.to_owned(), Preferences::default()));
            let before = kept.body.clone();
            changes.iter().for_each(|(topic, is_wanted)| kept.body.set(*topic, *is_wanted));
            if kept.body == before {
                return Ok(before);
            }
            let now = self.now();
            let said: Vec<String> = changes
                .iter()
                .map(|(topic, it)| format!("{} {}", topic.as_str(), if *it { "on" } else { "off" }))
                .collect();
            let audit = Change::Audit(Audit {
                at: now,
                by: by.to_owned(),
                action: "notice_preferences.set".to_owned(),
                subject: account.to_string(),
                detail: said.join(", "),
            });
            // Overtaken by another change: made again on what that led to.
            if self.keep(&[kept.next(now, None), audit])? {
                return Ok(kept.body);
            }
        }
    }

    pub(super) fn preferences_of(&self, account: AccountNumber) -> Result<Preferences, Error> {
        Ok(self.kept::<Preferences>(account, KIND, ID)?.map(|it| it.body).unwrap_or_default())
    }

    /// What ends a topic for an account without signing in. It works for ever: mails are read late.
    pub(super) fn unsubscribe_token(&self, account: &Name, topic: Topic) -> Result<String, Error> {
        Ok(self.seal()?.close(LINK, &Sealed { account: account.to_string(), topic })?)
    }

    /// What a link in a mail would end; None for what nobody here has sealed.
    pub fn unsubscribe_link(&self, token: &str) -> Result<Option<(Name, Topic)>, Error> {
        let sealed = self.seal()?.open::<Sealed>(LINK, token);
        Ok(sealed.and_then(|it| Some((it.account.parse().ok()?, it.topic))))
    }

    /// Ends what the link in a mail is for. None for what nobody here has sealed.
    pub fn unsubscribe(&self, token: &str) -> Result<Option<Topic>, Error> {
        let Some((account, topic)) = self.unsubscribe_link(token)? else { return Ok(None) };
        self.set_notice_preferences(&account, &[(topic, false)], "a link in an e-mail")?;
        Ok(Some(topic))
    }
}
