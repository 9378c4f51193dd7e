//! Sorted sets.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::reply::Text;

/// A score, ordered as numbers are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Score(pub(crate) f64);

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Members by score, and by their bytes where scores are equal.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ScoredSet {
    scores: BTreeMap<Text, Score>,
    order: BTreeSet<(Score, Text)>,
}

impl ScoredSet {
    pub(crate) fn len(&self) -> usize {
        self.scores.len()
    }

    pub(crate) fn score(&self, member: &[u8]) -> Option<f64> {
        self.scores.get(member).map(|score| score.0)
    }

    /// Whether the member is new.
    pub(crate) fn add(&mut self, member: &[u8], score: f64) -> bool {
        let before = self.scores.insert(member.to_vec(), Score(score));
        if let Some(before) = before {
            self.order.remove(&(before, member.to_vec()));
        }
        self.order.insert((Score(score), member.to_vec()));
        before.is_none()
    }

    pub(crate) fn remove(&mut self, member: &[u8]) -> bool {
        let Some(score) = self.scores.remove(member) else {
            return false;
        };
        self.order.remove(&(score, member.to_vec()))
    }

    pub(crate) fn remove_all(&mut self, members: &[(Text, f64)]) {
        for (member, _) in members {
            self.remove(member);
        }
    }

    /// All members in order.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&Text, f64)> {
        self.order.iter().map(|(score, member)| (member, score.0))
    }

    /// The members from one place to another, both counted from the end where negative.
    pub(crate) fn places(&self, first: i64, last: i64) -> Vec<(Text, f64)> {
        let length = i64::try_from(self.len()).unwrap();
        let place = |place: i64| if place < 0 { place + length } else { place };
        let (first, last) = (place(first).max(0), place(last).min(length - 1));
        let count = usize::try_from(last - first + 1).unwrap_or(0);
        let skipped = usize::try_from(first).unwrap();
        let some = self.members().skip(skipped).take(count);
        some.map(|(member, score)| (member.clone(), score))
            .collect()
    }

    /// The members with scores in a range.
    pub(crate) fn between(&self, range: &ScoreRange) -> Vec<(Text, f64)> {
        let from = match range.0 {
            Bound::Included(score) | Bound::Excluded(score) => (score, Vec::new()),
            Bound::Unbounded => (Score(f64::NEG_INFINITY), Vec::new()),
        };
        let inside = |score: Score| {
            let above = match range.0 {
                Bound::Included(low) => score >= low,
                Bound::Excluded(low) => score > low,
                Bound::Unbounded => true,
            };
            let below = match range.1 {
                Bound::Included(high) => score <= high,
                Bound::Excluded(high) => score < high,
                Bound::Unbounded => true,
            };
            (above, below)
        };
        let later = self.order.range(from..);
        let inside = later
            .map(|(score, member)| (inside(*score), member, score.0))
            .take_while(|((_, below), ..)| *below)
            .filter(|((above, _), ..)| *above);
        inside
            .map(|(_, member, score)| (member.clone(), score))
            .collect()
    }
}

/// The least and the greatest score of a range.
pub(crate) struct ScoreRange(Bound<Score>, Bound<Score>);

impl ScoreRange {
    /// Of arguments such as `(5` and `+inf`.
    pub(crate) fn parse(least: &[u8], greatest: &[u8]) -> Result<Self, String> {
        let bound = |text: &[u8]| {
            let (text, exclusive) = match text {
                [b'(', rest @ ..] => (rest, true),
                all => (all, false),
            };
            let score = Score(float(text).ok_or("ERR min or max is not a float")?);
            Ok::<_, String>(if exclusive {
                Bound::Excluded(score)
            } else {
                Bound::Included(score)
            })
        };
        Ok(Self(bound(least)?, bound(greatest)?))
    }
}

/// A number as commands take it.
pub(crate) fn float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let number: f64 = match text {
        "+inf" | "inf" => f64::INFINITY,
        "-inf" => f64::NEG_INFINITY,
        _ if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => {
            text.parse().ok()?
        }
        _ => return None,
    };
    (!number.is_nan()).then_some(number)
}

/// A score as replies have it.
pub(crate) fn score_text(score: f64) -> String {
    if score.is_infinite() {
        return if score > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    format!("{score}")
}
