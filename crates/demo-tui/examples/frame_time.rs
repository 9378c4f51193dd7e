//! How long it takes to draw one frame, at the end of each chapter of a story.
//!
//! `cargo run --release -p demo-tui --example frame_time -- LOG`; without a log, a scripted story
//! of eleven chapters.

#[path = "../tests/support/script.rs"]
mod script;

use std::fs::File;
use std::hint::black_box;
use std::io::BufReader;
use std::time::{Duration, Instant};

use demo_core::{Event, Log, TimedEvent};
use demo_tui::{Offscreen, ScreenOptions};

const FRAMES: usize = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events: Vec<TimedEvent> = match std::env::args().nth(1) {
        Some(path) => Log::read(BufReader::new(File::open(path)?))?
            .events()
            .to_vec(),
        None => script::stretches()
            .into_iter()
            .flatten()
            .chain(script::ending())
            .collect(),
    };
    for (columns, rows) in [(120, 36), (80, 24), (60, 20), (200, 60)] {
        let mut screen = Offscreen::new(&ScreenOptions::default());
        let mut times: Vec<Duration> = Vec::new();
        for stamped in &events {
            if matches!(
                stamped.event,
                Event::Entered { .. } | Event::Finished { .. }
            ) {
                times.extend((0..FRAMES).map(|_| {
                    let began = Instant::now();
                    black_box(screen.draw(columns, rows));
                    began.elapsed()
                }));
            }
            screen.apply(stamped.clone());
        }
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        println!(
            "{columns}x{rows}: median {:?}, p99 {:?}, of {} frames",
            at(50),
            at(99),
            times.len()
        );
    }
    Ok(())
}
