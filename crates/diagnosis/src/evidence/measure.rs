//! One signal against its own baseline: does it change, stay steady, or can nothing be said?
//!
//! The score is the idea of BARO's RobustScorer (Pham et al., 2024), the furthest deviation over
//! the spread of the baseline, with its defects removed: both directions count, a constant signal
//! is kept, and no scale depends on the unit.
//!
//! A deviation is a change when normal data of the same length does not show it, see
//! [`NormalCourse`].

use std::{cmp::Ordering, time::Duration};

use super::{
    BaselineLevels, Change, ChangeShape, Direction, EvidenceFact, IncidentLevels, SignalGap,
    SignalRole, SignalSeries, SteadySignal,
    normal::{ENOUGH, NormalCourse, Residual, SignalTraits, medians},
    onset::date,
    seconds,
    stats::{iqr, median, pairs, significant, slope, sorted},
};

/// A score no deviation exceeds: a constant that changes at all reaches it.
const SCORE_CAP: f64 = 100.0;
/// The share of the time since the violation that a spike lasts at most.
const PASSING: f64 = 0.1;

/// Times in seconds at which a run is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CutTimes {
    pub(crate) start: f64,
    pub(crate) guard: f64,
    pub(crate) at: f64,
    pub(crate) end: f64,
}

/// The slope of a baseline that moves steadily one way, further than the floor: a total that grows,
/// a time since. Ages sampled at nearly the rhythm of progress wander slowly as well, and do not
/// move.
fn trend(points: &[(f64, f64)], floor: f64) -> Option<f64> {
    let steps = |way: Ordering| {
        pairs(points)
            .filter(|(a, b)| b.1.partial_cmp(&a.1) == Some(way))
            .count()
    };
    let (up, down) = (steps(Ordering::Greater), steps(Ordering::Less));
    let (with, against) = (up.max(down), up.min(down));
    // most signals go up as often as down, and end here
    if points.len() < 2 * ENOUGH || with * 3 < points.len() || against * 10 > with {
        return None;
    }
    let steep = slope(points);
    let mid = median(points.iter().map(|p| p.0));
    let spread = iqr(&sorted(points.iter().map(|p| p.1 - steep * (p.0 - mid))));
    let length = points.last().map_or(0.0, |p| p.0) - points.first().map_or(0.0, |p| p.0);
    let one_way = if up > down { steep > 0.0 } else { steep < 0.0 };
    (one_way && (steep * length).abs() > floor.max(4.0 * spread)).then_some(steep)
}

/// The slope from each sample to the next, dated at the latter.
fn slopes(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    pairs(points)
        .filter(|(a, b)| b.0 > a.0)
        .map(|(a, b)| (b.0, (b.1 - a.1) / (b.0 - a.0)))
        .collect()
}

