//! A deterministic simulation of nodes and their store.
//!
//! ```text
//!   plan (seed) --> world: one step of 5 ms after the other
//!                     | faults        of the plan that are due
//!                     | network       messages arrive; the store answers requests in one order
//!                     | hosts         each node's runtime runs until the end of the step
//!                     v
//!                   records: the callers' checks and changes --> judge: the promise of the mode
//! ```
//!
//! The nodes are real: HTTP handlers, limiter, sync, leases, the connections to the store and the
//! Lua scripts. Made here are the store (`store`, compared with a real one), the way to it
//! (`network`), the time of each node (`host`) and the faults. One seed is one run, and the same
//! seed is the same run.
//!
//! ```sh
//! # many runs, on all processors; then one of them again
//! SIMULATION_RUNS=100000 cargo test --release -p ratelimiter-node --lib simulation -- --nocapture
//! SIMULATION_SEED=17 cargo test --release -p ratelimiter-node --lib simulation -- --nocapture
//! ```
//!
//! A run that breaks a promise is shrunk to the fewest faults, and printed with the command that
//! plays these alone (`SIMULATION_FAULTS`). `SIMULATION_KINDS=ClockStep,Kill` has no other kinds of
//! faults than these.

pub(crate) mod clock;
mod compare;
mod fault;
mod host;
mod judge;
mod network;
mod noise;
mod plan;
mod records;
mod shrink;
mod store;
mod world;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use ratelimiter_api::CountingMode;

use fault::FaultKind;
use judge::{BrokenPromise, judge, line};
use plan::RunPlan;
use records::RunRecords;
use shrink::fewest;
use store::ScriptEngine;
use world::World;

/// Runs in the gate.
const RUNS: u64 = 200;
/// Runs between two lines of progress, of a long proof.
const PROGRESS: u64 = 1000;
const MODES: [CountingMode; 3] = [
    CountingMode::Atomic,
    CountingMode::Leased,
    CountingMode::Cached,
];

/// The kinds of faults that runs have.
fn kinds() -> Vec<FaultKind> {
    let chosen = std::env::var("SIMULATION_KINDS").ok();
    let chosen = |kind: &FaultKind| match &chosen {
        Some(names) => names.split(',').any(|name| format!("{kind:?}") == name),
        None => true,
    };
    FaultKind::ALL.into_iter().filter(chosen).collect()
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is {text:?}: it must be a number")),
    )
}

fn play(plan: &RunPlan, engine: &Rc<ScriptEngine>) -> (RunRecords, Option<BrokenPromise>) {
    let (records, _) = World::new(plan, engine).run();
    let broken = judge(plan, &records);
    (records, broken)
}

/// A run that breaks a promise, with the fewest faults that do.
fn explain(plan: &RunPlan, engine: &Rc<ScriptEngine>) -> Option<String> {
    let all: BTreeSet<usize> = (0..plan.faults.len()).collect();
    let broken = |places: &BTreeSet<usize>| play(&plan.with(places), engine).1;
    broken(&all)?;
    let few = fewest(all, |places| broken(places).is_some());
    let BrokenPromise {
        key,
        promise,
        witness,
    } = broken(&few)?;
    let faults = few.iter().map(|place| {
        let planned = &plan.faults[*place];
        format!("    {}\n", line(*place, planned.at_us, &planned.fault))
    });
    let faults: String = faults.collect();
    let places: Vec<_> = few.iter().map(ToString::to_string).collect();
    let spec = &plan.limits[key];
    Some(format!(
        "seed {}: {promise}: {witness}, from {:.3} s on; {} in {} s, files {:?}\n{faults}    \
         SIMULATION_SEED={} SIMULATION_FAULTS={} cargo test --release -p ratelimiter-node --lib \
         simulation -- --nocapture\n",
        plan.seed,
        witness.start.as_secs_f64(),
        spec.limit,
        spec.window_sec,
        plan.files,
        plan.seed,
        places.join(","),
    ))
}

#[test]
fn every_mode_keeps_its_promise() {
    let kinds = kinds();
    if let Some(seed) = number("SIMULATION_SEED") {
        let mut plan = RunPlan::of_seed(seed, &kinds, &MODES);
        if let Ok(places) = std::env::var("SIMULATION_FAULTS") {
            let places = places.split(',').filter(|text| !text.is_empty());
            plan = plan.with(&places.map(|place| place.parse().unwrap()).collect());
        }
        let engine = Rc::new(ScriptEngine::new());
        let found = explain(&plan, &engine);
        assert!(found.is_none(), "{}", found.unwrap());
        return;
    }
    let runs = number("SIMULATION_RUNS").unwrap_or(RUNS);
    let (started, next) = (Instant::now(), AtomicU64::new(0));
    let (found, checks) = (Mutex::new(Vec::new()), AtomicU64::new(0));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let engine = Rc::new(ScriptEngine::new());
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= runs {
                        return;
                    }
                    if seed > 0 && seed.is_multiple_of(PROGRESS) {
                        let rate = seed as f64 / started.elapsed().as_secs_f64();
                        println!("{seed} of {runs} runs, {rate:.1} a second");
                    }
                    let plan = RunPlan::of_seed(seed, &kinds, &MODES);
                    let (records, broken) = play(&plan, &engine);
                    checks.fetch_add(records.allowed(), Ordering::Relaxed);
                    if broken.is_some() {
                        let text = explain(&plan, &engine).unwrap();
                        println!("{text}");
                        found.lock().push(seed);
                    }
                }
            });
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{runs} runs, {:.1} a second; {} checks allowed",
        runs as f64 / seconds,
        checks.load(Ordering::Relaxed)
    );
    let found = found.into_inner();
    assert!(
        found.is_empty(),
        "{} of {runs} runs broke a promise",
        found.len()
    );
    assert!(checks.into_inner() > runs, "the runs exercised the limiter");
}

#[test]
fn one_seed_is_one_history() {
    let engine = Rc::new(ScriptEngine::new());
    for seed in 0..5 {
        let plan = RunPlan::of_seed(seed, &FaultKind::ALL, &MODES);
        let (first, _) = play(&plan, &engine);
        let (second, _) = play(&plan, &Rc::new(ScriptEngine::new()));
        assert!(first == second, "seed {seed}");
    }
}
