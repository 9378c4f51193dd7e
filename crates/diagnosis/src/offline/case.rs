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

    /// An expectation of the mechanism: met, missed, or unknown. A row against it shows that it is
    /// missed.
    pub(super) fn expect(&mut self, weight: f64, against: Option<&EvidenceRow>, met: Option<bool>) {
        self.expected += weight;
        match (against, met) {
            (Some(row), _) => self.against.push(row.id),
            (None, Some(true)) => self.met += weight,
            (None, Some(false)) => {}
            (None, None) => self.met += 0.6 * weight,
        }
    }

    /// The share of the expectations that are met, by weight; an unknown one counts a little less
    /// than half missed.
    pub(super) fn fit(&self) -> f64 {
        self.met / self.expected
    }

    /// Something that has to be absent.
    pub(super) fn expect_no(&mut self, weight: f64, found: Option<ChangeRow<'_>>) {
        self.expect(weight, found.map(|c| c.row), Some(true));
    }

    /// Every row that speaks for it.
    pub(super) fn support(&self) -> Vec<EvidenceId> {
        let mut seen = HashSet::new();
        let all = once(self.trigger.row.id).chain(self.supports.iter().copied());
        all.filter(|id| seen.insert(*id)).collect()
    }
}
