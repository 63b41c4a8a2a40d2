//! A block of usage: what many accounts used, one after the other, as one JSON text.
//!
//! Rows that stand together say much the same: the names of meters, projects and quantities stand once in a block, and
//! its rows have their places.
use std::collections::HashMap;
use std::sync::Arc;

use billing::id::{AccountNumber, Name};
use billing::money::Credits;
use billing::rating::Text;
use billing::time::Timestamp;
use billing::usage::{UsageKey, UsageKeyRef, UsageSum};
use foldhash::quality::RandomState;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Malformed;
use super::json::Json;

/// A block being written. What is pushed comes by account, and of each by hour.
pub struct BlockWriter {
    names: Json,
    places: HashMap<Text, u32, RandomState>,
    rows: Json,
    /// What was pushed first, and the account and hour that are open.
    first: Option<Spot>,
    last: Option<Spot>,
}

/// An account's hour.
pub type Spot = (AccountNumber, Timestamp);

impl BlockWriter {
    pub fn new() -> BlockWriter {
        BlockWriter { names: Json::new(), places: HashMap::default(), rows: Json::new(), first: None, last: None }
    }

    /// About how long its text is so far.
    pub fn length(&self) -> usize {
        self.names.as_str().len() + self.rows.as_str().len()
    }
    pub fn last(&self) -> Option<Spot> {
        self.last
    }

    /// Adds what an account used of one kind in one hour.
    pub fn push<'a>(
        &mut self,
        account: AccountNumber,
        key: UsageKeyRef<'_>,
        (credits, count): (Credits, u64),
        quantities: impl Iterator<Item = (&'a Text, u64)>,
    ) {
        self.turn_to((account, key.hour));
        let names = [Some(key.meter), key.project, key.server, key.model, key.actor];
        let places = names.map(|it| it.map(|it| self.place(it)));
        self.rows.open('[');
        for place in places {
            match place {
                Some(place) => self.rows.integer(place),
                None => self.rows.null(),
            }
        }
        self.rows.integer(credits.micros());
        self.rows.integer(count);
        self.rows.open('[');
        for (name, amount) in quantities {
            let place = self.place(name);
            self.rows.integer(place);
            self.rows.integer(amount);
        }
        self.rows.close(']');
        self.rows.close(']');
    }

    fn turn_to(&mut self, spot: Spot) {
        let before = self.last.replace(spot);
        if before == Some(spot) {
            return;
        }
        self.first.get_or_insert(spot);
        if before.is_some() {
            self.close_hour();
        }
        if before.is_none_or(|it| it.0 != spot.0) {
            if before.is_some() {
                self.close_account();
            }
            self.rows.open('[');
            self.rows.integer(spot.0.get());
            self.rows.open('[');
        }
        self.rows.open('[');
        self.rows.integer(spot.1.millis());
        self.rows.open('[');
    }
    fn close_hour(&mut self) {
        self.rows.close(']');
        self.rows.close(']');
    }
    fn close_account(&mut self) {
        self.rows.close(']');
        self.rows.close(']');
    }

    fn place(&mut self, name: &str) -> u32 {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = u32::try_from(self.places.len()).expect("a block has few names");
        self.places.insert(name.into(), place);
        self.names.string(name);
        place
    }

    /// The block's first account and hour, and its text; nothing where nothing was pushed. What comes next is another
    /// block.
    pub fn finish(&mut self) -> Option<(Spot, String)> {
        let first = self.first.take()?;
        self.last = None;
        self.close_hour();
        self.close_account();
        let text = format!("{{\"names\":[{}],\"rows\":[{}]}}", self.names.as_str(), self.rows.as_str());
        self.names.clear();
        self.rows.clear();
        self.places.clear();
        Some((first, text))
    }
}

/// A block as it was read: the accounts in it, each still as text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block<'a> {
    names: Vec<Text>,
    #[serde(borrow)]
    rows: Vec<(u64, &'a RawValue)>,
}

/// What was used, and by whom: a row of usage in any hour, and the names of its quantities.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kind {
    /// Its hour says nothing.
    pub key: UsageKey,
    pub names: Vec<Text>,
}

