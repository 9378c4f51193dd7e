//! Ranks the columns of a CSV file:
//! `cargo run -p diagnosis --example rank -- metrics.csv --at SECONDS`.
//!
//! The first column is `time` in seconds, every other one a signal named `entity_signal`; an empty
//! cell is a missing sample. `--topology graph.json` says what depends on what and what the columns
//! mean (see `graph.rs`).

mod flags;
mod graph;
mod table;

use std::io::{self, ErrorKind, Write as _};
use std::{error::Error, fs, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use diagnosis::{
    BrokenInvariant, Diagnosis, Entity, Evidence, EvidenceBuilder, EvidenceFact, offline, text,
};
use flags::Flags;
use graph::Declared;
use table::Table;

/// The name of a violation without one.
const NOTICED: &str = "(noticed)";
/// Entities that can be analysed, beside the one above.
const MOST: usize = 1_000;

fn main() -> ExitCode {
    let flags = Flags::parse();
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        // the reader has closed the pipe
        Err(error) if is_closed_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rank: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
}

fn run(flags: &Flags) -> Result<(), Box<dyn Error>> {
    let read = |path: &PathBuf| {
        fs::read_to_string(path).map_err(|e| format!("read {}: {e}", path.display()))
    };
    let declared = match &flags.topology {
        Some(path) => serde_json::from_str(&read(path)?)
            .map_err(|e| format!("parse {}: {e}", path.display()))?,
        None => Declared::default(),
    };
    let table = Table::parse(&read(&flags.metrics)?)
        .map_err(|e| format!("parse {}: {e}", flags.metrics.display()))?;
    let evidence = evidence(&table, declared, flags.at)?;
    let mut out = io::stdout().lock();
    if flags.evidence {
        writeln!(out, "{}", serde_json::to_string_pretty(&evidence)?)?;
        return Ok(());
    }
    let answer = offline::diagnose(&evidence);
    if flags.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&answer)?)?;
        return Ok(());
    }
    for line in text::render(&evidence, &answer) {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "\nentities, most likely first:")?;
    for (rank, line) in (1..).zip(ranking(&evidence, &answer)) {
        writeln!(out, "{rank:>3}  {line}")?;
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
    if entities.len() > MOST {
        return Err(format!(
            "{} entities are more than the {MOST} that can be ranked",
            entities.len()
        )
        .into());
    }
    let mut builder = EvidenceBuilder::new("noticed");
    let doors: Vec<String> = match declared.symptom {
        Some(symptom) => vec![symptom],
        None => {
            let inner: Vec<&String> = declared.edges.iter().map(|e| &e.to).collect();
            entities
                .iter()
                .map(|e| &e.id)
                .filter(|id| !inner.contains(id))
                .cloned()
                .collect()
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
    Ok(builder
        .violation(BrokenInvariant::new(NOTICED, "all is well", at, 1.0, 0.0))
        .build(at)?)
}

/// Every entity: those the diagnosis names in its order, then those that changed by how far beyond
/// chance, then the steady ones by their furthest deviation, then those without samples.
fn ranking(evidence: &Evidence, answer: &Diagnosis) -> Vec<String> {
    let named = answer.hypotheses.iter().filter(|h| !h.supports.is_empty());
    let mut lines: Vec<(&str, String)> = named
        .map(|h| {
            (
                h.entity.as_str(),
                format!("{} {} ({:.2})", h.entity, h.mechanism, h.confidence),
            )
        })
        .collect();
    let mut rest: Vec<(u8, f64, &str, String)> = evidence
        .rows
        .iter()
        .filter_map(|row| match &row.fact {
            EvidenceFact::Change(c) => {
                let why = format!(
                    "{}: {} changed, {} times what chance shows",
                    c.entity, c.signal, c.excess
                );
                Some((0, c.excess, c.entity.as_str(), why))
            }
            EvidenceFact::Steady(s) => {
                let why = format!(
                    "{}: steady, {} went {} times its spread at most",
                    s.entity, s.signal, s.score
                );
                Some((1, s.score, s.entity.as_str(), why))
            }
            EvidenceFact::Gap(g) => Some((
                2,
                0.0,
                g.entity.as_str(),
                format!("{}: {} has {}", g.entity, g.signal, g.why),
            )),
            EvidenceFact::Violation(_) => None,
        })
        .collect();
    rest.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    lines.extend(rest.into_iter().map(|(_, _, entity, why)| (entity, why)));
    let others = evidence
        .topology
        .entities
        .iter()
        .filter(|e| e.id != NOTICED);
    lines.extend(others.map(|e| (e.id.as_str(), format!("{}: no signals", e.id))));
    let mut seen: Vec<&str> = Vec::new();
    lines.retain(|(entity, _)| {
        let new = !seen.contains(entity);
        seen.push(entity);
        new
    });
    lines.into_iter().map(|(_, line)| line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_incident_names_its_cause() {
        let table = Table::parse(include_str!("../data/shop.csv")).expect("a table");
        let declared: Declared =
            serde_json::from_str(include_str!("../data/shop.json")).expect("a graph");
        let full = evidence(&table, declared, 1_100.0).expect("evidence");
        let answer = offline::diagnose(&full);
        assert_eq!(answer.cause().map(|h| h.entity.as_str()), Some("orders-db"));
        let bare = evidence(&table, Declared::default(), 1_100.0).expect("evidence");
        let answer = offline::diagnose(&bare);
        // what waits for it changed by as much, a sample later
        assert!(
            answer
                .hypotheses
                .iter()
                .take(2)
                .any(|h| h.entity == "orders-db"),
            "{:?}",
            answer.hypotheses
        );
    }

    #[test]
    fn every_entity_is_ranked() {
        let table = Table::parse(include_str!("../data/shop.csv")).expect("a table");
        let full = evidence(&table, Declared::default(), 1_100.0).expect("evidence");
        let lines = ranking(&full, &offline::diagnose(&full));
        assert_eq!(lines.len(), full.topology.entities.len() - 1, "{lines:#?}");
        assert!(
            lines.last().is_some_and(|line| line.contains("steady")),
            "{lines:#?}"
        );
    }

    #[test]
    fn a_thousand_entities_are_the_most() {
        let wide = |n: usize| {
            let names: Vec<String> = (0..n).map(|i| format!("e{i}_x")).collect();
            let rows: Vec<String> = (0..12).map(|t| format!("{t}{}", ",1".repeat(n))).collect();
            Table::parse(&format!("time,{}\n{}\n", names.join(","), rows.join("\n")))
                .expect("a table")
        };
        let full = evidence(&wide(1_000), Declared::default(), 9.0).expect("evidence");
        assert_eq!(ranking(&full, &offline::diagnose(&full)).len(), 1_000);
        let error = evidence(&wide(1_001), Declared::default(), 9.0)
            .expect_err("too many")
            .to_string();
        assert_eq!(
            error,
            "1001 entities are more than the 1000 that can be ranked"
        );
    }

    #[test]
    fn a_time_outside_the_file_is_refused() {
        let table = Table::parse("time,a_b\n1,2\n2,3\n").expect("a table");
        let error = evidence(&table, Declared::default(), 9.0)
            .expect_err("too late")
            .to_string();
        assert_eq!(error, "--at 9: the file covers 1 to 2");
    }
}
