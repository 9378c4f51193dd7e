//! One run of a system that exists nowhere: a random graph of services, their signals, and what
//! happens to one of them.

use std::time::Duration;

use diagnosis::{BrokenInvariant, Entity, Evidence, EvidenceBuilder, SignalSeries};

use crate::fault::Effects;
use crate::graph::Graph;
use crate::kind::Kind;
use crate::rng::Rng;
use crate::signals::{Clock, Signals};

/// What a run is to show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// The fault, or none.
    pub(crate) kind: Option<Kind>,
    /// Whether the analyser gets the dependencies.
    pub(crate) topology: bool,
    /// Whether the analyser gets the signals' roles.
    pub(crate) roles: bool,
    /// Whether the normal half was recorded at another time than the other half.
    pub(crate) spliced: bool,
    /// Whether samples lie many seconds apart.
    pub(crate) coarse: bool,
}

/// The runs of these seeds: every kind of fault, and as many without one, each with and without
/// topology.
pub(crate) fn runs(seeds: std::ops::Range<u64>) -> impl Iterator<Item = (u64, Setting)> {
    let kinds = || (0..).zip(Kind::ALL.into_iter().map(Some).chain([None; 8]));
    seeds.flat_map(move |seed| {
        kinds().flat_map(move |(i, kind)| {
            let mixed = seed * 16 + i;
            [true, false].map(|topology| {
                let setting = Setting {
                    kind,
                    topology,
                    roles: !seed.is_multiple_of(4),
                    spliced: seed.is_multiple_of(5),
                    coarse: mixed.is_multiple_of(2) != seed.is_multiple_of(2),
                };
                (mixed, setting)
            })
        })
    })
}

/// A run in samples.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) graph: Graph,
    pub(crate) signals: Vec<SignalSeries>,
    /// When something was noticed, and at which entity.
    pub(crate) noticed: (f64, usize),
    /// The entity at fault.
    pub(crate) cause: Option<usize>,
    pub(crate) setting: Setting,
}

impl Scenario {
    pub(crate) fn new(seed: u64, setting: Setting) -> Self {
        let mut rng = Rng::new(seed);
        let entities = 5 + rng.below(46);
        let graph = Graph::random(&mut rng, entities);
        let clock = Clock::new(&mut rng, setting.coarse, setting.spliced, setting.kind);
        let mut signals = Signals::normal(&mut rng, &graph, &clock);
        let (mut cause, mut symptom) = (None, 0);
        if let Some(kind) = setting.kind {
            let effects = Effects::new(&mut rng, &graph, kind, &clock, &signals);
            effects.apply(&mut rng, &mut signals);
            (cause, symptom) = (Some(effects.cause), effects.symptom(&mut rng));
        }
        signals.disturb(&mut rng, &graph, &clock, cause);
        let signals = signals.sampled(&mut rng, &clock, setting.roles);
        Self {
            graph,
            signals,
            noticed: (clock.noticed, symptom),
            cause,
            setting,
        }
    }

    /// The bundle, as a user of the crate would make it.
    pub(crate) fn evidence(&self) -> Evidence {
        let mut builder = EvidenceBuilder::new("a run of the suite");
        for id in &self.graph.ids {
            builder = builder.entity(Entity::new(id, "service"));
        }
        if self.setting.topology {
            for (from, to) in self.graph.edges() {
                builder = builder.edge(&self.graph.ids[from], &self.graph.ids[to], "calls");
            }
        }
        for series in &self.signals {
            builder = builder.signal(series.clone());
        }
        let at = Duration::from_secs_f64(self.noticed.0);
        let violation = BrokenInvariant::new(
            &self.graph.ids[self.noticed.1],
            "is as it should be",
            at,
            2.0,
            1.0,
        );
        builder
            .violation(violation)
            .build(at)
            .expect("the suite makes valid evidence")
    }

    /// The id of the entity at fault.
    pub(crate) fn truth(&self) -> Option<&str> {
        self.cause.map(|cause| self.graph.ids[cause].as_str())
    }
}
