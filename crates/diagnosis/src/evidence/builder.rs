//! From signals, topology, violations and a catalogue to the bundle.

use std::{collections::HashSet, time::Duration};

use super::{
    BrokenInvariant, EVIDENCE_SCHEMA, Entity, Evidence, EvidenceFact, EvidenceId, EvidenceRow,
    IncidentSpans, OperatorAction, PROPAGATION, SignalRole, SignalSeries, SteadySignal, TimeSpan,
    Topology, TopologyEdge,
    measure::{CutTimes, read},
    seconds,
};
use crate::clean::capped;

/// Longest id of an entity, a signal, an action or an invariant, in characters.
const NAME: usize = 64;
/// Longest label or relation.
const LABEL: usize = 120;
/// Longest description.
const DESCRIPTION: usize = 400;
/// More entities than this are refused: paths are sought between all of them.
const MOST_ENTITIES: usize = 1_001;
/// More signals than this are refused.
const MOST_SIGNALS: usize = 20_000;

/// Reason for which no bundle was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Something refers to an entity that was not declared.
    #[error("{what} names entity {entity:?}, which is not in the topology")]
    UnknownEntity {
        /// The reference.
        what: String,
        /// The id.
        entity: String,
    },
    /// Two things share an id.
    #[error("{what} {id:?} is declared twice")]
    Duplicate {
        /// Their kind.
        what: &'static str,
        /// The id they share.
        id: String,
    },
    /// An id is empty, or holds control characters alone.
    #[error("{what} has an empty name")]
    Empty {
        /// Its kind.
        what: &'static str,
    },
    /// There are more than an analysis can take.
    #[error("{n} {what} are more than the {most} that can be analysed")]
    TooMany {
        /// Their kind.
        what: &'static str,
        /// Their number.
        n: usize,
        /// The largest number allowed.
        most: usize,
    },
}

/// Collects the facts of an incident and makes [`Evidence`] of them.
///
/// Every string is data: control characters and terminal sequences are removed, and the length is
/// capped.
#[derive(Debug, Clone, Default)]
pub struct EvidenceBuilder {
    incident: String,
    entities: Vec<Entity>,
    edges: Vec<TopologyEdge>,
    signals: Vec<SignalSeries>,
    violations: Vec<BrokenInvariant>,
    actions: Vec<OperatorAction>,
    guard: Option<Duration>,
}

impl EvidenceBuilder {
    /// No facts yet about `incident`.
    pub fn new(incident: impl AsRef<str>) -> Self {
        Self {
            incident: capped(incident.as_ref(), LABEL),
            ..Self::default()
        }
    }

    /// Declares an entity.
    #[must_use]
    pub fn entity(mut self, mut entity: Entity) -> Self {
        entity.id = capped(&entity.id, NAME);
        entity.kind = capped(&entity.kind, NAME);
        entity.label = capped(&entity.label, NAME);
        entity.describes = capped(&entity.describes, DESCRIPTION);
        self.entities.push(entity);
        self
    }

    /// Declares that `from` depends on `to`, and how.
    #[must_use]
    pub fn edge(
        mut self,
        from: impl AsRef<str>,
        to: impl AsRef<str>,
        rel: impl AsRef<str>,
    ) -> Self {
        self.edges.push(TopologyEdge {
            from: capped(from.as_ref(), NAME),
            to: capped(to.as_ref(), NAME),
            rel: capped(rel.as_ref(), LABEL),
        });
        self
    }

    /// Adds a signal.
    #[must_use]
    pub fn signal(mut self, mut series: SignalSeries) -> Self {
        series.entity = capped(&series.entity, NAME);
        series.name = capped(&series.name, NAME);
        series.unit = capped(&series.unit, 16);
        self.signals.push(series);
        self
    }

    /// Adds a violation.
    #[must_use]
    pub fn violation(mut self, mut violation: BrokenInvariant) -> Self {
        violation.entity = capped(&violation.entity, NAME);
        violation.invariant = capped(&violation.invariant, NAME);
        violation.t = seconds::from(violation.t.as_secs_f64());
        for value in [&mut violation.observed, &mut violation.bound] {
            *value = super::stats::significant(*value);
        }
        self.violations.push(violation);
        self
    }

    /// Adds an action to the catalogue.
    #[must_use]
    pub fn action(mut self, mut action: OperatorAction) -> Self {
        action.id = capped(&action.id, NAME);
        action.label = capped(&action.label, LABEL);
        for param in &mut action.params {
            param.name = capped(&param.name, NAME);
        }
        for entity in &mut action.touches {
            *entity = capped(entity, NAME);
        }
        self.actions.push(action);
        self
    }

    /// Sets the time between the end of the baseline and the violation. By default a third of the
    /// time before it.
    #[must_use]
    pub fn guard(mut self, guard: Duration) -> Self {
        self.guard = Some(guard);
        self
    }

