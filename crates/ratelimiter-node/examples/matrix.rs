//! The fault matrix in full: each fault under load, with a row of measurements.
//!
//! ```sh
//! # all rows, and a crowd of 10,000
//! cargo run --release -p ratelimiter-node --example matrix
//! # one row
//! cargo run --release -p ratelimiter-node --example matrix StoreKilled
//! ```
//!
//! Ends with an error when a row breaks its bounds: a wait of the store timeout and 50 ms, health
//! within 100 ms, 150 MB.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot set up its subject has failed"
)]

#[path = "../tests/matrix/clock.rs"]
mod clock;
#[path = "../tests/matrix/crowd.rs"]
mod crowd;
#[path = "../tests/matrix/load.rs"]
mod load;
#[path = "../tests/matrix/rows.rs"]
mod rows;
#[path = "../tests/matrix/world.rs"]
mod world;

use std::process::ExitCode;
use std::time::Duration;

use crowd::Crowd;
use rows::{Fault, Scale, play};
use world::{LIMIT, NODES, STORE_TIMEOUT};

const FULL: Scale = Scale {
    before: Duration::from_secs(2),
    hold: Duration::from_secs(5),
    after: Duration::from_secs(4),
    many: 1_000_000,
};
const CROWD: Crowd = Crowd {
    idle: 10_000,
    slow: 200,
    greedy: 200,
    time: Duration::from_secs(15),
};
/// A check may take so much longer than the store timeout.
const MARGIN: Duration = Duration::from_millis(50);
const HEALTH: Duration = Duration::from_millis(100);
const RESIDENT: u64 = 150_000_000;

#[tokio::main]
async fn main() -> ExitCode {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let plays = |name: String| chosen.is_empty() || chosen.contains(&name);
    let mut broken = Vec::new();
    println!(
        "{NODES} nodes, limit {LIMIT} a second, store timeout {} ms, fault held for {} s",
        STORE_TIMEOUT.as_millis(),
        FULL.hold.as_secs()
    );
    println!("{}", rows::HEAD);
    for fault in Fault::ALL
        .into_iter()
        .filter(|fault| plays(format!("{fault:?}")))
    {
        let row = play(fault, FULL).await;
        println!("{row}");
        let late = !fault.stops_nodes() && row.longest > STORE_TIMEOUT + MARGIN;
        if !row.broken().is_empty() || late || !row.recovered {
            broken.push(format!("{fault:?}"));
        }
    }
    if plays("Crowd".into()) {
        let seen = CROWD.press().await;
        println!("{CROWD:?}\n{seen}");
        let failed = seen.health_failed + seen.checks_failed > 0;
        if failed
            || seen.health > HEALTH
            || seen.resident > RESIDENT
            || seen.files >= seen.files_allowed
        {
            broken.push("Crowd".into());
        }
    }
    if broken.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("out of bounds: {}", broken.join(", "));
    ExitCode::FAILURE
}