/// Reads one signal of so many. Deviations of the size of its floor are nothing, from one sample to
/// the next where the signal moves anyway; a floor that is not a positive number is none.
pub(super) fn read(mut series: SignalSeries, signals: usize, cut: CutTimes) -> EvidenceFact {
    let points = in_order(std::mem::take(&mut series.points));
    let spacing = median(pairs(&points).map(|(a, b)| b.0 - a.0).filter(|d| *d > 0.0));
    let seen: Vec<(f64, f64)> = points
        .iter()
        .filter_map(|(t, v)| Some((*t, (*v)?)))
        .collect();
    let base = until(&seen, cut.guard);
    if seen.is_empty() {
        return gap(series, cut.start, cut.end, "never sampled");
    }
    if base.len() < ENOUGH {
        return gap(series, cut.start, cut.guard, "too few samples before");
    }
    if let Some(since) = missing_since(&points, &seen, spacing, cut) {
        return gap(series, since, cut.end, "no samples after");
    }

    // a signal that moves steadily anyway is judged by how fast it moves
    let floor = if series.floor.is_finite() {
        series.floor.max(0.0)
    } else {
        0.0
    };
    let slope = trend(base, floor);
    let floor = if slope.is_some() {
        floor / spacing
    } else {
        floor
    };
    let pace = slope.map(|_| slopes(&seen));
    let judged = pace.as_deref().unwrap_or(&seen);
    // an availability is measured by its loss
    let top = judged.iter().fold(f64::NEG_INFINITY, |top, p| top.max(p.1));
    let origin = if series.role == SignalRole::Availability {
        top
    } else {
        0.0
    };
    let traits = SignalTraits {
        role: series.role,
        floor,
        origin,
        spacing,
        moves: slope.is_some(),
        signals,
    };
    let cut = CutTimes {
        guard: sound_until(until(judged, cut.guard), traits, cut),
        ..cut
    };
    let (before, after) = judged.split_at(until(judged, cut.guard).len());
    let mut normal = NormalCourse::of(before, traits);
    let late = normal.residuals(after);
    let far = furthest(&late);
    let largest = judged
        .iter()
        .fold(0.0_f64, |far, p| far.max((p.1 - origin).abs()));
    let middle = || significant(median(seen.iter().map(|p| p.1)));
    if late.is_empty() || far <= 1e-9 * largest {
        return steady(series, middle(), 0.0);
    }
    normal.scale = normal.scale.max(far / SCORE_CAP);
    let Some(found) = judge(&late, &normal, cut) else {
        return steady(
            series,
            middle(),
            significant(far / normal.scale).min(SCORE_CAP),
        );
    };
    let mut change = change(series, &late, &normal, &found, cut);
    if let Some(slope) = slope {
        change.before.slope = Some(significant(slope));
        followed(&mut change, &seen, slope, &late, found.run, cut);
    }
    EvidenceFact::Change(change)
}

/// The samples by their time in seconds; one that is no number is missing.
fn in_order(points: Vec<(Duration, Option<f64>)>) -> Vec<(f64, Option<f64>)> {
    let mut points: Vec<(f64, Option<f64>)> = points
        .into_iter()
        .map(|(t, v)| (t.as_secs_f64(), v.filter(|v| v.is_finite())))
        .collect();
    points.sort_by(|a, b| {
        a.0.total_cmp(&b.0)
            .then(a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal))
    });
    points
}

fn gap(
    SignalSeries {
        entity, name, role, ..
    }: SignalSeries,
    from: f64,
    to: f64,
    why: &str,
) -> EvidenceFact {
    let (from, to) = (seconds::from(from), seconds::from(to));
    EvidenceFact::Gap(SignalGap {
        entity,
        signal: name,
        role,
        from,
        to,
        why: why.to_owned(),
    })
}

fn steady(
    SignalSeries {
        entity,
        name,
        unit,
        role,
        ..
    }: SignalSeries,
    median: f64,
    score: f64,
) -> EvidenceFact {
    EvidenceFact::Steady(SteadySignal {
        entity,
        signal: name,
        unit,
        role,
        median,
        score,
    })
}

/// The samples before a time.
fn until(points: &[(f64, f64)], time: f64) -> &[(f64, f64)] {
    &points[..points.partition_point(|p| p.0 < time)]
}

/// The furthest deviation, unless it is a single sample and others deviate as well.
fn furthest(late: &[Residual]) -> f64 {
    let offs: Vec<f64> = late.iter().map(|r| r.off).collect();
    let of = |width| {
        medians(&offs, width)
            .map(|(_, m)| m.abs())
            .fold(0.0, f64::max)
    };
    let lasting: f64 = of(3);
    let single = of(1);
    if lasting > 0.05 * single {
        lasting
    } else {
        single
    }
}

