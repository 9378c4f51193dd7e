//! Simple scorers, for comparison. All get the same samples and the same time; only the walk gets
//! the dependencies.

use crate::scenario::Scenario;

/// A scorer: the entities, most suspect first.
pub(crate) type Scorer = fn(&Scenario) -> Vec<usize>;

pub(crate) const SCORERS: [(&str, Scorer); 3] = [
    ("largest deviation", largest),
    ("robust scorer", robust),
    ("graph walk", walk),
];

/// The furthest sample from the mean, in standard deviations.
fn largest(scenario: &Scenario) -> Vec<usize> {
    ranked(&scores(scenario, |before, after| {
        let mean = before.iter().sum::<f64>() / before.len() as f64;
        let sd =
            (before.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / before.len() as f64).sqrt();
        let sd = if sd > 0.0 { sd } else { 1.0 };
        after
            .iter()
            .map(|v| (v - mean).abs() / sd)
            .fold(0.0, f64::max)
    }))
}

/// As published for BARO: the furthest sample above the median, in quartile ranges, of which 0
/// counts as 1.
fn robust(scenario: &Scenario) -> Vec<usize> {
    ranked(&scores(scenario, |before, after| {
        let (median, spread) = quartiles(before);
        let spread = if spread > 0.0 { spread } else { 1.0 };
        after
            .iter()
            .map(|v| (v - median) / spread)
            .fold(f64::NEG_INFINITY, f64::max)
    }))
}

/// Walks from the symptom to anomalous callees until there are none.
fn walk(scenario: &Scenario) -> Vec<usize> {
    const ANOMALOUS: f64 = 8.0;
    let scores = scores(scenario, |before, after| {
        let (median, spread) = quartiles(before);
        let sd =
            (before.iter().map(|v| (v - median).powi(2)).sum::<f64>() / before.len() as f64).sqrt();
        let spread = spread.max(0.1 * sd).max(0.01 * median.abs()).max(1e-12);
        after
            .iter()
            .map(|v| (v - median).abs() / spread)
            .fold(0.0, f64::max)
    });
    let ids = ranked(&scores);
    if !scenario.setting.topology {
        return ids;
    }
    let calls = &scenario.graph.calls;
    let anomalous = |e: usize| scores[e] > ANOMALOUS;
    let (mut seen, mut ends) = (vec![scenario.noticed.1], Vec::new());
    let mut at = 0;
    while let Some(&entity) = seen.get(at) {
        let next: Vec<usize> = calls[entity]
            .iter()
            .copied()
            .filter(|&e| anomalous(e))
            .collect();
        if next.is_empty() {
            ends.push(entity);
        }
        for e in next {
            if !seen.contains(&e) {
                seen.push(e);
            }
        }
        at += 1;
    }
    let mut order: Vec<usize> = ids.clone();
    order.sort_by_key(|e| (!ends.contains(e), !seen.contains(e)));
    order
}

fn scores(scenario: &Scenario, score: impl Fn(&[f64], &[f64]) -> f64) -> Vec<f64> {
    let mut best = vec![0.0_f64; scenario.graph.ids.len()];
    for series in &scenario.signals {
        let part = |late: bool| -> Vec<f64> {
            let seen = series
                .points
                .iter()
                .filter(|(t, _)| (t.as_secs_f64() >= scenario.noticed.0) == late);
            seen.filter_map(|(_, v)| *v).collect()
        };
        let (before, after) = (part(false), part(true));
        if before.is_empty() || after.is_empty() {
            continue;
        }
        if let Some(entity) = scenario
            .graph
            .ids
            .iter()
            .position(|id| *id == series.entity)
        {
            best[entity] = best[entity].max(score(&before, &after));
        }
    }
    best
}

fn ranked(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order
}

/// The median, and the range between the quartiles.
fn quartiles(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    (at(0.5), at(0.75) - at(0.25))
}
