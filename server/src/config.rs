//! What the operator decided: a TOML file, overruled by the environment and the command line, checked before anything
//! starts.
//!
//! Invariant: a [`Config`] that exists can be served; what is wrong with it is said with its line or its name.
mod selling;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use billing::invoice::Party;
use billing::ledger::{Grace, RUNWAY_MAX};
use billing::money::{Credits, Currency};
use billing::rating::RateCard;
use billing::tax::Country;
use billing::time::Span;
use meters::plain;
use serde::Deserialize;

use crate::app::{Settings, WelcomeGrant};
use crate::brand;
use crate::database::Database;
use crate::notify::{MailRoute, Reach};
use crate::rate_card::{self, DocumentFault};

/// The address where nothing is said.
pub const LISTEN: &str = "127.0.0.1:8080";
/// The directory of the data where nothing is said.
pub const DATA_DIR: &str = "scrip-data";

/// The file, field by field. All may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    pub listen: Option<String>,
    pub data_dir: Option<PathBuf>,
    /// `sqlite:PATH` or `postgres://…`; a file in the data directory where nothing is said.
    pub database_url: Option<String>,
    /// A rate card for a store that has none yet.
    pub rate_card: Option<PathBuf>,
    pub sandbox: bool,
    /// What one API key may send a second; no limit where nothing is said.
    pub requests_per_second: Option<NonZeroU32>,
    pub currency: Option<String>,
    pub hundred_credits_cost: Option<NonZeroU32>,
    /// Where customers buy credits; `{account}` stands for the account's id.
    pub purchase_url: Option<String>,
    /// Where browsers reach this server; links into the pages begin with it.
    pub public_url: Option<String>,
    /// How the pages look.
    pub pages: brand::Section,
    /// Credits below which `balance.low` is told.
    pub low_balance_credits: Option<String>,
    /// Days before a subscription renews that its customer is told; 0 for never.
    pub renewal_reminder_days: Option<u8>,
    /// Lets webhooks reach private addresses, and http: for receivers beside this server.
    pub webhooks_anywhere: bool,
    /// What a new account is granted. An empty list grants nothing.
    pub welcome: Option<Vec<Welcome>>,
    /// How long servers may run on when the credits have run out.
    pub grace: Option<GraceSection>,
    /// Who sells; printed on invoices.
    pub seller: Option<Seller>,
    /// Standard rates of VAT by member state, over those that are built in.
    pub vat: toml::Table,
    /// What one purchase of credits may cost, by currency.
    pub purchase: toml::Table,
    /// Who e-mails are from.
    pub mail: MailSection,
    /// From the environment alone: no secret stands in a file.
    #[serde(skip)]
    pub smtp_url: Option<String>,
    /// From the environment alone: no secret stands in a file.
    #[serde(skip)]
    pub payments: Option<Payments>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraceSection {
    pub hours: u32,
    /// Credits of debt at which the grace ends early.
    pub debt_max: String,
    /// From the end of the grace until servers may be released.
    pub release_after_hours: u32,
    /// The runways of which it is told before, longest first.
    pub runway_hours: Option<[u32; 3]>,
}

