//! The whole outside world in one value: store, turnstile, clock, prices, and what is kept at hand of each.
//!
//! Use cases are its methods, in `service`. It owns no rules.
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use billing::Refusal;
use billing::id::{AccountNumber, Name};
use billing::invoice::Party;
use billing::ledger::{BurnTerms, Terms};
use billing::money::{Credits, Currency};
use billing::rating::{RateCards, Text};
use billing::time::{Span, Timestamp};
use jiff::tz::TimeZone;
use store::{Account, Fault, Store};

use crate::at_hand::AtHand;
use crate::brand::Brand;
use crate::clock::Clock;
use crate::notify::{Desk, MailRoute, Postbox, Reach};
use crate::rate_card;
use crate::service::{Backlog, Caller, Lately, ProjectsLately, Seal};
use crate::stripe::{Access, Patience, Provider, Secret};
use crate::turnstile::Turnstile;

/// A node that could not ask reads an account at hand again when it is older than this: a change of its profile is seen
/// everywhere within it. Whether it may spend is no part of that; its book says so.
const AT_HAND_LASTS: Duration = Duration::from_secs(10);
/// And each reads it again after this, whatever it heard: a commit may take longer than anybody thought to become
/// visible, and what was told meanwhile is not told for ever.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(300);
/// A profile read before a change may come to be at hand a little after it was told, and a commit may take as long:
/// what has changed is told again for so long.
const TOLD_AGAIN_FOR: Duration = Duration::from_secs(30);
/// For the sake of keys that are not known, keys are read again this often at most: else whoever tries wrong ones would
/// have the store read as often as they like.
const UNKNOWN_REREAD_EVERY: Duration = Duration::from_millis(100);

/// What the operator decided.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Granted once to every new account, in the write that registers it.
    pub welcome: Vec<WelcomeGrant>,
    /// Currency of accounts that name none.
    pub currency: Currency,
    /// List price of a hundred credits, in whole units of the account's currency: 1 makes a credit a cent.
    pub hundred_credits_cost: u32,
    /// Where a customer who has run out buys more; goes into every `insufficient_credits`.
    pub purchase_url: Option<String>,
    /// Where browsers reach this server, such as `https://billing.example.com`, without a slash at its end.
    pub public_url: Option<String>,
    /// How the pages look.
    pub brand: Brand,
    /// A balance below this is told of.
    pub low_balance: Credits,
    /// How long before a subscription renews its customer is told; nothing for never.
    pub renewal_reminder: Span,
    /// Where notices may be sent.
    pub notices_reach: Reach,
    /// Time can be moved forward.
    pub is_sandbox: bool,
    /// How far behind the machine's clock time begins, in the demonstration's sandbox: nothing everywhere else.
    pub clock_behind: Span,
    /// How long servers may run on when the credits have run out.
    pub grace: billing::ledger::Grace,
    /// Who sells: printed on invoices, and its country decides the tax.
    pub seller: Party,
    /// The rates of VAT that the operator set, over those that are built in.
    pub vat: billing::tax::Rates,
    /// What one purchase may cost at least and at most, tax aside, in minor units, where the operator said so.
    pub purchase: HashMap<Currency, (i64, i64)>,
    /// Who collects money; none where this server takes none.
    pub payments: Option<Access>,
    /// Where e-mails are handed in; none where this server writes none.
    pub mail: Option<MailRoute>,
}

