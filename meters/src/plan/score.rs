//! A score: lines of points, in hundredths.
//!
//! Must never know: plan formats. Invariant: the score is the sum of its lines, because it is computed from them.

use serde_json::{Value, json};

/// One line: so many of something, at a weight each.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    what: String,
    count: u64,
    weight_hundredths: u64,
    points_hundredths: u64,
}

/// A plan's score.
#[derive(Clone, Debug)]
pub struct Score {
    pub kind: &'static str,
    pub resources: u64,
    /// What was seen but not scored, in words.
    pub notes: Vec<String>,
    lines: Vec<Line>,
}

impl Score {
    pub fn new(kind: &'static str) -> Self {
        Self { kind, resources: 0, notes: Vec::new(), lines: Vec::new() }
    }

    /// `count` things at a weight each. Nothing of something is no line.
    pub fn add(&mut self, what: impl Into<String>, count: u64, weight_hundredths: u64) {
        self.add_capped(what, count, weight_hundredths, count * weight_hundredths);
    }

    /// As [`Score::add`], where a cap made the points fewer than count times weight.
    pub fn add_capped(&mut self, what: impl Into<String>, count: u64, weight_hundredths: u64, points: u64) {
        assert!(points <= count * weight_hundredths, "a cap never adds points");
        if 0 < count {
            self.lines.push(Line { what: what.into(), count, weight_hundredths, points_hundredths: points });
        }
    }

    pub fn hundredths(&self) -> u64 {
        self.lines.iter().map(|line| line.points_hundredths).sum()
    }

    pub fn lines(&self) -> Vec<Value> {
        let line = |line: &Line| {
            json!({
                "what": line.what,
                "count": line.count,
                "weight": shown(line.weight_hundredths),
                "points": shown(line.points_hundredths),
            })
        };
        self.lines.iter().map(line).collect()
    }
}

/// Hundredths as a decimal with two places.
pub fn shown(hundredths: u64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// The band of an exact score: S up to 15, M up to 40, L up to 100, XL above.
pub fn band(hundredths: u64) -> &'static str {
    match hundredths {
        0..=1500 => "S",
        1501..=4000 => "M",
        4001..=10_000 => "L",
        _ => "XL",
    }
}
