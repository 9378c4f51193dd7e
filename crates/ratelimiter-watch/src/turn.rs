//! The keys of a round.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use ratelimiter_api::{ActivePage, Key, KeyCounter, KeySample, LimitEntry, NodeCounters};

/// The most limits of a cluster whose keys are all in every round. Of more limits, only keys in use
/// are sampled, and by turns.
pub(crate) const FEW: usize = 1_000;

/// Keys that a node lists in one round, at most. One more than [`FEW`]: no turn ends among
/// these.
const PAGE: usize = FEW + 1;

/// Bytes of the keys that are in every round: they fit into the head of a request when each byte is
/// escaped.
const FOLLOWED_BYTES: usize = 4_000;

/// The keys to sample.
#[derive(Clone, Debug)]
pub(crate) enum KeyInterest {
    /// These keys.
    Only(Vec<Key>),
    /// All limits: the keys in use after `after`, and some that are in every round.
    All {
        after: Option<Key>,
        follow: Vec<Key>,
    },
}

impl KeyInterest {
    pub(crate) const ALL: Self = Self::All {
        after: None,
        follow: Vec::new(),
    };

    /// Keys that are in every round from now on: the first ones, if not all fit.
    pub(crate) fn follow<'a>(&mut self, keys: impl Iterator<Item = &'a Key>) {
        if let Self::All { follow, .. } = self {
            let mut bytes = 0;
            let fits = |key: &&Key| {
                bytes += key.as_str().len() + "key=&".len();
                bytes <= FOLLOWED_BYTES
            };
            *follow = keys.take_while(fits).cloned().collect();
        }
    }

    /// The query of the next round.
    pub(crate) fn asked(&self) -> CounterQuery {
        match self {
            Self::Only(keys) => CounterQuery::Keys(keys.clone()),
            Self::All { after, follow } => CounterQuery::Page(ActivePage {
                after: after.clone(),
                most: PAGE,
                also: follow.clone(),
            }),
        }
    }

    /// The next round goes on behind this turn, or begins again.
    pub(crate) fn advance(&mut self, turn: &KeyTurn) {
        if let Self::All { after, .. } = self {
            *after = match &turn.span {
                Some((_, Bound::Included(last))) => Some(last.clone()),
                _ => None,
            };
        }
    }
}

/// A query to every node.
#[derive(Clone, Debug)]
pub(crate) enum CounterQuery {
    Keys(Vec<Key>),
    Page(ActivePage),
}

/// The keys that a round is about. Every node that answered has listed all of them that it has in
/// use.
#[derive(Debug)]
pub(crate) struct KeyTurn {
    span: Option<(Bound<Key>, Bound<Key>)>,
    named: BTreeSet<Key>,
}

impl KeyTurn {
    /// The turn that the answers to a question allow: a full page ends it for all nodes.
    pub(crate) fn of<'a>(
        asked: CounterQuery,
        answers: impl Iterator<Item = &'a NodeCounters>,
    ) -> Self {
        let page = match asked {
            CounterQuery::Keys(keys) => {
                return Self {
                    span: None,
                    named: keys.into_iter().collect(),
                };
            }
            CounterQuery::Page(page) => page,
        };
        let ends = answers.filter_map(|answer| {
            let keys = answer.counters.iter().map(|counter| &counter.key);
            keys.filter(|key| page.after.as_ref().is_none_or(|after| *key > after))
                .nth(page.most - 1)
        });
        let end = ends
            .min()
            .cloned()
            .map_or(Bound::Unbounded, Bound::Included);
        let start = page.after.map_or(Bound::Unbounded, Bound::Excluded);
        Self {
            span: Some((start, end)),
            named: page.also.into_iter().collect(),
        }
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        use std::ops::RangeBounds as _;
        self.named.contains(key) || self.span.as_ref().is_some_and(|span| span.contains(key))
    }

    /// The keys that the answers list, and those that were named.
    pub(crate) fn keys<'a>(
        &'a self,
        answers: impl Iterator<Item = &'a NodeCounters>,
    ) -> BTreeSet<&'a Key> {
        let listed = answers.flat_map(|answer| answer.counters.iter().map(|counter| &counter.key));
        listed
            .filter(|key| self.has(key))
            .chain(&self.named)
            .collect()
    }
}