impl GraceSection {
    fn checked(&self) -> Result<Grace, String> {
        let debt_max: Credits = self.debt_max.parse().map_err(|it| format!("grace.debt_max: {it}"))?;
        if debt_max < Credits::ZERO {
            return Err("grace.debt_max: must be 0 or more".to_owned());
        }
        let runway = self.runway_hours.map_or(Grace::RUNWAY, |it| it.map(|it| Span::HOUR.times(i64::from(it))));
        let [first, second, last] = runway;
        if RUNWAY_MAX < first || first <= second || second <= last || last < Span::HOUR {
            let why = "must be three, each of 1 to 87600 and less than the one before: [168, 72, 24]";
            return Err(format!("grace.runway_hours: {why}"));
        }
        Ok(Grace {
            lasts: Span::HOUR.times(i64::from(self.hours)),
            debt_max,
            release_after: Span::HOUR.times(i64::from(self.release_after_hours)),
            runway,
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailSection {
    /// `Name <address>`; the seller's address where nothing is said.
    pub from: Option<String>,
    pub reply_to: Option<String>,
}

impl MailSection {
    /// The way to the mail server, if there is one.
    fn route(&self, url: Option<&str>, brand: &str, seller: &Party) -> Result<Option<MailRoute>, String> {
        let Some(url) = url.filter(|it| !it.is_empty()) else { return Ok(None) };
        let from = match (&self.from, &seller.email) {
            (Some(from), _) => from.clone(),
            (None, Some(address)) => format!("{} <{address}>", quoted(brand)),
            (None, None) => {
                return Err("mail.from: must say who e-mails are from: \"Acme <billing@acme.example>\"".to_owned());
            }
        };
        MailRoute::parse(url, &from, self.reply_to.as_deref()).map(Some)
    }
}

/// A name as a mailbox has it, whatever is in it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace(['\\', '"'], ""))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seller {
    pub name: String,
    pub street: String,
    pub city: String,
    pub postal_code: String,
    /// ISO 3166-1 alpha-2. One of the European Union means VAT.
    pub country: String,
    pub tax_id: Option<String>,
    pub email: Option<String>,
}

/// The account with the payment provider.
pub struct Payments {
    pub url: Option<String>,
    pub secret_key: String,
    pub publishable_key: Option<String>,
    /// What notices are signed with; several with commas between.
    pub webhook_secret: Option<String>,
}

impl std::fmt::Debug for Payments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Payments(…)")
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Welcome {
    pub credits: String,
    #[serde(default)]
    pub meters: Vec<String>,
    pub days: Option<u32>,
    pub reason: String,
}

/// A configuration that can be served.
#[derive(Debug)]
pub struct Config {
    pub listen: String,
    pub database: Database,
    pub requests_per_second: Option<NonZeroU32>,
    pub settings: Settings,
    /// The first rate card, should the store have none.
    pub first_card: RateCard,
}

/// Reads the file at `path`.
///
/// # Errors
/// Says what is wrong, with its line.
pub fn read(path: &Path) -> Result<File, String> {
    let text = std::fs::read_to_string(path).map_err(|it| format!("cannot read {}: {it}", path.display()))?;
    toml::from_str(&text).map_err(|it| format!("{}: {}", path.display(), in_plain_words(&it)))
}

impl File {
    /// Checks everything, and reads the rate card it names.
    ///
    /// # Errors
    /// The first fault, with the name of what is at fault.
    pub fn checked(self) -> Result<Config, String> {
        let data_dir = self.data_dir.unwrap_or_else(|| DATA_DIR.into());
        let database = Database::named(self.database_url.as_deref(), &data_dir)?;
        let first_card = match &self.rate_card {
            Some(path) => read_card(path)?,
            None => rate_card::parse_toml(rate_card::DEFAULT).expect("the card Scrip comes with is whole"),
        };
        let blank = Settings::default();
        let currency = self
            .currency
            .map(|it| Currency::in_use(&it).map_err(|_| format!("currency: `{it}` is not an ISO 4217 code in use")));
        let low = self.low_balance_credits.as_deref().map(low_balance).transpose()?;
        let brand = self.pages.checked()?;
        let seller = self.seller.map_or(Ok(blank.seller), seller)?;
        let mail = self.mail.route(self.smtp_url.as_deref(), &brand.name, &seller)?;
        let settings = Settings {
            welcome: self.welcome.map_or(Ok(blank.welcome), |it| it.iter().map(welcome).collect())?,
            currency: currency.transpose()?.unwrap_or(blank.currency),
            hundred_credits_cost: self.hundred_credits_cost.map_or(blank.hundred_credits_cost, NonZeroU32::get),
            purchase_url: self.purchase_url.map(purchase_url).transpose()?,
            public_url: self.public_url.map(public_url).transpose()?,
            brand,
            low_balance: low.unwrap_or(blank.low_balance),
            renewal_reminder: self.renewal_reminder_days.map_or(Ok(blank.renewal_reminder), reminder)?,
            notices_reach: if self.webhooks_anywhere { Reach::Anywhere } else { Reach::Public },
            is_sandbox: self.sandbox,
            clock_behind: blank.clock_behind,
            seller,
            vat: selling::rates(&self.vat)?,
            purchase: selling::bounds(&self.purchase)?,
            mail,
            payments: self.payments.map(|it| {
                Settings::provider(it.url.as_deref(), &it.secret_key, it.publishable_key, it.webhook_secret.as_deref())
            }),
            grace: self.grace.map_or(Ok(blank.grace), |it| it.checked())?,
        };
        let listen = self.listen.unwrap_or_else(|| LISTEN.to_owned());
        Ok(Config { listen, database, requests_per_second: self.requests_per_second, settings, first_card })
    }
}

/// A month has 28 days at least, and is not over before it began.
fn reminder(days: u8) -> Result<Span, String> {
    let fits = days <= 27;
    fits.then(|| Span::DAY.times(i64::from(days))).ok_or_else(|| "renewal_reminder_days: must be 0 to 27".to_owned())
}

/// Reads a rate card, TOML or by its ending JSON.
///
/// # Errors
/// All faults of the document.
pub fn read_card(path: &Path) -> Result<RateCard, NoCard> {
    let unread = |it| NoCard { text: format!("cannot read {}: {it}", path.display()), faults: Vec::new() };
    let text = std::fs::read_to_string(path).map_err(unread)?;
    let is_json = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("json"));
    let parsed = if is_json { rate_card::parse_json(&text) } else { rate_card::parse_toml(&text) };
    parsed.map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(|it| format!("{}: {it}", path.display())).collect();
        NoCard { text: lines.join("\n"), faults }
    })
}

