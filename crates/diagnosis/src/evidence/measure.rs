//! One signal against its own baseline: does it change, stay steady, or can nothing be said?
//!
//! The score is the idea of BARO's RobustScorer (Pham et al., 2024), the furthest deviation over the spread of
//! the baseline, with its defects removed: both directions count, a constant signal is kept, and no scale
//! depends on the unit.

use super::{
    Direction, Shape,
    onset::{Dated, date},
    stats::{deviation, iqr, likeness, median, pairs, quantile, significant, slope, sorted},
};

/// Fewer samples than this are no baseline.
const ENOUGH: usize = 5;
/// Samples outside the normal range that make a short excursion, and a long one.
const SHORT: usize = 3;
const LONG: usize = 8;
/// A score no deviation exceeds: a constant that changes at all reaches it.
const SCORE_CAP: f64 = 100.0;

/// Times in seconds at which a run is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) start: f64,
    pub(crate) guard: f64,
    pub(crate) at: f64,
    pub(crate) end: f64,
}

/// What a signal turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reading {
    Change(Box<Moved>),
    Steady { median: f64, score: f64 },
    Gap { from: f64, to: f64, why: &'static str },
}

/// A change in numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moved {
    pub(crate) direction: Direction,
    pub(crate) shape: Shape,
    pub(crate) before: (f64, f64, usize),
    pub(crate) slope: Option<f64>,
    pub(crate) after: (f64, f64, f64, usize),
    pub(crate) score: f64,
    pub(crate) dated: Dated,
}

/// A sample as a deviation from what the baseline leads to expect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Residual {
    pub(crate) t: f64,
    pub(crate) value: f64,
    pub(crate) off: f64,
}

/// What the baseline leads to expect, with its spread.
struct Normal {
    level: f64,
    iqr: f64,
    scale: f64,
    /// The furthest the baseline itself strayed, one stray sample forgiven.
    envelope: f64,
    /// 1 to 3: a short baseline shows less of what is normal, and so does one whose samples resemble their
    /// neighbours, for they are fewer than they seem.
    doubt: f64,
    n: usize,
}

impl Normal {
    fn of(points: &[(f64, f64)], floor: f64) -> Self {
        let values = sorted(points.iter().map(|p| p.1));
        let level = quantile(&values, 0.5);
        let off: Vec<f64> = points.iter().map(|p| p.1 - level).collect();
        let spread = iqr(&values);
        let scale = spread.max(0.1 * deviation(&off)).max(0.01 * level.abs()).max(floor);
        let far = sorted(off.iter().map(|v| v.abs()));
        let strays = usize::from(far.len() >= 4 * ENOUGH);
        let envelope = far.len().checked_sub(1 + strays).map_or(0.0, |i| far[i]);
        let doubt = 1.0 + likeness(&off).max(0.0) + ENOUGH as f64 / points.len().max(ENOUGH) as f64;
        Self { level, iqr: spread, scale, envelope, doubt, n: points.len() }
    }
}

/// The slope of a baseline that moves steadily one way: a total that grows, a time since.
fn trend(points: &[(f64, f64)]) -> Option<f64> {
    let steep = slope(points);
    let mid = median(points.iter().map(|p| p.0));
    let spread = iqr(&sorted(points.iter().map(|p| p.1 - steep * (p.0 - mid))));
    let length = points.last().map_or(0.0, |p| p.0) - points.first().map_or(0.0, |p| p.0);
    let with = pairs(points).filter(|(a, b)| (b.1 - a.1) * steep > 0.0).count();
    let against = pairs(points).filter(|(a, b)| (b.1 - a.1) * steep < 0.0).count();
    let one_way = with * 3 >= points.len() && against * 10 <= with;
    (one_way && points.len() >= 2 * ENOUGH && (steep * length).abs() > 4.0 * spread).then_some(steep)
}

/// The slope from each sample to the next, dated at the latter.
fn slopes(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    pairs(points).filter(|(a, b)| b.0 > a.0).map(|(a, b)| (b.0, (b.1 - a.1) / (b.0 - a.0))).collect()
}