/// One node's counts of the keys of a turn. A key that it does not list is not in use there: it
/// admitted nothing in the window.
pub(crate) fn samples(
    turn: &KeyTurn,
    counters: Vec<KeyCounter>,
    known: &BTreeMap<Key, LimitEntry>,
) -> BTreeMap<Key, KeySample> {
    let listed = counters
        .into_iter()
        .filter(|counter| turn.has(&counter.key))
        .map(|c| {
            let sample = c.sample();
            (c.key, sample)
        });
    let mut samples: BTreeMap<_, _> = listed.collect();
    for (key, entry) in known.iter().filter(|(key, _)| turn.has(key)) {
        samples
            .entry(key.clone())
            .or_insert(KeySample::new(entry.limit, entry.epoch, 0));
    }
    samples
}

#[cfg(test)]
mod tests {
    use ratelimiter_api::{CountingMode, Limit, NodeId, StoreFailurePolicy};

    use super::*;

    fn key(number: usize) -> Key {
        Key::new(format!("k{number:05}")).unwrap()
    }

    fn answer(keys: impl Iterator<Item = usize>) -> NodeCounters {
        let counter = |number| KeyCounter {
            key: key(number),
            limit: Limit::new(10, 60).unwrap(),
            counting: CountingMode::Cached,
            epoch: 1,
            count: 1,
            unsynced: 0,
            lost: 0,
            shared: None,
            shared_age_ms: None,
            lease: None,
        };
        NodeCounters {
            node: NodeId::new("node-1"),
            boot: String::new(),
            started_at_us: 0,
            at_us: 0,
            counters: keys.map(counter).collect(),
        }
    }

    #[test]
    fn full_pages_end_a_turn_for_all() {
        let mut interest = KeyInterest::ALL;
        let answers = [
            answer((0..PAGE).map(|n| 2 * n)),
            answer(0..PAGE),
            answer(5..9),
        ];
        let turn = KeyTurn::of(interest.asked(), answers.iter());
        assert!(turn.has(&key(0)) && turn.has(&key(PAGE - 1)) && !turn.has(&key(PAGE)));
        assert_eq!(turn.keys(answers.iter()).len(), PAGE);
        interest.advance(&turn);

        let rest = [answer(PAGE..PAGE + 3), answer(0..0)];
        let turn = KeyTurn::of(interest.asked(), rest.iter());
        assert!(!turn.has(&key(PAGE - 1)) && turn.has(&key(PAGE)) && turn.has(&key(99_999)));
        interest.advance(&turn);
        assert!(
            matches!(&interest, KeyInterest::All { after: None, .. }),
            "the next begins again"
        );
    }

    #[test]
    fn named_keys_are_in_every_turn() {
        let mut interest = KeyInterest::ALL;
        interest.follow([key(7)].iter());
        let turn = KeyTurn::of(interest.asked(), [answer(0..PAGE)].iter());
        interest.advance(&turn);
        let turn = KeyTurn::of(interest.asked(), [answer([7].into_iter())].iter());
        assert!(turn.has(&key(7)) && !turn.has(&key(8)));

        let long = Key::new("x".repeat(256)).unwrap();
        interest.follow(std::iter::repeat_n(&long, 100));
        let CounterQuery::Page(page) = interest.asked() else {
            panic!("all keys are asked for by page")
        };
        assert_eq!(page.also.len(), 15, "as many as fit into a head");
    }

    #[test]
    fn unlisted_keys_are_zero() {
        let turn = KeyTurn::of(KeyInterest::ALL.asked(), [answer(0..1)].iter());
        let entry = LimitEntry {
            key: key(3),
            limit: Limit::new(10, 60).unwrap(),
            counting: CountingMode::Cached,
            on_store_failure: StoreFailurePolicy::Local,
            epoch: 1,
        };
        let known = [(key(3), entry)].into();
        let samples = samples(&turn, answer(0..1).counters, &known);
        assert_eq!(
            samples
                .values()
                .map(|sample| sample.admissions)
                .collect::<Vec<_>>(),
            [1, 0]
        );
    }
}
