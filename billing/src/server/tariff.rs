//! What a server costs on one tier, by one version of the rate card.
use crate::money::Credits;
use crate::rating::{RateCard, Role, Scheme, Text, Tiers, Usage};
use crate::refusal::Refusal;
use crate::usage::SERVER_METER;

/// The quantity that is a server set up, and the one that is its time.
pub const PROVISIONED: &str = "provisioned";
pub const RUNTIME_SECONDS: &str = "runtime_seconds";

/// The prices of one tier, as a server carries them with it: a new rate card takes effect by a fact, never in silence.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Tariff {
    pub tier: Text,
    pub region: Option<Text>,
    /// Version of the rate card.
    pub rate_card: u32,
    /// Asked once, when the server is first handed over.
    pub set_up: Credits,
    /// For `per_seconds` of runtime.
    pub price: Credits,
    pub per_seconds: u64,
    /// A run counts at least so long.
    pub minimum_seconds: u64,
    /// A server that is released counts at least so long.
    pub commitment_seconds: u64,
    /// The most that one server on this tier costs in a calendar month.
    pub monthly_cap: Option<Credits>,
}

impl Tariff {
    /// Whether it is the same place to run on as `other`, at whatever prices.
    pub fn is_of_place(&self, other: &Tariff) -> bool {
        (&self.tier, &self.region) == (&other.tier, &other.region)
    }

    /// Whether it is the same place to run on at newer prices.
    pub fn reprices(&self, before: &Tariff) -> bool {
        self.is_of_place(before) && before.rate_card < self.rate_card
    }

    /// Whether it is the same place to run on and costs the same, whatever the version of the card.
    pub fn costs_like(&self, other: &Tariff) -> bool {
        let prices = |it: &Tariff| (it.set_up, it.price, it.per_seconds, it.monthly_cap);
        let least = |it: &Tariff| (it.minimum_seconds, it.commitment_seconds);
        self.is_of_place(other) && prices(self) == prices(other) && least(self) == least(other)
    }

    /// The tariff of a tier by `card`.
    ///
    /// # Errors
    /// `unpriced` where the card has no such tier or region, or prices its time by anything but one price a second:
    /// what burns continuously has no steps.
    pub fn of(card: &RateCard, tier: Text, region: Option<Text>) -> Result<Tariff, Refusal> {
        let dimension = |name: &str, value: &Text| (Text::from(name), value.clone());
        let mut dimensions = alloc::vec::Vec::new();
        dimensions.extend(region.as_ref().map(|it| dimension("region", it)));
        dimensions.push(dimension("tier", &tier));
        let usage = |quantity: &str| Usage {
            meter: SERVER_METER.into(),
            quantities: [(Text::from(quantity), 1)].into(),
            dimensions: dimensions.clone(),
        };
        let rate = card.rate_of(&usage(RUNTIME_SECONDS), RUNTIME_SECONDS)?;
        let Scheme::Metered { per, started: false, tiers: Tiers::One(price) } = &rate.scheme else {
            return Err(Refusal::unpriced("tier", "has no one price for its time; a running server needs one"));
        };
        let charges_set_up = card.meter(SERVER_METER).is_some_and(|it| {
            it.quantities.iter().any(|it| &*it.name == PROVISIONED && it.role != Role::Informational)
        });
        let set_up = if charges_set_up { card.price(&usage(PROVISIONED))?.credits } else { Credits::ZERO };
        Ok(Tariff {
            set_up,
            price: *price,
            per_seconds: per.get(),
            minimum_seconds: rate.runtime.minimum_seconds,
            commitment_seconds: rate.runtime.commitment_seconds,
            monthly_cap: rate.runtime.monthly_cap,
            rate_card: card.version(),
            tier,
            region,
        })
    }

    /// What a server on it costs at least, once it is handed over: its set-up, and the minimum of its time or its
    /// commitment. What is left of that when it is released is charged in that month, up to the cap.
    pub fn least(&self) -> Credits {
        let time = self.uncapped(self.minimum_seconds.max(self.commitment_seconds));
        self.set_up + self.monthly_cap.map_or(time, |cap| time.min(cap))
    }

    /// What `seconds` within one month cost before any cap: exact, and rounded up once.
    pub fn uncapped(&self, seconds: u64) -> Credits {
        let price = u128::try_from(self.price.micros()).expect("a price is not negative");
        let micros = (price * u128::from(seconds)).div_ceil(u128::from(self.per_seconds));
        // A century at the highest price there may be is more than an account can hold: it saturates there.
        Credits::from_micros(i64::try_from(micros).unwrap_or(i64::MAX).min(Credits::MAX.micros()))
    }
}
