//! The history checker against an oracle that tries every placement, against a limiter that is
//! right, and on paper.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

mod contracts;
mod exact;
mod forms;
mod limiter;
mod oracle;
mod promises;
mod stories;
mod traffic;

use std::time::Duration;

use proptest::prelude::ProptestConfig;
use ratelimiter_api::{Key, NodeId, Operation, Outcome};
use ratelimiter_invariants::Contract;

/// An operation in milliseconds.
fn operation(outcome: Outcome, node: usize, invoke: u64, complete: u64) -> Operation {
    let node = NodeId::new(format!("node-{node}"));
    let (invoke, complete) = (
        Duration::from_millis(invoke),
        Duration::from_millis(complete),
    );
    Operation::new(Key::new("k").unwrap(), node, invoke, complete, outcome)
}

fn contract(max: u32, window: u64) -> Contract {
    Contract::new(max, Duration::from_millis(window)).unwrap()
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

/// So many random cases, or `PROPTEST_CASES` where that is set: the full proof takes more time than
/// the gate has.
fn cases(usual: u32) -> ProptestConfig {
    let wanted = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    ProptestConfig::with_cases(wanted.unwrap_or(usual))
}
