use std::sync::Arc;
use std::time::Duration;

use demo_core::{ChartSpec, Event, SeriesRole, SeriesSpec, Stage};
use ratelimiter_api::{Key, NodeObservation, Observation};
use ratelimiter_chaos::Tally;
use ratelimiter_evidence::Client;
use tokio::time::Instant;

use super::notes::Notes;
use super::workload;
use crate::detector::counts;
use crate::subject::{Act, Drift, Subject};

const ADMISSIONS: &str = "admissions";
const CHECKS: &str = "checks";

/// What is drawn: the argument of the story, and the traffic beside it.
pub(crate) fn charts(subject: &Subject) -> Vec<ChartSpec> {
    let line = |name: &str, role| SeriesSpec { name: name.to_owned(), role };
    let mut admissions: Vec<_> =
        (1..=subject.endpoints.len()).map(|i| line(&format!("node-{i}"), SeriesRole::Part)).collect();
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

/// Turns every round of the observer into a point of every chart, and remembers the largest drift.
pub(crate) fn sampler(subject: &Arc<Subject>) -> impl FnMut(&Stage, &Observation) + Send + 'static {
    let subject = Arc::clone(subject);
    let mut last: Option<(Duration, Tally)> = None;
    let mut notes = Notes::default();
    move |stage, observation| {
        notes.note(stage, observation);
        let mut acts = subject.acts();
        let keys = match acts.act {
            Act::Drift => workload::keys(),
            Act::Burst => vec![subject.key.clone()],
        };
        if acts.act == Act::Drift {
            for key in &keys {
                if let Some((admitted, shared)) = counts(observation, key) {
                    let drift = Drift { key: key.clone(), admitted, shared };
                    if acts.max_drift.as_ref().is_none_or(|max| drift.size() > max.size()) {
                        acts.max_drift = Some(drift);
                    }
                }
            }
        }
        let tally = acts.tally();
        // The tally is of now, and the round began a while ago.
        let now = subject.detector.get().map_or(observation.at, |detector| detector.at(Instant::now()));
        let client = Client { at: now, sent: tally.sent(), denied: tally.denied };
        acts.recorder.observe(observation, Some(client));
        drop(acts);
        stage.emit(Event::Sampled { chart: ADMISSIONS, values: admissions(observation, &keys) });
        if let Some((at, before)) = last {
            let seconds = now.saturating_sub(at).as_secs_f64();
            let rate = |now: u64, then: u64| Some(now.saturating_sub(then) as f64 / seconds);
            let values = vec![rate(tally.allowed, before.allowed), rate(tally.denied, before.denied)];
            stage.emit(Event::Sampled { chart: CHECKS, values });
        }
        last = Some((now, tally));
    }
}

/// The points in the order of the series; a sample that is missing, or a sum that lacks one, is a gap.
fn admissions(observation: &Observation, keys: &[Key]) -> Vec<Option<f64>> {
    let of_node = |node: &NodeObservation| -> Option<u64> {
        let sample = node.sample.as_ref()?;
        keys.iter().map(|key| Some(sample.keys.get(key)?.admissions)).sum()
    };
    let nodes: Vec<Option<u64>> = observation.nodes.iter().map(of_node).collect();
    let sum: Option<u64> = nodes.iter().copied().sum();
    let of_store = |value: fn(&ratelimiter_api::SharedCount) -> u64| -> Option<u64> {
        let store = observation.store.as_ref()?;
        keys.iter().map(|key| store.keys.get(key).map(value)).sum()
    };
    let shared = of_store(|count| count.shared);
    let limit = of_store(|count| count.limit.admissions().into());
    let drift = sum.zip(shared).map(|(sum, shared)| sum.abs_diff(shared));
    nodes.into_iter().chain([sum, shared, drift, limit]).map(|value| value.map(|v| v as f64)).collect()
}
