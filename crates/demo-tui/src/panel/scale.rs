//! The two axes of a chart: which value is how high, which time is how far to the right.

use std::time::Duration;

use crate::model::chart::{Chart, WINDOW};

/// The shortest time axis.
const SHORTEST: Duration = Duration::from_secs(5);

/// The vertical scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ValueScale {
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl ValueScale {
    /// A scale that holds all values, from zero, to a round number.
    pub(crate) fn new(values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = values.fold((0.0_f64, 0.0_f64), |(l, m), v| (l.min(v), m.max(v)));
        let most = if most > least { most } else { 1.0 };
        // Zero minus, not the negative of, or else there is a zero with a sign.
        Self {
            least: 0.0 - round_up(-least),
            most: round_up(most),
        }
    }

    /// The scale of a chart from a time on.
    pub(crate) fn of(chart: &Chart, drawn: &[usize], from: Duration) -> Self {
        let samples = chart.samples().filter(|s| s.at >= from);
        Self::new(samples.flat_map(|s| drawn.iter().filter_map(|i| s.values[*i])))
    }

    /// The row of a value, from the top, of `dots` rows of dots.
    pub(crate) fn dot(&self, value: f64, dots: usize) -> usize {
        let share = (self.most - value) / (self.most - self.least);
        index(share * (dots.saturating_sub(1)) as f64).min(dots.saturating_sub(1))
    }
}

/// The horizontal scale: from the begin of the act, at most [`WINDOW`] ago, to now. In the first
/// seconds of an act it ends later than now, so that a curve grows from the left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeScale {
    pub(crate) from: Duration,
    pub(crate) now: Duration,
    pub(crate) columns: usize,
}

impl TimeScale {
    pub(crate) fn new(began: Duration, now: Duration, columns: usize) -> Self {
        Self {
            from: began.max(now.saturating_sub(WINDOW)),
            now,
            columns,
        }
    }

    /// The time from the first column to the last.
    pub(crate) fn span(&self) -> Duration {
        self.now.saturating_sub(self.from).max(SHORTEST)
    }

    /// The step of a time, of `steps` steps across the span; negative before it.
    fn step(&self, at: Duration, steps: usize) -> i64 {
        let share = (at.as_secs_f64() - self.from.as_secs_f64()) / self.span().as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a screen has fewer columns than 2^52"
        )]
        let step = (share * steps.saturating_sub(1) as f64).round() as i64;
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

    /// The time in the middle of a column; nothing for the future.
    pub(crate) fn time(&self, column: usize) -> Option<Duration> {
        self.at(column, self.columns)
    }

    /// The time of a column of dots.
    pub(crate) fn dot_time(&self, dot: usize) -> Option<Duration> {
        self.at(dot, self.columns * 2)
    }

    fn at(&self, step: usize, steps: usize) -> Option<Duration> {
        let last = steps.saturating_sub(1).max(1);
        let at = self.from + self.span().mul_f64(step as f64 / last as f64);
        Some(at).filter(|at| *at <= self.now)
    }
}

/// Round numbers from zero up to `end`, about as many as `most`.
pub(crate) fn ticks(end: f64, most: usize) -> Vec<f64> {
    if end <= 0.0 {
        return vec![0.0];
    }
    let step = [1.0, 2.0, 5.0, 10.0];
    let least = end / most.max(1) as f64;
    let power = 10f64.powf(least.log10().floor());
    let step = step
        .into_iter()
        .map(|s| s * power)
        .find(|s| *s >= least * 0.999_999)
        .unwrap_or(10.0 * power);
    (0..)
        .map(|nth| f64::from(nth) * step)
        .take_while(|value| *value <= end * 1.000_001)
        .take(most + 2)
        .collect()
}

/// The next round number.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let steps = [
        1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0,
    ];
    let step = steps
        .into_iter()
        .find(|step| step * power >= value * 0.999_999);
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
        let most = |values: &[f64]| ValueScale::new(values.iter().copied()).most;
        assert_eq!(most(&[]), 1.0);
        assert_eq!(most(&[0.0]), 1.0);
        assert_eq!(most(&[29.0, 12.0]), 30.0);
        assert_eq!(most(&[10.0]), 10.0);
        assert_eq!(most(&[130.0]), 150.0);
        assert!((most(&[0.13]) - 0.15).abs() < 1e-9);
        assert_eq!(
            ValueScale::new([-7.0, 1.0].into_iter()),
            ValueScale {
                least: -7.0,
                most: 1.0
            }
        );
    }

    #[test]
    fn values_outside_the_scale_stay_inside_the_chart() {
        let heights = ValueScale {
            least: 0.0,
            most: 10.0,
        };
        assert_eq!(
            [10.0, 0.0, 99.0, -99.0].map(|v| heights.dot(v, 20)),
            [0, 19, 0, 19]
        );
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(3.1, 4), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(ticks(0.9, 3), [0.0, 0.5]);
        assert_eq!(ticks(0.0, 3), [0.0]);
    }

    #[test]
    fn the_axis_grows_with_the_act_then_slides() {
        let secs = Duration::from_secs;
        let column = |times: TimeScale, s| times.column(secs(s));
        let young = TimeScale::new(secs(20), secs(22), 61);
        assert_eq!(
            (column(young, 20), column(young, 22), column(young, 25)),
            (0, 24, 60)
        );
        assert_eq!(young.time(30), None, "the future");
        let grown = TimeScale::new(secs(20), secs(80), 61);
        assert_eq!(
            (column(grown, 20), column(grown, 50), column(grown, 80)),
            (0, 30, 60)
        );
        assert_eq!(grown.time(30), Some(secs(50)));
        let old = TimeScale::new(secs(20), secs(320), 61);
        assert_eq!(
            (column(old, 200), column(old, 320), column(old, 20)),
            (0, 60, -90)
        );
    }
}
