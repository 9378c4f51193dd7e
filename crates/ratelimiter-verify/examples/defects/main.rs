//! Plays a limiter of ten lines with a known defect, and its mended twin, in virtual time:
//!
//! ```sh
//! cargo run -p ratelimiter-verify --example defects                      # names the classes
//! cargo run -p ratelimiter-verify --example defects -- nodes-count-alone
//! ```
#![expect(
    clippy::unwrap_used,
    reason = "an example prints, and stops where it cannot go on"
)]

mod played;
mod programs;

use programs::DEFECTS;
use ratelimiter_verify::{hypothesis, table, timelines};

/// Nodes of every limiter.
const NODES: usize = 3;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let class = std::env::args().nth(1).unwrap_or_default();
    let mut chosen = DEFECTS.iter().filter(|one| one.class == class).peekable();
    if chosen.peek().is_none() {
        DEFECTS.iter().for_each(|one| println!("{}", one.class));
    }
    for defect in chosen {
        for (name, program) in [("broken", defect.broken), ("mended", defect.mended)] {
            let verdict = played::verdict(program, defect.limit, NODES, 7).await;
            if let Some(lines) = hypothesis(&verdict) {
                println!("{lines}");
            }
            println!(
                "{class}, {name}, promises {}\n\n{}\n",
                defect.limit,
                table(&verdict)
            );
            if let Some(drawn) = timelines(&verdict, 80) {
                println!("{drawn}\n");
            }
        }
    }
}
