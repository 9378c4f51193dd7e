//! No answer is shown unchecked, of either engine.
//!
//! | rule | checked |
//! |---|---|
//! | 1 | it parses; numbers are in their ranges; the verdict fits the hypotheses |
//! | 2 | every id, entity, signal and action named exists |
//! | 3 | a supported cause cites a change of that same entity; a steady row supports nothing |
//! | 4 | a refuted alternative cites its rows; there is one unless a single entity changed |
//! | 5 | a cause precedes its effect by their onsets, and a path leads from one to the other |
//! | 6 | every number in the text occurs in a row it cites, to one per cent |
//! | 7 | the action is in the catalogue, its parameters in range, and it has not failed already |
//! | 8 | confidence is capped by the evidence |
//! | 9 | strings are data: capped in length, without control characters |
//!
//! Rules 8 and 9 correct an answer, the others refuse it.

mod caps;
mod causes;
mod chains;
mod cites;
mod numbers;
mod ranges;
mod remedies;
mod strings;

use std::{collections::BTreeSet, fmt, ops::Deref};

use serde::Serialize;

use crate::{evidence::Evidence, graph::DependencyGraph, result::Diagnosis};

/// Breaches reported at once: enough to repair an answer, few enough to read.
const MOST_TOLD: usize = 8;

/// An answer that passed every rule. Only [`validate`] makes one, and nothing else can be rendered.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Validated(Diagnosis);

impl Validated {
    /// An answer that claims nothing, and so has nothing to check.
    pub(crate) fn without_claims(mut diagnosis: Diagnosis) -> Self {
        diagnosis.hypotheses.clear();
        diagnosis.action = None;
        strings::clean(&mut diagnosis);
        Self(diagnosis)
    }

    /// Names the engine that should have answered.
    #[cfg(feature = "llm")]
    pub(crate) fn instead_of(mut self, fallback: crate::result::Fallback) -> Self {
        self.0.engine.fallback_from = Some(fallback);
        strings::clean(&mut self.0);
        self
    }

    /// Adds the cost.
    #[cfg(feature = "llm")]
    pub(crate) fn costing(mut self, cost: crate::result::AnswerCost) -> Self {
        self.0.cost = cost;
        self
    }
}

impl Deref for Validated {
    type Target = Diagnosis;

    fn deref(&self) -> &Diagnosis {
        &self.0
    }
}

/// A rule that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleBreach {
    /// The number of the rule, 1 to 9.
    pub rule: u8,
    /// The breach in a sentence.
    pub what: String,
}

impl fmt::Display for RuleBreach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}: {}", self.rule, self.what)
    }
}

/// Refusal of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Rejection {
    /// The rules it breaks, at least one.
    pub breaches: Vec<RuleBreach>,
}

impl Rejection {
    #[cfg(feature = "llm")]
    pub(crate) fn of(rule: u8, what: impl Into<String>) -> Self {
        Self {
            breaches: vec![RuleBreach {
                rule,
                what: what.into(),
            }],
        }
    }

    /// The rules broken, each once.
    pub fn rules(&self) -> impl Iterator<Item = u8> {
        self.breaches
            .iter()
            .map(|b| b.rule)
            .collect::<BTreeSet<u8>>()
            .into_iter()
    }
}

/// A rule in a few words.
#[cfg(feature = "llm")]
pub(crate) fn rule_title(rule: u8) -> &'static str {
    match rule {
        1 => "it parses and its numbers are in range",
        2 => "what it names exists",
        3 => "a cause cites a change of its own",
        4 => "alternatives are considered and refuted by rows",
        5 => "a cause comes before its effect, on a path",
        6 => "its numbers are in the rows it cites",
        7 => "its action is in the catalogue",
        8 => "its confidence is borne by the evidence",
        _ => "its strings are clean",
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, breach) in self.breaches.iter().take(MOST_TOLD).enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{breach}")?;
        }
        let more = self.breaches.len().saturating_sub(MOST_TOLD);
        if more > 0 {
            write!(f, "; and {more} more")
        } else {
            Ok(())
        }
    }
}

/// The material of the rules, and their findings.
struct AnswerAudit<'a> {
    evidence: &'a Evidence,
    graph: DependencyGraph<'a>,
    breaches: Vec<RuleBreach>,
}

impl AnswerAudit<'_> {
    fn breach(&mut self, rule: u8, what: impl Into<String>) {
        self.breaches.push(RuleBreach {
            rule,
            what: what.into(),
        });
    }
}

/// Checks an answer against the evidence it was drawn from. Confidence beyond the caps of rule 8 is
/// lowered and strings are cleaned; any other breach refuses the answer.
pub fn validate(evidence: &Evidence, mut diagnosis: Diagnosis) -> Result<Validated, Rejection> {
    strings::clean(&mut diagnosis);
    diagnosis.hypotheses.sort_by_key(|h| h.rank);
    let mut check = AnswerAudit {
        evidence,
        graph: DependencyGraph::new(&evidence.topology),
        breaches: Vec::new(),
    };
    ranges::check(&mut check, &diagnosis);
    cites::check(&mut check, &diagnosis);
    if check.breaches.is_empty() {
        // these follow references, and so need them to lead somewhere
        causes::check(&mut check, &diagnosis);
        chains::check(&mut check, &diagnosis);
        remedies::check(&mut check, &diagnosis);
        numbers::check(&mut check, &diagnosis);
    }
    if !check.breaches.is_empty() {
        return Err(Rejection {
            breaches: check.breaches,
        });
    }
    caps::apply(&check, &mut diagnosis);
    Ok(Validated(diagnosis))
}