/// Until when the baseline can be trusted: to its end, or to its middle when the second half left
/// what the first half did and never came back. Some violations take long to show.
fn sound_until(base: &[(f64, f64)], traits: SignalTraits, cut: CutTimes) -> f64 {
    if base.len() < 4 * ENOUGH {
        return cut.guard;
    }
    let (before, after) = base.split_at(base.len() / 2);
    let middle = after[0].0;
    let mut normal = NormalCourse::of(before, traits);
    let late = normal.residuals(after);
    let far = furthest(&late);
    normal.scale = normal.scale.max(far / SCORE_CAP);
    let stays = |run: SampleRange| (late.len() - 1 - run.1) * 10 <= late.len();
    match judge(
        &late,
        &normal,
        CutTimes {
            at: middle,
            end: cut.guard,
            ..cut
        },
    ) {
        Some(DeviantRun { run, shape, .. })
            if shape != ChangeShape::Spike && far > 0.0 && stays(run) =>
        {
            middle
        }
        _ => cut.guard,
    }
}

/// Puts a change of pace in terms of the signal itself: where it would have been, and where it was.
fn followed(
    change: &mut Change,
    seen: &[(f64, f64)],
    slope: f64,
    late: &[Residual],
    run: SampleRange,
    cut: CutTimes,
) {
    let until = late[run.1].t;
    let (left, reached) = (
        seen.iter()
            .rfind(|p| p.0 < late[run.0].t)
            .copied()
            .unwrap_or((cut.start, 0.0)),
        seen.iter().rfind(|p| p.0 <= until).map_or(0.0, |p| p.1),
    );
    let incident = seen.iter().filter(|p| p.0 >= cut.at).map(|p| p.1);
    let last = seen.last().map_or(reached, |p| p.1);
    change.before.median = significant(left.1 + slope * (until - left.0));
    change.after = after(incident, reached, last);
}

/// The first missing sample, when more are missing than seen after the violation. Slower
/// sampling alone is no gap.
fn missing_since(
    points: &[(f64, Option<f64>)],
    seen: &[(f64, f64)],
    spacing: f64,
    cut: CutTimes,
) -> Option<f64> {
    let before = until(seen, cut.at);
    let found = seen.len() - before.len();
    let enough = |spacing: f64| {
        let expected = if spacing > 0.0 {
            ((cut.end - cut.at) / spacing).floor() as usize
        } else {
            0
        };
        expected < 2 || found * 2 > expected
    };
    let since = || {
        pairs(seen)
            .filter(|(_, b)| b.0 >= cut.at)
            .map(|(a, b)| b.0 - a.0)
    };
    if seen.last().is_some_and(|p| p.0 >= cut.guard)
        && (enough(spacing) || enough(spacing.max(median(since()))))
    {
        return None;
    }
    let last_before = before.last().map_or(cut.start, |p| p.0);
    let first_missing = points
        .iter()
        .find(|p| p.0 > last_before && p.1.is_none())
        .map_or(last_before + spacing, |p| p.0);
    Some(first_missing.min(cut.end))
}

/// A run of samples, as indices.
type SampleRange = (usize, usize);

/// The samples that make a change.
struct DeviantRun {
    run: SampleRange,
    shape: ChangeShape,
    /// The deviation over the one that chance reaches.
    excess: f64,
}