/// What an account used, in numbers: what many rows are of stands once.
#[derive(Default)]
pub struct Told {
    pub kinds: Vec<Kind>,
    pub rows: Vec<Row>,
    /// The quantities of all rows, one after the other.
    pub amounts: Vec<u64>,
}

#[derive(Clone, Copy)]
pub struct Row {
    /// Its place in `kinds`.
    pub kind: u32,
    pub hour: Timestamp,
    pub credits: Credits,
    pub count: u64,
    /// Where its quantities are, as many as its kind has names.
    pub amounts: usize,
}

/// Places of meter, project, server, model and actor; micro-credits, count; places and amounts of quantities.
type RowJson = (usize, Option<usize>, Option<usize>, Option<usize>, Option<usize>, i64, u64, Vec<u64>);

impl Block<'_> {
    /// # Errors
    /// When the text is not one that a [`BlockWriter`] wrote.
    pub fn read(text: &str) -> Result<Block<'_>, Malformed> {
        Ok(serde_json::from_str(text)?)
    }

    pub fn accounts(&self) -> impl Iterator<Item = AccountNumber> {
        self.rows.iter().map(|it| AccountNumber::from_random(it.0))
    }

    /// What an account used, by hour, as far as it stands here.
    ///
    /// # Errors
    /// When the text is not one that a [`BlockWriter`] wrote.
    pub fn of(&self, account: AccountNumber) -> Result<Vec<(UsageKey, UsageSum)>, Malformed> {
        let told = self.told(account)?;
        let row = |it: &Row| {
            let Kind { key, names } = &told.kinds[it.kind as usize];
            let quantities = names.iter().map(Arc::clone).zip(told.amounts[it.amounts..].iter().copied()).collect();
            (UsageKey { hour: it.hour, ..key.clone() }, UsageSum { credits: it.credits, count: it.count, quantities })
        };
        Ok(told.rows.iter().map(row).collect())
    }

    /// The same in numbers.
    ///
    /// # Errors
    /// As [`Block::of`].
    pub fn told(&self, account: AccountNumber) -> Result<Told, Malformed> {
        let mut teller = Teller::new(&self.names);
        for (_, text) in self.rows.iter().filter(|it| it.0 == account.get()) {
            teller.take(serde_json::from_str(text.get())?)?;
        }
        Ok(teller.told)
    }
}

/// What a block of one account tells, read in one go.
///
/// # Errors
/// As [`Block::of`].
pub fn told_whole(text: &str) -> Result<Told, Malformed> {
    let block: WholeBlock = serde_json::from_str(text)?;
    let mut teller = Teller::new(&block.names);
    block.rows.into_iter().try_for_each(|(_, hours)| teller.take(hours))?;
    Ok(teller.told)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WholeBlock {
    names: Vec<Text>,
    rows: Vec<(u64, Vec<HourJson>)>,
}

type HourJson = (i64, Vec<RowJson>);

/// Makes numbers of rows.
struct Teller<'a> {
    names: &'a [Text],
    told: Told,
    /// Places of names, and the kind that has them.
    kinds: HashMap<Vec<usize>, u32>,
    /// Places of the names of each kind.
    places: Vec<Vec<usize>>,
    last: usize,
}