/// Why a file is no rate card.
#[derive(Debug)]
pub struct NoCard {
    /// For people: a fault a line.
    pub text: String,
    /// None where it could not be read at all.
    pub faults: Vec<DocumentFault>,
}

impl From<NoCard> for String {
    fn from(it: NoCard) -> String {
        it.text
    }
}

/// What a reader of TOML says, with the line it speaks of below it, and the sentence in words that everybody knows.
fn in_plain_words(error: &toml::de::Error) -> String {
    error.to_string().replace(error.message(), &plain::words(error.message()))
}

/// Whether a browser may be led there.
fn is_web_address(said: &str) -> bool {
    let rest = said.strip_prefix("https://").or_else(|| said.strip_prefix("http://"));
    rest.is_some_and(|it| !it.is_empty()) && said.bytes().all(|it| it.is_ascii_graphic())
}

fn public_url(said: String) -> Result<String, String> {
    if !is_web_address(&said) {
        return Err(format!("public_url: `{said}` is not an address such as https://billing.example.com"));
    }
    Ok(said.trim_end_matches('/').to_owned())
}

fn purchase_url(said: String) -> Result<String, String> {
    let wrong = || format!("purchase_url: `{said}` is not an address such as https://example.com/buy?for={{account}}");
    if is_web_address(&said) { Ok(said) } else { Err(wrong()) }
}

fn low_balance(said: &str) -> Result<Credits, String> {
    let credits: Credits = said.parse().map_err(|why| format!("low_balance_credits: `{said}` {why}"))?;
    if credits < Credits::ZERO {
        return Err("low_balance_credits: must be 0 or more".to_owned());
    }
    Ok(credits)
}

