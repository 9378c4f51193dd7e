use std::time::Duration;

use demo_core::{ChartKind, ChartSpec, Event, SeriesRole, SeriesSpec, Stage};
use ratelimiter_api::{Key, Limit, NodeObservation, Observation};
use ratelimiter_chaos::CheckTally;
use ratelimiter_invariants::{KeyReading, RoundReading};

use crate::traffic;

/// Nodes' admissions against the shared count, for one key of the workload.
const DRIFT: &str = "drift";
/// Nodes' admissions against the limit, for the key of the burst.
const BURST: &str = "burst";
/// Answers a second.
const CHECKS: &str = "checks";

/// The charts of the act about drift.
pub(super) const DRIFT_ACT: [&str; 2] = [DRIFT, CHECKS];
/// The charts of the act about the burst.
pub(super) const GHOST_ACT: [&str; 2] = [BURST, CHECKS];

/// The charts: one an act, which is its argument, and the traffic.
pub(crate) fn charts(nodes: usize, key: &Key, limit: Limit) -> Vec<ChartSpec> {
    let line = |name: &str, role| SeriesSpec {
        name: name.to_owned(),
        role,
    };
    let parts = || (1..=nodes).map(|i| line(&format!("node-{i}"), SeriesRole::Part));
    let title =
        |key: &Key, limit: Limit| format!("Admissions of {key} in {} s", limit.window().as_secs());
    let drift = [
        line("nodes", SeriesRole::Sum),
        line("store", SeriesRole::Whole),
        line("drift", SeriesRole::Gap),
        line("limit", SeriesRole::Bound),
    ];
    let burst = [
        line("nodes", SeriesRole::Sum),
        line("too many", SeriesRole::Gap),
        line("limit", SeriesRole::Bound),
    ];
    vec![
        ChartSpec {
            id: DRIFT.into(),
            title: title(&traffic::charted(), traffic::limit()),
            unit: "admissions".into(),
            kind: ChartKind::Curves,
            series: parts().chain(drift).collect(),
        },
        ChartSpec {
            id: CHECKS.into(),
            title: "Checks answered".into(),
            unit: "per second".into(),
            kind: ChartKind::Curves,
            series: vec![
                line("allowed", SeriesRole::Good),
                line("denied", SeriesRole::Bad),
            ],
        },
        ChartSpec {
            id: BURST.into(),
            title: title(key, limit),
            unit: "admissions".into(),
            kind: ChartKind::Stack,
            series: parts().chain(burst).collect(),
        },
    ]
}

/// Turns every round into a point of every chart.
#[derive(Debug)]
pub(super) struct ChartSampler {
    /// The key of the burst.
    key: Key,
    last: Option<(Duration, CheckTally)>,
}

impl ChartSampler {
    pub(super) fn new(key: Key) -> Self {
        Self { key, last: None }
    }

    /// Draws a round. `now` and `tally` are the time and the number of checks at this instant.
    pub(super) fn sample(
        &mut self,
        stage: &Stage,
        observation: &Observation,
        now: Duration,
        tally: CheckTally,
    ) {
        let reading = RoundReading::new(observation);
        stage.emit(Event::Sampled {
            chart: DRIFT.into(),
            values: drift(observation, reading.key(&traffic::charted())),
        });
        stage.emit(Event::Sampled {
            chart: BURST.into(),
            values: burst(observation, reading.key(&self.key)),
        });
        if let Some((at, before)) = self.last {
            let seconds = now.saturating_sub(at).as_secs_f64();
            let rate = |now: u64, then: u64| Some(now.saturating_sub(then) as f64 / seconds);
            let values = vec![
                rate(tally.allowed, before.allowed),
                rate(tally.denied, before.denied),
            ];
            stage.emit(Event::Sampled {
                chart: CHECKS.into(),
                values,
            });
        }
        self.last = Some((now, tally));
    }
}

/// One value per series of the drift chart, in their order.
fn drift(observation: &Observation, counts: Option<&KeyReading>) -> Vec<Option<f64>> {
    let shared = counts.and_then(|counts| counts.shared);
    let drift = counts.and_then(KeyReading::drift).map(i64::unsigned_abs);
    values(nodes_and_sum(observation, counts).chain([shared, drift, limit(counts)]))
}

/// One value per series of the burst chart, in their order.
fn burst(observation: &Observation, counts: Option<&KeyReading>) -> Vec<Option<f64>> {
    let over = whole(counts).map(KeyReading::over);
    values(nodes_and_sum(observation, counts).chain([over, limit(counts)]))
}

/// The nodes' admissions and their sum. A missing sample is a gap, and so is a sum that lacks one.
fn nodes_and_sum(
    observation: &Observation,
    counts: Option<&KeyReading>,
) -> impl Iterator<Item = Option<u64>> {
    let of_node = move |node: &NodeObservation| Some(counts?.nodes.get(&node.node)?.admissions);
    let sum = whole(counts).map(KeyReading::admitted);
    observation.nodes.iter().map(of_node).chain([sum])
}

fn whole(counts: Option<&KeyReading>) -> Option<&KeyReading> {
    counts.filter(|counts| counts.missing.is_empty())
}

fn limit(counts: Option<&KeyReading>) -> Option<u64> {
    counts.map(|counts| counts.limit.admissions().into())
}

fn values(counts: impl Iterator<Item = Option<u64>>) -> Vec<Option<f64>> {
    counts
        .map(|count| count.map(|count| count as f64))
        .collect()
}
