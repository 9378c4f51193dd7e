//! Which keys a round is about.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use ratelimiter_api::{ActivePage, Counters, Key, KeyCounter, KeySample, LimitEntry};

/// Limits of a cluster that is seen whole in every round. A larger one is looked at by turns, and
/// only its keys in use.
pub(crate) const FEW: usize = 1_000;

/// Keys that a node lists in one round, at most. One more than [`FEW`], so that no turn ends among
/// these.
const PAGE: usize = FEW + 1;

/// Bytes of the keys that are in every round, so that they fit into the head of a request when each
/// byte is escaped.
const FOLLOWED_BYTES: usize = 4_000;

/// What the observer was asked to look at.
#[derive(Clone, Debug)]
pub(crate) enum Scope {
    /// These keys.
    Only(Vec<Key>),
    /// All limits: the keys in use after `after`, and some that are in every round.
    All {
        after: Option<Key>,
        follow: Vec<Key>,
    },
}

impl Scope {
    pub(crate) const ALL: Self = Self::All {
        after: None,
        follow: Vec::new(),
    };

    /// Keys that are in every round from now on, as far as they fit.
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

    /// What the nodes are asked.
    pub(crate) fn asked(&self) -> Asked {
        match self {
            Self::Only(keys) => Asked::Keys(keys.clone()),
            Self::All { after, follow } => Asked::Page(ActivePage {
                after: after.clone(),
                most: PAGE,
                also: follow.clone(),
            }),
        }
    }

    /// The next round goes on behind this turn, or begins again.
    pub(crate) fn advance(&mut self, turn: &Turn) {
        if let Self::All { after, .. } = self {
            *after = match &turn.span {
                Some((_, Bound::Included(last))) => Some(last.clone()),
                _ => None,
            };
        }
    }
}

/// A question to the nodes.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Keys(Vec<Key>),
    Page(ActivePage),
}

/// The keys that a round is about. Every node that answered has listed all of them that it has in
/// use.
#[derive(Debug)]
pub(crate) struct Turn {
    span: Option<(Bound<Key>, Bound<Key>)>,
    named: BTreeSet<Key>,
}

impl Turn {
    /// The turn that the answers to a question allow: a full page ends it for all nodes.
    pub(crate) fn of<'a>(asked: Asked, answers: impl Iterator<Item = &'a Counters>) -> Self {
        let page = match asked {
            Asked::Keys(keys) => {
                return Self {
                    span: None,
                    named: keys.into_iter().collect(),
                };
            }
            Asked::Page(page) => page,
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
        answers: impl Iterator<Item = &'a Counters>,
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
    turn: &Turn,
    counters: Vec<KeyCounter>,
    known: &BTreeMap<Key, LimitEntry>,
) -> BTreeMap<Key, KeySample> {
    let listed = counters
        .into_iter()
        .filter(|counter| turn.has(&counter.key))
        .map(|c| {
            let sample = KeySample {
                limit: c.limit,
                epoch: c.epoch,
                admissions: c.count,
                unsynced: c.unsynced,
                lost: c.lost,
                leased: c.lease.map_or(0, |lease| lease.admitted),
            };
            (c.key, sample)
        });
    let mut samples: BTreeMap<_, _> = listed.collect();
    for (key, entry) in known.iter().filter(|(key, _)| turn.has(key)) {
        samples.entry(key.clone()).or_insert(KeySample {
            limit: entry.limit,
            epoch: entry.epoch,
            admissions: 0,
            unsynced: 0,
            lost: 0,
            leased: 0,
        });
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

    fn answer(keys: impl Iterator<Item = usize>) -> Counters {
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
        Counters {
            node: NodeId::new("node-1"),
            boot: String::new(),
            started_at_us: 0,
            at_us: 0,
            counters: keys.map(counter).collect(),
        }
    }

    #[test]
    fn full_pages_end_a_turn_for_all() {
        let mut scope = Scope::ALL;
        let answers = [
            answer((0..PAGE).map(|n| 2 * n)),
            answer(0..PAGE),
            answer(5..9),
        ];
        let turn = Turn::of(scope.asked(), answers.iter());
        assert!(turn.has(&key(0)) && turn.has(&key(PAGE - 1)) && !turn.has(&key(PAGE)));
        assert_eq!(turn.keys(answers.iter()).len(), PAGE);
        scope.advance(&turn);

        let rest = [answer(PAGE..PAGE + 3), answer(0..0)];
        let turn = Turn::of(scope.asked(), rest.iter());
        assert!(!turn.has(&key(PAGE - 1)) && turn.has(&key(PAGE)) && turn.has(&key(99_999)));
        scope.advance(&turn);
        assert!(
            matches!(&scope, Scope::All { after: None, .. }),
            "the next begins again"
        );
    }

    #[test]
    fn named_keys_are_in_every_turn() {
        let mut scope = Scope::ALL;
        scope.follow([key(7)].iter());
        let turn = Turn::of(scope.asked(), [answer(0..PAGE)].iter());
        scope.advance(&turn);
        let turn = Turn::of(scope.asked(), [answer([7].into_iter())].iter());
        assert!(turn.has(&key(7)) && !turn.has(&key(8)));

        let long = Key::new("x".repeat(256)).unwrap();
        scope.follow(std::iter::repeat_n(&long, 100));
        let Asked::Page(page) = scope.asked() else {
            panic!("all keys are asked for by page")
        };
        assert_eq!(page.also.len(), 15, "as many as fit into a head");
    }

    #[test]
    fn keys_that_a_node_does_not_list_are_zero() {
        let turn = Turn::of(Scope::ALL.asked(), [answer(0..1)].iter());
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
