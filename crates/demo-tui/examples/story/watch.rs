//! The observers of the tanks: the gauges that feed the charts, the detector, and the health
//! poller.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use demo_core::{
    ChartKind, ChartSpec, Dependency, Event, Finding, FindingState, HealthPoller, HealthSnapshot,
    Reachability, SeriesRole, Severity, Stage, SubjectNode, Tone,
};
use tokio::time::{MissedTickBehavior, interval};

use crate::charts::chart;
use crate::water::{BRIM, Water, Works};

/// How much water may be missing, in litres, and for how long.
const TOLERANCE: f64 = 8.0;
const GRACE: Duration = Duration::from_millis(600);

pub(crate) fn charts() -> Vec<ChartSpec> {
    use SeriesRole::{Bad, Bound, Gap, Good, Part, Sum, Whole};
    let water = [
        ("tank-1", Part),
        ("tank-2", Part),
        ("tank-3", Part),
        ("in all", Sum),
        ("by the books", Whole),
        ("brims", Bound),
        ("missing", Gap),
    ];
    let flow = [("arriving", Good), ("spilled", Bad)];
    vec![
        chart(
            "water",
            "Water in the tanks",
            "l",
            ChartKind::Curves,
            &water,
        ),
        chart("flow", "Flow", "l/s", ChartKind::Curves, &flow),
    ]
}

/// Lets the water run.
pub(crate) async fn run_water(works: Works) {
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut last = ticks.tick().await;
    loop {
        let now = ticks.tick().await;
        works.water().step((now - last).as_secs_f64());
        last = now;
    }
}

/// Reads the gauges five times a second and judges their values.
pub(crate) async fn watch(works: Works, stage: Stage, panics: bool) {
    let mut ticks = interval(Duration::from_millis(200));
    let mut missing = Condition::new("water_missing", "the books", Severity::Warning, GRACE);
    let mut overflow = Condition::new("overflow", "the floor", Severity::Critical, Duration::ZERO);
    loop {
        ticks.tick().await;
        let water = *works.water();
        assert!(
            !(panics && water.missing() > 9.0),
            "the gauge fell into the tank"
        );
        let [a, b, c] = water.tanks.map(Some);
        let gap = water.missing().abs();
        let values = vec![
            a,
            b,
            c,
            Some(water.in_tanks()),
            Some(water.books),
            Some(3.0 * BRIM),
            Some(gap),
        ];
        stage.emit(Event::Sampled {
            chart: "water".into(),
            values,
        });
        stage.emit(Event::Sampled {
            chart: "flow".into(),
            values: vec![Some(water.arriving), Some(water.spilling)],
        });
        for (i, level) in water.tanks.iter().enumerate() {
            stage.note(
                format!("tank-{}", i + 1),
                Tone::Plain,
                format!("{level:.1} l"),
            );
        }
        let (tone, word) = if water.valve_shut {
            (Tone::Warning, "valve shut")
        } else {
            (Tone::Good, "valve open")
        };
        stage.note("pipe", tone, format!("{word}, {:.0} l", water.pipe));
        let Water {
            books,
            spilled,
            spilling,
            ..
        } = water;
        let evidence = format!(
            "books {books:.1} l, tanks {:.1} l, missing {gap:.1} l",
            water.in_tanks()
        );
        if let Some(after) = missing.look(&stage, gap > TOLERANCE, evidence) {
            works.water().found_after = Some(after);
        }
        overflow.look(
            &stage,
            spilling > 0.5,
            format!("{spilled:.1} l on the floor, {spilling:.1} l/s"),
        );
    }
}

/// A violation, and its start.
struct Condition {
    name: &'static str,
    subject: &'static str,
    severity: Severity,
    grace: Duration,
    since: Option<Duration>,
    called: Option<Duration>,
    count: u32,
}

impl Condition {
    fn new(name: &'static str, subject: &'static str, severity: Severity, grace: Duration) -> Self {
        Self {
            name,
            subject,
            severity,
            grace,
            since: None,
            called: None,
            count: 0,
        }
    }

    /// Returns a change of the violation; on detection with its duration so far.
    fn look(&mut self, stage: &Stage, holds: bool, evidence: String) -> Option<Duration> {
        let now = stage.elapsed();
        let since = *self.since.get_or_insert(now);
        let state = match (holds, self.called) {
            (true, None) if now - since >= self.grace => {
                self.called = Some(now);
                self.count += 1;
                FindingState::Raised
            }
            (true, Some(_)) => return None,
            (false, Some(_)) => FindingState::Cleared,
            (_, None) => {
                self.since = self.since.filter(|_| holds);
                return None;
            }
        };
        stage.found(Finding {
            id: format!("{}-{}", self.name, self.count),
            name: self.name.into(),
            subject: self.subject.into(),
            severity: self.severity,
            state,
            first_seen: since,
            detected_at: self.called.unwrap_or(now),
            evidence,
        });
        if !holds {
            (self.since, self.called) = (None, None);
        }
        (state == FindingState::Raised).then(|| now - since)
    }
}

/// Looks whether the tanks are there.
pub(crate) struct Inspector {
    pub(crate) works: Works,
    pub(crate) stopped: AtomicBool,
}

impl HealthPoller for Inspector {
    async fn run(&self) {
        let mut ticks = interval(Duration::from_millis(100));
        while !self.stopped.load(Ordering::Relaxed) {
            ticks.tick().await;
        }
    }

    fn health(&self) -> HealthSnapshot {
        let water = *self.works.water();
        let node = |(i, level): (usize, &f64)| SubjectNode {
            id: format!("tank-{}", i + 1),
            address: "the yard".into(),
            state: if *level < BRIM {
                Reachability::Up
            } else {
                Reachability::Suspect
            },
        };
        HealthSnapshot {
            nodes: water.tanks.iter().enumerate().map(node).collect(),
            dependencies: vec![Dependency {
                name: "pipe".into(),
                connected: true,
            }],
            has_issues: water.valve_shut,
            last_updated: None,
        }
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}
