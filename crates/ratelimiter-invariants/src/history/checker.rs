use std::time::Duration;

use ratelimiter_api::Operation;

use super::limit_judge::LimitJudgement;
use super::limit_reading::{CheckOptions, LimitJudge};
use super::operations::HistoryPart;
use super::{
    Charging, Contract, ContractKind, History, HistoryError, LimitRoom, Promise, Report,
    UnjustifiedDenial, UseOverTime, Verdict,
};

/// Checks a history that began with an empty counter and holds every check made on its keys.
///
/// The same as [`HistoryChecker::new`] and [`HistoryChecker::check`].
///
/// # Errors
/// When an operation completes before it was invoked.
pub fn check_history(
    operations: &[Operation],
    promise: impl Into<Promise>,
) -> Result<Report, HistoryError> {
    Ok(HistoryChecker::new(promise).check(&operations.try_into()?))
}

/// Checks histories against a promise.
///
/// A million operations take a fraction of a second on one core (`examples/million.rs`): sorts and
/// sweeps, O(n log n) a limit.
///
/// # The meaning of a verdict
/// - **Violated** is proved by its witness alone: nothing that the history lacks can undo it. For a
///   sliding contract and equal costs the verdict is exact: a history is Violated when no placement
///   keeps the contract, within a stated budget of work. For the other contracts and for mixed
///   costs such a history may be Unknown; [`Report::settled`] then is [`VerdictBasis::Undecided`].
/// - **Pass** is about the operations recorded: no placement of *these* has too many in a window.
///   An Unknown one is counted wherever it may lie, so it never makes a pass.
/// - **Unjustified denials** suppose that all operations that could have filled the window are in
///   the history. [`HistoryChecker::complete_since`] gives the instant from which on that is so.
///
/// Of several limits, each is judged by itself: the promise is broken if any of them is, and a
/// denial is unjustified if no limit justifies it.
///
/// [`VerdictBasis::Undecided`]: super::VerdictBasis::Undecided
#[derive(Clone, Debug)]
pub struct HistoryChecker {
    promise: Promise,
    options: CheckOptions,
}

/// The most that two clocks are taken to differ in rate, parts per million: 5 %.
const MAX_CLOCK_PPM: u32 = 50_000;

impl HistoryChecker {
    /// A checker for histories that began with an empty counter.
    pub fn new(promise: impl Into<Promise>) -> Self {
        Self {
            promise: promise.into(),
            options: CheckOptions::default(),
        }
    }

    /// The history holds every admission decided at `since` or later, on its own clock, and earlier
    /// ones may be missing: the quota may have been used up then, a window full and a bucket empty.
    /// Without this, nothing was used when the history began.
    #[must_use]
    pub fn complete_since(mut self, since: Duration) -> Self {
        self.options.complete_since = Some(since);
        self
    }

    /// The history may lack admissions at any time. So no denial is judged; an excess is proved by
    /// the operations that are there.
    #[must_use]
    pub fn incomplete(self) -> Self {
        self.complete_since(Duration::MAX)
    }

    /// Every recorded time may be wrong by this much either way, as when a history was merged from
    /// several machines.
    #[must_use]
    pub fn uncertainty(mut self, uncertainty: Duration) -> Self {
        self.options.uncertainty = uncertainty;
        self
    }

    /// The limiter's clock may run faster or slower than the history's by this share, parts per
    /// million, at most 5 %. 100 ppm are 6 ms in 60 s, which is more than a check takes.
    #[must_use]
    pub fn clock_tolerance(mut self, ppm: u32) -> Self {
        self.options.clock_ppm = ppm.min(MAX_CLOCK_PPM);
        self
    }

    /// The promise.
    pub fn promise(&self) -> &Promise {
        &self.promise
    }

    /// The most by which two recorded times a window of this limit apart may differ from the
    /// limiter's.
    pub fn slack(&self, limit: &Contract) -> Duration {
        let skew = limit
            .window()
            .mul_f64(f64::from(self.options.clock_ppm) / 1e6);
        self.options.uncertainty * 2 + skew
    }