/// Reads one signal. `points` are in order of time; `None` is a missing sample. Deviations of the size of `floor` are
/// nothing, from one sample to the next where the signal moves anyway; a floor that is not a positive number is none.
pub(crate) fn read(points: &[(f64, Option<f64>)], floor: f64, cut: Cut) -> Reading {
    let spacing = median(pairs(points).map(|(a, b)| b.0 - a.0).filter(|d| *d > 0.0));
    let seen: Vec<(f64, f64)> = points.iter().filter_map(|(t, v)| Some((*t, (*v)?))).collect();
    let base: Vec<(f64, f64)> = seen.iter().copied().filter(|p| p.0 < cut.guard).collect();
    if seen.is_empty() {
        return Reading::Gap { from: cut.start, to: cut.end, why: "never sampled" };
    }
    if base.len() < ENOUGH {
        return Reading::Gap { from: cut.start, to: cut.guard, why: "too few samples before" };
    }
    let incident: Vec<(f64, f64)> = seen.iter().copied().filter(|p| p.0 >= cut.at).collect();
    if let Some(gap) = missing(points, &seen, &incident, spacing, cut) {
        return gap;
    }

    // a signal that moves steadily anyway is judged by how fast it moves
    let slope = trend(&base);
    let floor = match slope {
        _ if !floor.is_finite() => 0.0,
        Some(_) => floor.max(0.0) / spacing,
        None => floor.max(0.0),
    };
    let judged = if slope.is_some() { slopes(&seen) } else { seen.clone() };
    let cut = Cut { guard: sound_until(&judged, floor, cut), ..cut };
    let before: Vec<(f64, f64)> = judged.iter().copied().filter(|p| p.0 < cut.guard).collect();
    let mut normal = Normal::of(&before, floor);
    let late: Vec<Residual> = judged
        .iter()
        .filter(|p| p.0 >= cut.guard)
        .map(|&(t, value)| Residual { t, value, off: value - normal.level })
        .collect();
    let far = late.iter().fold(0.0_f64, |far, r| far.max(r.off.abs()));
    let largest = judged.iter().fold(0.0_f64, |far, p| far.max(p.1.abs()));
    let middle = significant(median(seen.iter().map(|p| p.1)));
    if late.is_empty() || far <= 1e-9 * largest {
        return Reading::Steady { median: middle, score: 0.0 };
    }
    normal.scale = normal.scale.max(far / SCORE_CAP);
    let score = significant(far / normal.scale).min(SCORE_CAP);
    let Some((run, shape)) = judge(&late, &normal, far, cut) else {
        return Reading::Steady { median: middle, score };
    };
    let mut moved = moved(&late, &normal, run, shape, score, cut, spacing);
    if let Some(slope) = slope {
        moved.slope = Some(significant(slope));
        followed(&mut moved, &seen, slope, &late, run, cut);
    }
    Reading::Change(Box::new(moved))
}

/// Until when the baseline can be trusted: to its end, or to its middle when the second half left what the first
/// half did and never came back. Some violations take long to show.
fn sound_until(points: &[(f64, f64)], floor: f64, cut: Cut) -> f64 {
    let base: Vec<(f64, f64)> = points.iter().copied().filter(|p| p.0 < cut.guard).collect();
    if base.len() < 4 * ENOUGH {
        return cut.guard;
    }
    let (first, second) = base.split_at(base.len() / 2);
    let mut normal = Normal::of(first, floor);
    let late: Vec<Residual> =
        second.iter().map(|&(t, value)| Residual { t, value, off: value - normal.level }).collect();
    let far = late.iter().fold(0.0_f64, |far, r| far.max(r.off.abs()));
    normal.scale = normal.scale.max(far / SCORE_CAP);
    let middle = second[0].0;
    let stays = |run: Run| (late.len() - 1 - run.1) * 10 <= late.len();
    match judge(&late, &normal, far, Cut { at: middle, ..cut }) {
        Some((run, shape)) if shape != Shape::Spike && far > 0.0 && stays(run) => middle,
        _ => cut.guard,
    }
}

/// Puts a change of pace in terms of the signal itself: where it would have been, and where it was.
fn followed(moved: &mut Moved, seen: &[(f64, f64)], slope: f64, late: &[Residual], run: Run, cut: Cut) {
    let until = late[run.1].t;
    let (left, reached) = (
        seen.iter().rfind(|p| p.0 < late[run.0].t).copied().unwrap_or((cut.start, 0.0)),
        seen.iter().rfind(|p| p.0 <= until).map_or(0.0, |p| p.1),
    );
    let incident = || seen.iter().filter(|p| p.0 >= cut.at).map(|p| p.1);
    let n = incident().count();
    let last = seen.last().map_or(reached, |p| p.1);
    moved.before.0 = significant(left.1 + slope * (until - left.0));
    moved.after = (
        significant(if n > 0 { median(incident()) } else { reached }),
        significant(reached),
        significant(last),
        n,
    );
}

