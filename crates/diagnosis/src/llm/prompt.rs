//! The question to a model. It names no system: all its knowledge is the evidence.

use std::fmt::Write as _;

use crate::{clean::capped, evidence::Evidence, result::Mechanism, validate::Rejection};

/// Tokens of evidence sent at most.
const EVIDENCE: usize = 3_000;
/// Characters of a refused answer shown again.
const ECHO: usize = 6_000;

/// The question, without a line break at its end.
const RULES: &str = include_str!("rules.txt").trim_ascii_end();

/// The rules and the mechanisms there are.
pub(super) fn system() -> String {
    let mut text = RULES.to_owned();
    for mechanism in Mechanism::ALL {
        let name = serde_json::to_value(mechanism).unwrap_or_default();
        let _ = write!(text, "\n{}: {mechanism}", name.as_str().unwrap_or_default());
    }
    text
}

/// The evidence, within its budget.
pub(super) fn evidence(evidence: &Evidence) -> String {
    serde_json::to_string(&evidence.within(EVIDENCE)).unwrap_or_default()
}

/// The beginning of a refused answer. Providers do not take an empty turn.
pub(super) fn echo(answer: &str) -> String {
    let text = capped(answer, ECHO);
    if text.is_empty() {
        "(nothing)".to_owned()
    } else {
        text
    }
}

/// The request to repair an answer.
pub(super) fn repair(rejection: &Rejection) -> String {
    format!(
        "This answer was refused. {rejection}. Give the whole JSON object again, with that \
         repaired."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mechanism_names_are_read_back() {
        let text = system();
        for mechanism in Mechanism::ALL {
            let name = serde_json::to_string(&mechanism).expect("a name");
            assert!(
                text.contains(&format!("\n{}: ", name.trim_matches('"'))),
                "{name}"
            );
        }
    }
}