    /// Checks a history.
    pub fn check(&self, history: &History) -> Report {
        let mut report = self.check_once(history);
        if !report.unjustified_denials.is_empty() {
            let charging_all = self.with_limits(|limit| Contract {
                charging: match (limit.kind, limit.charging) {
                    (ContractKind::Paced | ContractKind::InFlight, same) => same,
                    (_, Charging::Before) => Charging::All,
                    (_, same) => same,
                },
                ..limit
            });
            report.denied_seem_charged = charging_all
                .check_once(history)
                .unjustified_denials
                .is_empty();
        }
        report
    }

    fn check_once(&self, history: &History) -> Report {
        let limits = self.promise.limits().iter();
        let mut judged = Vec::from_iter(limits.map(|limit| self.by_limit(limit, history)));
        let (denials, unjudged) = unjustified(&judged, history);
        let decides = |report: &Report| match report.verdict {
            Verdict::Violated(_) => 0,
            Verdict::Unknown { .. } => 1,
            Verdict::Pass => 2,
        };
        let places = 0..judged.len();
        let deciding = places
            .min_by_key(|&n| decides(&judged[n].report))
            .unwrap_or(0);
        let mut report = judged.remove(deciding).report;
        report.others = judged.into_iter().map(|limit| limit.report).collect();
        report.count(history);
        report.unjustified_denials = denials;
        report.unjudged_denials = unjudged;
        report
    }

    /// The judgement by one limit, of all parts of a history that have a counter each.
    fn by_limit(&self, limit: &Contract, history: &History) -> LimitJudgement {
        let judge = self.judge(limit);
        let parts = history.parts(limit.by());
        let parts = parts.iter().map(|places| {
            judge.judge(HistoryPart {
                history,
                places: places.as_deref(),
            })
        });
        let mut whole = parts.reduce(LimitJudgement::with).unwrap_or_else(|| {
            judge.judge(HistoryPart {
                history,
                places: Some(&[]),
            })
        });
        whole.unjustified.sort_unstable();
        whole.without_past.sort_unstable();
        whole
    }

    /// Checks the admissions of several keys by one grid of windows, the same for all, as
    /// [`ContractKind::Aligned`] promises. Keys that keep the contract one by one may break it
    /// together: each leaves other alignments. Denials are not judged.
    pub fn check_together(&self, histories: &[&History]) -> Report {
        let mut limits = self.promise.limits().iter();
        let grid = limits.find(|limit| limit.kind() == ContractKind::Aligned);
        let grid = grid
            .unwrap_or(self.promise.first())
            .clone()
            .of_kind(ContractKind::Aligned);
        let parts: Vec<_> = histories
            .iter()
            .map(|history| HistoryPart::whole(history))
            .collect();
        let mut report = self.judge(&grid).judge_together(&parts);
        histories.iter().for_each(|history| report.count(history));
        report
    }

    /// Promises that all of these histories fit, of those that may have been meant: the same
    /// numbers in another form; another limit; a window in another unit; a rate that was inverted,
    /// one in n seconds for n a second. A history fits if no denial is without cause, and if
    /// admissions keep the contract for certain in a window shorter by 5 %, since recorded times
    /// resolve no more. Only for a promise of one limit, charged with the decision.
    pub fn fits_otherwise(&self, histories: &[&History]) -> Vec<Contract> {
        let [promised] = self.promise.limits() else {
            return Vec::new();
        };
        let (max, window) = (promised.max, promised.window);
        let waits = matches!(promised.kind, ContractKind::Paced | ContractKind::InFlight);
        if waits || promised.settles() {
            return Vec::new();
        }
        let of = |max: u64, window: Duration| {
            let max = u32::try_from(max).ok()?;
            let valid = max > 0 && !window.is_zero();
            valid.then(|| Contract {
                max,
                window,
                ..promised.clone()
            })
        };
        let forms = ContractKind::WINDOWS.map(|kind| Some(promised.clone().of_kind(kind)));
        let reports = Vec::from_iter(histories.iter().map(|history| self.check(history)));
        let denials = reports.iter().flat_map(|r| &r.unjustified_denials);
        let stricter = denials
            .map(|denial| (denial.possible + u64::from(denial.operation.cost)).saturating_sub(1));
        let largest = reports.iter().map(|report| report.possible_peak).max();
        let limits = [largest, stricter.min()].map(|limit| of(limit?, window));
        let windows = [60, 1_000].map(|unit| [window.checked_mul(unit), Some(window / unit)]);
        let inverted = f64::from(max).powi(2) / window.as_secs_f64();
        let inverted = Duration::try_from_secs_f64(inverted).ok();
        let windows = windows.into_iter().flatten().chain([inverted]);
        let windows = windows.map(|window| of(max.into(), window?));
        let candidates = forms.into_iter().chain(limits).chain(windows).flatten();
        let mut fitting: Vec<Contract> = Vec::new();
        for contract in candidates {
            if contract == *promised || fitting.contains(&contract) {
                continue;
            }
            let shorter = [contract.window().mul_f64(0.95)];
            let checker = Self {
                promise: contract.clone().into(),
                ..*self
            };
            let fits = |history: &&History| {
                checker.check_once(history).unjustified_denials.is_empty()
                    && checker.first_kept(history, &contract, shorter).is_some()
            };
            if histories.iter().all(fits) {
                fitting.push(contract);
            }
        }
        fitting
    }

