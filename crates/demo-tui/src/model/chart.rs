//! The samples of a chart inside the time that is shown.

use std::collections::VecDeque;
use std::time::Duration;

use demo_core::{ChartSpec, SeriesRole};
use outside_text::clean_line;

/// The most time that a chart shows: an act with its detection and its diagnosis.
pub(crate) const WINDOW: Duration = Duration::from_secs(120);
/// The longest time between two joined points: beyond it there is a gap.
pub(crate) const JOIN: Duration = Duration::from_millis(2_500);
/// More samples than this in one window are more than any screen can show.
const MAX_SAMPLES: usize = 8_192;

/// One chart and its samples.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    pub(crate) spec: ChartSpec,
    samples: VecDeque<ChartSample>,
}

/// One value a series at one time.
#[derive(Clone, Debug)]
pub(crate) struct ChartSample {
    pub(crate) at: Duration,
    pub(crate) values: Vec<Option<f64>>,
}

impl Chart {
    pub(crate) fn new(mut spec: ChartSpec) -> Self {
        spec.title = clean_line(&spec.title);
        spec.unit = clean_line(&spec.unit);
        for series in &mut spec.series {
            series.name = clean_line(&series.name);
        }
        Self {
            spec,
            samples: VecDeque::new(),
        }
    }

    /// Takes a sample, and drops those that left the window. A value that is no number counts as
    /// missing. A sample from before the newest one is left out: a damaged log must not draw a line
    /// backwards.
    pub(crate) fn sample(&mut self, at: Duration, values: &[Option<f64>]) {
        if self.samples.back().is_some_and(|newest| at < newest.at) {
            return;
        }
        let values = (0..self.spec.series.len())
            .map(|i| values.get(i).copied().flatten().filter(|v| v.is_finite()))
            .collect();
        self.samples.push_back(ChartSample { at, values });
        // One sample from before the window is kept, for the line that leads into it.
        while self.samples.get(1).is_some_and(|s| s.at + WINDOW < at)
            || self.samples.len() > MAX_SAMPLES
        {
            self.samples.pop_front();
        }
    }

    /// Whether there is a value to draw.
    pub(crate) fn has_data(&self) -> bool {
        self.samples
            .iter()
            .any(|sample| sample.values.iter().any(Option::is_some))
    }

    pub(crate) fn samples(&self) -> impl DoubleEndedIterator<Item = &ChartSample> {
        self.samples.iter()
    }

    /// The places of the series with a role.
    pub(crate) fn with_role(&self, role: SeriesRole) -> impl Iterator<Item = usize> {
        self.spec
            .series
            .iter()
            .enumerate()
            .filter(move |(_, s)| s.role == role)
            .map(|(i, _)| i)
    }

    /// The value of a series at `now`: its last sample, unless that is old.
    pub(crate) fn latest(&self, series: usize, now: Duration) -> Option<f64> {
        let last = self.samples.back().filter(|s| s.at + JOIN >= now)?;
        last.values.get(series).copied().flatten()
    }

    /// The value of a series at its last sample before `at`; nothing in a gap.
    pub(crate) fn value_before(&self, series: usize, at: Duration) -> Option<f64> {
        let after = self.samples.partition_point(|s| s.at <= at);
        let last = self
            .samples
            .get(after.checked_sub(1)?)
            .filter(|s| s.at + JOIN >= at)?;
        last.values.get(series).copied().flatten()
    }

    /// The value of a series between two samples; nothing in a gap.
    pub(crate) fn value_at(&self, series: usize, at: Duration) -> Option<f64> {
        let after = self.samples.partition_point(|s| s.at < at);
        let right = self.samples.get(after)?;
        let right_value = right.values.get(series).copied().flatten()?;
        if right.at == at {
            return Some(right_value);
        }
        let left = self.samples.get(after.checked_sub(1)?)?;
        let left_value = left.values.get(series).copied().flatten()?;
        let length = right.at - left.at;
        if length > JOIN {
            return None;
        }
        let share = (at - left.at).as_secs_f64() / length.as_secs_f64();
        Some(left_value + (right_value - left_value) * share)
    }
}

#[cfg(test)]
mod tests {
    use demo_core::{ChartKind, SeriesSpec};

    use super::*;

    fn chart() -> Chart {
        let series = vec![SeriesSpec {
            name: "a".into(),
            role: SeriesRole::Sum,
        }];
        let kind = ChartKind::Curves;
        Chart::new(ChartSpec {
            id: "c".into(),
            title: "t".into(),
            unit: "l".into(),
            kind,
            series,
        })
    }

    fn secs(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn missing_samples_and_long_silences_are_gaps() {
        let mut c = chart();
        c.sample(secs(1), &[Some(10.0)]);
        c.sample(secs(3), &[Some(20.0)]);
        c.sample(secs(4), &[None]);
        c.sample(secs(5), &[Some(f64::NAN)]);
        c.sample(secs(6), &[Some(1.0)]);
        c.sample(secs(9), &[Some(4.0)]);
        assert_eq!(c.value_at(0, secs(2)), Some(15.0));
        assert_eq!(c.value_at(0, Duration::from_millis(3_500)), None);
        assert_eq!(c.value_at(0, Duration::from_millis(5_500)), None);
        assert_eq!(
            c.value_at(0, secs(7)),
            None,
            "three seconds without a sample"
        );
        assert_eq!(c.value_at(0, secs(10)), None);
    }

    #[test]
    fn old_samples_are_not_the_present_value() {
        let mut c = chart();
        for s in 0..200 {
            c.sample(secs(s), &[Some(1.0)]);
        }
        assert_eq!(c.samples().count(), 122);
        assert_eq!(c.latest(0, secs(200)), Some(1.0));
        assert_eq!(c.latest(0, secs(203)), None);
    }

    #[test]
    fn samples_of_wrong_length_are_harmless() {
        let mut c = chart();
        c.sample(secs(1), &[]);
        c.sample(secs(2), &[Some(1.0), Some(2.0)]);
        assert_eq!(c.value_at(0, secs(2)), Some(1.0));
    }

    #[test]
    fn samples_out_of_order_are_left_out() {
        let mut c = chart();
        c.sample(secs(3), &[Some(1.0)]);
        c.sample(secs(2), &[Some(2.0)]);
        assert_eq!(c.samples().map(|s| s.at).collect::<Vec<_>>(), [secs(3)]);
    }
}
