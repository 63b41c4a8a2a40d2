//! From the tree of a document to a card. Goes on after a fault, so that an author sees all of them.
use std::collections::BTreeMap;
use std::fmt::Display;
use std::num::NonZeroU64;

use billing::money::Credits;
use billing::rating::{
    Category, CheaperOf, Condition, Meter, Quantity, Rate, RateCard, Role, Row, Runtime, Scheme, Text, Tier, Tiers,
    closest,
};
use billing::time::Timestamp;

use super::node::{Flaw, Node, Value};

/// Faults that are told at once. Each is looked for in the document; whoever has more mends these first.
const FLAWS_MAX: usize = 100;
/// Items of a list of names, and dimensions a condition asks for: several times what a card may have.
const ITEMS_MAX: usize = 1_000;
/// Keys of a row that are not quantities.
const ROW_KEYS: [&str; 3] = ["when", "per", "base_fee"];
const RATE_KEYS: [&str; 10] = [
    "price",
    "flat",
    "graduated",
    "volume",
    "bands",
    "per",
    "started",
    "minimum_seconds",
    "commitment_seconds",
    "monthly_cap",
];
const METER_KEYS: [&str; 10] =
    ["label", "category", "quantities", "dimensions", "minimum", "cap", "free_when", "cheaper_of", "once_per", "rates"];

/// Reads the whole card. Faults of meaning are looked for only when the document can be read without any other.
pub fn card(root: &Node) -> Result<RateCard, Vec<Flaw>> {
    let mut reader = Reader::default();
    let table = reader.table(root, "", &["version", "effective_at", "meters"]);
    let version = reader.required(&table, "version", Reader::count).and_then(|it| u32::try_from(it).ok()).unwrap_or(0);
    let effective_at = reader.required(&table, "effective_at", Reader::time);
    let meters = reader.required(&table, "meters", |reader, node, path| {
        let meters = reader.any_table(node, path);
        Some(meters.entries.iter().map(|(name, node)| reader.meter(name, node, &meters.field(name))).collect())
    });
    match (reader.flaws.is_empty(), effective_at, meters) {
        (true, Some(effective_at), Some(meters)) => RateCard::new(version, effective_at, meters).map_err(|faults| {
            let flaw = |it: billing::rating::CardFault| Flaw::new(reader.place(&it.field), it.field, it.why);
            faults.into_iter().take(FLAWS_MAX).map(flaw).collect()
        }),
        _ => Err(reader.flaws),
    }
}

#[derive(Default)]
struct Reader {
    flaws: Vec<Flaw>,
    /// Where each field stood.
    places: BTreeMap<String, usize>,
}

/// A table being read.
struct Table<'node> {
    path: String,
    at: usize,
    entries: Vec<(&'node str, &'node Node)>,
}