fn seller(said: Seller) -> Result<Party, String> {
    if said.name.is_empty() {
        return Err("seller.name: must be what stands on invoices".to_owned());
    }
    if !said.country.is_empty() && said.country.parse::<Country>().is_err() {
        return Err(format!("seller.country: `{}` is not an ISO 3166-1 code of two letters", said.country));
    }
    Ok(Party {
        name: said.name,
        street: said.street,
        city: said.city,
        postal_code: said.postal_code,
        country: said.country.to_ascii_uppercase(),
        tax_id: said.tax_id,
        email: said.email,
    })
}

fn welcome(said: &Welcome) -> Result<WelcomeGrant, String> {
    let credits: Credits = said.credits.parse().map_err(|why| format!("welcome.credits: `{}` {why}", said.credits))?;
    if !credits.is_positive() {
        return Err("welcome.credits: must be more than 0; leave the grant out to give nothing".to_owned());
    }
    Ok(WelcomeGrant {
        credits,
        meters: said.meters.iter().map(|it| it.as_str().into()).collect(),
        lasts: said.days.map(|it| Span::DAY.times(i64::from(it))),
        reason: said.reason.as_str().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        match toml::from_str::<File>(text) {
            Ok(file) => file.checked().expect_err("it is wrong"),
            Err(error) => in_plain_words(&error),
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(wrong("listen = \"x\"\nlissen = 1").contains("line 2"));
        assert!(wrong("requests_per_second = 0").contains("line 1"));
        assert!(wrong("sandbox = 1").contains("1 | sandbox = 1"), "{}", wrong("sandbox = 1"));
        assert!(wrong("sandbox = 1").contains("must be true or false, not a number"), "{}", wrong("sandbox = 1"));
        assert!(wrong("renewal_reminder_days = 300").contains("must be a whole number from 0 to 255, not 300"));
        assert!(wrong("[grace]\nhours = 1").contains("`debt_max` is missing"), "{}", wrong("[grace]\nhours = 1"));
        assert_eq!(wrong("currency = \"euro\""), "currency: `euro` is not an ISO 4217 code in use");
        assert_eq!(wrong("currency = \"eru\""), "currency: `eru` is not an ISO 4217 code in use");
        assert_eq!(
            wrong("database_url = \"mysql://x\""),
            "SCRIP_DATABASE_URL: `mysql…` is neither sqlite:PATH nor postgres://…"
        );
        assert!(wrong("hundred_credits_cost = 0").contains("line 1"), "{}", wrong("hundred_credits_cost = 0"));
        assert_eq!(wrong("low_balance_credits = \"-5\""), "low_balance_credits: must be 0 or more");
        for url in ["foo", "https://", "/billing", "https://example.com/a b"] {
            let said = wrong(&format!("purchase_url = \"{url}\""));
            assert!(said.starts_with(&format!("purchase_url: `{url}` is not an address such as")), "{said}");
        }
        let grace = |runway: &str| {
            let rest = "hours = 72\ndebt_max = \"5000\"\nrelease_after_hours = 168";
            wrong(&format!("[grace]\n{rest}\nrunway_hours = {runway}"))
        };
        for runway in ["[24, 72, 168]", "[72, 72, 24]", "[3, 2, 0]", "[87601, 2, 1]"] {
            assert!(
                grace(runway).starts_with("grace.runway_hours: must be three, each"),
                "{runway}: {}",
                grace(runway)
            );
        }
        assert!(grace("[24, 12]").contains("line 5"), "{}", grace("[24, 12]"));
        let welcome = "[[welcome]]\ncredits = \"1e3\"\nreason = \"hello\"";
        assert_eq!(wrong(welcome), "welcome.credits: `1e3` is not a decimal number such as \"12.5\"");
    }

    #[test]
    fn nothing_said_is_enough() {
        let config = File::default().checked().expect("it is good");
        assert_eq!((config.listen.as_str(), config.database), (LISTEN, Database::Sqlite("scrip-data/scrip.db".into())));
    }
}