    /// Makes the bundle, with the run cut at `at`: the time of the first violation, or of the
    /// question.
    pub fn build(self, at: Duration) -> Result<Evidence, BuildError> {
        self.check()?;
        let cut = self.cut(at);
        let mut facts: Vec<EvidenceFact> = self
            .violations
            .into_iter()
            .map(EvidenceFact::Violation)
            .collect();
        let signals = self.signals.len();
        facts.extend(
            self.signals
                .into_iter()
                .map(|series| read(series, signals, cut)),
        );
        facts.extend(self.entities.iter().filter_map(propagation));
        facts.sort_by(|a, b| {
            order(a)
                .partial_cmp(&order(b))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        let rows = (1..)
            .map(EvidenceId)
            .zip(facts)
            .map(|(id, fact)| EvidenceRow { id, fact })
            .collect();

        let (mut entities, mut edges, mut actions) = (self.entities, self.edges, self.actions);
        entities.sort_by(|a, b| a.id.cmp(&b.id));
        edges.sort_by(|a, b| (&a.from, &a.to, &a.rel).cmp(&(&b.from, &b.to, &b.rel)));
        edges.dedup();
        actions.sort_by(|a, b| a.id.cmp(&b.id));
        let span = |from, to| TimeSpan {
            from: seconds::from(from),
            to: seconds::from(to),
        };
        Ok(Evidence {
            schema: EVIDENCE_SCHEMA.to_owned(),
            incident: self.incident,
            spans: IncidentSpans {
                baseline: span(cut.start, cut.guard),
                guard: span(cut.guard, cut.at),
                incident: span(cut.at, cut.end),
            },
            topology: Topology { entities, edges },
            rows,
            actions,
            history: Vec::new(),
            omitted: 0,
        })
    }

    fn cut(&self, at: Duration) -> CutTimes {
        let times = self.signals.iter().flat_map(|s| &s.points).map(|p| p.0);
        let (start, end) = times.fold((at, at), |(start, end), t| (start.min(t), end.max(t)));
        let [start, at, end] = [start, at, end].map(|t| t.as_secs_f64());
        let before = at - start;
        let guard = self
            .guard
            .map_or(before / 3.0, |g| g.as_secs_f64().min(before));
        CutTimes {
            start,
            guard: at - guard,
            at,
            end,
        }
    }

    fn check(&self) -> Result<(), BuildError> {
        for (what, n, most) in [
            ("entities", self.entities.len(), MOST_ENTITIES),
            ("signals", self.signals.len(), MOST_SIGNALS),
        ] {
            if n > most {
                return Err(BuildError::TooMany { what, n, most });
            }
        }
        let entities = unique("entity", self.entities.iter().map(|e| e.id.as_str()))?;
        unique("action", self.actions.iter().map(|a| a.id.as_str()))?;
        let known = |what: String, entity: &String| {
            if entities.contains(entity.as_str()) {
                return Ok(());
            }
            Err(BuildError::UnknownEntity {
                what,
                entity: entity.clone(),
            })
        };
        let mut signals: HashSet<(&str, &str)> = self
            .entities
            .iter()
            .filter(|e| e.propagation.is_some())
            .map(|e| (e.id.as_str(), PROPAGATION))
            .collect();
        for s in &self.signals {
            if s.name.is_empty() {
                return Err(BuildError::Empty { what: "signal" });
            }
            if !signals.insert((&s.entity, &s.name)) {
                return Err(BuildError::Duplicate {
                    what: "signal",
                    id: format!("{} {}", s.entity, s.name),
                });
            }
        }
        for s in &self.signals {
            known(format!("signal {:?}", s.name), &s.entity)?;
        }
        for v in &self.violations {
            known(format!("violation {:?}", v.invariant), &v.entity)?;
        }
        for entity in self.edges.iter().flat_map(|e| [&e.from, &e.to]) {
            known("an edge".to_owned(), entity)?;
        }
        for action in &self.actions {
            for entity in &action.touches {
                known(format!("action {:?}", action.id), entity)?;
            }
        }
        Ok(())
    }
}

fn unique<'a>(
    what: &'static str,
    ids: impl Iterator<Item = &'a str>,
) -> Result<HashSet<&'a str>, BuildError> {
    let mut seen = HashSet::new();
    for id in ids {
        if id.is_empty() {
            return Err(BuildError::Empty { what });
        }
        if !seen.insert(id) {
            return Err(BuildError::Duplicate {
                what,
                id: id.to_owned(),
            });
        }
    }
    Ok(seen)
}

/// Violations by time, changes by onset, then steady rows by how nearly they were changes, then
/// gaps. Names only decide between equals: neither they nor the order of arrival matter.
fn order(fact: &EvidenceFact) -> (u8, f64, f64, &str, &str) {
    match fact {
        EvidenceFact::Violation(v) => (0, v.t.as_secs_f64(), 0.0, &v.entity, &v.invariant),
        EvidenceFact::Change(c) => (1, c.onset.as_secs_f64(), -c.score, &c.entity, &c.signal),
        EvidenceFact::Steady(s) => (2, 0.0, -s.score, &s.entity, &s.signal),
        EvidenceFact::Gap(g) => (3, g.from.as_secs_f64(), 0.0, &g.entity, &g.signal),
    }
}

/// The declared interval as a row that can be cited.
fn propagation(entity: &Entity) -> Option<EvidenceFact> {
    let interval = entity.propagation?;
    Some(EvidenceFact::Steady(SteadySignal {
        entity: entity.id.clone(),
        signal: PROPAGATION.to_owned(),
        unit: "s".to_owned(),
        role: SignalRole::Setting,
        median: seconds::rounded(interval),
        score: 0.0,
    }))
}
