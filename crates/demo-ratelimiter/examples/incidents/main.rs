//! Breaks real clusters in eleven ways and counts how often the diagnosis names the cause.
//!
//! `cargo run --release -p demo-ratelimiter --example incidents -- --seeds 10`
//!
//! Every run has its own cluster. A seed decides its loads, limits, times and places. The cluster
//! is observed as in the demo, and the diagnosis gets the observations, never the fault. The exit
//! status is 1 when the cause is right in less than 90 % of the runs of an incident, or a cause is
//! named where there is none.

mod incident;
mod rng;
mod run;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser as _;
use diagnosis::text;
use tokio::task::JoinSet;

use incident::{Incident, Plan};
use run::{Judgement, Outcome};
use table::{Figures, Table};

/// Breaks real clusters in eleven ways and counts how often the diagnosis names the cause.
#[derive(Debug, clap::Parser)]
#[command(name = "incidents")]
struct Flags {
    /// Runs of each incident, each with its own seed.
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000))]
    seeds: u64,
    /// The first seed.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u64).range(..1_000_000))]
    from: u64,
    /// Only these incidents.
    #[arg(long, value_name = "INCIDENT", value_delimiter = ',')]
    only: Vec<Incident>,
    /// Clusters that run at the same time.
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=8))]
    parallel: u8,
    /// Write the table to this file as Markdown; where the file marks a place for it, there.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Show every diagnosis that is not right, with the evidence it had.
    #[arg(long)]
    explain: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let flags = Flags::parse();
    let chosen = Incident::ALL
        .into_iter()
        .filter(|i| flags.only.is_empty() || flags.only.contains(i));
    // seed by seed: a slow minute of the machine then hits all incidents alike
    let mut plans = Vec::new();
    let chosen: Vec<Incident> = chosen.collect();
    for seed in flags.from..flags.from + flags.seeds {
        for incident in &chosen {
            plans.push(Plan::new(*incident, seed)?);
        }
    }

    let started = Instant::now();
    let all = plans.len();
    let mut waiting = plans.into_iter();
    let mut running = JoinSet::new();
    let mut figures = Vec::new();
    loop {
        while running.len() < flags.parallel.into()
            && let Some(plan) = waiting.next()
        {
            running.spawn(async move {
                let outcome = run::play(&plan).await;
                (plan, outcome)
            });
        }
        let Some(ended) = running.join_next().await else {
            break;
        };
        let (plan, outcome) = ended.context("a run panicked")?;
        let outcome = outcome.with_context(|| format!("{}, seed {}", plan.incident, plan.seed))?;
        figures.push(Figures::of(&plan, &outcome));
        eprintln!("[{:>3}/{all}] {}", figures.len(), line(&plan, &outcome));
        if flags.explain && Judgement::of(&outcome.answer, &plan) != Judgement::Right {
            explain(&plan, &outcome);
        }
    }

    let table = Table::of(&figures);
    println!("{}", table.markdown());
    println!("{all} runs in {:.0} s", started.elapsed().as_secs_f64());
    if let Some(file) = &flags.markdown {
        let before = std::fs::read_to_string(file).unwrap_or_default();
        std::fs::write(file, table.within(&before))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    for shortfall in &table.shortfalls {
        println!("short of the goal: {shortfall}");
    }
    Ok(if table.shortfalls.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A run in one line.
fn line(plan: &Plan, outcome: &Outcome) -> String {
    let judgement = match Judgement::of(&outcome.answer, plan) {
        Judgement::Right => "right",
        Judgement::FalseCause => "WRONG",
        Judgement::NoCause => "MISSED",
    };
    let named = match outcome.answer.cause() {
        Some(cause) => format!(
            "{}, {} ({:.2})",
            cause.entity, cause.mechanism, cause.confidence
        ),
        None => outcome.answer.verdict.to_string(),
    };
    let noticed = outcome.noticed.map_or("no violation".into(), |after| {
        format!("violation after {:.2} s", after.as_secs_f64())
    });
    format!(
        "{judgement:<6} {}, seed {} ({}): {named}; {noticed}",
        plan.incident, plan.seed, plan.counting
    )
}

fn explain(plan: &Plan, outcome: &Outcome) {
    eprintln!("  done: {:?}", plan.fault);
    for line in text::render(&outcome.evidence, &outcome.answer) {
        eprintln!("  | {line}");
    }
    for row in &outcome.evidence.rows {
        eprintln!("  . {}", text::row(row));
    }
}
