//! The operations of histories, on the axis on which they are judged.

use ratelimiter_api::Outcome;

use super::axis::{HistoryAxis, Interval};
use super::limit_reading::LimitJudge;
use super::records::{HistoryRecord, nanos};
use super::{Charging, ContractKind, ContractTime, History};

/// A history, or the operations of it that share one counter.
#[derive(Clone, Copy)]
pub(super) struct HistoryPart<'a> {
    pub(super) history: &'a History,
    /// Places of its operations; all where there are none.
    pub(super) places: Option<&'a [u32]>,
}

impl<'a> HistoryPart<'a> {
    pub(super) fn whole(history: &'a History) -> Self {
        Self {
            history,
            places: None,
        }
    }

    pub(super) fn records(self) -> impl Iterator<Item = (u32, &'a HistoryRecord)> {
        let records = self.history.records();
        let (some, all) = match self.places {
            Some(places) => (places, 0..0),
            None => (&[][..], 0..records.len() as u32),
        };
        some.iter()
            .copied()
            .chain(all)
            .map(|place| (place, &records[place as usize]))
    }
}

/// The operations of histories as one limit counts them. A form that counts an operation in one way
/// has one axis for all; where its cost, its begin or its end depend on the question, each question
/// has its own.
#[derive(Default)]
pub(super) struct Operations {
    /// The admitted ones, and those without an outcome, as they count at most.
    pub(super) admissible: HistoryAxis,
    /// The admitted ones as they count at least, where that is another axis.
    pub(super) certain: Option<HistoryAxis>,
    /// The admitted ones whose cost is known to be reserved at each instant.
    pub(super) held: HistoryAxis,
    /// The admitted ones between request and answer, where the costs settled before them decide.
    pub(super) deciding: Vec<Interval>,
    /// The ones that may justify a denial, beside the admissible ones or instead of them.
    pub(super) charged: Vec<Interval>,
    pub(super) charged_apart: bool,
    pub(super) denied: Vec<Interval>,
    /// The use of the quota before the histories, in place of admissions that they lack.
    pub(super) before: Option<Interval>,
    /// Operations without an outcome.
    pub(super) unknown: u64,
}

impl Operations {
    pub(super) fn new(parts: &[HistoryPart<'_>], judge: &LimitJudge<'_>) -> Self {
        let mut sorter = OperationSorter {
            judge,
            admissible: Vec::new(),
            certain: Vec::new(),
            held: Vec::new(),
            sorted: Self::default(),
        };
        let (mut from, mut first) = (0, 0);
        for part in parts {
            let clock = LimiterClock::new(part.history, judge, from);
            from = clock.end;
            sorter.sorted.before = judge.options.complete_since.map(|since| {
                let (cost, ends) = judge.used_before();
                Interval::new(0, ends.then(|| clock.latest(nanos(since))), cost, 0)
            });
            for (place, record) in part.records() {
                sorter.add(&clock, part.history, record, place, first);
            }
            first += part.history.len() as u32;
        }
        sorter.sorted()
    }
}

/// Sorts records by outcome and by question.
struct OperationSorter<'j> {
    judge: &'j LimitJudge<'j>,
    admissible: Vec<Interval>,
    certain: Vec<Interval>,
    held: Vec<Interval>,
    sorted: Operations,
}