impl Teller<'_> {
    fn new(names: &[Text]) -> Teller<'_> {
        Teller { names, told: Told::default(), kinds: HashMap::new(), places: Vec::new(), last: 0 }
    }

    fn take(&mut self, hours: Vec<HourJson>) -> Result<(), Malformed> {
        let mut places = Vec::new();
        for (hour, rows) in hours {
            for (meter, project, server, model, actor, credits, count, amounts) in rows {
                let (pairs, rest) = amounts.as_chunks::<2>();
                if !rest.is_empty() {
                    return Err(Malformed::lacks("an amount"));
                }
                places.clear();
                places.push(meter);
                places.extend([project, server, model, actor].map(|it| it.unwrap_or(usize::MAX)));
                places.extend(pairs.iter().map(|it| usize::try_from(it[0]).unwrap_or(usize::MAX)));
                let kind = self.kind_at(&places)?;
                let (hour, credits) = (Timestamp::from_millis(hour), Credits::from_micros(credits));
                self.told.rows.push(Row { kind, hour, credits, count, amounts: self.told.amounts.len() });
                self.told.amounts.extend(pairs.iter().map(|it| it[1]));
            }
        }
        Ok(())
    }

    /// The number of the kind whose names have these places. Hours are much like each other: it is likely the one that
    /// was met after the last.
    fn kind_at(&mut self, places: &[usize]) -> Result<u32, Malformed> {
        let next = if self.last + 1 < self.places.len() { self.last + 1 } else { 0 };
        let number = match self.places.get(next) {
            Some(it) if it == places => next,
            _ => match self.kinds.get(places) {
                Some(number) => *number as usize,
                None => {
                    self.told.kinds.push(self.kind(places)?);
                    self.places.push(places.to_vec());
                    self.places.len() - 1
                }
            },
        };
        let short = u32::try_from(number).expect("a block has few rows");
        if number == self.kinds.len() {
            self.kinds.insert(places.to_vec(), short);
        }
        self.last = number;
        Ok(short)
    }

    /// The kind whose names have these places; those that are not there may have none.
    fn kind(&self, places: &[usize]) -> Result<Kind, Malformed> {
        let text = |it: usize| self.names.get(it).cloned().ok_or(Malformed::lacks("names"));
        let maybe = |it: usize| if it == usize::MAX { Ok(None) } else { text(it).map(Some) };
        let name = |it: usize| -> Result<Option<Name>, Malformed> {
            let Some(text) = maybe(it)? else { return Ok(None) };
            text.parse().map(Some).map_err(|_| Malformed::not("a name", &text))
        };
        let ([meter, project, server, model, actor], names) = places.split_first_chunk().expect("there are five");
        let key = UsageKey {
            hour: Timestamp::EPOCH,
            meter: text(*meter)?,
            project: name(*project)?,
            server: name(*server)?,
            model: maybe(*model)?,
            actor: name(*actor)?,
        };
        Ok(Kind { key, names: names.iter().map(|it| text(*it)).collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(hour: i64, project: &str, credits: i64) -> (UsageKey, UsageSum) {
        let key = UsageKey {
            hour: Timestamp::from_millis(hour),
            meter: "ai_chat".into(),
            project: Some(project.parse().unwrap()),
            server: None,
            model: Some("a \"model\"".into()),
            actor: None,
        };
        let quantities = vec![("input_tokens".into(), 7), ("output_tokens".into(), u64::MAX)];
        (key, UsageSum { credits: Credits::from_micros(credits), count: 3, quantities })
    }

    #[test]
    fn a_block_reads_as_it_was_written() {
        let account = |it| AccountNumber::from_random(it);
        let told = [
            (account(3), vec![row(0, "a", 5), row(0, "b", -2), row(3_600_000, "a", 9)]),
            (account(9), vec![row(3_600_000, "c", 1)]),
        ];
        let mut writer = BlockWriter::new();
        for _ in 0..2 {
            for (account, rows) in &told {
                for (key, sum) in rows {
                    let quantities = sum.quantities.iter().map(|(name, amount)| (name, *amount));
                    writer.push(*account, key.as_ref(), (sum.credits, sum.count), quantities);
                }
            }
            let (first, text) = writer.finish().unwrap();
            assert_eq!(first, (account(3), Timestamp::EPOCH));
            let block = Block::read(&text).unwrap();
            assert_eq!(block.accounts().collect::<Vec<_>>(), [account(3), account(9)]);
            for (account, rows) in &told {
                assert_eq!(&block.of(*account).unwrap(), rows, "{text}");
            }
            assert_eq!(block.of(account(4)).unwrap(), []);
        }
        assert!(writer.finish().is_none());
        assert!(
            Block::read(r#"{"names":[],"rows":[[3,[[0,[[0,null,null,null,null,1,1,[]]]]]]]}"#)
                .unwrap()
                .of(account(3))
                .is_err()
        );
    }
}
