//! What somebody may have meant: the known names nearest to an unknown one. Only refusals and faults look here.
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// Names longer than this are compared by their beginnings.
const LENGTH_MAX: usize = 64;

/// At most `most` of `known`, the nearest to `name` first.
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    let mut ranked: Vec<(usize, Reverse<usize>, &str)> =
        known.into_iter().map(|it| (edits(name, it), Reverse(shared_start(name, it)), it)).collect();
    ranked.sort_unstable();
    ranked.dedup();
    ranked.truncate(most);
    ranked.into_iter().map(|(_, _, it)| it).collect()
}

/// The same as the end of a sentence, which says whether these are all.
pub(super) fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, most: usize) -> String {
    let mut near = closest(name, known, most + 1);
    let said = match near.len() {
        0 => return String::from("it has none"),
        count if count <= most => "known are",
        _ => "among those known are",
    };
    near.truncate(most);
    format!("{said} {}", near.join(", "))
}

fn shared_start(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count()
}

/// Levenshtein's distance, by bytes: letters to insert, delete or replace.
fn edits(one: &str, other: &str) -> usize {
    let bytes = |it: &str| it.bytes().take(LENGTH_MAX).collect::<Vec<u8>>();
    let (one, other) = (bytes(one), bytes(other));
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, a) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (left, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[left + 1];
            row[left + 1] = replaced.min(diagonal + 1).min(row[left] + 1);
        }
    }
    row[other.len()]
}
