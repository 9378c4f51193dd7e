//! Breaks made-up systems in eight ways and counts how often the right entity comes first, beside
//! simple scorers.
//!
//! `cargo run --release -p diagnosis --example suite -- --seeds 100`

mod baseline;
mod fault;
mod graph;
mod kind;
mod rng;
mod scenario;
mod signals;
mod table;

use clap::Parser as _;
use diagnosis::{Evidence, Validated, offline, text};

use kind::Kind;
use scenario::Scenario;
use table::Judged;

/// Breaks made-up systems in eight ways and counts how often the right entity comes first, beside
/// simple scorers.
#[derive(Debug, clap::Parser)]
#[command(name = "suite")]
struct Flags {
    /// Runs of each kind of fault, with and without topology; as many again of eight without a
    /// fault.
    #[arg(long, value_name = "N", default_value_t = 40)]
    seeds: u64,
    /// The first seed.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    from: u64,
    /// Only this kind of fault.
    #[arg(long, value_name = "KIND")]
    only: Option<Kind>,
    /// Show every diagnosis that is not right, with the evidence it had.
    #[arg(long)]
    explain: bool,
}

fn main() {
    let flags = Flags::parse();
    let mut all = Vec::new();
    for (seed, setting) in scenario::runs(flags.from..flags.from.saturating_add(flags.seeds)) {
        if flags.only.is_some_and(|only| setting.kind != Some(only)) {
            continue;
        }
        let scenario = Scenario::new(seed, setting);
        let evidence = scenario.evidence();
        let answer = offline::diagnose(&evidence);
        let judged = Judged::new(&scenario, &answer);
        if flags.explain && !judged.is_right() {
            explain(&scenario, &evidence, &answer);
        }
        all.push(judged);
    }
    println!(
        "{}\n{}\n{}",
        table::accuracy(&all),
        table::silence(&all),
        table::reliability(&all)
    );
}

fn explain(scenario: &Scenario, evidence: &Evidence, answer: &Validated) {
    let Scenario {
        setting,
        noticed: (at, symptom),
        ..
    } = scenario;
    println!(
        "--- {setting:?}\n    truth {:?}, noticed at {at} at {symptom}",
        scenario.truth()
    );
    for line in text::render(evidence, answer) {
        println!("    | {line}");
    }
    for row in &evidence.rows {
        let beyond = row
            .change()
            .map(|c| format!(", {} times beyond chance", c.excess));
        println!("    . {}{}", text::row(row), beyond.unwrap_or_default());
    }
}