impl<'node> Table<'node> {
    fn get(&self, key: &str) -> Option<&'node Node> {
        self.entries.iter().find(|it| it.0 == key).map(|it| it.1)
    }
    fn field(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

impl Reader {
    fn flaw(&mut self, node: &Node, path: &str, why: impl Display) {
        if !self.is_full() {
            self.flaws.push(Flaw::new(Some(node.at), path, why.to_string()));
        }
    }
    fn is_full(&self) -> bool {
        FLAWS_MAX <= self.flaws.len()
    }
    fn mistyped<T>(&mut self, node: &Node, path: &str, wanted: &str) -> Option<T> {
        self.flaw(node, path, format_args!("must be {wanted}, not {}", node.value.kind()));
        None
    }
    /// Where `field` stands; for a field that the document leaves out, where its surroundings stand.
    fn place(&self, field: &str) -> Option<usize> {
        let mut field = field;
        loop {
            if let Some(at) = self.places.get(field) {
                return Some(*at);
            }
            field = &field[..field.rfind(['.', '['])?];
        }
    }

    fn any_table<'node>(&mut self, node: &'node Node, path: &str) -> Table<'node> {
        let mut entries = Vec::new();
        match &node.value {
            Value::Table(all) => {
                for entry in all {
                    let field = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
                    self.places.insert(field, entry.key_at);
                    entries.push((&*entry.key, &entry.node));
                }
            }
            _ => self.mistyped(node, path, "a table").unwrap_or_default(),
        }
        Table { path: path.to_owned(), at: node.at, entries }
    }
    /// A table that may have only `known` keys.
    fn table<'node>(&mut self, node: &'node Node, path: &str, known: &[&str]) -> Table<'node> {
        let table = self.any_table(node, path);
        for (key, _) in &table.entries {
            if !self.is_full() && !known.contains(key) {
                let field = table.field(key);
                let near = closest(key, known.iter().copied(), 1).join("");
                let why = format!("is not known here; did you mean `{near}`?");
                self.flaws.push(Flaw::new(self.place(&field), field, why));
            }
        }
        table
    }
    fn optional<'node, T>(
        &mut self,
        table: &Table<'node>,
        key: &str,
        read: impl FnOnce(&mut Reader, &'node Node, &str) -> Option<T>,
    ) -> Option<T> {
        read(self, table.get(key)?, &table.field(key))
    }
    fn required<'node, T>(
        &mut self,
        table: &Table<'node>,
        key: &str,
        read: impl FnOnce(&mut Reader, &'node Node, &str) -> Option<T>,
    ) -> Option<T> {
        if table.get(key).is_none() && !self.is_full() {
            let at = self.place(&table.path).unwrap_or(table.at);
            self.flaws.push(Flaw::new(Some(at), table.field(key), "is missing"));
        }
        self.optional(table, key, read)
    }

    fn text(&mut self, node: &Node, path: &str) -> Option<Text> {
        match &node.value {
            Value::Text(text) => Some(Text::from(&**text)),
            _ => self.mistyped(node, path, "a text"),
        }
    }
    fn is(&mut self, node: &Node, path: &str) -> Option<bool> {
        match node.value {
            Value::Boolean(is) => Some(is),
            _ => self.mistyped(node, path, "true or false"),
        }
    }
    fn count(&mut self, node: &Node, path: &str) -> Option<u64> {
        match &node.value {
            Value::Integer(number) => match u64::try_from(*number) {
                Ok(count) => Some(count),
                Err(_) => {
                    self.flaw(node, path, "must not be negative");
                    None
                }
            },
            _ => self.mistyped(node, path, "a whole number"),
        }
    }
    fn credits(&mut self, node: &Node, path: &str) -> Option<Credits> {
        let parsed = match &node.value {
            Value::Text(text) => text.parse::<Credits>(),
            Value::Integer(number) => number.to_string().parse(),
            Value::Inexact(number) => {
                self.flaw(
                    node,
                    path,
                    format_args!("is a floating-point number, which is never exact: quote it, \"{number}\""),
                );
                return None;
            }
            _ => return self.mistyped(node, path, "an amount of credits such as \"12.5\""),
        };
        parsed.map_err(|error| self.flaw(node, path, error)).ok()
    }
    fn time(&mut self, node: &Node, path: &str) -> Option<Timestamp> {
        let text = self.text(node, path)?;
        match text.parse::<jiff::Timestamp>() {
            Ok(time) => Some(Timestamp::from_millis(time.as_millisecond())),
            Err(_) => {
                self.flaw(node, path, "must be a time with its zone, such as 2026-12-01T00:00:00Z");
                None
            }
        }
    }
    fn list<'node>(&mut self, node: &'node Node, path: &str) -> Vec<(String, &'node Node)> {
        match &node.value {
            Value::List(items) => {
                let items: Vec<_> =
                    items.iter().enumerate().map(|(it, node)| (format!("{path}[{it}]"), node)).collect();
                self.places.extend(items.iter().map(|(path, node)| (path.clone(), node.at)));
                items
            }
            _ => self.mistyped(node, path, "a list").unwrap_or_default(),
        }
    }
    /// The same, of what each is compared with all others.
    fn short_list<'node>(&mut self, node: &'node Node, path: &str) -> Vec<(String, &'node Node)> {
        match &node.value {
            Value::List(items) if ITEMS_MAX < items.len() => self.too_many(node, path).unwrap_or_default(),
            _ => self.list(node, path),
        }
    }
    fn too_many<T>(&mut self, node: &Node, path: &str) -> Option<T> {
        self.flaw(node, path, format_args!("has more than {ITEMS_MAX} items"));
        None
    }
    fn texts(&mut self, node: &Node, path: &str) -> Vec<Text> {
        self.short_list(node, path).into_iter().filter_map(|(path, node)| self.text(node, &path)).collect()
    }

    fn meter(&mut self, name: &str, node: &Node, path: &str) -> Meter {
        let table = self.table(node, path, &METER_KEYS);
        let quantities = self.optional(&table, "quantities", |it, node, path| Some(it.quantities(node, path)));
        let quantities = quantities.unwrap_or_default();
        let dimensions = self.optional(&table, "dimensions", |it, node, path| Some(it.texts(node, path)));
        let dimensions = dimensions.unwrap_or_default();
        let label = self.required(&table, "label", Reader::text).unwrap_or_default();
        let category = self.required(&table, "category", Reader::category);
        let free_when =
            self.optional(&table, "free_when", |it, node, path| Some(it.conditions(node, path, &dimensions)));
        let rows = self.required(&table, "rates", |it, node, path| {
            let rows = it.list(node, path);
            Some(rows.into_iter().map(|(path, node)| it.row(node, &path, (&quantities, &dimensions))).collect())
        });
        Meter {
            name: Text::from(name),
            label,
            category: category.unwrap_or(Category::AiConversations),
            minimum: self.optional(&table, "minimum", Reader::credits),
            cap: self.optional(&table, "cap", Reader::credits),
            free_when: free_when.unwrap_or_default(),
            cheaper_of: self.optional(&table, "cheaper_of", Reader::cheaper_of),
            once_per: self.optional(&table, "once_per", Reader::text),
            rows: rows.unwrap_or_default(),
            quantities,
            dimensions,
        }
    }

    /// One of the page's headings, or another; a near miss of one of the four is taken for a slip.
    fn category(&mut self, node: &Node, path: &str) -> Option<Category> {
        let category = Category::from(&*self.text(node, path)?);
        let is_slip = |it: &Category| it.as_str().eq_ignore_ascii_case(category.as_str()) && *it != category;
        if let Some(meant) = Category::NAMED.iter().find(|it| is_slip(it)) {
            self.flaw(node, path, format_args!("is not known; did you mean `{}`?", meant.as_str()));
        }
        Some(category)
    }

    fn cheaper_of(&mut self, node: &Node, path: &str) -> Option<CheaperOf> {
        match &*self.texts(node, path) {
            [used, asked] => Some(CheaperOf { used: used.clone(), asked: asked.clone() }),
            _ => {
                self.flaw(node, path, "must name two dimensions: the one used, then the one asked for");
                None
            }
        }
    }

    fn quantities(&mut self, node: &Node, path: &str) -> Vec<Quantity> {
        let mut quantities = Vec::new();
        for (path_of_item, node) in self.short_list(node, path) {
            let table = self.table(node, &path_of_item, &["name", "label", "unit", "required", "informational"]);
            let name = self.required(&table, "name", Reader::text).unwrap_or_default();
            // Faults of meaning call a quantity by its name.
            self.places.insert(format!("{path}.{name}"), node.at);
            if ROW_KEYS.contains(&&*name) {
                self.flaw(
                    node,
                    &table.field("name"),
                    format_args!("cannot be `{name}`, which rows use for something else"),
                );
            }
            let flag = |it: &mut Reader, key: &str| it.optional(&table, key, Reader::is).unwrap_or(false);
            let role = match (flag(self, "required"), flag(self, "informational")) {
                (true, true) => {
                    self.flaw(node, &path_of_item, "cannot be both required and informational");
                    Role::Required
                }
                (true, false) => Role::Required,
                (false, true) => Role::Informational,
                (false, false) => Role::Optional,
            };
            let label = self.required(&table, "label", Reader::text).unwrap_or_default();
            let unit = self.required(&table, "unit", Reader::text).unwrap_or_default();
            quantities.push(Quantity { name, label, unit, role });
        }
        quantities
    }

    /// In the order in which the meter lists its dimensions, whatever that of the document is.
    fn conditions(&mut self, node: &Node, path: &str, dimensions: &[Text]) -> Vec<Condition> {
        let table = self.any_table(node, path);
        if ITEMS_MAX < table.entries.len() {
            return self.too_many(node, path).unwrap_or_default();
        }
        let mut conditions = Vec::new();
        for (dimension, node) in &table.entries {
            let path = table.field(dimension);
            let values = match &node.value {
                Value::Text(value) => vec![Text::from(&**value)],
                _ => self.texts(node, &path),
            };
            conditions.push(Condition { dimension: Text::from(*dimension), values });
        }
        let place = |it: &Condition| dimensions.iter().position(|dimension| *dimension == it.dimension);
        conditions.sort_by_cached_key(|it| place(it).unwrap_or(usize::MAX));
        conditions
    }

    fn row(&mut self, node: &Node, path: &str, (quantities, dimensions): (&[Quantity], &[Text])) -> Row {
        let names = quantities.iter().map(|it| &*it.name);
        let known: Vec<&str> = names.clone().chain(ROW_KEYS).collect();
        let table = self.table(node, path, &known);
        let per = self.optional(&table, "per", Reader::per);
        let when = self.optional(&table, "when", |it, node, path| Some(it.conditions(node, path, dimensions)));
        let rates = names.filter_map(|name| {
            let scheme = table.get(name).map(|node| self.rate(node, &table.field(name), per))?;
            scheme.map(|(scheme, runtime)| Rate { quantity: Text::from(name), scheme, runtime })
        });
        let rates = rates.collect();
        let base_fee = self.optional(&table, "base_fee", Reader::credits);
        Row { when: when.unwrap_or_default(), base_fee, rates }
    }
    fn per(&mut self, node: &Node, path: &str) -> Option<NonZeroU64> {
        let count = self.count(node, path)?;
        if count == 0 {
            self.flaw(node, path, "must be 1 or more");
        }
        NonZeroU64::new(count)
    }

    /// A price alone, or a table that says how the price is formed. `per` is what the row says.
    fn rate(&mut self, node: &Node, path: &str, per: Option<NonZeroU64>) -> Option<(Scheme, Runtime)> {
        let per = per.unwrap_or(NonZeroU64::MIN);
        if !matches!(node.value, Value::Table(_)) {
            let price = self.credits(node, path)?;
            return Some((Scheme::Metered { per, started: false, tiers: Tiers::One(price) }, Runtime::default()));
        }
        let table = self.table(node, path, &RATE_KEYS);
        let runtime = Runtime {
            minimum_seconds: self.optional(&table, "minimum_seconds", Reader::count).unwrap_or(0),
            commitment_seconds: self.optional(&table, "commitment_seconds", Reader::count).unwrap_or(0),
            monthly_cap: self.optional(&table, "monthly_cap", Reader::credits),
        };
        let own_per = self.optional(&table, "per", Reader::per);
        let started = self.optional(&table, "started", Reader::is).unwrap_or(false);
        let given: Vec<&str> = RATE_KEYS[..5].iter().copied().filter(|it| table.get(it).is_some()).collect();
        let tiers = match &*given {
            ["flat"] => {
                if own_per.is_some() || started {
                    self.flaw(node, path, "is flat: `per` and `started` say nothing here");
                }
                return self.optional(&table, "flat", Reader::credits).map(|it| (Scheme::Flat(it), runtime));
            }
            ["price"] => self.optional(&table, "price", Reader::credits).map(Tiers::One),
            ["graduated"] => self.optional(&table, "graduated", Reader::tiers).map(Tiers::Graduated),
            ["volume"] => self.optional(&table, "volume", Reader::tiers).map(Tiers::Volume),
            ["bands"] => self.optional(&table, "bands", Reader::tiers).map(Tiers::Bands),
            _ => {
                self.flaw(node, path, "must have exactly one of `price`, `flat`, `graduated`, `volume` and `bands`");
                None
            }
        };
        Some((Scheme::Metered { per: own_per.unwrap_or(per), started, tiers: tiers? }, runtime))
    }

    fn tiers(&mut self, node: &Node, path: &str) -> Option<Vec<Tier>> {
        let items = self.list(node, path);
        let tier = |(path, node): (String, &Node)| {
            let table = self.table(node, &path, &["up_to", "price", "fee", "name"]);
            if table.get("price").is_none() && table.get("fee").is_none() {
                self.flaw(node, &path, "has neither `price` nor `fee`");
            }
            Tier {
                up_to: self.optional(&table, "up_to", Reader::count),
                price: self.optional(&table, "price", Reader::credits).unwrap_or_default(),
                fee: self.optional(&table, "fee", Reader::credits).unwrap_or_default(),
                name: self.optional(&table, "name", Reader::text),
            }
        };
        Some(items.into_iter().map(tier).collect())
    }
}
