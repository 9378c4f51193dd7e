//! A mechanism at an entity, and how well the evidence fits it.

use std::{collections::HashSet, iter::once};

use crate::{
    evidence::{EvidenceId, EvidenceRow},
    graph::EffectKind,
    offline::view::ChangeRow,
    result::Mechanism,
};

/// More rows than this add nothing.
pub(super) const MOST_CITED: usize = 12;

/// A candidate for the cause.
#[derive(Debug, Clone)]
pub(super) struct CauseCandidate<'a> {
    pub(super) entity: usize,
    pub(super) mechanism: Mechanism,
    pub(super) carries: EffectKind,
    /// The change of the entity itself that suggests it.
    pub(super) trigger: ChangeRow<'a>,
    /// Rows that speak for it beside the trigger.
    pub(super) supports: Vec<EvidenceId>,
    /// Rows that speak against it.
    pub(super) against: Vec<EvidenceId>,
    /// Further entities whose changes it explains, off the paths of the topology.
    pub(super) also_explains: Vec<usize>,
    /// Weights of the expectations that are met, and of all.
    met: f64,
    expected: f64,
    /// The hypothesis in a sentence; its numbers are in `trigger`, `supports` or `cites`.
    pub(super) statement: String,
    /// Rows the sentence names that neither support nor refute: steady ones.
    pub(super) cites: Vec<EvidenceId>,
}

impl<'a> CauseCandidate<'a> {
    pub(super) fn new(
        entity: usize,
        mechanism: Mechanism,
        carries: EffectKind,
        trigger: ChangeRow<'a>,
    ) -> Self {
        Self {
            entity,
            mechanism,
            carries,
            trigger,
            supports: Vec::new(),
            against: Vec::new(),
            also_explains: Vec::new(),
            // its trigger is met
            met: 2.0,
            expected: 2.0,
            statement: String::new(),
            cites: Vec::new(),
        }
    }

    /// An expectation of the mechanism: met, missed with the row that shows it, or unknown.
    pub(super) fn expect(&mut self, weight: f64, outcome: CaseExpectation<'a>) {
        self.expected += weight;
        match outcome {
            CaseExpectation::Met(row) => {
                self.met += weight;
                self.supports.extend(row.map(|r| r.id));
            }
            CaseExpectation::Missed(row) => self.against.extend(row.map(|r| r.id)),
            CaseExpectation::Unknown => self.met += 0.6 * weight,
        }
    }

    /// The share of the expectations that are met, by weight; an unknown one counts a little less
    /// than half missed.
    pub(super) fn fit(&self) -> f64 {
        self.met / self.expected
    }

    /// Something that has to be absent: met where it is, missed with the row that shows it.
    pub(super) fn expect_no(&mut self, weight: f64, found: Option<ChangeRow<'a>>) {
        self.expect(
            weight,
            found.map_or(CaseExpectation::Met(None), |c| {
                CaseExpectation::Missed(Some(c.row))
            }),
        );
    }

    /// The rows shown in support of it.
    pub(super) fn cited(&self) -> Vec<EvidenceId> {
        let mut rows = self.support();
        rows.truncate(MOST_CITED);
        rows
    }

    /// Every row that speaks for it.
    pub(super) fn support(&self) -> Vec<EvidenceId> {
        let mut seen = HashSet::new();
        let all = once(self.trigger.row.id).chain(self.supports.iter().copied());
        all.filter(|id| seen.insert(*id)).collect()
    }
}

/// Whether an expectation is met.
#[derive(Debug, Clone, Copy)]
pub(super) enum CaseExpectation<'a> {
    Met(Option<&'a EvidenceRow>),
    Missed(Option<&'a EvidenceRow>),
    Unknown,
}

impl CaseExpectation<'_> {
    /// The outcome without a row to show for it.
    pub(super) fn known(met: Option<bool>) -> Self {
        match met {
            Some(true) => Self::Met(None),
            Some(false) => Self::Missed(None),
            None => Self::Unknown,
        }
    }
}
