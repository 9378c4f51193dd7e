//! The delay that a presenter feels, measured through a pseudo terminal: how long after a key the
//! screen has changed while a fault blocks the chapter, and how busy the program is meanwhile.
//!
//! ```sh
//! cargo build --release -p demo-tui --examples
//! cargo run --release -p demo-tui --example latency
//! ```
//!
//! With a path as argument, the same of that `demo-ratelimiter`, in the middle of its write pause.

#[path = "../tests/support/pty.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod pty;

use std::time::{Duration, Instant};

use portable_pty::CommandBuilder;
use pty::Session;

const PRESSES: usize = 100;
const WATCHED: Duration = Duration::from_secs(10);

fn main() {
    let mut session = match std::env::args().nth(1) {
        Some(program) => {
            let mut command = CommandBuilder::new(program);
            command.args(["run", "--for", "60s"]);
            let mut session = Session::run(command, 120, 36);
            session.see("1. Welcome");
            session.press(" ");
            session.see("2. Cluster Health");
            session.press(" ");
            session.see("▶ store takes no writes");
            session
        }
        None => {
            let mut session = Session::start(120, 36, &["--fault", "60", "--countdown", "1"]);
            session.see("1. Welcome");
            session.press(" ");
            session.see("2. The tanks");
            session.press(" ");
            session.see("▶ the valve is shut");
            session
        }
    };
    report("to open and close the help", |n| {
        session.press("?");
        let opened = n % 2 == 0;
        session.until("help", |screen| {
            screen.contents().contains("Keys (any key closes)") == opened
        })
    });
    report("to show a refusal", |n| {
        session.press(" ");
        let times = if n == 0 {
            "the chapter is not done".into()
        } else {
            format!("(x{})", n + 1)
        };
        session.see(&times)
    });
    println!(
        "during the fault: {:.2} % of one core over {WATCHED:?}",
        busy(&session) * 100.0
    );
    session.press("q");
    assert!(session.end().status.success());
}

/// Presses keys at the pace of an impatient human, never in step with the frames.
fn report(what: &str, mut press: impl FnMut(usize) -> Duration) {
    let mut times: Vec<Duration> = (0..PRESSES)
        .map(|n| {
            std::thread::sleep(Duration::from_millis(60 + (n as u64 * 37) % 83));
            press(n)
        })
        .collect();
    times.sort_unstable();
    let at = |percent: usize| times[(PRESSES - 1) * percent / 100];
    println!(
        "a key {what}: median {:?}, p99 {:?}, most {:?}, of {PRESSES}",
        at(50),
        at(99),
        at(100)
    );
}

/// The program's share of a core.
fn busy(session: &Session) -> f64 {
    let (before, began) = (cpu(&session.id()), Instant::now());
    std::thread::sleep(WATCHED);
    (cpu(&session.id()) - before) / began.elapsed().as_secs_f64()
}

/// Seconds of processor time, as Linux counts them in `/proc`.
fn cpu(process: &str) -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat =
        std::fs::read_to_string(format!("/proc/{process}/stat")).expect("the process is there");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<f64> = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|f| f.parse().ok())
        .collect();
    fields.iter().sum::<f64>() / TICKS_PER_SECOND
}
