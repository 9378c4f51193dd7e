//! One limit of a promise, on the operations that share a counter.

use std::time::Duration;

use ratelimiter_api::Outcome;

use super::axis::{HistoryAxis, Interval, OpSelection};
use super::bounds::ContractBounds;
use super::limit_reading::LimitJudge;
use super::operations::{HistoryPart, Operations};
use super::placement::Placement;
use super::records::nanos;
use super::{
    Charging, ContractKind, ContractTime, Doubt, LimitUse, LongWaits, Proof, Report, UseOverTime,
    Verdict, VerdictBasis, Witness, edges,
};

/// The judgement of a part of a history by one limit.
pub(super) struct LimitJudgement {
    pub(super) report: Report,
    /// Place and largest possible cost of each denial that this limit does not justify.
    pub(super) unjustified: Vec<(usize, u64)>,
    /// Places of those that only the time before the history justifies, and of the former.
    pub(super) without_past: Vec<usize>,
}

impl<'a> LimitJudge<'a> {
    pub(super) fn judge(self, part: HistoryPart<'_>) -> LimitJudgement {
        let operations = Operations::new(&[part], &self);
        let bounds = self.bounds(self.contract.window(), &operations);
        let report = self.judge_admissions(&[part], &operations, &bounds);
        let mut judgement = LimitJudgement {
            report,
            unjustified: Vec::new(),
            without_past: Vec::new(),
        };
        judgement.report.waits = self.long_waits(part);
        self.judge_denials(operations, &bounds, &mut judgement);
        judgement
    }

