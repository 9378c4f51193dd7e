//! Robust statistics on small samples.

/// The value at `share` (0 to 1) of the sorted values, interpolated. Zero for none.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let at = share.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (at - low as f64)
}

/// The values in order.
pub(crate) fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut all: Vec<f64> = values.collect();
    all.sort_unstable_by(f64::total_cmp);
    all
}

/// The middle value, of an even number the mean of the two in the middle. Zero for none. Linear in
/// time.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = values.collect();
    if all.is_empty() {
        return 0.0;
    }
    let (middle, even) = (all.len() / 2, all.len().is_multiple_of(2));
    let (below, &mut high, _) = all.select_nth_unstable_by(middle, f64::total_cmp);
    let low = if even {
        below.iter().copied().max_by(f64::total_cmp)
    } else {
        None
    };
    low.map_or(high, |low| low + (high - low) * 0.5)
}

/// The spread between the quartiles of sorted values.
pub(crate) fn iqr(sorted: &[f64]) -> f64 {
    quantile(sorted, 0.75) - quantile(sorted, 0.25)
}

/// Standard deviation about the mean.
pub(crate) fn deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// How much each value resembles the one before: the autocorrelation at one step, -1 to 1.
pub(crate) fn likeness(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let total: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    if total <= 0.0 {
        return 0.0;
    }
    pairs(values)
        .map(|(a, b)| (a - mean) * (b - mean))
        .sum::<f64>()
        / total
}

/// The slope of Theil and Sen: the median of the slopes between all pairs, here between the pairs
/// half the series apart, which is as robust and linear in time.
pub(crate) fn slope(points: &[(f64, f64)]) -> f64 {
    let half = points.len() / 2;
    median(
        points
            .iter()
            .zip(points.iter().skip(half))
            .filter(|(a, b)| b.0 > a.0)
            .map(|(a, b)| {
                let (dt, dv) = (b.0 - a.0, b.1 - a.1);
                dv / dt
            }),
    )
}

/// Every item with the one after it.
pub(crate) fn pairs<T>(items: &[T]) -> impl Iterator<Item = (&T, &T)> {
    items.iter().zip(items.iter().skip(1))
}

/// `value` to four significant digits: enough to compare, short enough to read.
pub(crate) fn significant(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    // decimal text gives the shortest number with those digits
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        let values = sorted([4.0, 1.0, 3.0, 2.0].into_iter());
        assert_eq!(quantile(&values, 0.5), 2.5);
        assert_eq!(quantile(&values, 0.0), 1.0);
        assert_eq!(quantile(&values, 1.0), 4.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
        assert_eq!(iqr(&values), 1.5);
    }

    #[test]
    fn median_is_the_middle_quantile() {
        for n in 0..20_u32 {
            let values = || (0..n).map(|i| f64::from(i * 7 % 11));
            assert_eq!(
                median(values()),
                quantile(&sorted(values()), 0.5),
                "{n} values"
            );
        }
    }

    #[test]
    fn the_slope_survives_a_quarter_of_outliers() {
        let mut points: Vec<(f64, f64)> = (0..40)
            .map(|i| (f64::from(i), 3.0 * f64::from(i)))
            .collect();
        for p in points.iter_mut().step_by(5) {
            p.1 += 500.0;
        }
        assert!((slope(&points) - 3.0).abs() < 1e-9, "{}", slope(&points));
    }

    #[test]
    fn likeness_tells_drifting_from_jumping() {
        let drifting: Vec<f64> = (0..50).map(|i| (f64::from(i) / 8.0).sin()).collect();
        let jumping: Vec<f64> = (0..50).map(|i| f64::from(i % 2)).collect();
        assert!(likeness(&drifting) > 0.9);
        assert!(likeness(&jumping) < -0.9);
        assert_eq!(likeness(&[3.0; 10]), 0.0);
    }

    #[test]
    fn four_digits_are_kept() {
        assert_eq!(significant(0.123_456), 0.1235);
        assert_eq!(significant(123_456.0), 123_500.0);
        assert_eq!(significant(-2.0), -2.0);
        assert_eq!(significant(0.0), 0.0);
        assert_eq!(significant(f64::NAN), 0.0);
    }
}
