//! Accounts: registered once, with their welcome, in one write.
use std::sync::Arc;

use billing::Refusal;
use billing::id::{AccountNumber, Name};
use billing::ledger::{Book, Command};
use billing::money::Currency;
use billing::tax::Country;
use billing::time::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};
use store::{Account, Change, CommitError, Fault, Post};

use super::{By, Error};
use crate::app::App;

/// Signup fingerprints one registration may pass.
const FINGERPRINTS_MAX: usize = 16;
/// How often a registration that met another is tried again.
const ATTEMPTS_MAX: u32 = 8;

/// What a platform says of an account. What it does not say stays as it is.
#[derive(Clone, Debug, Default)]
pub struct AccountProfile {
    pub name: Option<String>,
    pub email: Option<String>,
    pub currency: Option<Currency>,
    pub timezone: Option<String>,
    /// A JSON object.
    pub address: Option<String>,
    pub tax_id: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Registration {
    pub id: Name,
    pub profile: AccountProfile,
    /// What tells one person from another at signup: a card, a device, an identity. One welcome for each.
    pub fingerprints: Vec<String>,
}

impl Registration {
    /// Whether it may be what an account is registered with; what is known of the account aside.
    pub fn check(&self) -> Result<(), Refusal> {
        let profile = &self.profile;
        for (field, text, most) in [
            ("name", &profile.name, 200),
            ("email", &profile.email, 254),
            ("address", &profile.address, 4_096),
            ("tax_id", &profile.tax_id, 64),
        ] {
            let Some(text) = text else { continue };
            // An address is JSON as it came, with whatever line breaks its author likes between its fields.
            let is_line_break = |it: char| field == "address" && it.is_ascii_whitespace();
            if most < text.len() || text.chars().any(|it| it.is_control() && !is_line_break(it)) {
                return Err(Refusal::invalid(
                    field,
                    format_args!("must be at most {most} bytes without control characters"),
                ));
            }
        }
        if profile.email.as_deref().is_some_and(|it| !it.is_empty() && !looks_like_email(it)) {
            return Err(Refusal::invalid("email", "must be an e-mail address such as ada@example.com"));
        }
        if profile.address.as_deref().is_some_and(|it| !has_known_country(it)) {
            return Err(Refusal::invalid("address.country", "must be an ISO 3166-1 code of two letters such as LT"));
        }
        if profile.timezone.as_deref().is_some_and(|it| it.is_empty() || TimeZone::get(it).is_err()) {
            return Err(Refusal::invalid("timezone", "must be an IANA time zone such as Europe/Vilnius"));
        }
        let prints = &self.fingerprints;
        if FINGERPRINTS_MAX < prints.len() || prints.iter().any(|it| it.is_empty() || 512 < it.len()) {
            return Err(Refusal::invalid("fingerprints", "must be at most 16 texts of 1 to 512 bytes"));
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
pub struct Registered {
    pub account: Account,
    /// It was not there before.
    pub is_new: bool,
}

impl App {
    /// Registers an account and grants its welcome in one write; or updates the one that is there.
    pub fn register(&self, registration: &Registration, by: &By) -> Result<Registered, Error> {
        registration.check()?;
        for _ in 0..ATTEMPTS_MAX {
            match self.store.account(&registration.id)? {
                Some(account) => match self.update(account, registration, by) {
                    // Changed or closed since it was read.
                    Err(Error::Busy) => continue,
                    updated => return updated,
                },
                None => match self.store.commit(&self.registered(registration, by)?) {
                    Ok(()) => {}
                    // Another was first with this id, this number or a fingerprint: look again.
                    Err(CommitError::Repeated | CommitError::Stale) => continue,
                    Err(CommitError::Fault(fault)) => return Err(fault.into()),
                },
            }
            let account = self.known(&registration.id)?.account.clone();
            // What the turnstile commits is told to those who count; this went past it.
            self.keep_waiting([account.number]);
            return Ok(Registered { account, is_new: true });
        }
        Err(Error::Busy)
    }

    pub fn account(&self, id: &Name) -> Result<Account, Error> {
        // Another node may have changed it: a page shows what is written.
        Ok(self.store.account(id)?.ok_or(Refusal::AccountNotFound)?)
    }

    /// Accounts by id, those after `after`.
    pub fn accounts(&self, after: Option<&Name>, limit: usize) -> Result<Vec<Account>, Error> {
        Ok(self.store.accounts(after, limit)?)
    }

    fn update(&self, account: Account, registration: &Registration, by: &By) -> Result<Registered, Error> {
        let changed = with_profile(account.clone(), &registration.profile);
        let told_later = self.unknown_fingerprints(registration)?;
        if changed != account || !told_later.is_empty() {
            if account.closed_at.is_some() {
                return Err(Refusal::AccountClosed.into());
            }
            // What was paid, and a rule that may charge, are in the currency of their time.
            if changed.currency != account.currency && self.has_paid(account.number)? {
                let why = "cannot change any more: payments were made in it; register another account";
                return Err(Refusal::invalid("currency", why).into());
            }
            let told = ["fingerprints"].into_iter().filter(|_| !told_later.is_empty());
            let (subject, differs) = (account.id.to_string(), what_differs(&account, &changed));
            let detail = differs.into_iter().chain(told).collect::<Vec<&str>>().join(", ");
            let mut changes: Vec<Change> =
                by.noted(self.now(), "account.update", subject, detail).into_iter().collect();
            if !told_later.is_empty() {
                changes.push(Change::Fingerprints { account: account.number, fingerprints: told_later });
            }
            if changed != account {
                changes.push(Change::Account { was: Box::new(account), account: changed.clone() });
            }
            self.store.commit(&changes).map_err(failed)?;
            self.at_hand.forget(&[changed.number]);
        }
        Ok(Registered { account: changed, is_new: false })
    }

    /// What is told of an account after it was welcomed tells its next one apart as well. A fingerprint that is on
    /// record stays with whom it came with.
    fn unknown_fingerprints(&self, registration: &Registration) -> Result<Vec<[u8; 32]>, Error> {
        let told = fresh(digests(registration), false);
        let known = self.store.fingerprints_known(&told)?;
        Ok(told.into_iter().zip(known).filter(|it| !it.1).map(|it| it.0).collect())
    }

    /// A new account and its welcome, as one commit.
    fn registered(&self, registration: &Registration, by: &By) -> Result<Vec<Change>, Error> {
        let now = self.now();
        let fingerprints = digests(registration);
        let is_known = self.store.fingerprints_known(&fingerprints)?.contains(&true);
        let blank = Account {
            number: random_number()?,
            id: registration.id.clone(),
            created_at: now,
            name: None,
            email: None,
            currency: self.settings.currency,
            timezone: "UTC".to_owned(),
            address: None,
            tax_id: None,
            closed_at: None,
        };
        let account = with_profile(blank, &registration.profile);
        let number = account.number;
        let mut changes = vec![Change::Register { account, fingerprints: fresh(fingerprints, is_known) }];
        changes.extend(by.noted(now, "account.register", registration.id.to_string(), String::new()));
        if !is_known {
            changes.extend(self.welcome(number, now)?);
        }
        Ok(changes)
    }

    /// Nobody else can be at an account that is not there yet, so it is decided here and not in the turnstile. Of what
    /// goes with a transaction only what grants bring can be due: an account's first credits are no recovery.
    fn welcome(&self, number: AccountNumber, now: Timestamp) -> Result<Vec<Change>, Error> {
        let mut book = Book::open(number);
        let mut posts = Vec::new();
        for grant in &self.settings.welcome {
            let mut transaction = book.decide(&Command::Grant(Arc::new(grant.terms(now))), now)?;
            transaction.origin.by = Some("registration".into());
            book.apply(&transaction);
            posts.extend(super::notices::of_grants(&transaction));
            let (transaction, book) = (Arc::new(transaction), Arc::new(book.clone()));
            posts.push(Change::Post(Post { transaction, book, key: None, fact: None }));
        }
        Ok(posts)
    }
}

fn digests(registration: &Registration) -> Vec<[u8; 32]> {
    registration.fingerprints.iter().map(|it| Sha256::digest(it.as_bytes()).into()).collect()
}

/// A known fingerprint is on record already: storing it again would be refused as a repeat.
fn fresh(fingerprints: Vec<[u8; 32]>, is_known: bool) -> Vec<[u8; 32]> {
    let mut fingerprints = if is_known { Vec::new() } else { fingerprints };
    fingerprints.sort_unstable();
    fingerprints.dedup();
    fingerprints
}

fn failed(error: CommitError) -> Error {
    match error {
        CommitError::Fault(fault) => Error::Fault(fault),
        CommitError::Stale | CommitError::Repeated => Error::Busy,
    }
}

fn random_number() -> Result<AccountNumber, Error> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|it| Fault::new("drawing an account number", it.to_string()))?;
    Ok(AccountNumber::from_random(u64::from_le_bytes(bytes)))
}

fn with_profile(account: Account, profile: &AccountProfile) -> Account {
    let told = |new: &Option<String>, old: Option<String>| match new {
        // Saying nothing keeps; saying an empty text clears.
        Some(text) => Some(text.clone()).filter(|it| !it.is_empty()),
        None => old,
    };
    Account {
        name: told(&profile.name, account.name),
        email: told(&profile.email, account.email),
        currency: profile.currency.unwrap_or(account.currency),
        timezone: profile.timezone.clone().unwrap_or(account.timezone),
        address: told(&profile.address, account.address),
        tax_id: told(&profile.tax_id, account.tax_id),
        ..account
    }
}

/// The fields that differ, and not what they say: a closed account forgets who it was, and the audit log forgets
/// nothing.
fn what_differs(one: &Account, other: &Account) -> Vec<&'static str> {
    let fields = [
        ("name", one.name != other.name),
        ("email", one.email != other.email),
        ("currency", one.currency != other.currency),
        ("timezone", one.timezone != other.timezone),
        ("address", one.address != other.address),
        ("tax_id", one.tax_id != other.tax_id),
    ];
    fields.iter().filter(|it| it.1).map(|it| it.0).collect()
}

/// Whether an address says a country there is, or none: what its purchases are taxed with goes by it.
fn has_known_country(address: &str) -> bool {
    let address: serde_json::Value = serde_json::from_str(address).unwrap_or_default();
    match &address["country"] {
        serde_json::Value::Null => true,
        country => country.as_str().is_some_and(|it| it.is_empty() || it.parse::<Country>().is_ok()),
    }
}

/// One `@` with something before it and a whole domain behind it, and no spaces: the rest is for the mail server to
/// know. A host without a point gets no mail from anywhere else, and most often the rest was not typed.
fn looks_like_email(text: &str) -> bool {
    let Some((name, domain)) = text.split_once('@') else { return false };
    let is_whole = domain.contains('.') && domain.split('.').all(|it| !it.is_empty());
    !name.is_empty() && is_whole && !domain.contains('@') && !text.contains(char::is_whitespace)
}
