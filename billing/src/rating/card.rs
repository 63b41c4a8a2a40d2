//! The rate card as its author means it: meters, their rows, and what each row asks for what.
//!
//! These are plain values with public fields; a [`RateCard`] made of them is checked, compiled and from then on
//! immutable. Paths in faults follow this shape, which is the shape of the document too.
use alloc::vec::Vec;
use core::num::NonZeroU64;

use super::compile::Compiled;
use super::{CardFault, Text, check};
use crate::money::Credits;
use crate::time::Timestamp;

/// One version of the prices: immutable, and known to be whole.
#[derive(Clone, Debug)]
pub struct RateCard {
    version: u32,
    effective_at: Timestamp,
    /// Sorted by name, so that pricing finds its meter by bisection.
    meters: Vec<Compiled>,
}

impl RateCard {
    /// Checks everything and reports every fault found, not only the first.
    pub fn new(version: u32, effective_at: Timestamp, meters: Vec<Meter>) -> Result<RateCard, Vec<CardFault>> {
        check::card(version, &meters)?;
        let mut meters: Vec<Compiled> = meters.into_iter().map(Compiled::new).collect();
        meters.sort_by(|one, other| one.meter.name.cmp(&other.meter.name));
        Ok(RateCard { version, effective_at, meters })
    }
    pub fn version(&self) -> u32 {
        self.version
    }
    pub fn effective_at(&self) -> Timestamp {
        self.effective_at
    }
    /// In the order of their names.
    pub fn meters(&self) -> impl Iterator<Item = &Meter> {
        self.meters.iter().map(|it| &it.meter)
    }
    pub fn meter(&self, name: &str) -> Option<&Meter> {
        self.compiled(name).map(|it| &it.meter)
    }
    pub(super) fn compiled(&self, name: &str) -> Option<&Compiled> {
        let place = self.meters.binary_search_by(|it| (*it.meter.name).cmp(name)).ok()?;
        Some(&self.meters[place])
    }
}

/// Two cards are equal when they say the same; how they are compiled follows from that.
impl PartialEq for RateCard {
    fn eq(&self, other: &RateCard) -> bool {
        let head = |it: &RateCard| (it.version, it.effective_at);
        head(self) == head(other) && self.meters().eq(other.meters())
    }
}
impl Eq for RateCard {}

/// What one kind of work is counted in, and what it costs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Meter {
    pub name: Text,
    /// As customers read it.
    pub label: Text,
    pub category: Category,
    /// In the order in which a receipt lists them.
    pub quantities: Vec<Quantity>,
    /// Every dimension a usage may carry. One that no rule mentions is only recorded; one that is not listed is
    /// refused, because a misspelt dimension would otherwise choose another price in silence.
    pub dimensions: Vec<Text>,
    pub rows: Vec<Row>,
    /// The least that a charge for work costs. Nothing measured still costs nothing.
    pub minimum: Option<Credits>,
    /// The most that one charge costs.
    pub cap: Option<Credits>,
    /// Work with one of these outcomes costs nothing, and says why on a line of its own. Values are exact.
    pub free_when: Vec<Condition>,
    pub cheaper_of: Option<CheaperOf>,
    /// The dimension of which each value is charged once; the same again costs nothing. Rating only says so: whether
    /// it was charged before stands in the journal, which rating cannot see.
    pub once_per: Option<Text>,
}

/// Under which heading of the usage page a meter counts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Category {
    AiConversations,
    CodeAnalysis,
    InfrastructurePlanning,
    ServerProvisioning,
    /// A platform's own heading.
    Custom(Text),
}

impl Category {
    /// The four headings of the page.
    pub const NAMED: [Category; 4] = [
        Category::AiConversations,
        Category::CodeAnalysis,
        Category::InfrastructurePlanning,
        Category::ServerProvisioning,
    ];

    pub fn as_str(&self) -> &str {
        match self {
            Category::AiConversations => "AI conversations",
            Category::CodeAnalysis => "Code analysis",
            Category::InfrastructurePlanning => "Infrastructure planning",
            Category::ServerProvisioning => "Server provisioning",
            Category::Custom(name) => name,
        }
    }
}

impl From<&str> for Category {
    fn from(name: &str) -> Category {
        let named = Category::NAMED.into_iter().find(|it| it.as_str() == name);
        named.unwrap_or_else(|| Category::Custom(name.into()))
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quantity {
    pub name: Text,
    /// As customers read it.
    pub label: Text,
    /// One of it, in the singular.
    pub unit: Text,
    pub role: Role,
}

/// What a quantity is to its meter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Priced, and a usage without it is refused.
    Required,
    /// Priced when it is given.
    Optional,
    /// Recorded, never priced.
    Informational,
}

/// The rates for usages that meet every condition of `when`; a row without conditions is the default.
///
/// Of the rows that price a quantity, the one with most conditions wins; two that could tie are a fault of the card.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Row {
    pub when: Vec<Condition>,
    /// Asked once a charge, before any quantity.
    pub base_fee: Option<Credits>,
    pub rates: Vec<Rate>,
}

/// A dimension and the values it may have here. A value that ends in `*` stands for all that begin so: that is how a
/// card names dated models. An exact value beats a beginning, and a longer beginning a shorter one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    pub dimension: Text,
    pub values: Vec<Text>,
}

/// What one quantity costs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rate {
    pub quantity: Text,
    pub scheme: Scheme,
    pub runtime: Runtime,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// So much, however many (of none: nothing).
    Flat(Credits),
    Metered {
        /// Prices are for so many units.
        per: NonZeroU64,
        /// `per` units begun are paid in full: a package.
        started: bool,
        tiers: Tiers,
    },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tiers {
    /// One price for all.
    One(Credits),
    /// Each unit costs what the tier it lies in says; a tier's fee is added when it is entered.
    Graduated(Vec<Tier>),
    /// All units cost what the tier of the last one says, and that tier's fee.
    Volume(Vec<Tier>),
    /// The fee of the tier that the last unit lies in; its price is only for the units above the tier before.
    Bands(Vec<Tier>),
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tier {
    /// The last unit of the tier. Only the last tier may have none; when it has one, more is refused.
    pub up_to: Option<u64>,
    /// For `per` units.
    pub price: Credits,
    pub fee: Credits,
    /// As a receipt calls it, such as `M`.
    pub name: Option<Text>,
}

/// What a rate asks of work that lasts. The burn engine reads it for servers; in a plain charge the minimum holds for
/// that one charge, the cap for each calendar month that so much time takes at least, and the commitment for nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Runtime {
    /// Less than this is charged as this; none at all is not.
    pub minimum_seconds: u64,
    pub commitment_seconds: u64,
    /// The most that this rate asks within a calendar month.
    pub monthly_cap: Option<Credits>,
}

/// The work is priced by `used` and by `asked`, and the customer pays the lesser: a fallback never costs more than
/// what was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheaperOf {
    pub used: Text,
    pub asked: Text,
}