/// Decides whether the deviations are a change: of the runs that had not come and gone well before
/// the violation, the one furthest beyond chance.
fn judge(late: &[Residual], normal: &NormalCourse, cut: CutTimes) -> Option<DeviantRun> {
    let spacing = normal.traits.spacing;
    let offs: Vec<f64> = late.iter().map(|r| r.off).collect();
    // No median of samples lies further out than the furthest sample: most signals end here.
    if offs.iter().all(|off| off.abs() <= normal.least()) {
        return None;
    }
    let since = late.iter().filter(|r| r.t >= cut.at).count();
    let recent = cut.at - (5.0 * spacing).max((cut.at - cut.guard) / 3.0);
    let mut best: Option<DeviantRun> = None;
    let most = (normal.offs.len() / 2).min(late.len()).min(40);
    for width in [1, 3, (since / 2).max(5).min(most), since.max(5).min(most)] {
        if width == 0 || width > most {
            continue;
        }
        let chance = normal.by_chance(width, late.len());
        if chance <= 0.0 {
            continue;
        }
        let mut order: Vec<(usize, f64)> = medians(&offs, width)
            .filter(|(_, m)| m.abs() > chance)
            .collect();
        order.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        let found = order.into_iter().find_map(|(at, level)| {
            if !normal.is_rare(level, width, late.len()) {
                return None;
            }
            let sign = level.signum();
            let run = around(
                late,
                at + width / 2,
                sign,
                (0.3 * level.abs())
                    .max(normal.scale)
                    .max(1.05 * normal.envelope),
            );
            (late[run.1].t >= recent).then(|| DeviantRun {
                run,
                shape: shape_of(late, run, spacing, cut),
                excess: level.abs() / chance,
            })
        });
        // a lasting change is more than a passing one
        let standing = |f: &DeviantRun| (f.shape != ChangeShape::Spike, f.excess);
        if found
            .as_ref()
            .is_some_and(|f| best.as_ref().is_none_or(|b| standing(f) > standing(b)))
        {
            best = found;
        }
    }
    best
}

/// The samples about `at` that lie beyond `threshold` on its side, one stray sample forgiven.
/// Before it, it takes two samples beyond a stray one to be forgiven: an onset is not dated by
/// chance.
fn around(late: &[Residual], at: usize, sign: f64, threshold: f64) -> SampleRange {
    let beyond = |i: usize| late[i].off * sign > threshold;
    let (mut low, mut high) = (at, at);
    while low > 0 && (beyond(low - 1) || (low > 2 && beyond(low - 2) && beyond(low - 3))) {
        low -= 1;
    }
    while high + 1 < late.len() && (beyond(high + 1) || (high + 2 < late.len() && beyond(high + 2)))
    {
        high += 1;
    }
    while low < at && !beyond(low) {
        low += 1;
    }
    (low, high)
}

fn shape_of(
    late: &[Residual],
    (low, high): SampleRange,
    spacing: f64,
    cut: CutTimes,
) -> ChangeShape {
    let lasted = late[high].t - late[low].t + spacing;
    if lasted <= (PASSING * (cut.end - cut.at)).max(1.5 * spacing) {
        return ChangeShape::Spike;
    }
    let third = ((high - low + 1) / 3).max(1);
    let early = median(late[low..low + third].iter().map(|r| r.off.abs()));
    let furthest = late[low..=high]
        .iter()
        .fold(0.0_f64, |far, r| far.max(r.off.abs()));
    if early < 0.5 * furthest {
        ChangeShape::Ramp
    } else {
        ChangeShape::Step
    }
}

fn change(
    SignalSeries {
        entity,
        name,
        unit,
        role,
        ..
    }: SignalSeries,
    late: &[Residual],
    normal: &NormalCourse,
    found: &DeviantRun,
    cut: CutTimes,
) -> Change {
    let DeviantRun { run, shape, excess } = *found;
    let sign = late[run.0].off.signum();
    let furthest = late[run.0..=run.1]
        .iter()
        .copied()
        .reduce(|far, r| {
            if r.off * sign > far.off * sign {
                r
            } else {
                far
            }
        })
        .unwrap_or(late[run.0]);
    let incident = late.iter().filter(|r| r.t >= cut.at).map(|r| r.value);
    let last = late.last().map_or(furthest.value, |r| r.value);
    let edge = normal.scale.max(1.05 * normal.envelope);
    let edge = if shape == ChangeShape::Spike {
        edge.max(0.25 * furthest.off.abs())
    } else {
        edge
    };
    let dated = date(
        late,
        run.0,
        edge,
        furthest.off,
        cut.guard,
        normal.traits.spacing,
    );
    Change {
        entity,
        signal: name,
        unit,
        role,
        direction: if furthest.off > 0.0 {
            Direction::Up
        } else {
            Direction::Down
        },
        shape,
        before: BaselineLevels {
            median: significant(normal.level),
            iqr: significant(normal.iqr),
            n: normal.offs.len(),
            slope: None,
        },
        after: after(incident, furthest.value, last),
        score: significant(furthest.off.abs() / normal.scale).min(SCORE_CAP),
        excess: significant(excess),
        onset: seconds::from(dated.onset),
        onset_err: seconds::from(dated.error),
        rise: seconds::from(dated.rise),
    }
}

