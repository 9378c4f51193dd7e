//! How long the history checker takes for a million operations on one core.
//!
//! Checks are sent at three nodes faster than the limit. In the first history the limiter is correct, in the second it is
//! and one check in a thousand has no answer, in the third it admits one too many.

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::{Duration, Instant};

use ratelimiter_api::{Key, NodeId, Operation, Outcome};
use ratelimiter_invariants::{Contract, check_history};

const OPERATIONS: usize = 1_000_000;
const MAX: usize = 5_000;
const WINDOW: Duration = Duration::from_secs(1);

/// Numbers that look random and are the same in every run (xorshift64).
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn history(max: usize, unknown_per_mille: u64) -> Vec<Operation> {
    let key = Key::new("api-users").expect("a valid key");
    let nodes = ["node-1", "node-2", "node-3"].map(NodeId::from);
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    let mut window: VecDeque<Duration> = VecDeque::new();
    let mut now = Duration::from_millis(10);
    let check = |n: usize| {
        now += Duration::from_nanos(noise.below(200_000));
        while window.front().is_some_and(|&admitted| admitted + WINDOW <= now) {
            window.pop_front();
        }
        let unknown = noise.below(1_000) < unknown_per_mille;
        let allowed = window.len() < max;
        if allowed {
            window.push_back(now);
        }
        Operation {
            key: key.clone(),
            node: nodes[n % nodes.len()].clone(),
            invoke: now - Duration::from_nanos(noise.below(2_000_000)),
            complete: now + Duration::from_nanos(noise.below(2_000_000)),
            outcome: match (unknown, allowed) {
                (true, _) => Outcome::Unknown,
                (false, true) => Outcome::Allowed,
                (false, false) => Outcome::Denied,
            },
        }
    };
    (0..OPERATIONS).map(check).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let contract = Contract::new(MAX as u32, WINDOW)?;
    for (max, unknown_per_mille) in [(MAX, 0), (MAX, 1), (MAX + 1, 0)] {
        let operations = history(max, unknown_per_mille);
        let start = Instant::now();
        let report = check_history(black_box(&operations), contract)?;
        println!("{} operations in {:.0?}: {report}", operations.len(), start.elapsed());
    }
    Ok(())
}
