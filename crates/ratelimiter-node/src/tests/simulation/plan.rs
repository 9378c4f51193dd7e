//! All that happens in a run, drawn from its seed before it begins.

use std::collections::BTreeSet;

use fastrand::Rng;
use ratelimiter_api::{CountingMode, Key, Limit, LimitSpec, StoreFailurePolicy};

use super::fault::{Fault, FaultKind};

const MS: u64 = 1000;
/// When checks begin: nodes are up, and know the limits.
const BEGIN_US: u64 = 1_500 * MS;
/// When they end.
const END_US: u64 = 9_500 * MS;
/// When the last fault begins.
const LAST_FAULT_US: u64 = 7_000 * MS;

/// One check, or the one of a burst.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlannedCheck {
    pub(crate) at_us: u64,
    pub(crate) node: usize,
    pub(crate) key: usize,
    pub(crate) cost: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct PlannedFault {
    pub(crate) at_us: u64,
    pub(crate) kind: FaultKind,
    pub(crate) fault: Fault,
}

/// A run.
#[derive(Clone, Debug)]
pub(crate) struct RunPlan {
    pub(crate) seed: u64,
    pub(crate) limits: Vec<LimitSpec>,
    /// Parts per million by which each node's clock is fast.
    pub(crate) rates_ppm: Vec<i64>,
    /// Whether each node has a file of limits.
    pub(crate) files: Vec<bool>,
    pub(crate) sync_ms: u64,
    /// In order.
    pub(crate) checks: Vec<PlannedCheck>,
    /// In order.
    pub(crate) faults: Vec<PlannedFault>,
    pub(crate) end_us: u64,
}

impl RunPlan {
    /// The run of a seed, with faults of some kinds.
    pub(crate) fn of_seed(seed: u64, kinds: &[FaultKind], modes: &[CountingMode]) -> Self {
        let mut rng = Rng::with_seed(seed);
        let nodes = 3;
        let keys = rng.usize(1..3);
        let limits: Vec<_> = (0..keys)
            .map(|key| draw_limit(key, modes, &mut rng))
            .collect();
        let rates_ppm = (0..nodes).map(|_| rng.i64(-4000..4000)).collect();
        let files = (0..nodes).map(|_| rng.u8(0..3) == 0).collect();
        let sync_ms = [100, 200, 200, 400][rng.usize(0..4)];
        let mut checks = Vec::new();
        for (key, limit) in limits.iter().enumerate() {
            draw_checks(key, limit, nodes, &mut rng, &mut checks);
        }
        checks.sort_by_key(|check| check.at_us);
        let mut faults = Vec::new();
        let count = rng.usize(1..6);
        let mut at_us = BEGIN_US;
        for _ in 0..count {
            // Half of them follow the last one at once: faults meet.
            at_us = if rng.bool() {
                at_us + rng.u64(0..600 * MS)
            } else {
                rng.u64(BEGIN_US..LAST_FAULT_US)
            };
            if let Some(kind) = rng.choice(kinds) {
                let fault = kind.draw(&mut rng, nodes, keys);
                faults.push(PlannedFault {
                    at_us,
                    kind: *kind,
                    fault,
                });
            }
        }
        faults.sort_by_key(|fault| fault.at_us);
        Self {
            seed,
            limits,
            rates_ppm,
            files,
            sync_ms,
            checks,
            faults,
            end_us: END_US,
        }
    }

    /// The same run with these faults alone.
    pub(crate) fn with(&self, places: &BTreeSet<usize>) -> Self {
        let faults = self.faults.iter().enumerate();
        let faults = faults.filter(|(place, _)| places.contains(place));
        Self {
            faults: faults.map(|(_, fault)| fault.clone()).collect(),
            ..self.clone()
        }
    }
}

fn draw_limit(key: usize, modes: &[CountingMode], rng: &mut Rng) -> LimitSpec {
    let counting = *rng.choice(modes).unwrap();
    let policy = match counting {
        CountingMode::Leased => StoreFailurePolicy::Deny,
        _ if rng.bool() => StoreFailurePolicy::Deny,
        _ => StoreFailurePolicy::Local,
    };
    let limit = Limit::new([4, 10, 20, 50][rng.usize(0..4)], rng.i64(1..4)).unwrap();
    LimitSpec {
        counting: Some(counting),
        on_store_failure: Some(policy),
        ..LimitSpec::new(Key::new(format!("key-{key}")).unwrap(), limit)
    }
}

/// Checks at a rate of some limits a window, with bursts in between.
fn draw_checks(
    key: usize,
    spec: &LimitSpec,
    nodes: usize,
    rng: &mut Rng,
    checks: &mut Vec<PlannedCheck>,
) {
    let limit = spec.limit.unsigned_abs();
    let window_us = spec.window_sec.unsigned_abs() * 1000 * MS;
    let costly = rng.u8(0..4) == 0;
    let mut draw = |rng: &mut Rng, at_us| {
        let cost = if costly { rng.u32(1..4) } else { 1 };
        checks.push(PlannedCheck {
            at_us,
            node: rng.usize(0..nodes),
            key,
            cost,
        });
    };
    let gap_us = window_us / (limit * rng.u64(1..4));
    let mut at_us = BEGIN_US;
    while at_us < END_US {
        draw(rng, at_us);
        at_us += rng.u64(0..2 * gap_us);
    }
    for _ in 0..rng.usize(0..4) {
        let at_us = rng.u64(BEGIN_US..END_US);
        (0..2 * limit).for_each(|_| draw(rng, at_us));
    }
}
