//! A hash for keys that are random already: account numbers and name hashes. Nobody outside chooses them, so nothing
//! has to be defended against, and one multiplication spreads their bits well enough.
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

pub type SpreadMap<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

#[derive(Default)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }
    fn write_u64(&mut self, word: u64) {
        // The golden ratio's fraction, as in Fibonacci hashing; the rotation brings the good high bits down.
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    fn write_usize(&mut self, _length: usize) {}
}
