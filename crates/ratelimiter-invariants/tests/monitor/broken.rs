//! A limiter that is not correct is caught, and let go when it is again.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use ratelimiter_api::{
    KeySample, Limit, NodeId, NodeObservation, NodeSample, NodeState, Observation, SharedCount,
    StoreSample,
};
use ratelimiter_invariants::{Invariant, Monitor, ViolationChange, ViolationNumbers};

use crate::correct::setups;
use crate::world::{Event, Missing, World, key};

const LOOK: Event = Event::Observe {
    missing: Missing::NONE,
    store_read_after_ms: 0,
};

fn load() -> impl Strategy<Value = Vec<Event>> {
    let step = prop_oneof![
        (0..4_usize, 1..60_u32).prop_map(|(node, times)| Event::Check { node, times }),
        (1..400_u64).prop_map(|ms| Event::Wait { ms }),
        Just(LOOK),
    ];
    prop::collection::vec(step, 0..60)
}

fn raised(changes: &[ViolationChange], invariant: Invariant) -> Option<&ViolationNumbers> {
    changes.iter().find_map(|change| match change {
        ViolationChange::Raised(violation) if violation.invariant == invariant => {
            Some(&violation.evidence)
        }
        _ => None,
    })
}

proptest! {
    #[test]
    fn one_excess_admission_is_raised_next_round(
        setup in setups(),
        load in load(),
        node in 0..4_usize,
    ) {
        let nodes = setup.nodes;
        let mut world = World::new(setup);
        let mut monitor = Monitor::default();
        for event in &load {
            if let Some(observation) = world.run(event) {
                monitor.observe(&observation);
            }
        }
        while world.check(node % nodes) {}
        world.admit(node % nodes);

        let changes = monitor.observe(&world.run(&LOOK).unwrap());
        let Some(ViolationNumbers::GhostAllowing(ghost)) =
            raised(&changes, Invariant::GhostAllowing)
        else {
            panic!("{changes:?}")
        };
        prop_assert_eq!(ghost.excess(), 1);
    }

    #[test]
    fn drift_is_raised_after_grace_and_cleared_afterwards(
        drift in drifts(),
    ) {
        let mut monitor = Monitor::default();
        let (mut at, mut held) = (Duration::ZERO, Duration::ZERO);
        for (n, gap) in drift.rounds.iter().enumerate() {
            at += *gap;
            // One gap between two rounds counts for half the grace at most.
            held += if n == 0 {
                Duration::ZERO
            } else {
                (*gap).min(Duration::from_millis(300))
            };
            let changes = monitor.observe(&drift.observation(at, true));
            let due = held >= Duration::from_millis(600);
            let active = monitor
                .active()
                .any(|violation| violation.invariant == Invariant::CounterDrift);
            prop_assert_eq!(active, due, "held for {:?}: {:?}", held, changes);
            if let Some(ViolationNumbers::CounterDrift(evidence)) =
                raised(&changes, Invariant::CounterDrift)
            {
                prop_assert_eq!(evidence.drift, drift.expected());
            }
        }
        at += Duration::from_millis(50);
        let changes = monitor.observe(&drift.observation(at, false));
        let ends = |change: &ViolationChange| {
            matches!(change, ViolationChange::Cleared(_))
                && change.violation().invariant == Invariant::CounterDrift
        };
        prop_assert!(changes.iter().any(ends), "{changes:?}");
    }
}

/// A drift that stays as it is.
#[derive(Clone, Debug)]
struct Drift {
    limit: Limit,
    nodes: Vec<u64>,
    beyond_tolerance: u64,
    store_ahead: bool,
    /// Where the nodes are ahead: their writes hang, or the store lost them.
    hangs: bool,
    rounds: Vec<Duration>,
}

fn drifts() -> impl Strategy<Value = Drift> {
    let counts = prop::collection::vec(0..200_u64, 1..5);
    let rounds = prop::collection::vec((1..400_u64).prop_map(Duration::from_millis), 20..40);
    (
        1..2_000_i64,
        counts,
        1..500_u64,
        any::<bool>(),
        any::<bool>(),
        rounds,
    )
        .prop_map(
            |(limit, nodes, beyond_tolerance, store_ahead, hangs, rounds)| {
                let limit = Limit::new(limit, 60).unwrap();
                Drift {
                    limit,
                    nodes,
                    beyond_tolerance,
                    store_ahead,
                    hangs,
                    rounds,
                }
            },
        )
}

impl Drift {
    fn size(&self) -> u64 {
        u64::from(self.limit.admissions() / 10).max(2) + self.beyond_tolerance
    }

    fn expected(&self) -> i64 {
        if self.store_ahead {
            -self.size().cast_signed()
        } else {
            self.size().cast_signed()
        }
    }

    fn observation(&self, at: Duration, drifts: bool) -> Observation {
        let span_end_us = 1_000_000_000 + u64::try_from(at.as_micros()).unwrap();
        // enough on the first node that the store's count is not below zero
        let counts: Vec<u64> = self
            .nodes
            .iter()
            .enumerate()
            .map(|(n, &count)| if n == 0 { count + self.size() } else { count })
            .collect();
        let sum: u64 = counts.iter().sum();
        let shared = if !drifts {
            sum
        } else if self.store_ahead {
            sum + self.size()
        } else {
            sum - self.size()
        };
        let node = |(n, &admissions): (usize, &u64)| {
            let unsynced = if n == 0 && drifts && self.hangs {
                self.size()
            } else {
                0
            };
            let counter = KeySample {
                unsynced,
                ..KeySample::new(self.limit, 1, admissions)
            };
            NodeObservation {
                node: NodeId::new(format!("node-{n}")),
                address: String::new(),
                heartbeat: Some(NodeState::Up),
                sample: Some(NodeSample {
                    boot: String::new(),
                    started_at_us: 0,
                    latency: Duration::ZERO,
                    store_connected: true,
                    last_write_age: Some(if self.hangs {
                        Duration::from_secs(1)
                    } else {
                        Duration::ZERO
                    }),
                    check_p99: None,
                    sync_interval: Duration::from_millis(200),
                    keys: BTreeMap::from([(key(), counter)]),
                }),
                error: None,
            }
        };
        let shared = SharedCount {
            limit: self.limit,
            epoch: 1,
            shared,
            grants: None,
        };
        Observation {
            at,
            span_end_us,
            nodes: counts.iter().enumerate().map(node).collect(),
            store: Some(StoreSample {
                latency: Duration::ZERO,
                keys: BTreeMap::from([(key(), shared)]),
            }),
            store_error: None,
        }
    }
}
