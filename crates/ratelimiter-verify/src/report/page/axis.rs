//! The axis of time of a drawing.

use std::time::Duration;

use ratelimiter_api::Operation;

/// Width of all drawings before they are stretched.
pub(super) const WIDTH: f64 = 1000.0;

/// Times of a history as places on the drawing. A long time without any check in flight is drawn
/// short, so that the checks around it are seen.
pub(super) struct TimeAxis {
    pub(super) first: Duration,
    /// Times with checks, and their places.
    pub(super) parts: Vec<(Duration, Duration, f64, f64)>,
}

/// A time without checks is drawn short from this share of the whole on, and this wide.
const SILENCE: f64 = 0.15;
pub(super) const SHORT: f64 = 25.0;
/// Least width of a part, so that its time fits below it, and of all together.
const PART: f64 = 150.0;
const ALL_PARTS: f64 = 700.0;
/// Least distance of a time to the begin of a part.
const NEXT: f64 = 130.0;

impl TimeAxis {
    /// The axis of these checks, up to the last use.
    pub(super) fn of(operations: &[Operation], last_use: Option<Duration>) -> Self {
        let mut times = Vec::from_iter(operations.iter().map(|op| (op.invoke, op.complete)));
        times.sort_unstable();
        let first = times.first().map_or(Duration::ZERO, |time| time.0);
        let last = times.iter().map(|time| time.1).max().unwrap_or(first);
        let silence = (last - first).mul_f64(SILENCE);
        let mut parts = vec![(first, first, 0.0, 0.0)];
        for (invoke, complete) in times {
            match parts.last_mut() {
                Some(part) if invoke <= part.1 + silence => part.1 = part.1.max(complete),
                _ => parts.push((invoke, complete, 0.0, 0.0)),
            }
        }
        if let (Some(part), Some(last)) = (parts.last_mut(), last_use) {
            part.1 = part.1.max(last);
        }
        let busy =
            |part: &(Duration, Duration, f64, f64)| (part.1 - part.0).as_secs_f64().max(1e-9);
        let whole: f64 = parts.iter().map(busy).sum();
        let count = parts.len() as f64;
        let least = PART.min(ALL_PARTS / count);
        let free = WIDTH - SHORT * (count - 1.0) - least * count;
        let mut x = 0.0;
        for part in &mut parts {
            (part.2, part.3) = (x, x + least + free * busy(part) / whole);
            x = part.3 + SHORT;
        }
        Self { first, parts }
    }

    pub(super) fn x(&self, time: Duration) -> f64 {
        let (mut from, mut x) = (self.first, 0.0);
        for &(start, end, left, right) in &self.parts {
            let between = |from: Duration, to: Duration, x: f64, to_x: f64| {
                let since = time.saturating_sub(from).as_secs_f64();
                x + (to_x - x) * since / (to - from).as_secs_f64().max(1e-9)
            };
            if time < start {
                return between(from, start, x, left);
            }
            if time <= end {
                return between(start, end, left, right);
            }
            (from, x) = (end, right);
        }
        x.min(WIDTH)
    }

    /// The begin of each part and round times within: their places in percent, and their texts.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let since = |time: Duration| (time - self.first).as_secs_f64();
        let span = self
            .parts
            .last()
            .map_or(0.0, |part| since(part.1))
            .max(1e-6);
        let (unit, name) = if span < 1.0 { (1e-3, "ms") } else { (1.0, "s") };
        let busy: f64 = self
            .parts
            .iter()
            .map(|part| since(part.1) - since(part.0))
            .sum();
        let steps = (-9..6).flat_map(|power| [1.0, 2.0, 5.0].map(|n| n * 10_f64.powi(power)));
        let step = steps
            .map(|step| step * unit)
            .find(|step| busy / step <= 5.0);
        let mut ticks = Vec::new();
        for &(start, end, left, right) in &self.parts {
            let first = (since(start) / step.unwrap_or(span)).floor();
            let round = (1..=5).map(|n| (first + f64::from(n)) * step.unwrap_or(span));
            let within = round.take_while(|at| *at <= since(end)).map(|at| {
                let x = self.x(self.first + Duration::from_secs_f64(at));
                (at, x)
            });
            let apart =
                within.filter(|(_, x)| *x >= left + NEXT && (*x <= right - NEXT || right >= WIDTH));
            for (at, x) in [(since(start), left)].into_iter().chain(apart) {
                let round = (at / unit * 1e3).round() / 1e3;
                ticks.push(((x * 10.0).round() / 100.0, format!("{round} {name}")));
            }
        }
        ticks
    }
}

#[cfg(test)]
mod tests {
    use ratelimiter_api::{Key, NodeId, Outcome};

    use super::*;

    /// An allowed check, microseconds.
    fn check(invoke: u64, complete: u64) -> Operation {
        let [invoke, complete] = [invoke, complete].map(Duration::from_micros);
        let (key, node) = (Key::new("k").unwrap(), NodeId::new("n"));
        Operation::new(key, node, invoke, complete, Outcome::Allowed)
    }

    #[test]
    fn silence_is_drawn_short() {
        let axis = TimeAxis::of(&[check(0, 1_000), check(99_000, 100_000)], None);
        let places = [0, 1_000, 99_000, 100_000].map(|at| axis.x(Duration::from_micros(at)));
        let half = (WIDTH - SHORT) / 2.0;
        assert_eq!(places, [0.0, half, half + SHORT, WIDTH]);
        let ticks = axis.ticks();
        assert_eq!(ticks[2], (51.25, "99 ms".to_owned()), "{ticks:?}");
    }

    #[test]
    fn ticks_are_round() {
        let ticks = TimeAxis::of(&[check(5_000, 12_300)], None).ticks();
        let texts = Vec::from_iter(ticks.iter().map(|tick| tick.1.as_str()));
        assert_eq!(texts, ["0 ms", "2 ms", "4 ms", "6 ms"]);
        assert!((ticks[1].0 - 27.4).abs() < 0.01, "{ticks:?}");
    }
}
