use std::time::Duration;

use demo_core::{ChartSpec, Event, SeriesRole, SeriesSpec, Stage};
use ratelimiter_api::{Key, NodeObservation, Observation};
use ratelimiter_chaos::Tally;
use ratelimiter_invariants::{KeyReading, Reading};

const ADMISSIONS: &str = "admissions";
const CHECKS: &str = "checks";

/// The charts: counts and drift, which are the argument of the story, and the traffic.
pub(crate) fn charts(nodes: usize) -> Vec<ChartSpec> {
    let line = |name: &str, role| SeriesSpec { name: name.to_owned(), role };
    let mut admissions: Vec<_> = (1..=nodes).map(|i| line(&format!("node-{i}"), SeriesRole::Part)).collect();
    admissions.extend([
        line("nodes", SeriesRole::Sum),
        line("store", SeriesRole::Whole),
        line("drift", SeriesRole::Gap),
        line("limit", SeriesRole::Bound),
    ]);
    vec![
        ChartSpec {
            id: ADMISSIONS,
            title: "Admissions in the window".into(),
            unit: "admissions".into(),
            series: admissions,
        },
        ChartSpec {
            id: CHECKS,
            title: "Checks answered".into(),
            unit: "per second".into(),
            series: vec![line("allowed", SeriesRole::Good), line("denied", SeriesRole::Bad)],
        },
    ]
}

/// Turns every round into a point of every chart.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    last: Option<(Duration, Tally)>,
}

impl Sampler {
    /// Draws a round. `now` and `tally` are the time and the number of checks at this instant.
    pub(super) fn sample(
        &mut self,
        stage: &Stage,
        observation: &Observation,
        keys: &[Key],
        now: Duration,
        tally: Tally,
    ) {
        stage.emit(Event::Sampled { chart: ADMISSIONS, values: admissions(observation, keys) });
        if let Some((at, before)) = self.last {
            let seconds = now.saturating_sub(at).as_secs_f64();
            let rate = |now: u64, then: u64| Some(now.saturating_sub(then) as f64 / seconds);
            let values = vec![rate(tally.allowed, before.allowed), rate(tally.denied, before.denied)];
            stage.emit(Event::Sampled { chart: CHECKS, values });
        }
        self.last = Some((now, tally));
    }
}

/// One value per series, in their order. A missing sample is a gap, and so is a sum that lacks one.
fn admissions(observation: &Observation, keys: &[Key]) -> Vec<Option<f64>> {
    let reading = Reading::new(observation);
    let counts: Vec<_> = keys.iter().map(|key| reading.key(key)).collect();
    let sum = |count: &dyn Fn(&KeyReading<'_>) -> Option<u64>| -> Option<u64> {
        counts.iter().map(|key| count((*key)?)).sum()
    };
    let of_node = |node: &NodeObservation| sum(&|key| Some(key.nodes().get(&node.node)?.admissions));
    let nodes: Vec<Option<u64>> = observation.nodes.iter().map(of_node).collect();
    let admitted: Option<u64> = nodes.iter().copied().sum();
    let shared = sum(&|key| key.shared());
    let limit = sum(&|key| Some(key.limit().admissions().into()));
    let drift = admitted.zip(shared).map(|(admitted, shared)| admitted.abs_diff(shared));
    nodes.into_iter().chain([admitted, shared, drift, limit]).map(|value| value.map(|v| v as f64)).collect()
}
