//! Ranks the columns of a CSV file: `cargo run -p diagnosis --example rank -- metrics.csv --at SECONDS`.
//!
//! The first column is `time` in seconds, every other one a signal named `entity_signal`; an empty cell is a
//! missing sample. `--topology graph.json` says what depends on what and what the columns mean (see `graph.rs`).

mod flags;
mod graph;
mod table;

use std::{error::Error, fs, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use diagnosis::{Diagnosis, Entity, Evidence, EvidenceBuilder, Violation, offline, text};
use flags::Flags;
use graph::Declared;
use table::Table;

/// Stands for "something was noticed", where nobody says what.
const NOTICED: &str = "(noticed)";

fn main() -> ExitCode {
    let flags = Flags::parse();
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rank: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<(), Box<dyn Error>> {
    let read = |path: &PathBuf| fs::read_to_string(path).map_err(|e| format!("read {}: {e}", path.display()));
    let declared = match &flags.topology {
        Some(path) => {
            serde_json::from_str(&read(path)?).map_err(|e| format!("parse {}: {e}", path.display()))?
        }
        None => Declared::default(),
    };
    let table = Table::parse(&read(&flags.metrics)?)
        .map_err(|e| format!("parse {}: {e}", flags.metrics.display()))?;
    let evidence = evidence(&table, declared, flags.at)?;
    if flags.evidence {
        println!("{}", serde_json::to_string_pretty(&evidence)?);
        return Ok(());
    }
    let answer = offline::diagnose(&evidence);
    if flags.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
        return Ok(());
    }
    for line in text::render(&evidence, &answer) {
        println!("{line}");
    }
    println!("\nentities, most likely first:");
    for (rank, line) in (1..).zip(ranking(&evidence, &answer)) {
        println!("{rank:>3}  {line}");
    }
    Ok(())
}

fn evidence(table: &Table, declared: Declared, at: f64) -> Result<Evidence, Box<dyn Error>> {
    let (first, last) = table.span();
    if !(first..=last).contains(&at) {
        return Err(format!("--at {at}: the file covers {first} to {last}").into());
    }
    let at = Duration::from_secs_f64(at - first);
    let signals = table.signals(&declared);

    let mut entities = declared.entities;
    for s in &signals {
        if !entities.iter().any(|e| e.id == s.entity) {
            entities.push(Entity::new(&s.entity, "entity"));
        }
    }
    let mut builder = EvidenceBuilder::new("noticed");
    let doors: Vec<String> = match declared.symptom {
        Some(symptom) => vec![symptom],
        None => {
            let inner: Vec<&String> = declared.edges.iter().map(|e| &e.to).collect();
            entities.iter().map(|e| &e.id).filter(|id| !inner.contains(id)).cloned().collect()
        }
    };
    builder = builder.entity(Entity::new(NOTICED, "symptom"));
    for entity in entities {
        builder = builder.entity(entity);
    }
    for edge in &declared.edges {
        builder = builder.edge(&edge.from, &edge.to, &edge.rel);
    }
    for door in doors {
        builder = builder.edge(NOTICED, door, "is noticed at");
    }
    for s in signals {
        builder = builder.signal(s);
    }
    Ok(builder.violation(Violation::new(NOTICED, "all is well", at, 1.0, 0.0)).build(at)?)
}

/// Every entity: those the diagnosis names in its order, then the others by their furthest deviation.
fn ranking(evidence: &Evidence, answer: &Diagnosis) -> Vec<String> {
    let mut rest: Vec<(f64, &str, &str)> =
        evidence.changes().map(|(_, c)| (c.score, c.entity.as_str(), c.signal.as_str())).collect();
    rest.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut seen: Vec<&str> = Vec::new();
    let mut lines = Vec::new();
    for h in answer.hypotheses.iter().filter(|h| !h.supports.is_empty()) {
        if !seen.contains(&h.entity.as_str()) {
            seen.push(&h.entity);
            lines.push(format!("{} ({}, {:.2})", h.entity, h.mechanism, h.confidence));
        }
    }
    for (score, entity, signal) in rest {
        if !seen.contains(&entity) {
            seen.push(entity);
            lines.push(format!("{entity} ({signal} deviates {score} times its normal spread)"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_incident_names_its_cause_with_and_without_a_topology() {
        let table = Table::parse(include_str!("../data/shop.csv")).expect("a table");
        let declared: Declared = serde_json::from_str(include_str!("../data/shop.json")).expect("a graph");
        let full = evidence(&table, declared, 1_100.0).expect("evidence");
        let answer = offline::diagnose(&full);
        assert_eq!(answer.cause().map(|h| h.entity.as_str()), Some("orders-db"));
        let bare = evidence(&table, Declared::default(), 1_100.0).expect("evidence");
        let answer = offline::diagnose(&bare);
        assert_eq!(answer.hypotheses.first().map(|h| h.entity.as_str()), Some("orders-db"));
    }

    #[test]
    fn a_time_outside_the_file_is_refused() {
        let table = Table::parse("time,a_b\n1,2\n2,3\n").expect("a table");
        let error = evidence(&table, Declared::default(), 9.0).expect_err("too late").to_string();
        assert_eq!(error, "--at 9: the file covers 1 to 2");
    }
}
