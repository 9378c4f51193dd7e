//! The share of histories that each contract's checker leaves undecided, for a correct limiter and
//! for racy ones.
//!
//! `cargo run --release -p ratelimiter-invariants --example undecided`
//!
//! A thousand seeded histories a row: 200 checks over three nodes against 10 per second, each check
//! up to 200 ms long. A racy limiter admits one check in so many although its window is full.

use std::collections::VecDeque;
use std::time::Duration;

use ratelimiter_api::{Key, NodeId, Operation, Outcome};
use ratelimiter_invariants::{Contract, ContractKind, Proof, Verdict, VerdictBasis, check_history};

const HISTORIES: u64 = 1_000;
const CHECKS: usize = 200;
const MAX: usize = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// The records of a limiter that exceeds its limit once in `excess` denials, or never.
fn history(seed: u64, excess: Option<u64>) -> Vec<Operation> {
    let key = Key::new("api-users").expect("a valid key");
    let nodes = ["node-1", "node-2", "node-3"].map(NodeId::from);
    let mut noise = fastrand::Rng::with_seed(seed);
    let mut window: VecDeque<Duration> = VecDeque::new();
    let mut now = WINDOW;
    let check = |n: usize| {
        now += Duration::from_micros(noise.u64(..80_000));
        while window
            .front()
            .is_some_and(|&admitted| admitted + WINDOW <= now)
        {
            window.pop_front();
        }
        let allowed = window.len() < MAX || excess.is_some_and(|excess| noise.u64(..excess) == 0);
        if allowed {
            window.push_back(now);
        }
        let outcome = if allowed {
            Outcome::Allowed
        } else {
            Outcome::Denied
        };
        let mut around = || Duration::from_micros(noise.u64(..100_000));
        let (invoke, complete) = (now - around(), now + around());
        Operation::new(
            key.clone(),
            nodes[n % nodes.len()].clone(),
            invoke,
            complete,
            outcome,
        )
    };
    (0..CHECKS).map(check).collect()
}

/// Histories by verdict.
#[derive(Default)]
struct Share {
    passed: u64,
    by_bounds: u64,
    by_search: u64,
    /// Some placement keeps the contract, another breaks it: no checker can do better.
    open: u64,
    undecided: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("limiter          contract      passed  violated: bounds  search    open  undecided");
    for (name, excess) in [
        ("correct", None),
        ("racy, 1 in 1000", Some(1_000)),
        ("racy, 1 in 100", Some(100)),
    ] {
        for kind in ContractKind::WINDOWS {
            let contract = Contract::new(u32::try_from(MAX)?, WINDOW)?.of_kind(kind);
            let mut share = Share::default();
            for seed in 0..HISTORIES {
                let report = check_history(&history(seed, excess), contract.clone())?;
                *match (&report.verdict, report.settled) {
                    (Verdict::Pass, _) => &mut share.passed,
                    (Verdict::Violated(witness), _) if witness.proof == Proof::Placement => {
                        &mut share.by_search
                    }
                    (Verdict::Violated(_), _) => &mut share.by_bounds,
                    (Verdict::Unknown { .. }, VerdictBasis::Undecided) => &mut share.undecided,
                    (Verdict::Unknown { .. }, _) => &mut share.open,
                } += 1;
            }
            let Share {
                passed,
                by_bounds,
                by_search,
                open,
                undecided,
            } = share;
            println!(
                "{name:<16} {kind:<12} {passed:>7} {by_bounds:>17} {by_search:>7} {open:>7} \
                 {undecided:>10}"
            );
        }
    }
    Ok(())
}
