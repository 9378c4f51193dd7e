//! Time of the history checker for each contract, from ten thousand to ten million operations on
//! one core.
//!
//! `cargo run --release -p ratelimiter-invariants --example million`
//!
//! Checks are sent at three nodes faster than the limit, to a sliding-window limiter that is
//! correct; one check in a thousand has no answer. Each size is checked with unit costs and with
//! costs of 1, 2 and 3, and against a sliding limit and a bucket at once. Give a number to stop at
//! another size.

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::{Duration, Instant};

use ratelimiter_api::{Key, NodeId, Operation, Outcome};
use ratelimiter_invariants::{
    Contract, ContractKind, History, HistoryChecker, HistoryError, Promise,
};

const MAX: u32 = 5_000;
const WINDOW: Duration = Duration::from_secs(1);

fn history(operations: usize, costs: u32) -> Result<History, HistoryError> {
    let key = Key::new("api-users").expect("a valid key");
    let nodes = ["node-1", "node-2", "node-3"].map(NodeId::from);
    let mut noise = fastrand::Rng::with_seed(1);
    let mut window: VecDeque<(Duration, u32)> = VecDeque::new();
    let mut used = 0;
    let mut now = Duration::from_millis(10);
    let check = |n: usize| {
        now += Duration::from_nanos(noise.u64(..200_000));
        while let Some(&(admitted, cost)) = window.front()
            && admitted + WINDOW <= now
        {
            used -= cost;
            window.pop_front();
        }
        let unknown = noise.u64(..1_000) == 0;
        let cost = 1 + noise.u32(..costs);
        let allowed = used + cost <= MAX;
        if allowed {
            used += cost;
            window.push_back((now, cost));
        }
        let outcome = match (unknown, allowed) {
            (true, _) => Outcome::Unknown,
            (false, true) => Outcome::Allowed,
            (false, false) => Outcome::Denied,
        };
        let mut around = || Duration::from_nanos(noise.u64(..2_000_000));
        let (invoke, complete) = (now - around(), now + around());
        Operation::new(
            key.clone(),
            nodes[n % nodes.len()].clone(),
            invoke,
            complete,
            outcome,
        )
        .costing(cost)
    };
    let mut history = History::default();
    (0..operations)
        .map(check)
        .try_for_each(|operation| history.push(operation))?;
    Ok(history)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let most = std::env::args()
        .nth(1)
        .map_or(Ok(10_000_000), |text| text.parse())?;
    let sliding = Contract::new(MAX, WINDOW)?;
    let bucket = sliding.clone().of_kind(ContractKind::TokenBucket);
    for size in [10_000, 100_000, 1_000_000, 10_000_000]
        .into_iter()
        .filter(|size| *size <= most)
    {
        for costs in [1, 3] {
            let operations = history(size, costs)?;
            let of_kind = |kind| sliding.clone().of_kind(kind);
            let both = Promise::new(of_kind(ContractKind::Sliding), [bucket.clone()]);
            let one = ContractKind::WINDOWS.map(|kind| (kind.to_string(), of_kind(kind).into()));
            for (kind, promise) in one.into_iter().chain([("two limits".to_owned(), both)]) {
                let start = Instant::now();
                let report = HistoryChecker::new(promise).check(black_box(&operations));
                let took = start.elapsed();
                println!(
                    "{size:>9} operations of cost 1..{costs}, {kind:<12} {:>8.1} ms  certain {}, \
                     possible {}, {:?}",
                    took.as_secs_f64() * 1e3,
                    report.definite_peak,
                    report.possible_peak,
                    report.settled
                );
            }
        }
    }
    if let Ok(status) = std::fs::read_to_string("/proc/self/status")
        && let Some(peak) = status.lines().find(|line| line.starts_with("VmHWM"))
    {
        println!(
            "peak of resident memory, the histories included:{}",
            peak.trim_start_matches("VmHWM:")
        );
    }
    Ok(())
}
