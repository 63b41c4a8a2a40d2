//! Rate cards: every version kept, none changed, a new one checked and compared before it is added.
use std::sync::Arc;

use billing::Refusal;
use billing::rating::{Difference, RateCard};
use billing::time::Timestamp;
use store::{Audit, CardRecord, Change, CommitError, Fault};

use super::Error;
use crate::app::App;
use crate::rate_card::to_json;

/// A card to be added, parsed.
#[derive(Clone, Debug)]
pub struct Upload {
    pub card: RateCard,
    /// Only say what would change.
    pub is_dry_run: bool,
    /// Name of the API key that uploads.
    pub by: String,
}

#[derive(Clone, Debug)]
pub struct Uploaded {
    pub card: Arc<RateCard>,
    /// Against the latest version there was.
    pub differences: Vec<Difference>,
    pub is_dry_run: bool,
}

impl App {
    pub fn upload_rate_card(&self, upload: Upload) -> Result<Uploaded, Error> {
        self.reread()?;
        let cards = self.cards();
        let now = self.now();
        cards.admits(&upload.card, now).map_err(|it| Refusal::invalid(it.field(), it))?;
        let differences = cards.latest().map(|it| it.diff(&upload.card)).unwrap_or_default();
        if !upload.is_dry_run {
            self.add_card(&upload.card, &upload.by, now)?;
        }
        Ok(Uploaded { card: Arc::new(upload.card), differences, is_dry_run: upload.is_dry_run })
    }

    /// Where the store has no card yet, `card` is the first, and has held from the beginning.
    pub(crate) fn install_first_card(&self, card: &RateCard) -> Result<(), Fault> {
        if !self.store.rate_cards()?.is_empty() {
            return Ok(());
        }
        match self.store.commit(&[record(card, "first start", self.now())]) {
            // Another node started at the same moment.
            Ok(()) | Err(CommitError::Stale | CommitError::Repeated) => Ok(()),
            Err(CommitError::Fault(fault)) => Err(fault),
        }
    }

    fn add_card(&self, card: &RateCard, by: &str, now: Timestamp) -> Result<(), Error> {
        let audit = Audit {
            at: now,
            by: by.to_owned(),
            action: "rate_card.upload".to_owned(),
            subject: format!("version {}", card.version()),
            detail: String::new(),
        };
        match self.store.commit(&[record(card, by, now), Change::Audit(audit)]) {
            Ok(()) => Ok(self.reread()?),
            Err(CommitError::Stale | CommitError::Repeated) => {
                Err(Refusal::invalid("version", "was taken by another upload a moment ago").into())
            }
            Err(CommitError::Fault(fault)) => Err(fault.into()),
        }
    }
}

fn record(card: &RateCard, by: &str, now: Timestamp) -> Change {
    Change::RateCard(CardRecord {
        version: card.version(),
        effective_at: card.effective_at(),
        created_at: now,
        by: by.to_owned(),
        document: to_json(card).to_string(),
    })
}
