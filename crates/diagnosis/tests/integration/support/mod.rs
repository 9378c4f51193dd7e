//! A small system to break: a client, three workers that share a base, and what an observer sees of
//! them.

#![allow(dead_code, reason = "each test file uses its part of it")]

#[cfg(feature = "llm")]
pub(crate) mod model;
#[cfg(feature = "llm")]
pub(crate) mod question;
#[path = "../../../examples/suite/rng.rs"]
pub(crate) mod rng;
pub(crate) mod system;

use diagnosis::{Evidence, Validated, offline, text};

/// The answer in lines, for the message of a failed assertion.
pub(crate) fn shown(evidence: &Evidence, answer: &Validated) -> String {
    let rows: Vec<String> = evidence
        .rows
        .iter()
        .map(text::row)
        .filter(|r| !r.contains(": steady at"))
        .collect();
    format!(
        "{}\n--- rows\n{}",
        text::render(evidence, answer).join("\n"),
        rows.join("\n")
    )
}

/// Diagnoses, and checks that the answer was not replaced by an empty one.
pub(crate) fn diagnosed(evidence: &Evidence) -> Validated {
    let answer = offline::diagnose(evidence);
    let refused = answer.unknowns.iter().find(|u| u.contains("did not pass"));
    assert!(
        refused.is_none(),
        "{refused:?}\n{:#?}",
        offline::analyse(evidence)
    );
    answer
}