impl OperationSorter<'_> {
    fn add(
        &mut self,
        clock: &LimiterClock<'_>,
        history: &History,
        record: &HistoryRecord,
        place: u32,
        first: u32,
    ) {
        let (outcome, cost, index) = (record.outcome, record.cost, first + place);
        let (invoke, answer) = (clock.earliest(record.invoke), clock.latest(record.complete));
        let (contract, sorted) = (self.judge.contract, &mut self.sorted);
        let known = outcome != Outcome::Unknown;
        sorted.unknown += u64::from(!known);
        let op = |invoke, complete, cost| Interval::new(invoke, complete, cost, index);
        let lease = contract
            .time(ContractTime::Lease)
            .map(|lease| self.judge.longest(lease));
        let later = |time: Option<std::time::Duration>| {
            answer.saturating_add(time.map_or(0, |time| self.judge.longest(time)))
        };
        let end = |last| match known {
            true => Some(last),
            false => lease.map(|lease| answer.saturating_add(lease).max(last)),
        };
        if outcome == Outcome::Denied {
            sorted.denied.push(op(invoke, Some(answer), cost));
        }
        match (contract.kind(), contract.charging()) {
            (ContractKind::InFlight, _) => {
                // While it is denied, a call may have held a place for an instant.
                let returned = match outcome {
                    Outcome::Denied => answer,
                    _ => later(contract.time(ContractTime::Returns)),
                };
                sorted
                    .charged
                    .push(op(invoke, end(returned.saturating_add(1)), cost));
                if matches!(outcome, Outcome::Allowed | Outcome::Unknown) {
                    self.admissible.push(op(invoke, end(answer), cost));
                }
                let whole = op(invoke, Some(answer), cost);
                self.held
                    .extend(surely_held(history, whole, outcome, place));
            }
            (ContractKind::Paced, _) => {
                let whole = op(invoke, known.then_some(answer), cost);
                match outcome {
                    Outcome::Allowed => {
                        let answered = clock.earliest(record.complete);
                        self.admissible.push(op(answered, Some(answer), cost));
                        self.certain.push(whole);
                    }
                    Outcome::Unknown => self.admissible.push(whole),
                    Outcome::Denied | Outcome::Failed => {}
                }
                if outcome != Outcome::Denied {
                    sorted.charged.push(whole);
                }
            }
            (_, Charging::After) => {
                let settled = later(contract.time(ContractTime::Settles));
                // A cost that is not recorded may be anything.
                let used = history.used(place);
                let whole = |cost| op(invoke, end(settled), cost);
                let admitted = outcome == Outcome::Allowed;
                if admitted {
                    self.certain.push(whole(used.unwrap_or(0)));
                }
                if admitted || !known {
                    let most = used.unwrap_or(contract.max().saturating_add(1));
                    self.admissible.push(whole(most));
                    sorted.deciding.push(op(invoke, end(answer), cost));
                }
                if outcome != Outcome::Denied {
                    sorted.charged.push(whole(used.unwrap_or(u32::MAX)));
                }
            }
            (kind, Charging::Reserved) => {
                let settled = end(later(contract.time(ContractTime::Settles)));
                let recorded = history.used(place);
                let used = recorded.unwrap_or(cost);
                let most = cost.max(used);
                let admitted = outcome == Outcome::Allowed;
                if admitted {
                    let least = cost.min(recorded.unwrap_or(0));
                    self.certain.push(op(invoke, Some(answer), least));
                }
                // A reservation that is older than a window no longer counts.
                let whole = op(invoke, Some(answer), cost);
                if answer - invoke < self.judge.shortest_window() {
                    self.held
                        .extend(surely_held(history, whole, outcome, place));
                }
                let windows = matches!(
                    kind,
                    ContractKind::Sliding | ContractKind::Fixed | ContractKind::Aligned
                );
                let counted = match settled.filter(|_| windows && admitted && used < cost) {
                    // The rest is back when it is settled, and not a window later.
                    Some(settled) => {
                        let window = self.judge.longest_window();
                        let back = settled.saturating_add(1).saturating_sub(window);
                        vec![
                            op(invoke, Some(settled), used),
                            op(invoke, Some(back), cost - used),
                        ]
                    }
                    None => vec![op(invoke, settled, most)],
                };
                if kind == ContractKind::Sliding && admitted {
                    self.admissible.extend(&counted);
                } else if admitted || !known {
                    self.admissible.push(op(invoke, settled, most));
                }
                if outcome != Outcome::Denied {
                    sorted.charged.extend(counted);
                }
            }
            (_, Charging::Before | Charging::All) => {
                let whole = op(invoke, known.then_some(answer), cost);
                let charged = contract.charging() == Charging::All;
                match outcome {
                    Outcome::Allowed | Outcome::Unknown => self.admissible.push(whole),
                    Outcome::Failed => sorted.charged.push(whole),
                    Outcome::Denied if charged => sorted.charged.push(whole),
                    Outcome::Denied => {}
                }
            }
        }
    }

    fn sorted(self) -> Operations {
        let Self {
            judge,
            admissible,
            certain,
            held,
            sorted,
        } = self;
        let waits = matches!(
            judge.contract.kind(),
            ContractKind::InFlight | ContractKind::Paced
        );
        let apart = waits || judge.contract.settles();
        Operations {
            admissible: HistoryAxis::new(admissible),
            certain: apart.then(|| HistoryAxis::new(certain)),
            held: HistoryAxis::new(held),
            charged_apart: apart,
            ..sorted
        }
    }
}

/// The instants at which an admitted call holds its place or its cost for certain. It does so for a
/// recorded time, which lies somewhere between request and answer:
///
/// ```text
///   invoke [========= held =========]          complete
///          [          [=============]=========]            certain: between the two
/// ```
fn surely_held(
    history: &History,
    call: Interval,
    outcome: Outcome,
    place: u32,
) -> Option<Interval> {
    let held = nanos(history.held(place));
    let answer = call.complete()?;
    let from = answer.saturating_sub(held).max(call.invoke);
    let to = call.invoke.saturating_add(held).min(answer);
    (outcome == Outcome::Allowed && from < to).then(|| call.spanning(from, to))
}

/// The axis of one history: recorded times, earlier and later by their uncertainty. The axis begins
/// that much earlier, so that no time is below zero.
///
/// Where a grid of windows or periods is judged it is the limiter's clock, since the grid drifts
/// away from a history whose clock has another rate: by nothing in its middle, by the most at its
/// ends. Other histories follow at a distance of whole windows, so one grid fits all.
struct LimiterClock<'a> {
    judge: &'a LimitJudge<'a>,
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
    fn new(history: &History, judge: &'a LimitJudge<'a>, from: u64) -> Self {
        let mut clock = Self {
            judge,
            uncertainty: nanos(judge.options.uncertainty),
            middle: None,
            reach: 0,
            origin: 0,
            from,
            end: from,
        };
        if judge.has_grid() {
            let records = history.records();
            let first = records.iter().map(|record| record.invoke).min();
            let last = records.iter().map(|record| record.complete).max();
            let (first, last) = (first.unwrap_or(0), last.unwrap_or(0));
            let window = nanos(judge.contract.window());
            clock.middle = Some(first.midpoint(last));
            clock.reach = judge.options.drift(last - first);
            let origin = judge
                .options
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
            .map_or(0, |middle| self.judge.options.drift(middle.abs_diff(time)))
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
