//! The operations of histories, on the axis on which they are judged.

use ratelimiter_api::Outcome;

use super::axis::{HistoryAxis, Interval};
use super::records::nanos;
use super::{ContractKind, History, HistoryChecker, OutcomeCounts};

/// The operations of histories by outcome.
pub(super) struct Operations {
    /// The admitted ones, and those without an outcome.
    pub(super) admissible: HistoryAxis,
    pub(super) denied: Vec<Interval>,
    pub(super) failed: Vec<Interval>,
    /// The use of the quota before the histories, in place of admissions that they lack.
    pub(super) before: Option<Interval>,
    pub(super) tally: OutcomeCounts,
}

impl Operations {
    pub(super) fn new(histories: &[&History], checker: &HistoryChecker) -> Self {
        let (mut admissible, mut denied, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        let (mut before, mut tally) = (None, OutcomeCounts::default());
        let mut from = 0;
        let mut index = 0_u32;
        for history in histories {
            let clock = LimiterClock::new(history, checker, from);
            from = clock.end;
            let max = checker.contract.max();
            before = checker
                .complete_since
                .map(|since| Interval::new(0, Some(clock.latest(nanos(since))), max, 0));
            for record in history.records() {
                let (list, count) = match record.outcome {
                    Outcome::Allowed => (&mut admissible, &mut tally.allowed),
                    Outcome::Denied => (&mut denied, &mut tally.denied),
                    Outcome::Failed => (&mut failed, &mut tally.failed),
                    Outcome::Unknown => (&mut admissible, &mut tally.unknown),
                };
                let known = record.outcome != Outcome::Unknown;
                let complete = known.then(|| clock.latest(record.complete));
                *count += 1;
                let invoke = clock.earliest(record.invoke);
                list.push(Interval::new(invoke, complete, record.cost, index));
                index += 1;
            }
        }
        Self {
            admissible: HistoryAxis::new(admissible),
            denied,
            failed,
            before,
            tally,
        }
    }
}

/// The axis of one history: recorded times, earlier and later by their uncertainty. The axis begins
/// that much earlier, so that no time is below zero.
///
/// For an aligned contract it is the limiter's clock, since a grid of windows drifts away from a
/// history whose clock has another rate: by nothing in its middle, by the most at its ends. Other
/// histories follow at a distance of whole windows, so one grid fits all.
struct LimiterClock<'a> {
    checker: &'a HistoryChecker,
    uncertainty: u64,
    /// The middle of the history, if it may drift.
    middle: Option<u64>,
    /// The largest drift.
    reach: u64,
    /// Whole windows left out before the history.
    origin: u64,
    /// Its begin on the axis, and the begin of the next one: whole windows.
    from: u64,
    end: u64,
}

impl<'a> LimiterClock<'a> {
    fn new(history: &History, checker: &'a HistoryChecker, from: u64) -> Self {
        let mut clock = Self {
            checker,
            uncertainty: nanos(checker.uncertainty),
            middle: None,
            reach: 0,
            origin: 0,
            from,
            end: from,
        };
        if checker.contract.kind() == ContractKind::Aligned {
            let records = history.records();
            let first = records.iter().map(|record| record.invoke).min();
            let last = records.iter().map(|record| record.complete).max();
            let (first, last) = (first.unwrap_or(0), last.unwrap_or(0));
            let window = nanos(checker.contract.window());
            clock.middle = Some(first.midpoint(last));
            clock.reach = checker.drift(last - first);
            let origin = checker
                .complete_since
                .map_or(first, |since| first.min(nanos(since)));
            clock.origin = origin - origin % window;
            let windows = clock.latest(last) / window + 2;
            clock.end = windows.saturating_mul(window);
        }
        clock
    }

    fn drift(&self, time: u64) -> u64 {
        self.middle
            .map_or(0, |middle| self.checker.drift(middle.abs_diff(time)))
    }

    fn earliest(&self, time: u64) -> u64 {
        self.on_axis(time).saturating_sub(self.drift(time))
    }

    fn latest(&self, time: u64) -> u64 {
        let widened = self.on_axis(time).saturating_add(self.drift(time));
        widened.saturating_add(self.uncertainty.saturating_mul(2))
    }

    fn on_axis(&self, time: u64) -> u64 {
        let place = time.saturating_sub(self.origin);
        place.saturating_add(self.reach).saturating_add(self.from)
    }
}
