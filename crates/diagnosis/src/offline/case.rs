//! A mechanism at an entity, and how well the evidence fits it.

use crate::{
    evidence::{Row, RowId},
    graph::Carries,
    offline::view::Changed,
    result::Mechanism,
};

/// More rows than this convince nobody further.
pub(super) const MOST_CITED: usize = 12;

/// A candidate for the cause.
#[derive(Debug, Clone)]
pub(super) struct Case<'a> {
    pub(super) entity: usize,
    pub(super) mechanism: Mechanism,
    pub(super) carries: Carries,
    /// The change of the entity itself that suggests it.
    pub(super) trigger: Changed<'a>,
    /// Rows that speak for it beside the trigger.
    pub(super) supports: Vec<RowId>,
    /// Rows that speak against it.
    pub(super) against: Vec<RowId>,
    /// Further entities whose changes it explains, off the paths of the topology.
    pub(super) also_explains: Vec<usize>,
    pub(super) fit: Fit,
    /// The hypothesis in a sentence; its numbers are in `trigger`, `supports` or `cites`.
    pub(super) statement: String,
    /// Rows the sentence names that neither support nor refute: what stayed as it was.
    pub(super) cites: Vec<RowId>,
}

impl<'a> Case<'a> {
    pub(super) fn new(entity: usize, mechanism: Mechanism, carries: Carries, trigger: Changed<'a>) -> Self {
        Self {
            entity,
            mechanism,
            carries,
            trigger,
            supports: Vec::new(),
            against: Vec::new(),
            also_explains: Vec::new(),
            fit: Fit::default(),
            statement: String::new(),
            cites: Vec::new(),
        }
    }

    /// An expectation of the mechanism: met, missed with the row that shows it, or unknown.
    pub(super) fn expect(&mut self, weight: f64, outcome: Outcome<'a>) {
        match outcome {
            Outcome::Met(row) => {
                self.fit.add(weight, 1.0);
                self.supports.extend(row.map(|r| r.id));
            }
            Outcome::Missed(row) => {
                self.fit.add(weight, 0.0);
                self.against.extend(row.map(|r| r.id));
            }
            Outcome::Unknown => self.fit.add(weight, 0.6),
        }
    }

    /// Something that has to be absent: met where it is, missed with the row that shows it.
    pub(super) fn expect_no(&mut self, weight: f64, found: Option<Changed<'a>>) {
        self.expect(weight, found.map_or(Outcome::Met(None), |c| Outcome::Missed(Some(c.row))));
    }

    /// Something that may show: met where it does.
    pub(super) fn expect_some(&mut self, weight: f64, found: Option<Changed<'a>>) {
        self.expect(weight, found.map_or(Outcome::Unknown, |c| Outcome::Met(Some(c.row))));
    }

    /// The rows shown in support of it.
    pub(super) fn cited(&self) -> Vec<RowId> {
        let mut rows = self.support();
        rows.truncate(MOST_CITED);
        rows
    }

    /// Every row that speaks for it.
    pub(super) fn support(&self) -> Vec<RowId> {
        let mut all = vec![self.trigger.row.id];
        for id in &self.supports {
            if !all.contains(id) {
                all.push(*id);
            }
        }
        all
    }
}

/// What became of an expectation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome<'a> {
    Met(Option<&'a Row>),
    Missed(Option<&'a Row>),
    Unknown,
}

impl Outcome<'_> {
    /// An expectation without a row to show for it.
    pub(super) fn known(met: Option<bool>) -> Self {
        match met {
            Some(true) => Self::Met(None),
            Some(false) => Self::Missed(None),
            None => Self::Unknown,
        }
    }
}

/// The share of a mechanism's expectations that are met, by weight. What suggested the mechanism counts as met,
/// what cannot be known counts a little less than half missed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fit {
    met: f64,
    of: f64,
}

impl Default for Fit {
    fn default() -> Self {
        Self { met: 2.0, of: 2.0 }
    }
}

impl Fit {
    fn add(&mut self, weight: f64, share: f64) {
        self.met += weight * share;
        self.of += weight;
    }

    pub(super) fn share(self) -> f64 {
        self.met / self.of
    }
}