fn after(incident: impl Iterator<Item = f64>, peak: f64, last: f64) -> IncidentLevels {
    let values: Vec<f64> = incident.collect();
    let n = values.len();
    IncidentLevels {
        median: significant(if n > 0 {
            median(values.into_iter())
        } else {
            peak
        }),
        peak: significant(peak),
        last: significant(last),
        n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUT: CutTimes = CutTimes {
        start: 0.0,
        guard: 14.0,
        at: 20.0,
        end: 30.0,
    };

    /// The row of five samples a second until `slow`, from then on two in three seconds.
    fn read(floor: f64, slow: f64, value: impl Fn(f64) -> Option<f64>) -> EvidenceFact {
        let mut series = SignalSeries::new("a", "s", "", SignalRole::Other).floor(floor);
        let mut t = 0.0;
        while t < CUT.end {
            series.push(Duration::from_secs_f64(t), value(t));
            t += if t < slow { 0.2 } else { 1.5 };
        }
        super::read(series, 1, CUT)
    }

    #[test]
    fn an_observer_that_became_slower_has_missed_nothing() {
        let read = read(0.0, 20.0, |t| Some(if t < 20.0 { 3.0 } else { 90.0 }));
        let EvidenceFact::Change(moved) = read else {
            panic!("{read:?}")
        };
        assert_eq!((moved.before.median, moved.after.median), (3.0, 90.0));
    }

    #[test]
    fn what_is_no_longer_seen_is_a_gap() {
        for slow in [20.0, 30.0] {
            let gone = read(0.0, slow, |t| (t < 21.6).then_some(3.0));
            assert!(matches!(gone, EvidenceFact::Gap { .. }), "{gone:?}");
        }
    }

    #[test]
    fn deviation_within_the_floor_is_none() {
        let jittered = |t: f64| Some(if t < 20.0 { 0.004 } else { 0.013 });
        assert!(matches!(read(0.0, 30.0, jittered), EvidenceFact::Change(_)));
        assert!(matches!(
            read(5.0, 30.0, jittered),
            EvidenceFact::Steady { .. }
        ));
        let slow = |t: f64| Some(if t < 20.0 { 0.004 } else { 120.0 });
        assert!(matches!(read(5.0, 30.0, slow), EvidenceFact::Change(_)));
        // a clock read a little late, and one that was set back
        let lagging = |t: f64| Some(t - if t < 20.0 { 0.0 } else { 0.03 });
        assert!(matches!(
            read(0.5, 30.0, lagging),
            EvidenceFact::Steady { .. }
        ));
        let set_back = |t: f64| Some(if t < 20.0 { t } else { t - 20.0 });
        assert!(matches!(read(0.5, 30.0, set_back), EvidenceFact::Change(_)));
        // an age that wanders within the floor has no pace, against which a growing age would be
        // nothing
        let stalled = |t: f64| Some(if t < 20.0 { 0.1 - 0.004 * t } else { t - 20.0 });
        let EvidenceFact::Change(moved) = read(0.3, 30.0, stalled) else {
            panic!("steady");
        };
        assert_eq!(moved.before.slope, None);
        for nonsense in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(matches!(
                read(nonsense, 30.0, jittered),
                EvidenceFact::Change(_)
            ));
        }
    }
}
