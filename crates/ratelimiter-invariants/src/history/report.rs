use std::fmt;

use ratelimiter_api::Operation;
use serde::Serialize;

use super::{Contract, ContractKind, Proof, Witness};

/// The judgement of a history by a contract.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The contract that was checked.
    pub contract: Contract,
    /// The operations of the history by outcome.
    pub operations: OutcomeCounts,
    /// Whether the contract was kept.
    pub verdict: Verdict,
    /// The means that settled whether some placement keeps the contract.
    pub settled: VerdictBasis,
    /// The largest cost of Allowed operations that a window is known to have held: they lie wholly
    /// inside, or no placement has less. For a token bucket, the size of the bucket needed; for
    /// fixed windows, with the edges that suit the limiter best.
    pub definite_peak: u64,
    /// The largest cost of Allowed and Unknown operations that a window can have held, wherever
    /// they were decided; likewise.
    pub possible_peak: u64,
    /// Under-admission: denials that nothing in the history can justify, in the order of the
    /// history.
    pub unjustified_denials: Vec<UnjustifiedDenial>,
    /// Denials that only admissions from before the history may have justified; none where the
    /// history is complete.
    pub unjudged_denials: u64,
}

/// The number of operations of each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OutcomeCounts {
    /// Admitted.
    pub allowed: u64,
    /// Denied for lack of quota.
    pub denied: u64,
    /// Not admitted for another reason.
    pub failed: u64,
    /// Without a complete answer: admitted or not.
    pub unknown: u64,
}

/// Whether the contract was kept, by the proof of the recorded times.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Kept: no placement of the decisions has too many in a window.
    Pass,
    /// Broken, as these operations prove: every placement of their decisions has too many in a
    /// window.
    Violated(Witness),
    /// Kept or broken.
    Unknown {
        /// The certain cost: within the contract.
        definite: u64,
        /// The possible cost: above the contract.
        possible: u64,
        /// The missing knowledge.
        why: Doubt,
    },
}

/// The means that settled whether the recorded times leave any placement that keeps the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictBasis {
    /// The certain and the possible cost.
    ByBounds,
    /// A search over all placements. An Unknown verdict then is final: one placement keeps the
    /// contract, another breaks it.
    BySearch,
    /// Not settled: costs differ, the search's budget was spent, or the contract is not a sliding
    /// one.
    Undecided,
}

/// The reason for an open verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// The instants at which the Allowed operations were decided: they alone may have been too
    /// many.
    Timing,
    /// The outcomes of the Unknown operations: only with these were there too many.
    Outcomes,
}

/// A denial at a time at which fewer than the allowed admissions could have been in the window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UnjustifiedDenial {
    /// The denied check.
    pub operation: Operation,
    /// The most admissions that can have been in the window before it, whenever it was decided.
    pub possible: u64,
    /// Cost that a window may hold.
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
        let OutcomeCounts {
            allowed,
            denied,
            failed,
            unknown,
        } = self.operations;
        let failed = if failed > 0 {
            format!("{failed} failed, ")
        } else {
            String::new()
        };
        write!(
            f,
            "{allowed} allowed, {denied} denied, {failed}{unknown} unknown against {}: ",
            self.contract
        )?;
        match &self.verdict {
            Verdict::Pass => write!(f, "pass, at most {} in one window", self.possible_peak)?,
            Verdict::Violated(witness) => {
                let fixed = self.contract.kind() == ContractKind::Fixed;
                let least = if fixed || witness.proof == Proof::Placement {
                    "at least "
                } else {
                    ""
                };
                write!(
                    f,
                    "violated, {least}{} in one window; {witness}",
                    self.definite_peak
                )?;
            }
            Verdict::Unknown {
                definite,
                possible,
                why,
            } => {
                write!(
                    f,
                    "unknown, between {definite} and {possible} in one window, {why}"
                )?;
            }
        }
        if let Some(first) = self.unjustified_denials.first() {
            write!(
                f,
                "; {} unjustified denials, the first: {first}",
                self.unjustified_denials.len()
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timing => "depending on when within each check the decision fell",
            Self::Outcomes => "depending on checks without an outcome",
        })
    }
}

impl fmt::Display for UnjustifiedDenial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Operation {
            node,
            invoke,
            complete,
            ..
        } = &self.operation;
        write!(
            f,
            "{node} denied between {:.3} ms and {:.3} ms, when at most {} of {} admissions could \
             be in the window",
            invoke.as_secs_f64() * 1e3,
            complete.as_secs_f64() * 1e3,
            self.possible,
            self.max
        )
    }
}
