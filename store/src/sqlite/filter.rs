//! A Bloom filter: says that a name is not in a set, nearly always rightly, at the price of one cache miss.
//!
//! All bits of a name lie in one 64-byte line. 12 bits a name and 6 of them set let about one in a hundred strangers
//! through; each costs a look at one block. Invariant: a name that was added is never denied.

const LINE_BYTES: usize = 64;
const NAMES_PER_LINE: u64 = 42;

pub struct Filter(Vec<u8>);

impl Filter {
    /// An empty filter for about `count` names.
    pub fn for_names(count: u64) -> Filter {
        let lines = usize::try_from(count / NAMES_PER_LINE + 1).expect("a filter fits in memory");
        Filter(vec![0; lines * LINE_BYTES])
    }
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Filter> {
        (!bytes.is_empty() && bytes.len().is_multiple_of(LINE_BYTES)).then_some(Filter(bytes))
    }
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn add(&mut self, prefix: u64) {
        let line = self.line(prefix);
        for (byte, bit) in bits(prefix) {
            self.0[line + byte] |= bit;
        }
    }
    /// All bits are looked at, whatever the first ones say: whether one is missing cannot be foretold, and to go on as
    /// if it could costs more than the rest of them.
    pub fn may_have(&self, prefix: u64) -> bool {
        let line = &self.0[self.line(prefix)..][..LINE_BYTES];
        bits(prefix).fold(true, |has, (byte, bit)| has & (line[byte] & bit != 0))
    }

    /// Where the line of a name starts. Prefixes have 63 random bits: their top chooses the line, in order, so that
    /// adding a sorted run walks through memory once.
    fn line(&self, prefix: u64) -> usize {
        let lines = self.0.len() / LINE_BYTES;
        let line = (u128::from(prefix) * lines as u128) >> 63;
        usize::try_from(line).expect("less than the number of lines") * LINE_BYTES
    }
}

/// Six bits of a line's 512, as a byte and a bit in it.
fn bits(prefix: u64) -> impl Iterator<Item = (usize, u8)> {
    let mixed = prefix.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ prefix.rotate_left(32);
    (0..6).map(move |it| {
        let bit = (mixed.wrapping_mul(0xd6e8_feb8_6659_fd93) >> (10 + 9 * it)) & 511;
        (usize::try_from(bit / 8).expect("below 64"), 1 << (bit % 8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_pass_and_strangers_mostly_do_not() {
        let mut random = 7_u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random ^ (random >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1
        };
        let members: Vec<u64> = (0..100_000).map(|_| next()).collect();
        let mut filter = Filter::for_names(100_000);
        members.iter().for_each(|it| filter.add(*it));
        assert!(members.iter().all(|it| filter.may_have(*it)));
        let passed = (0..100_000).filter(|_| filter.may_have(next())).count();
        assert!(passed < 2_000, "{passed} of 100 000 strangers passed");
    }
}
