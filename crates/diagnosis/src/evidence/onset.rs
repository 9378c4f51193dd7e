//! When a change began, and how sure that is.

use super::{
    normal::Residual,
    stats::{median, pairs},
};

/// An onset in seconds.
#[derive(Debug)]
pub(super) struct OnsetEstimate {
    /// The first sample outside the normal range.
    pub(super) onset: f64,
    /// It began at most this long before.
    pub(super) error: f64,
    /// From the earliest beginning to nine tenths of the peak.
    pub(super) rise: f64,
}

/// Dates the change whose run of clear samples starts at index `first`.
///
/// From there it walks back while samples still lean the same way beyond `threshold`, the edge of
/// what the baseline did, though not past a leap. The change began after the last sample inside. A
/// ramp leaves the range later than it begins, so the line through its first samples is followed
/// back to normal as well.
pub(super) fn date(
    late: &[Residual],
    first: usize,
    threshold: f64,
    peak: f64,
    guard: f64,
    spacing: f64,
) -> OnsetEstimate {
    let sign = peak.signum();
    let mut start = first;
    while start > 0 && late[start - 1].off * sign > threshold {
        start -= 1;
    }
    start = leap(late, start, sign, threshold).unwrap_or(start);
    let onset = late[start].t;
    let inside = if start > 0 {
        late[start - 1].t
    } else {
        (onset - spacing).min(guard)
    };
    let earliest = ramp_start(late, start, sign)
        .map_or(inside, |t| t.min(inside))
        .max(onset - 10.0 * spacing);
    let high = late[start..]
        .iter()
        .find(|r| r.off * sign >= 0.9 * peak.abs())
        .map_or(onset, |r| r.t);
    OnsetEstimate {
        onset,
        error: (onset - earliest).max(0.0),
        rise: (high - earliest).max(0.0),
    }
}

/// How far into a change a leap is looked for.
const STRAYED: usize = 50;

/// The sample with which a change really began that something slight came before: alone it made
/// half of what has been since, and what was before is less than that. A single stray sample before
/// is left alone: it may have caught the change half way.
fn leap(late: &[Residual], start: usize, sign: f64, threshold: f64) -> Option<usize> {
    let run = late[start..]
        .iter()
        .take_while(|r| r.off * sign > threshold)
        .count();
    let run = &late[start..start + run];
    let level = |part: &[Residual]| median(part.iter().map(|r| r.off * sign));
    let half = |i: usize, of: f64| (run[i].off - run[i - 1].off) * sign >= 0.5 * of;
    let lowest = run
        .iter()
        .fold(f64::INFINITY, |low, r| low.min(r.off * sign));
    let found = (2..run.len().min(STRAYED))
        .filter(|&i| half(i, lowest))
        .find(|&i| {
            let since = level(&run[i..]);
            half(i, since) && level(&run[..i]) <= 0.5 * since
        })?;
    Some(start + found)
}

/// Where the line through the first few samples outside meets normal, when they do keep rising.
fn ramp_start(late: &[Residual], start: usize, sign: f64) -> Option<f64> {
    let head = late.get(start..start + 4)?;
    let rising = pairs(head).all(|(a, b)| (b.off - a.off) * sign > 0.0);
    let (dt, dv) = (head[3].t - head[0].t, (head[3].off - head[0].off) * sign);
    (rising && dt > 0.0 && dv > 0.0).then(|| head[0].t - head[0].off * sign * dt / dv)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(offs: &[f64]) -> Vec<Residual> {
        offs.iter()
            .enumerate()
            .map(|(i, &off)| Residual {
                t: i as f64,
                value: off,
                off,
            })
            .collect()
    }

    #[test]
    fn a_step_is_dated_between_two_samples() {
        let dated = date(&samples(&[0.0, 0.1, 9.0, 9.1, 9.0]), 2, 1.0, 9.1, 0.0, 1.0);
        assert_eq!((dated.onset, dated.error, dated.rise), (2.0, 1.0, 1.0));
    }

    #[test]
    fn ramp_is_dated_at_its_beginning() {
        let dated = date(
            &samples(&[0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            5,
            2.5,
            6.0,
            0.0,
            1.0,
        );
        assert_eq!(dated.onset, 4.0);
        assert_eq!(dated.onset - dated.error, 1.0);
    }

    #[test]
    fn stray_sample_does_not_date_a_leap() {
        let dated = date(
            &samples(&[0.0, 2.0, 2.0, 2.0, 9.0, 9.0]),
            4,
            1.0,
            9.0,
            0.0,
            1.0,
        );
        assert_eq!((dated.onset, dated.error, dated.rise), (4.0, 1.0, 1.0));
        // a sample that caught the change half way belongs to it
        let dated = date(&samples(&[0.0, 0.0, 4.0, 9.0, 9.0]), 3, 1.0, 9.0, 0.0, 1.0);
        assert_eq!((dated.onset, dated.error, dated.rise), (2.0, 1.0, 2.0));
        // an outlier in the middle is no leap: it is over at once
        let dated = date(
            &samples(&[0.0, 4.0, 4.0, 4.0, 90.0, 4.0, 4.0]),
            1,
            1.0,
            90.0,
            0.0,
            1.0,
        );
        assert_eq!(dated.onset, 1.0);
    }

    #[test]
    fn earlier_change_is_dated_before_the_guard() {
        let dated = date(&samples(&[5.0, 5.0, 5.0]), 0, 1.0, 5.0, 0.0, 1.0);
        assert_eq!((dated.onset, dated.error), (0.0, 1.0));
    }
}
