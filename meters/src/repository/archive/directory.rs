//! The directory of a zip, walked where it lies.
//!
//! Must never know: which names are safe, how data are packed. Invariant: nothing is allocated for an entry, whatever
//! number of them is told; and there is one directory: it ends where its end record begins, holds as many entries as
//! that tells (as far as it can), and where there are two end records they agree. What files hold (other zips, say) is
//! never looked into.
//!
//! Own code, because this is where a zip attacks: a library that serves every zip there is keeps an index of as many
//! entries as are told, and where one directory is odd looks for another in all the bytes.

use std::ops::Range;

use flate2::Crc;

use super::names::shown;
use super::{Limits, invalid};
use crate::MeasureError;

/// Marks of records, and how long these are, what varies aside.
const LOCAL: (&[u8], usize) = (b"PK\x03\x04", 30);
const CENTRAL: (&[u8], usize) = (b"PK\x01\x02", 46);
const END: (&[u8], usize) = (b"PK\x05\x06", 22);
const END_64: (&[u8], usize) = (b"PK\x06\x06", 56);
const LOCATOR_64: (&[u8], usize) = (b"PK\x06\x07", 20);
/// Behind the end record stands at most a comment.
const COMMENT_BYTES_MAX: usize = u16::MAX as usize;
/// Extra fields: long numbers, and the name in Unicode.
const LONG: u16 = 0x0001;
const UNICODE_NAME: u16 = 0x7075;

/// Where the directory is, and what the archive's offsets count from: something may stand before an archive.
pub struct Directory<'a> {
    bytes: &'a [u8],
    /// In `bytes`.
    place: Range<usize>,
    count: u64,
    shift: u64,
}

/// Finds the directory and walks it once, before anything is made of it.
pub fn of(bytes: &[u8], limits: Limits) -> Result<Directory<'_>, MeasureError> {
    let end = end_record(bytes).ok_or_else(|| invalid("it has no end record"))?;
    let told = Told::at(bytes, end)?;
    limits.check_entries(told.entries)?;
    let odd = || invalid("its directory is not where its end record says");
    let start = u64::try_from(told.end).ok().and_then(|end| end.checked_sub(told.size)).ok_or_else(odd)?;
    let shift = start.checked_sub(told.offset).ok_or_else(odd)?;
    let start = usize::try_from(start).map_err(|_| odd())?;
    let mut directory = Directory { bytes, place: start..told.end, count: 0, shift };
    let mut at = start;
    while at < told.end {
        directory.count += 1;
        limits.check_entries(directory.count)?;
        at = directory.entry(at)?.end;
    }
    // Entries beside those that are told would be there for some readers.
    let found = if told.is_short { directory.count % (u64::from(u16::MAX) + 1) } else { directory.count };
    if found == told.entries { Ok(directory) } else { Err(invalid("its directory holds not what its end record says")) }
}

impl<'a> Directory<'a> {
    pub fn entries(&self) -> impl Iterator<Item = Result<Entry<'a>, MeasureError>> {
        let mut at = self.place.start;
        (0..self.count).map(move |_| {
            let entry = self.entry(at)?;
            at = entry.end;
            Ok(entry)
        })
    }

    fn entry(&self, at: usize) -> Result<Entry<'a>, MeasureError> {
        let whole = &self.bytes[..self.place.end];
        let broken = || invalid("its directory is broken");
        let head = record(whole, at, CENTRAL).ok_or_else(broken)?;
        let name_at = at + CENTRAL.1;
        let extra_at = name_at + usize::from(short(head, 28));
        let comment_at = extra_at + usize::from(short(head, 30));
        let end = comment_at + usize::from(short(head, 32));
        if whole.len() < end {
            return Err(broken());
        }
        let mut entry = Entry {
            head,
            name: &whole[name_at..extra_at],
            bytes: long(head, 24).into(),
            packed_bytes: long(head, 20).into(),
            at: long(head, 42).into(),
            end,
        };
        entry.take_in(&whole[extra_at..comment_at])?;
        entry.at = entry.at.checked_add(self.shift).ok_or_else(broken)?;
        Ok(entry)
    }

    /// Where an entry and its data are, all of it before the directory; and where in that its data begin.
    pub fn place(&self, entry: &Entry<'_>) -> Result<(Range<usize>, usize), MeasureError> {
        let before = &self.bytes[..self.place.start];
        let place = usize::try_from(entry.at).ok().and_then(|at| {
            let head = record(before, at, LOCAL)?;
            let data = at + LOCAL.1 + usize::from(short(head, 26)) + usize::from(short(head, 28));
            let end = data.checked_add(usize::try_from(entry.packed_bytes).ok()?)?;
            (end <= before.len()).then_some((at..end, data))
        });
        place.ok_or_else(|| invalid(format!("{:?} is not where its directory says", shown(entry.name))))
    }

    /// The data of an entry, as they were packed.
    pub fn packed(&self, entry: &Entry<'_>) -> Result<&'a [u8], MeasureError> {
        let (place, data) = self.place(entry)?;
        Ok(&self.bytes[data..place.end])
    }
}

/// What the end records tell.
struct Told {
    entries: u64,
    /// There is no 64-bit record, as some tools (macOS's own) write none however many entries there are: the lowest 16
    /// bits of their number are told.
    is_short: bool,
    size: u64,
    offset: u64,
    /// Where the directory must end.
    end: usize,
}

