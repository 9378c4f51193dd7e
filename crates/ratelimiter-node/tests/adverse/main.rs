//! Adversities of the store in small: each kind once, every admission judged.
//! `examples/adverse.rs` plays many of them.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

#[path = "../matrix/clock.rs"]
mod clock;
#[path = "../matrix/load.rs"]
mod load;
mod run;
mod world;

use std::time::Duration;

use run::{Adversity, play};

async fn holds(adversity: Adversity) {
    let report = play(adversity, 1, Duration::from_secs(6)).await;
    println!("{report}");
    assert!(report.holds(), "{report:?}");
    if matches!(adversity, Adversity::Evicts(_)) {
        assert!(report.evicted > 0, "{report:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evictions_break_no_promise() {
    for adversity in &Adversity::ALL[..4] {
        holds(*adversity).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_steps_break_no_promise() {
    holds(Adversity::ClockSteps).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_together_break_no_promise() {
    holds(Adversity::RestartsTogether).await;
}
