use std::fmt;
use std::time::Duration;

use ratelimiter_api::{Operation, Outcome, millis};
use serde::Serialize;

use super::{Charging, Contract, ContractKind, History, Proof, Witness};
use crate::text::HumanDuration;

/// The judgement of a history by a promise. Its verdict and its numbers are those of the limit that
/// decides: the first that is broken, else the first in doubt, else the first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The limit that decides.
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
    /// The cost that a window may hold: the limit, with the slack that it states, and with the
    /// costs that were not settled at an admission where these are charged after the call.
    pub permitted: u64,
    /// Under-admission: denials that nothing in the history can justify, in the order of the
    /// history.
    pub unjustified_denials: Vec<UnjustifiedDenial>,
    /// Whether these denials all have a cause if denied checks were charged.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub denied_seem_charged: bool,
    /// Denials that only admissions from before the history may have justified; none where the
    /// history is complete.
    pub unjudged_denials: u64,
    /// Calls that waited longer than stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<LongWaits>,
    /// The reports by the other limits of the promise, without operations and denials.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Report>,
}

/// The use of a limit at an instant: the cost in the window up to it, the tokens that a bucket
/// lacks, or the places that are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitUse {
    /// The instant on the clock of the history.
    pub at: Duration,
    /// The cost that counts there wherever each check was decided.
    pub certain: u64,
    /// The cost that can count there.
    pub possible: u64,
}

/// The use of a limit over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UseOverTime {
    /// In the order of time.
    pub uses: Vec<LimitUse>,
    /// Whether the use is counted since the edge of a fixed or aligned window, where edges were
    /// found that suit the limiter. Otherwise it is that of any window of this length, which may
    /// meet two fixed windows or periods.
    pub by_edges: bool,
}

/// Calls that waited longer than the limiter states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LongWaits {
    /// Number of calls.
    pub count: u64,
    /// The longest wait.
    #[serde(rename = "longest_ms", serialize_with = "millis::serialize")]
    pub longest: Duration,
    /// The stated longest wait.
    #[serde(rename = "stated_ms", serialize_with = "millis::serialize")]
    pub stated: Duration,
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
    /// The room under the other limits of the promise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<LimitRoom>,
}

/// The use of a limit that was not full.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LimitRoom {
    /// The limit.
    pub limit: Contract,
    /// The largest cost that it can have held.
    pub possible: u64,
}

impl Report {
    pub(super) fn new(
        contract: Contract,
        verdict: Verdict,
        settled: VerdictBasis,
        definite_peak: u64,
        possible_peak: u64,
    ) -> Self {
        Self {
            permitted: contract.upper(),
            contract,
            operations: OutcomeCounts::default(),
            verdict,
            settled,
            definite_peak,
            possible_peak,
            unjustified_denials: Vec::new(),
            denied_seem_charged: false,
            unjudged_denials: 0,
            waits: None,
            others: Vec::new(),
        }
    }

    /// Adds the operations of a history.
    pub(super) fn count(&mut self, history: &History) {
        let counts = &mut self.operations;
        for record in history.records() {
            *match record.outcome {
                Outcome::Allowed => &mut counts.allowed,
                Outcome::Denied => &mut counts.denied,
                Outcome::Failed => &mut counts.failed,
                Outcome::Unknown => &mut counts.unknown,
            } += 1;
        }
    }

    /// The reports on two counters of one limit as one: the worse verdict, the larger peaks.
    pub(super) fn worse(self, other: Self) -> Self {
        let weight = |report: &Self| match &report.verdict {
            Verdict::Pass => (0, 0),
            Verdict::Unknown { possible, .. } => (1, *possible),
            Verdict::Violated(_) => (2, 0),
        };
        let peaks = [
            self.definite_peak.max(other.definite_peak),
            self.possible_peak.max(other.possible_peak),
        ];
        let waits = match (self.waits, other.waits) {
            (Some(one), Some(two)) => Some(LongWaits {
                count: one.count + two.count,
                longest: one.longest.max(two.longest),
                ..one
            }),
            (one, two) => one.or(two),
        };
        Self {
            definite_peak: peaks[0],
            possible_peak: peaks[1],
            waits,
            ..if weight(&other) > weight(&self) {
                other
            } else {
                self
            }
        }
    }

    /// This report and those by the other limits of the promise.
    pub fn by_limit(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.others)
    }

    /// Whether the promise was kept for certain, no denial was unjustified, and no wait too long.
    pub fn is_clean(&self) -> bool {
        self.verdict == Verdict::Pass
            && self.unjustified_denials.is_empty()
            && self.by_limit().all(|report| report.waits.is_none())
    }

    /// The span in which a peak counts, in words.
    fn extent(&self) -> &'static str {
        match self.contract.kind() {
            ContractKind::InFlight => "at once",
            _ => "in one window",
        }
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
            "{allowed} allowed, {denied} denied, {failed}{unknown} unknown against "
        )?;
        write!(f, "{}: ", self.contract)?;
        let extent = self.extent();
        match &self.verdict {
            Verdict::Pass => write!(f, "pass, at most {} {extent}", self.possible_peak)?,
            Verdict::Violated(witness) => {
                let settles = self.contract.charging() == Charging::After;
                let fixed = self.contract.kind() == ContractKind::Fixed;
                let least = if fixed || witness.proof == Proof::Placement {
                    "at least "
                } else {
                    ""
                };
                write!(f, "violated, {least}{} {extent}", self.definite_peak)?;
                if settles {
                    write!(f, ", {} with the costs not settled yet", self.permitted)?;
                }
                write!(f, "; {witness}")?;
            }
            Verdict::Unknown {
                definite,
                possible,
                why,
            } => write!(
                f,
                "unknown, between {definite} and {possible} {extent}, {why}"
            )?,
        }
        if let Some(first) = self.unjustified_denials.first() {
            write!(
                f,
                "; {} unjustified denials, the first: {first}",
                self.unjustified_denials.len()
            )?;
        }
        for waits in self.by_limit().filter_map(|report| report.waits) {
            write!(f, "; {waits}")?;
        }
        Ok(())
    }
}

impl Verdict {
    /// The proof that the contract was broken.
    pub fn witness(&self) -> Option<&Witness> {
        match self {
            Self::Violated(witness) => Some(witness),
            Self::Pass | Self::Unknown { .. } => None,
        }
    }
}

impl fmt::Display for LongWaits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [longest, stated] = [self.longest, self.stated].map(HumanDuration);
        write!(
            f,
            "{} calls waited longer than {stated}, the longest {longest}",
            self.count
        )
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
        )?;
        for LimitRoom { limit, possible } in &self.others {
            write!(f, ", and at most {possible} of {limit}")?;
        }
        Ok(())
    }
}
