//! Rate cards: every version kept, none changed, a new one checked and compared before it is added.
use std::sync::Arc;

use billing::Refusal;
use billing::rating::{Difference, RateCard};
use billing::time::Timestamp;
use store::{Audit, CardRecord, Change, CommitError, Fault};

use super::Error;
use super::house_requests::{HouseKey, Under};
use super::order::Fingerprint;
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
    pub under: Option<Under>,
}

#[derive(Clone, Debug)]
pub struct Uploaded {
    pub card: Arc<RateCard>,
    /// Against the latest version there was.
    pub differences: Vec<Difference>,
    pub is_dry_run: bool,
    pub is_replay: bool,
}

impl App {
    pub fn upload_rate_card(&self, upload: Upload) -> Result<Uploaded, Error> {
        self.reread()?;
        let under = upload.under.as_ref().filter(|_| !upload.is_dry_run).map(|it| {
            let mut request = Fingerprint::of("rate card");
            request.text(&to_json(&upload.card).to_string());
            HouseKey::of(it, &request)
        });
        if let Some(version) = self.led_before(under.as_ref())? {
            return self.uploaded_before(&version);
        }
        let cards = self.cards();
        let now = self.now();
        cards.admits(&upload.card, now).map_err(|it| Refusal::invalid(it.field(), it))?;
        let differences = cards.latest().map(|it| it.diff(&upload.card)).unwrap_or_default();
        if !upload.is_dry_run {
            self.add_card(&upload.card, &upload.by, now, under.as_ref())?;
        }
        let is_dry_run = upload.is_dry_run;
        Ok(Uploaded { card: Arc::new(upload.card), differences, is_dry_run, is_replay: false })
    }

    /// The answer to the upload that added a version.
    fn uploaded_before(&self, version: &str) -> Result<Uploaded, Error> {
        let cards = self.cards();
        let version: u32 = version.parse().unwrap_or_default();
        let card = cards.version(version).ok_or_else(|| Fault::new("uploading a card", "the version is not there"))?;
        let differences = cards.version(version - 1).map(|it| it.diff(card)).unwrap_or_default();
        Ok(Uploaded { card: Arc::clone(card), differences, is_dry_run: false, is_replay: true })
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

    fn add_card(&self, card: &RateCard, by: &str, now: Timestamp, under: Option<&HouseKey>) -> Result<(), Error> {
        let audit = Audit {
            at: now,
            by: by.to_owned(),
            action: "rate_card.upload".to_owned(),
            subject: format!("version {}", card.version()),
            detail: String::new(),
        };
        let mut changes = vec![record(card, by, now), Change::Audit(audit)];
        changes.extend(under.map(|it| it.led_to(&card.version().to_string())));
        match self.store.commit(&changes) {
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
