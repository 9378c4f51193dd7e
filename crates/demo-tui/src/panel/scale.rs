//! The two axes of a chart: which value is how high, which time is how far to the right.

use std::time::Duration;

use crate::model::chart::{Chart, WINDOW};

/// The vertical scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Heights {
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Heights {
    /// A scale that holds all values, from zero, to a round number.
    pub(crate) fn new(values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = values.fold((0.0_f64, 0.0_f64), |(l, m), v| (l.min(v), m.max(v)));
        let most = if most > least { most } else { 1.0 };
        // Zero minus, not the negative of, or else there is a zero with a sign.
        Self { least: 0.0 - round_up(-least), most: round_up(most) }
    }

    /// The scale of a chart at `now`.
    pub(crate) fn of(chart: &Chart, drawn: &[usize], now: Duration) -> Self {
        let from = now.saturating_sub(WINDOW);
        let samples = chart.samples().filter(|s| s.at >= from);
        Self::new(samples.flat_map(|s| drawn.iter().filter_map(|i| s.values[*i])))
    }

    /// The row of a value, from the top, of `dots` rows of dots.
    pub(crate) fn dot(&self, value: f64, dots: usize) -> usize {
        let share = (self.most - value) / (self.most - self.least);
        index(share * (dots.saturating_sub(1)) as f64).min(dots.saturating_sub(1))
    }
}

/// The horizontal scale: the last [`WINDOW`], in columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) now: Duration,
    pub(crate) columns: usize,
}

impl Times {
    /// The step of a time, of `steps` steps across the window; negative before the window.
    fn step(&self, at: Duration, steps: usize) -> i64 {
        let back = self.now.saturating_sub(at).as_secs_f64() / WINDOW.as_secs_f64();
        let last = steps.saturating_sub(1) as f64;
        #[expect(clippy::cast_possible_truncation, reason = "a screen has fewer columns than 2^52")]
        let step = (last - back * last).round() as i64;
        step
    }

    /// The column of a time.
    pub(crate) fn column(&self, at: Duration) -> i64 {
        self.step(at, self.columns)
    }

    /// The column of dots of a time, of which there are two in a column.
    pub(crate) fn dot(&self, at: Duration) -> i64 {
        self.step(at, self.columns * 2)
    }

    /// The time in the middle of a column; nothing for the time before the story.
    pub(crate) fn time(&self, column: usize) -> Option<Duration> {
        self.back(column, self.columns)
    }

    /// The time of a column of dots.
    pub(crate) fn dot_time(&self, dot: usize) -> Option<Duration> {
        self.back(dot, self.columns * 2)
    }

    fn back(&self, step: usize, steps: usize) -> Option<Duration> {
        let last = steps.saturating_sub(1).max(1);
        self.now.checked_sub(WINDOW.mul_f64(last.saturating_sub(step) as f64 / last as f64))
    }
}

/// The next round number.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0];
    let step = steps.into_iter().find(|step| step * power >= value * 0.999_999);
    step.unwrap_or(10.0) * power
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "negative and huge values saturate"
)]
fn index(value: f64) -> usize {
    value.round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers() {
        let most = |values: &[f64]| Heights::new(values.iter().copied()).most;
        assert_eq!(most(&[]), 1.0);
        assert_eq!(most(&[0.0]), 1.0);
        assert_eq!(most(&[29.0, 12.0]), 30.0);
        assert_eq!(most(&[10.0]), 10.0);
        assert_eq!(most(&[130.0]), 150.0);
        assert!((most(&[0.13]) - 0.15).abs() < 1e-9);
        assert_eq!(Heights::new([-7.0, 1.0].into_iter()), Heights { least: -7.0, most: 1.0 });
    }

    #[test]
    fn values_outside_the_scale_stay_inside_the_chart() {
        let heights = Heights { least: 0.0, most: 10.0 };
        assert_eq!([10.0, 0.0, 99.0, -99.0].map(|v| heights.dot(v, 20)), [0, 19, 0, 19]);
    }

    #[test]
    fn the_window_spans_first_to_last_column() {
        let times = Times { now: Duration::from_secs(100), columns: 61 };
        let column = |s| times.column(Duration::from_secs(s));
        assert_eq!((column(100), column(70), column(40), column(10)), (60, 30, 0, -30));
        assert_eq!(times.time(30), Some(Duration::from_secs(70)));
        let early = Times { now: Duration::from_secs(10), columns: 61 };
        assert_eq!(early.time(0), None);
    }
}