    /// The place of the first of these windows for which a limit is kept for certain, instead of
    /// its own window. For a limiter that admits at the very instant at which quota returns, the
    /// recorded times prove no more than a shorter one.
    pub fn first_kept(
        &self,
        history: &History,
        limit: &Contract,
        windows: impl IntoIterator<Item = Duration>,
    ) -> Option<usize> {
        let judge = self.judge(limit);
        let parts = history.parts(limit.by());
        windows.into_iter().position(|window| {
            parts.iter().all(|places| {
                let places = places.as_deref();
                judge.keeps(HistoryPart { history, places }, window)
            })
        })
    }

    /// The use of a limit over time: at every instant at which it changes, and at some between. Of
    /// several counters, the fullest. The largest values are those of the report, but for fixed
    /// windows and periods, and for reserved costs. O(n log n).
    pub fn limit_use(&self, limit: &Contract, history: &History) -> UseOverTime {
        let judge = self.judge(limit);
        let parts = history.parts(limit.by());
        let uses = parts.iter().map(|places| {
            let places = places.as_deref();
            judge.limit_use(HistoryPart { history, places })
        });
        let peak = |over_time: &UseOverTime| {
            let points = over_time.uses.iter();
            points.map(|p| (p.certain, p.possible)).max()
        };
        uses.max_by_key(peak).unwrap_or_default()
    }

    fn judge<'a>(&self, contract: &'a Contract) -> LimitJudge<'a> {
        LimitJudge {
            contract,
            options: self.options,
        }
    }

    fn with_limits(&self, change: impl Fn(Contract) -> Contract) -> Self {
        let mut limits = self.promise.limits().iter().cloned().map(change);
        let first = limits.next().expect("a promise has a limit");
        Self {
            promise: Promise::new(first, limits),
            ..*self
        }
    }
}

impl LimitJudgement {
    /// Both parts as one: the worse verdict, and the denials of both.
    fn with(mut self, other: Self) -> Self {
        self.unjustified.extend(other.unjustified);
        self.without_past.extend(other.without_past);
        self.report = self.report.worse(other.report);
        self
    }
}

/// Denials that no limit justifies, and the number of those that only the time before the history
/// justifies.
fn unjustified(judged: &[LimitJudgement], history: &History) -> (Vec<UnjustifiedDenial>, u64) {
    let (first, others) = judged.split_first().expect("a promise has a limit");
    let room = |limit: &LimitJudgement, place: usize| {
        let found = limit
            .unjustified
            .binary_search_by_key(&place, |denial| denial.0);
        let possible = limit.unjustified[found.ok()?].1;
        let limit = limit.report.contract.clone();
        Some(LimitRoom { limit, possible })
    };
    let denials = first.unjustified.iter().filter_map(|&(place, possible)| {
        Some(UnjustifiedDenial {
            others: others
                .iter()
                .map(|limit| room(limit, place))
                .collect::<Option<_>>()?,
            operation: history.get(place),
            possible,
            max: first.report.contract.max(),
        })
    });
    let denials = Vec::from_iter(denials);
    let without_past = first.without_past.iter().filter(|place| {
        others
            .iter()
            .all(|limit| limit.without_past.binary_search(place).is_ok())
    });
    let unjudged = without_past.count() - denials.len();
    (denials, unjudged as u64)
}