impl Settings {
    /// The account with the payment provider: its address (none for the provider's own), keys, and the secret its
    /// notices are signed with.
    pub fn provider(url: Option<&str>, secret: &str, publishable: Option<String>, notices: Option<&str>) -> Access {
        Access {
            url: url.unwrap_or(Provider::URL).trim_end_matches('/').to_owned(),
            secret_key: Secret::new(secret),
            publishable_key: publishable,
            notice_secrets: notices.into_iter().flat_map(|it| it.split(',')).map(Secret::new).collect(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct WelcomeGrant {
    pub credits: Credits,
    /// Empty for credits that pay for anything.
    pub meters: Vec<Text>,
    /// None for credits that stay.
    pub lasts: Option<Span>,
    pub reason: Text,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            welcome: vec![
                WelcomeGrant {
                    credits: Credits::whole(500),
                    meters: Vec::new(),
                    lasts: None,
                    reason: "Welcome: explore the platform".into(),
                },
                WelcomeGrant {
                    credits: Credits::whole(400),
                    meters: vec!["server".into()],
                    lasts: Some(Span::DAY.times(30)),
                    reason: "Welcome: set up an entry-level server and run it for a day".into(),
                },
            ],
            currency: Currency::EUR,
            hundred_credits_cost: 1,
            purchase_url: None,
            public_url: None,
            brand: Brand::default(),
            low_balance: Credits::whole(100),
            renewal_reminder: billing::subscription::REMINDER,
            notices_reach: Reach::Public,
            is_sandbox: false,
            clock_behind: Span::default(),
            grace: billing::ledger::Grace::default(),
            seller: Party { name: "Seller to be named in scrip.toml".to_owned(), ..Party::default() },
            vat: billing::tax::Rates::default(),
            purchase: HashMap::new(),
            payments: None,
            mail: None,
        }
    }
}

/// An account as use cases need it: its profile, and its zone ready to be asked.
#[derive(Debug)]
pub struct Known {
    pub account: Account,
    pub zone: TimeZone,
    /// How long the clock had run when it was read.
    read_at: Duration,
    /// How often the store's history had broken before.
    breaks: u64,
}

impl Known {
    fn new(account: Account, read_at: Duration, breaks: u64) -> Known {
        // The zone was checked when the account was registered; one that has been dropped from the database since
        // counts in UTC rather than taking the account down.
        let zone = TimeZone::get(&account.timezone).unwrap_or(TimeZone::UTC);
        Known { account, zone, read_at, breaks }
    }

    /// Start of the usage bucket that `at` falls in.
    pub fn hour_of(&self, at: Timestamp) -> Timestamp {
        let instant = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or(jiff::Timestamp::MAX);
        let seconds = i64::from(self.zone.to_offset(instant).seconds());
        at.hour_start(seconds.rem_euclid(3600) / 60)
    }
}

pub struct App {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) turnstile: Turnstile,
    pub(crate) clock: Arc<Clock>,
    pub(crate) settings: Settings,
    pub(crate) provider: Option<Arc<Provider>>,
    pub(crate) desk: Desk,
    pub(crate) postbox: Option<Arc<Postbox>>,
    cards: RwLock<Arc<RateCards>>,
    pub(crate) at_hand: AtHand,
    pub(crate) lately: Lately,
    pub(crate) projects_lately: ProjectsLately,
    keys: RwLock<Arc<HashMap<[u8; 32], Caller>>>,
    /// Held while rate cards and keys are read and put in their place: what was read first does not come last. How
    /// often the store's history had broken before.
    rereading: Mutex<u64>,
    /// How long the clock had run when they were last read for a key that was not known. Held meanwhile.
    unknown_reread_at: Arc<tokio::sync::Mutex<Duration>>,
    /// Milliseconds the clock had run when it was last heard which profiles others changed.
    heard_at: AtomicU64,
    pub(crate) seal: OnceLock<Seal>,
    /// By what servers are counted, by zone, with the year it is of: as many as there are zones.
    pub(crate) burn_terms: RwLock<HashMap<String, (i16, Arc<BurnTerms>)>>,
    /// The version of the rate card in force when running servers were last told of all prices; 0 where they were not.
    pub(crate) priced_by: AtomicU32,
    pub(crate) backlog: Backlog,
    /// Kinds of documents that are due and of which this program knows nothing: a newer one does them.
    pub(crate) unknown_kinds: Mutex<BTreeSet<String>>,
}

impl App {
    /// Opens the world on a store, with the rate cards it holds; `first_card` where it holds none.
    pub fn open(
        store: Arc<dyn Store>,
        settings: Settings,
        first_card: &billing::rating::RateCard,
    ) -> Result<App, Fault> {
        if let Some(from) = store::unfinished(&*store)? {
            let why =
                format!("it is half filled from {from}: run `scrip migrate-data` again, until it says it is done");
            return Err(Fault::new("opening the store", why));
        }
        let clock = Arc::new(Clock::behind(settings.clock_behind));
        let postbox = settings.mail.as_ref().map(Postbox::open).transpose();
        let app = App {
            turnstile: Turnstile::open(
                Arc::clone(&store),
                Arc::clone(&clock),
                crate::service::companions(settings.low_balance),
            ),
            desk: Desk::new(settings.notices_reach),
            postbox: postbox.map_err(|it| Fault::new("opening the way to the mail server", it))?.map(Arc::new),
            store,
            clock,
            provider: settings.payments.clone().map(|it| Arc::new(Provider::new(it, Patience::default()))),
            settings,
            cards: RwLock::default(),
            at_hand: AtHand::default(),
            lately: Lately::default(),
            projects_lately: ProjectsLately::default(),
            keys: RwLock::default(),
            rereading: Mutex::default(),
            unknown_reread_at: Arc::default(),
            heard_at: AtomicU64::new(0),
            seal: OnceLock::new(),
            burn_terms: RwLock::default(),
            priced_by: AtomicU32::new(0),
            backlog: Backlog::default(),
            unknown_kinds: Mutex::default(),
        };
        app.heard_at.store(app.ran_millis(), Ordering::Relaxed);
        app.follow_clock()?;
        app.install_first_card(first_card)?;
        app.reread()?;
        app.watch_provider()?;
        app.begin_digests()?;
        Ok(app)
    }