impl Told {
    fn at(bytes: &[u8], end: usize) -> Result<Told, MeasureError> {
        let record = &bytes[end..end + END.1];
        let (entries, size, offset) = (short(record, 10), long(record, 12), long(record, 16));
        let Some(wide) = Told::wide(bytes, end)? else {
            if short(record, 4) != 0 || short(record, 6) != 0 || short(record, 8) != entries {
                return Err(invalid("it is a part of several"));
            }
            let (entries, size, offset) = (entries.into(), size.into(), offset.into());
            return Ok(Told { entries, is_short: true, size, offset, end });
        };
        // A number that is too long for the short record is told as all ones; any other must be the same in both.
        let agree = |short: u64, ones: u64, wide: u64| short == ones || short == wide;
        let agreed = agree(entries.into(), u16::MAX.into(), wide.entries)
            && agree(size.into(), u32::MAX.into(), wide.size)
            && agree(offset.into(), u32::MAX.into(), wide.offset);
        if agreed { Ok(wide) } else { Err(invalid("its two end records contradict each other")) }
    }

    /// What the 64-bit end record tells; none where there is none.
    fn wide(bytes: &[u8], end: usize) -> Result<Option<Told>, MeasureError> {
        let Some(locator_at) = end.checked_sub(LOCATOR_64.1) else { return Ok(None) };
        let Some(locator) = record(bytes, locator_at, LOCATOR_64) else { return Ok(None) };
        let odd = || invalid("its 64-bit end record is not where it says");
        // It stands right before its locator: with what it may hold further, where it is said to be; else, where
        // something stands before the archive, in its plain form.
        let ends_at_locator = |at: &usize| {
            let size = record(bytes, *at, END_64).map(|it| very_long(it, 4));
            size.and_then(|it| it.checked_add(*at as u64 + 12)) == Some(locator_at as u64)
        };
        let said = usize::try_from(very_long(locator, 8)).ok().filter(|at| ends_at_locator(at));
        let plain = locator_at.checked_sub(END_64.1).filter(|at| ends_at_locator(at));
        let at = said.or(plain).ok_or_else(odd)?;
        let wide = record(bytes, at, END_64).ok_or_else(odd)?;
        let several = long(wide, 16) != 0 || long(wide, 20) != 0 || very_long(wide, 24) != very_long(wide, 32);
        if several || 1 < long(locator, 16) {
            return Err(invalid("it is a part of several"));
        }
        let (entries, size, offset) = (very_long(wide, 32), very_long(wide, 40), very_long(wide, 48));
        Ok(Some(Told { entries, is_short: false, size, offset, end: at }))
    }
}

/// The last end record whose comment is whole.
fn end_record(bytes: &[u8]) -> Option<usize> {
    let first = bytes.len().saturating_sub(END.1 + COMMENT_BYTES_MAX);
    (first..bytes.len()).rev().find(|at| {
        record(bytes, *at, END).is_some_and(|record| at + END.1 + usize::from(short(record, 20)) <= bytes.len())
    })
}

/// An entry of the directory.
pub struct Entry<'a> {
    head: &'a [u8],
    /// As the archive has it.
    pub name: &'a [u8],
    /// Of its content, as it says.
    pub bytes: u64,
    packed_bytes: u64,
    /// Where it is, in the whole.
    at: u64,
    /// Where the next entry of the directory begins.
    end: usize,
}

impl<'a> Entry<'a> {
    /// What the extra fields say better.
    fn take_in(&mut self, extra: &'a [u8]) -> Result<(), MeasureError> {
        let first = |wanted: u16| Extra(extra).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
        // In this order, and each only where its short form is all ones.
        let mut longer = first(LONG).unwrap_or_default().chunks_exact(8).map(|it| very_long(it, 0));
        for number in [&mut self.bytes, &mut self.packed_bytes, &mut self.at] {
            if *number == u64::from(u32::MAX) {
                *number = longer.next().ok_or_else(|| invalid("an entry lacks its long numbers"))?;
            }
        }
        // It holds for the name that it was made for.
        if let Some([1, a, b, c, d, name @ ..]) = first(UNICODE_NAME) {
            let mut checksum = Crc::new();
            checksum.update(self.name);
            if checksum.sum() == u32::from_le_bytes([*a, *b, *c, *d]) {
                self.name = name;
            }
        }
        Ok(())
    }

    pub fn is_encrypted(&self) -> bool {
        short(self.head, 8) & 1 != 0
    }
    pub fn method(&self) -> u16 {
        short(self.head, 10)
    }
    pub fn checksum(&self) -> u32 {
        long(self.head, 16)
    }
    /// Type and rights, as Unix tells them; 0 where they are not told.
    pub fn unix_mode(&self) -> u32 {
        let attributes = long(self.head, 38);
        match short(self.head, 4) >> 8 {
            // Unix, and what descends from it.
            3 | 19 => attributes >> 16,
            // DOS knows folders.
            0 if attributes & 0x10 != 0 => 0o040_000,
            _ => 0,
        }
    }
}

/// Extra fields: kind and value.
struct Extra<'a>(&'a [u8]);

impl<'a> Iterator for Extra<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let (head, rest) = self.0.split_at_checked(4)?;
        let (value, rest) = rest.split_at_checked(short(head, 2).into())?;
        self.0 = rest;
        Some((short(head, 0), value))
    }
}

/// The fixed part of a record of this mark, if there is one.
fn record<'a>(bytes: &'a [u8], at: usize, (mark, length): (&[u8], usize)) -> Option<&'a [u8]> {
    bytes.get(at..at.checked_add(length)?).filter(|record| record.starts_with(mark))
}

fn short(record: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(record[at..at + 2].try_into().expect("two bytes"))
}
fn long(record: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(record[at..at + 4].try_into().expect("four bytes"))
}
fn very_long(record: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(record[at..at + 8].try_into().expect("eight bytes"))
}
