//! How long it takes to draw one frame, at the end of a story of eleven chapters, when everything is on the screen.
//!
//! `cargo run --release -p demo-tui --example frame_time`

#[path = "../tests/support/script.rs"]
mod script;

use std::hint::black_box;
use std::time::{Duration, Instant};

use demo_tui::{Options, Replay};

const FRAMES: usize = 2_000;

fn main() {
    let mut replay = Replay::new(&Options::default());
    for stamped in script::stretches().into_iter().flatten() {
        replay.apply(stamped);
    }
    for (columns, rows) in [(120, 36), (80, 24), (60, 20), (200, 60)] {
        let mut times: Vec<Duration> = (0..FRAMES)
            .map(|_| {
                let began = Instant::now();
                black_box(replay.draw(columns, rows));
                began.elapsed()
            })
            .collect();
        times.sort_unstable();
        let at = |percent: usize| times[(FRAMES - 1) * percent / 100];
        println!("{columns}x{rows}: median {:?}, p99 {:?}, of {FRAMES} frames", at(50), at(99));
    }
    for stamped in script::ending() {
        replay.apply(stamped);
    }
    black_box(replay.draw(120, 36));
}