    /// Reads again what other processes may have changed, rate cards and API keys, and drops the profiles they did.
    pub fn refresh(&self) -> Result<(), Fault> {
        if !self.store.is_shared() {
            return Ok(());
        }
        let heard = self.hear_of_accounts();
        // Also where that could not be heard: a key that was revoked opens nothing.
        self.reread()?;
        self.follow_clock()?;
        heard
    }

    fn ran_millis(&self) -> u64 {
        u64::try_from(self.clock.ran().as_millis()).unwrap_or(u64::MAX)
    }

    fn hear_of_accounts(&self) -> Result<(), Fault> {
        let (now, before) = (self.ran_millis(), self.heard_at.load(Ordering::Relaxed));
        let since_then = Duration::from_millis(now.saturating_sub(before)) + TOLD_AGAIN_FOR;
        let since_then = Span::from_millis(i64::try_from(since_then.as_millis()).unwrap_or(i64::MAX));
        self.at_hand.forget(&self.store.accounts_changed(since_then)?);
        self.heard_at.store(now, Ordering::Relaxed);
        Ok(())
    }

    /// Reads keys again for the sake of one that is not known: another node may have minted it a moment ago. Those who
    /// come while that is done, or too soon after it, wait together for one reading that begins after all of them came.
    pub(crate) async fn reread_for_unknown(self: &Arc<App>) {
        if !self.store.is_shared() {
            return;
        }
        let came_at = self.clock.ran();
        let mut read_at = Arc::clone(&self.unknown_reread_at).lock_owned().await;
        if came_at < *read_at {
            return;
        }
        tokio::time::sleep((*read_at + UNKNOWN_REREAD_EVERY).saturating_sub(self.clock.ran())).await;
        *read_at = self.clock.ran();
        let app = Arc::clone(self);
        // The turn ends with the reading, also where whoever asked for it has gone.
        let reading = move || {
            let _turn = read_at;
            app.reread()
        };
        match tokio::task::spawn_blocking(reading).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => tracing::error!(%fault, "reading the keys again failed"),
            Err(panic) => tracing::error!(%panic, "reading the keys again panicked"),
        }
    }

