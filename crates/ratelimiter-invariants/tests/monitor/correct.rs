//! A correct limiter raises nothing that it could not help.

use proptest::prelude::*;
use ratelimiter_api::Observation;
use ratelimiter_invariants::{Invariant, Monitor, ViolationChange};

use crate::world::{Event, Missing, Setup, World};

pub(crate) fn setups() -> impl Strategy<Value = Setup> {
    let flushes = prop::collection::vec(0..=140_u64, 1..8);
    (
        1..=4_usize,
        limits(),
        prop_oneof![Just(50_u64), Just(200)],
        flushes,
    )
        .prop_map(|(nodes, limit, sync_ms, flush_percent)| Setup {
            nodes,
            limit,
            sync_ms,
            flush_percent,
        })
}

fn limits() -> impl Strategy<Value = (i64, i64)> {
    (prop_oneof![1..=10_i64, 1..=120_i64], 1..=6_i64)
}

fn missing() -> impl Strategy<Value = Missing> {
    let some = (any::<u8>(), any::<bool>()).prop_map(|(nodes, store)| Missing { nodes, store });
    prop_oneof![4 => Just(Missing::NONE), 1 => some]
}

/// Quiet and busy times, each observed as it goes.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let observe = (missing(), 0..30_u64).prop_map(|(missing, store_read_after_ms)| {
        vec![Event::Observe {
            missing,
            store_read_after_ms,
        }]
    });
    let busy = (
        prop::collection::vec((0..4_usize, 1..40_u32, 1..120_u64), 1..30),
        1..4_usize,
    )
        .prop_map(|(checks, rounds)| {
            let step = |(n, (node, times, ms)): (usize, (usize, u32, u64))| {
                let look = Event::Observe {
                    missing: Missing::NONE,
                    store_read_after_ms: 2,
                };
                let mut step = vec![Event::Check { node, times }, Event::Wait { ms }];
                step.extend((n % rounds == 0).then_some(look));
                step
            };
            checks.into_iter().enumerate().flat_map(step).collect()
        });
    let change = prop_oneof![
        4 => limits().prop_map(|limit| Event::SetLimit { limit }),
        1 => Just(Event::Reset),
        2 => (0..4_usize).prop_map(|node| Event::Crash { node }),
        4 => (0..4_usize).prop_map(|node| Event::Start { node }),
    ]
    .prop_map(|event| vec![event]);
    let wait =
        prop_oneof![4 => 1..300_u64, 1 => 1..3_000_u64].prop_map(|ms| vec![Event::Wait { ms }]);
    let check =
        (0..4_usize, 1..150_u32).prop_map(|(node, times)| vec![Event::Check { node, times }]);
    let step = prop_oneof![6 => observe, 2 => busy, 1 => change, 6 => wait, 6 => check];
    prop::collection::vec(step, 1..120).prop_map(|steps| steps.concat())
}

fn alarms(monitor: &mut Monitor, observation: &Observation) -> Vec<String> {
    let raised = |change: &ViolationChange| matches!(change, ViolationChange::Raised(_));
    let excusable = |change: &ViolationChange| {
        // a sample that cannot be taken is what these two are about
        matches!(
            change.violation().invariant,
            Invariant::NodeDown | Invariant::RedisDisconnected
        )
    };
    let changes = monitor.observe(observation);
    changes
        .iter()
        .filter(|c| raised(c) && !excusable(c))
        .map(ToString::to_string)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_correct_limiter_raises_no_alarm(setup in setups(), events in events()) {
        let mut world = World::new(setup);
        let mut monitor = Monitor::default();
        for event in &events {
            if let Some(observation) = world.run(event) {
                let alarms = alarms(&mut monitor, &observation);
                prop_assert!(alarms.is_empty(), "{alarms:?} at {:?}", observation.at);
            }
        }
    }

    #[test]
    fn the_order_of_the_nodes_makes_no_difference(
        setup in setups(),
        events in events(),
        order in Just([0, 1, 2, 3]).prop_shuffle(),
    ) {
        let mut world = World::new(setup);
        let (mut monitor, mut other) = (Monitor::default(), Monitor::default());
        for mut observation in events.iter().filter_map(|event| world.run(event)) {
            // a cluster that loses count now and then, so that there is something to compare
            if observation.at.subsec_millis() % 3 == 0
                && let Some(store) = &mut observation.store
            {
                store.keys.values_mut().for_each(|count| count.shared /= 2);
            }
            let changes = monitor.observe(&observation);
            let nodes = &observation.nodes;
            let reordered = order
                .iter()
                .filter_map(|&n| nodes.get(n))
                .cloned()
                .collect();
            prop_assert_eq!(
                changes,
                other.observe(&Observation {
                    nodes: reordered,
                    ..observation.clone()
                })
            );
        }
    }
}