/// The gap, when more is missing than seen after the violation. Whoever samples may have become slower itself, which
/// is not to miss anything.
fn missing(
    points: &[(f64, Option<f64>)],
    seen: &[(f64, f64)],
    incident: &[(f64, f64)],
    spacing: f64,
    cut: Cut,
) -> Option<Reading> {
    let since = pairs(seen).filter(|(_, b)| b.0 >= cut.at).map(|(a, b)| b.0 - a.0);
    let spacing = spacing.max(median(since));
    let expected = if spacing > 0.0 { ((cut.end - cut.at) / spacing).floor() as usize } else { 0 };
    let late = seen.iter().any(|p| p.0 >= cut.guard);
    if late && (expected < 2 || incident.len() * 2 > expected) {
        return None;
    }
    let last_before = seen.iter().map(|p| p.0).rfind(|t| *t < cut.at).unwrap_or(cut.start);
    let first_missing =
        points.iter().find(|p| p.0 > last_before && p.1.is_none()).map_or(last_before + spacing, |p| p.0);
    Some(Reading::Gap { from: first_missing.min(cut.end), to: cut.end, why: "no samples after" })
}

/// A run of samples beyond a threshold, as indices, and the shape it has.
type Run = (usize, usize);

/// Decides whether the deviations are a change, and which samples make it.
fn judge(late: &[Residual], normal: &Normal, far: f64, cut: Cut) -> Option<(Run, Shape)> {
    let peak = late.iter().position(|r| r.off.abs() >= far)?;
    let sign = late[peak].off.signum();
    // the longer an excursion lasts, the smaller it may be: chance rarely repeats itself
    let far_enough = |scales: f64, envelopes: f64| {
        far > normal.doubt * (scales * normal.scale).max(envelopes * normal.envelope)
    };
    let run = around(late, peak, sign, (3.0 * normal.scale).max(1.5 * normal.envelope));
    let run = within_quarter(late, run, far).unwrap_or(run);
    let length = run.1 - run.0 + 1;
    if (length >= LONG && far_enough(3.0, 1.5)) || (length >= SHORT && far_enough(4.0, 2.0)) {
        return Some((run, shape_of(late, run)));
    }
    if far_enough(3.0, 2.0) {
        return Some((run, Shape::Spike));
    }
    // a small shift for good: half of everything since lies beyond what was normal
    let incident: Vec<f64> = late.iter().filter(|r| r.t >= cut.at).map(|r| r.off).collect();
    let shift = median(incident.iter().copied());
    if incident.len() >= 2 * ENOUGH && shift.abs() > normal.doubt * (2.0 * normal.scale).max(normal.envelope)
    {
        let half = 0.5 * shift.abs();
        let first = (0..late.len()).find(|&i| {
            let ahead = &late[i..late.len().min(i + 10)];
            ahead.iter().filter(|r| r.off * shift.signum() > half).count() * 5 >= ahead.len() * 4
        })?;
        return Some(((first, late.len() - 1), Shape::Step));
    }
    None
}

/// The samples about `peak` that lie beyond `threshold` on its side, one stray sample forgiven. Before the peak
/// it takes two samples beyond a stray one to be forgiven: an onset is not dated by chance.
fn around(late: &[Residual], peak: usize, sign: f64, threshold: f64) -> Run {
    let beyond = |i: usize| late[i].off * sign > threshold;
    let (mut low, mut high) = (peak, peak);
    while low > 0 && (beyond(low - 1) || (low > 2 && beyond(low - 2) && beyond(low - 3))) {
        low -= 1;
    }
    while high + 1 < late.len() && (beyond(high + 1) || (high + 2 < late.len() && beyond(high + 2))) {
        high += 1;
    }
    (low, high)
}

/// The one or two samples of a short run that come near its peak, when no more do: what stood out a little before a
/// spike is not how it began.
fn within_quarter(late: &[Residual], (low, high): Run, far: f64) -> Option<Run> {
    if high - low + 1 >= LONG {
        return None;
    }
    let near = |i: &usize| late[*i].off.abs() >= 0.25 * far;
    let (first, last) = ((low..=high).find(near)?, (low..=high).rfind(near)?);
    (last - first < 2).then_some((first, last))
}