    /// Reads rate cards and API keys.
    pub fn reread(&self) -> Result<(), Fault> {
        let mut breaks_before = self.rereading.lock().unwrap_or_else(PoisonError::into_inner);
        let breaks = self.store.breaks();
        let records = self.store.rate_cards()?;
        // No version of a history is ever changed: what has as many is the same.
        let is_news = self.cards().latest().map(|it| it.version()) != records.last().map(|it| it.version);
        if is_news || *breaks_before != breaks {
            let parse = |it: &store::CardRecord| {
                rate_card::parse_json(&it.document)
                    .map_err(|faults| Fault::new("reading a stored rate card", rate_card::in_lines(&faults)))
            };
            let cards = records.iter().map(parse).collect::<Result<Vec<_>, Fault>>()?;
            *self.cards.write().expect("no holder panics") = Arc::new(RateCards::restore(cards));
            self.free_tier_gaps().iter().for_each(|gap| tracing::warn!("the welcome does not cover {gap}"));
        }
        let keys = self.store.api_keys()?;
        let keys = keys.iter().filter(|it| it.revoked_at.is_none()).map(|it| (it.hash, Caller::of(it))).collect();
        *self.keys.write().expect("no holder panics") = Arc::new(keys);
        *breaks_before = breaks;
        Ok(())
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
    /// Whether nothing can be written until the process is started again.
    pub fn is_spent(&self) -> bool {
        self.store.is_spent()
    }
    /// Whether the store answers, and would take a commit now.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub fn takes_commits(&self) -> Result<bool, crate::service::Error> {
        Ok(self.store.takes_commits()?)
    }
    pub fn turnstile(&self) -> &Turnstile {
        &self.turnstile
    }
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }
    /// Every version of the prices.
    pub fn cards(&self) -> Arc<RateCards> {
        Arc::clone(&self.cards.read().expect("no holder panics"))
    }
    /// Whom each secret that was not revoked stands for, by the secret's hash.
    pub(crate) fn keys(&self) -> Arc<HashMap<[u8; 32], Caller>> {
        Arc::clone(&self.keys.read().expect("no holder panics"))
    }

    /// A registered account, by the platform's name for it.
    pub(crate) fn known(&self, id: &Name) -> Result<Arc<Known>, crate::service::Error> {
        if let Some(known) = self.at_hand.by_id(id).filter(|it| self.is_fresh(it)) {
            return Ok(known);
        }
        let (changes, breaks) = (self.at_hand.changes(), self.store.breaks());
        let account = self.store.account(id)?.ok_or(Refusal::AccountNotFound)?;
        Ok(self.remember_read(account, changes, breaks))
    }

    /// The same as it is written now, whatever is at hand: before money is taken, who pays must be there still.
    pub(crate) fn known_now(&self, number: AccountNumber) -> Result<Option<Arc<Known>>, Fault> {
        let (changes, breaks) = (self.at_hand.changes(), self.store.breaks());
        Ok(self.store.account_numbered(number)?.map(|it| self.remember_read(it, changes, breaks)))
    }

    /// A registered account by its number; an id that leads to none is of no account here.
    pub(crate) fn known_number(&self, number: AccountNumber) -> Result<Option<Arc<Known>>, Fault> {
        if let Some(known) = self.at_hand.by_number(number).filter(|it| self.is_fresh(it)) {
            return Ok(Some(known));
        }
        self.known_now(number)
    }

    fn is_fresh(&self, known: &Known) -> bool {
        let heard_at = || Duration::from_millis(self.heard_at.load(Ordering::Relaxed));
        if !self.store.is_shared() {
            return true;
        }
        let now = self.clock.ran();
        let is_young = now < known.read_at.max(heard_at()) + AT_HAND_LASTS && now < known.read_at + READ_AGAIN_AFTER;
        is_young && known.breaks == self.store.breaks()
    }

    fn remember_read(&self, account: Account, changes: u64, breaks: u64) -> Arc<Known> {
        let known = Arc::new(Known::new(account, self.clock.ran(), breaks));
        self.at_hand.keep_read(&known, changes);
        known
    }

    /// Serves what has been asked, then nothing more. Returns when all of it is durable.
    pub fn close(&self) {
        self.turnstile.close();
    }
}

impl WelcomeGrant {
    pub fn terms(&self, at: Timestamp) -> Terms {
        Terms {
            source: billing::ledger::Source::Welcome,
            credits: self.credits,
            effective_at: at,
            expires_at: self.lasts.map_or(Timestamp::NEVER, |it| at + it),
            priority: Terms::PRIORITY,
            scope: billing::ledger::Scope { meters: self.meters.clone(), projects: Vec::new() },
            cost: None,
            charged: None,
            payment: None,
            reason: Arc::clone(&self.reason),
        }
    }
}

#[cfg(test)]
mod tests;
