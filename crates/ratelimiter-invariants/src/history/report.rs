use std::fmt;

use ratelimiter_api::Operation;
use serde::Serialize;

use super::{Contract, Witness};
use crate::text::Human;

/// What a history says about a contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What was checked.
    pub contract: Contract,
    /// What the history holds.
    pub operations: Tally,
    /// Whether the contract was kept.
    pub verdict: Verdict,
    /// The most Allowed operations that are known to share a window: they lie wholly inside a span shorter than one.
    pub definite_peak: u64,
    /// The most Allowed and Unknown operations that can share a window, wherever in it they were decided.
    pub possible_peak: u64,
    /// Under-admission: denials that nothing in the history can justify, in the order of the history.
    pub unjustified_denials: Vec<UnjustifiedDenial>,
    /// Denials that admissions from before the history may have justified; none where the history is complete.
    pub unjudged_denials: u64,
}

/// How many operations had which outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Admitted.
    pub allowed: u64,
    /// Refused.
    pub denied: u64,
    /// Admitted or not, nobody knows.
    pub unknown: u64,
}

/// Whether the contract was kept, as far as the recorded times tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It was: no placement of the decisions has too many in a window.
    Pass,
    /// It was not, and these operations prove it: every placement of their decisions has too many in a window.
    Violated(Witness),
    /// It may have been or not.
    Unknown {
        /// What is certain: at most as many as the contract allows.
        definite: u64,
        /// What is possible: more than it allows.
        possible: u64,
        /// What would have to be known.
        why: Doubt,
    },
}

/// What keeps a verdict open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// The Allowed operations alone may have been too many: it depends on when, between invoke and completion, each was
    /// decided.
    Timing,
    /// They were not; with the Unknown ones they may have been.
    Outcomes,
}

/// A denial at a time at which fewer than the allowed admissions could have been in the window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnjustifiedDenial {
    /// What was denied.
    pub operation: Operation,
    /// The most admissions that can have been in the window before it, whenever it was decided.
    pub possible: u64,
    /// How many it takes to deny.
    pub max: u32,
}

impl Report {
    /// Whether the contract was kept for certain and no denial was unjustified.
    pub fn is_clean(&self) -> bool {
        self.verdict == Verdict::Pass && self.unjustified_denials.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { allowed, denied, unknown } = self.operations;
        write!(f, "{allowed} allowed, {denied} denied, {unknown} unknown against {}: ", self.contract)?;
        match &self.verdict {
            Verdict::Pass => write!(f, "pass, at most {} in one window", self.possible_peak)?,
            Verdict::Violated(witness) => {
                write!(f, "violated, {} in one window; {witness}", self.definite_peak)?;
            }
            Verdict::Unknown { definite, possible, why } => {
                write!(f, "unknown, between {definite} and {possible} in one window, {why}")?;
            }
        }
        if let Some(first) = self.unjustified_denials.first() {
            write!(f, "; {} unjustified denials, the first: {first}", self.unjustified_denials.len())?;
        }
        Ok(())
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timing => "depending on when within each check the decision fell",
            Self::Outcomes => "depending on checks whose outcome nobody knows",
        })
    }
}

impl fmt::Display for UnjustifiedDenial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Operation { node, invoke, complete, .. } = &self.operation;
        write!(
            f,
            "{node} denied between {} and {}, when at most {} of {} admissions could be in the window",
            Human(*invoke),
            Human(*complete),
            self.possible,
            self.max
        )
    }
}