fn shape_of(late: &[Residual], (low, high): Run) -> Shape {
    let third = ((high - low + 1) / 3).max(1);
    let early = median(late[low..low + third].iter().map(|r| r.off.abs()));
    let furthest = late[low..=high].iter().fold(0.0_f64, |far, r| far.max(r.off.abs()));
    if early < 0.5 * furthest { Shape::Ramp } else { Shape::Step }
}

fn moved(
    late: &[Residual],
    normal: &Normal,
    run: Run,
    shape: Shape,
    score: f64,
    cut: Cut,
    spacing: f64,
) -> Moved {
    let sign = late[run.0].off.signum();
    let furthest = late[run.0..=run.1]
        .iter()
        .copied()
        .reduce(|far, r| if r.off * sign > far.off * sign { r } else { far })
        .unwrap_or(late[run.0]);
    let incident = || late.iter().filter(|r| r.t >= cut.at).map(|r| r.value);
    let n = incident().count();
    let last = late.last().map_or(furthest.value, |r| r.value);
    let edge = normal.scale.max(1.05 * normal.envelope);
    let edge = if shape == Shape::Spike { edge.max(0.25 * furthest.off.abs()) } else { edge };
    Moved {
        direction: if furthest.off > 0.0 { Direction::Up } else { Direction::Down },
        shape,
        before: (significant(normal.level), significant(normal.iqr), normal.n),
        slope: None,
        after: (
            significant(if n > 0 { median(incident()) } else { furthest.value }),
            significant(furthest.value),
            significant(last),
            n,
        ),
        score,
        dated: date(late, run.0, edge, furthest.off, cut.guard, spacing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUT: Cut = Cut { start: 0.0, guard: 14.0, at: 20.0, end: 30.0 };

    /// Five samples a second until `slow`, from then on two in three seconds.
    fn sampled(slow: f64, value: impl Fn(f64) -> Option<f64>) -> Vec<(f64, Option<f64>)> {
        let mut points = Vec::new();
        let mut t = 0.0;
        while t < CUT.end {
            points.push((t, value(t)));
            t += if t < slow { 0.2 } else { 1.5 };
        }
        points
    }

    #[test]
    fn an_observer_that_became_slower_has_missed_nothing() {
        let read = read(&sampled(20.0, |t| Some(if t < 20.0 { 3.0 } else { 90.0 })), 0.0, CUT);
        let Reading::Change(moved) = read else { panic!("{read:?}") };
        assert_eq!((moved.before.0, moved.after.0), (3.0, 90.0));
    }

    #[test]
    fn what_is_no_longer_seen_is_a_gap() {
        for slow in [20.0, 30.0] {
            let gone = read(&sampled(slow, |t| (t < 21.6).then_some(3.0)), 0.0, CUT);
            assert!(matches!(gone, Reading::Gap { .. }), "{gone:?}");
        }
    }

    #[test]
    fn a_deviation_of_the_size_of_the_floor_is_none() {
        let jittered = |t: f64| Some(if t < 20.0 { 0.004 } else { 0.013 });
        assert!(matches!(read(&sampled(30.0, jittered), 0.0, CUT), Reading::Change(_)));
        assert!(matches!(read(&sampled(30.0, jittered), 5.0, CUT), Reading::Steady { .. }));
        let slow = |t: f64| Some(if t < 20.0 { 0.004 } else { 120.0 });
        assert!(matches!(read(&sampled(30.0, slow), 5.0, CUT), Reading::Change(_)));
        // a clock read a little late, and one that was set back
        let lagging = |t: f64| Some(t - if t < 20.0 { 0.0 } else { 0.03 });
        assert!(matches!(read(&sampled(30.0, lagging), 0.0, CUT), Reading::Change(_)));
        assert!(matches!(read(&sampled(30.0, lagging), 0.5, CUT), Reading::Steady { .. }));
        let set_back = |t: f64| Some(if t < 20.0 { t } else { t - 20.0 });
        assert!(matches!(read(&sampled(30.0, set_back), 0.5, CUT), Reading::Change(_)));
        for nonsense in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(matches!(read(&sampled(30.0, jittered), nonsense, CUT), Reading::Change(_)));
        }
    }
}