    /// Judges the admissions of several histories by one grid.
    pub(super) fn judge_together(self, parts: &[HistoryPart<'_>]) -> Report {
        let operations = Operations::new(parts, &self);
        let bounds = self.bounds(self.contract.window(), &operations);
        self.judge_admissions(parts, &operations, &bounds)
    }

    /// Whether the contract is kept for certain in a window of this length.
    pub(super) fn keeps(self, part: HistoryPart<'_>, window: Duration) -> bool {
        // Reserved costs are back by its own window.
        let contract = self.contract.clone().in_window(window);
        let judge = LimitJudge {
            contract: &contract,
            ..self
        };
        let operations = Operations::new(&[part], &judge);
        judge
            .bounds(window, &operations)
            .possible(&operations, OpSelection::All)
            .1
    }

    /// The use of the limit over time.
    pub(super) fn limit_use(self, part: HistoryPart<'_>) -> UseOverTime {
        let windows = matches!(self.contract.kind(), ContractKind::Fixed) || self.has_grid();
        let sliding = self.contract.clone().of_kind(ContractKind::Sliding);
        let judge = LimitJudge {
            contract: if windows { &sliding } else { self.contract },
            options: self.options,
        };
        let operations = Operations::new(&[part], &judge);
        let (first, last) = (
            part.records().map(|(_, record)| record.invoke).min(),
            part.records().map(|(_, record)| record.complete).max(),
        );
        let bounds = judge.bounds(self.contract.window(), &operations);
        let uncertainty = nanos(self.options.uncertainty);
        let on_clock = |(at, [certain, possible]): (u64, [u64; 2])| LimitUse {
            at: Duration::from_nanos(at.saturating_sub(uncertainty)),
            certain,
            possible,
        };
        let last = last.unwrap_or(0).saturating_add(uncertainty * 2);
        let window = nanos(self.contract.window());
        let (axis, most) = (&operations.admissible, bounds.permitted());
        let by_edges = edges::level(axis, self.contract.kind(), window, most);
        let uses = match &by_edges {
            Some(level) => level.clone(),
            None => bounds.use_over_time(&operations, first.unwrap_or(0)..=last),
        };
        UseOverTime {
            uses: uses.into_iter().map(on_clock).collect(),
            by_edges: by_edges.is_some(),
        }
    }

    fn judge_admissions(
        self,
        parts: &[HistoryPart<'_>],
        operations: &Operations,
        bounds: &ContractBounds<'_>,
    ) -> Report {
        let (definite_peak, proof) = bounds.certain(operations);
        let (possible_peak, kept) = bounds.possible(operations, OpSelection::All);
        let witness = |proof, indices: Vec<usize>| {
            let chosen = indices.into_iter().map(|index| {
                let mut place = index;
                let holding = parts.iter().find(|part| {
                    let found = place < part.history.len();
                    place -= if found { 0 } else { part.history.len() };
                    found
                });
                holding
                    .expect("an operation has its place in a history")
                    .history
                    .get(place)
            });
            Verdict::Violated(Witness::new(self.contract.clone(), proof, chosen.collect()))
        };
        let unknown = |why| Verdict::Unknown {
            definite: definite_peak,
            possible: possible_peak,
            why,
        };
        let only_with_unknown =
            || operations.unknown > 0 && bounds.possible(operations, OpSelection::Completed).1;
        let (verdict, settled) = if let Some((proof, indices)) = proof {
            (witness(proof, indices), VerdictBasis::ByBounds)
        } else if kept {
            (Verdict::Pass, VerdictBasis::ByBounds)
        } else if only_with_unknown() {
            (unknown(Doubt::Outcomes), VerdictBasis::ByBounds)
        } else {
            match bounds.search(operations) {
                Placement::Exists => (unknown(Doubt::Timing), VerdictBasis::BySearch),
                Placement::None(indices) => {
                    (witness(Proof::Placement, indices), VerdictBasis::BySearch)
                }
                Placement::Undecided => (unknown(Doubt::Timing), VerdictBasis::Undecided),
            }
        };
        let permitted = bounds.permitted();
        let definite_peak = match &verdict {
            Verdict::Violated(_) => definite_peak.max(permitted + 1),
            _ => definite_peak,
        };
        Report {
            permitted,
            ..Report::new(
                self.contract.clone(),
                verdict,
                settled,
                definite_peak,
                possible_peak,
            )
        }
    }

    /// A denial of cost q is justified if at some instant at which it may have been decided, the
    /// limit may have held more than `max - q`. A failed check may have been charged, and counts
    /// there.
    fn judge_denials(
        self,
        operations: Operations,
        bounds: &ContractBounds<'_>,
        judgement: &mut LimitJudgement,
    ) {
        let Operations {
            admissible,
            charged,
            charged_apart,
            mut denied,
            before,
            ..
        } = operations;
        let Some(lower) = bounds.lower().filter(|_| !denied.is_empty()) else {
            return;
        };
        denied.sort_unstable_by_key(|op| op.invoke);
        let (own, before) = (self.charges_denials(), Vec::from_iter(before));
        let with = |before: &[Interval]| {
            let admissible = if charged_apart {
                &[][..]
            } else {
                admissible.operations()
            };
            HistoryAxis::new([admissible, &charged, before].concat())
        };
        let without_cause = |charged: &HistoryAxis| {
            let mut unjustified = Vec::new();
            bounds.before(charged, &denied, |op, possible| {
                let cost = u64::from(op.cost);
                let others = if own {
                    possible.saturating_sub(cost)
                } else {
                    possible
                };
                if others.saturating_add(cost) <= lower {
                    unjustified.push((op.index(), others));
                }
            });
            unjustified.sort_unstable();
            unjustified
        };
        let whole = !charged_apart && charged.is_empty();
        let all = if whole {
            without_cause(&admissible)
        } else {
            without_cause(&with(&[]))
        };
        judgement.without_past = all.iter().map(|denial| denial.0).collect();
        judgement.unjustified = match before.is_empty() || all.is_empty() {
            true => all,
            false => without_cause(&with(&before)),
        };
    }

    /// Waits of a paced limit beyond the stated one: from request to answer, without the recorded
    /// time of the call itself.
    fn long_waits(self, part: HistoryPart<'_>) -> Option<LongWaits> {
        let stated = self.contract.time(ContractTime::Wait)?;
        let bound = Duration::from_nanos(self.longest(stated)) + self.options.uncertainty * 2;
        let waits = part.records().filter_map(|(place, op)| {
            let decided = op.outcome != Outcome::Unknown;
            let waited = Duration::from_nanos(op.complete - op.invoke);
            let waited = waited.saturating_sub(part.history.held(place));
            (decided && waited > bound).then_some(waited)
        });
        let (mut count, mut longest) = (0, Duration::ZERO);
        waits.for_each(|waited| {
            count += 1;
            longest = longest.max(waited);
        });
        (count > 0).then_some(LongWaits {
            count,
            longest,
            stated,
        })
    }

    /// Whether a denied check is among the operations that may justify it.
    fn charges_denials(self) -> bool {
        self.contract.kind() == ContractKind::InFlight || self.contract.charging() == Charging::All
    }

    /// A limiter whose clock runs fast ends its windows early by ours, and one whose clock runs
    /// slow late. The operations of a grid are on the limiter's own clock.
    fn bounds(self, window: Duration, operations: &Operations) -> ContractBounds<'a> {
        let window = nanos(window);
        let skew = if self.has_grid() {
            0
        } else {
            self.options.drift(window)
        };
        let [shortest, longest] = [window - skew, window.saturating_add(skew)];
        ContractBounds::new(self.contract, shortest, longest, operations)
    }
}
