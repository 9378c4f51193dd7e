//! The bundle of evidence, the input of both engines.

mod action;
mod builder;
mod measure;
mod normal;
mod onset;
mod role;
mod row;
mod seconds;
mod signal;
mod stats;
mod topology;

pub use action::{
    ActionAttempt, ActionParam, ActionParams, ActionRisk, AttemptResult, OperatorAction,
    ParamDomain,
};
pub use builder::{BuildError, EvidenceBuilder};
pub use role::SignalRole;
pub use row::{
    BaselineLevels, BrokenInvariant, Change, ChangeShape, Direction, EvidenceFact, EvidenceId,
    EvidenceRow, IncidentLevels, SignalGap, SteadySignal,
};
pub(crate) use seconds::rounded;
pub use signal::SignalSeries;
pub use topology::{Entity, PROPAGATION, Topology, TopologyEdge};

use std::{collections::HashSet, time::Duration};

use serde::{Deserialize, Serialize};

/// Name and version of the evidence format.
pub const EVIDENCE_SCHEMA: &str = "diagnosis.evidence/1";

/// A stretch of time, since the run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeSpan {
    /// Beginning.
    #[serde(with = "seconds")]
    pub from: Duration,
    /// End.
    #[serde(with = "seconds")]
    pub to: Duration,
}

/// The parts of a run around the violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentSpans {
    /// The part taken for normal.
    pub baseline: TimeSpan,
    /// The time just before the violation. It is no baseline, and may contain onsets.
    pub guard: TimeSpan,
    /// The time from the violation on.
    pub incident: TimeSpan,
}

/// The whole input of an engine about an incident, without its cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// [`EVIDENCE_SCHEMA`].
    pub schema: String,
    /// A label for the incident.
    pub incident: String,
    /// The parts of the run.
    #[serde(rename = "windows")]
    pub spans: IncidentSpans,
    /// Entities and dependencies.
    pub topology: Topology,
    /// The rows: every signal is exactly one change, steady or gap row.
    #[serde(rename = "evidence")]
    pub rows: Vec<EvidenceRow>,
    /// The catalogue of actions.
    pub actions: Vec<OperatorAction>,
    /// The attempts so far.
    pub history: Vec<ActionAttempt>,
    /// Rows left out of this copy to keep it short.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: usize,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Characters of JSON to a token, on the careful side: digits and braces are dense.
const CHARS_PER_TOKEN: usize = 3;

impl Evidence {
    /// The row of that id.
    pub fn row(&self, id: EvidenceId) -> Option<&EvidenceRow> {
        self.rows.iter().find(|r| r.id == id)
    }

    /// The violations.
    pub fn violations(&self) -> impl Iterator<Item = (EvidenceId, &BrokenInvariant)> {
        self.rows.iter().filter_map(|r| match &r.fact {
            EvidenceFact::Violation(v) => Some((r.id, v)),
            _ => None,
        })
    }

    /// The changes.
    pub fn changes(&self) -> impl Iterator<Item = (EvidenceId, &Change)> {
        self.rows.iter().filter_map(|r| match &r.fact {
            EvidenceFact::Change(c) => Some((r.id, c)),
            _ => None,
        })
    }

    /// A copy of about `tokens` at most: the least telling steady rows go first, then the least
    /// telling gaps and changes. Violations stay, ids stay, and `omitted` counts the rows left out.
    #[must_use]
    pub fn within(&self, tokens: usize) -> Self {
        let mut rows: Vec<(u8, f64, &EvidenceRow)> = self.rows.iter().filter_map(telling).collect();
        rows.sort_by(|a, b| {
            a.0.cmp(&b.0)
                .then(a.1.total_cmp(&b.1))
                .then(b.2.id.cmp(&a.2.id))
        });
        let budget = tokens * CHARS_PER_TOKEN;
        let mut size = length(self);
        let mut dropped = HashSet::new();
        for (_, _, row) in rows {
            if size <= budget {
                break;
            }
            // a row and the comma after it
            size = size.saturating_sub(length(row) + 1);
            dropped.insert(row.id);
        }
        let rows = self
            .rows
            .iter()
            .filter(|row| !dropped.contains(&row.id))
            .cloned()
            .collect();
        Self {
            rows,
            omitted: self.omitted + dropped.len(),
            ..self.clone()
        }
    }
}

/// The rank of a row by its kind and score; a violation is never left out.
fn telling(row: &EvidenceRow) -> Option<(u8, f64, &EvidenceRow)> {
    match &row.fact {
        EvidenceFact::Violation(_) => None,
        EvidenceFact::Steady(s) => Some((0, s.score, row)),
        EvidenceFact::Gap(_) => Some((1, 0.0, row)),
        EvidenceFact::Change(c) => Some((2, c.score, row)),
    }
}

/// Characters as JSON.
fn length(value: &impl Serialize) -> usize {
    serde_json::to_string(value).map_or(0, |json| json.chars().count())
}
