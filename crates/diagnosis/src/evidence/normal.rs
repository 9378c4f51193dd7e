//! The normal course of a signal, and how far chance takes it.
//!
//! Medians of one, three and more samples in a row are taken all over the baseline. The tail of
//! their distribution, from its 80th and 95th percentile on, gives the deviation that the same
//! number of them reaches by chance in one of [`RARE`] bundles.

use super::{
    SignalRole,
    stats::{deviation, iqr, likeness, median, quantile, sorted},
};

/// Fewer samples than this are no baseline.
pub(super) const ENOUGH: usize = 5;
/// Deviations of this many spreads are looked at, for any baseline.
const SPREADS: f64 = 3.0;
/// Of so many bundles without a fault, one shows a change.
const RARE: f64 = 30.0;
/// How much a baseline of a single independent sample would widen the normal range; more of them
/// share it.
const DOUBT: f64 = 6.0;
/// Single samples have heavier tails than medians: between exponential (0) and a power law (1).
const HEAVY: f64 = 0.6;

/// A signal's properties beside its samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct SignalTraits {
    pub(super) role: SignalRole,
    /// Deviations of this size are nothing.
    pub(super) floor: f64,
    /// The value from which its size is measured.
    pub(super) origin: f64,
    /// Usual seconds between two samples.
    pub(super) spacing: f64,
    /// Whether it is judged by its pace: then a single step back is no stray sample.
    pub(super) moves: bool,
    /// Signals of the bundle: among more of them, chance has more to show.
    pub(super) signals: usize,
}

/// A sample as a deviation from the level that the baseline leads to expect.
#[derive(Debug, Clone, Copy)]
pub(super) struct Residual {
    pub(super) t: f64,
    pub(super) value: f64,
    pub(super) off: f64,
}

/// The expectation from the baseline, with its spread.
pub(super) struct NormalCourse {
    pub(super) level: f64,
    pub(super) iqr: f64,
    pub(super) scale: f64,
    /// The furthest the baseline itself strayed, a share of stray samples forgiven.
    pub(super) envelope: f64,
    /// More than 1: a short baseline shows less of the normal range, and so does one whose samples
    /// resemble their neighbours, for they are fewer than they seem.
    doubt: f64,
    pub(super) offs: Vec<f64>,
    pub(super) traits: SignalTraits,
}

impl NormalCourse {
    pub(super) fn of(points: &[(f64, f64)], traits: SignalTraits) -> Self {
        let values = sorted(points.iter().map(|p| p.1));
        let level = quantile(&values, 0.5);
        let offs: Vec<f64> = points.iter().map(|p| p.1 - level).collect();
        let spread = iqr(&values);
        let scale = spread
            .max(0.1 * deviation(&offs))
            .max(0.01 * (level - traits.origin).abs())
            .max(traits.floor);
        let envelope = envelope(&values, level);
        let alike = likeness(&offs).clamp(0.0, 0.98);
        let independent = points.len() as f64 * (1.0 - alike) / (1.0 + alike);
        Self {
            level,
            iqr: spread,
            scale,
            envelope,
            doubt: 1.0 + DOUBT / independent.max(1.0),
            offs,
            traits,
        }
    }

    pub(super) fn residuals(&self, points: &[(f64, f64)]) -> Vec<Residual> {
        points
            .iter()
            .map(|&(t, value)| Residual {
                t,
                value,
                off: value - self.level,
            })
            .collect()
    }

    /// Whether a stretch of which half deviates by at least half of `level` is rare, by how many
    /// samples of the baseline do: a few counts where there mostly are none are no change. Load
    /// comes at any time, settings are set, and a lasting loss is one where none was half as large.
    pub(super) fn is_rare(&self, level: f64, width: usize, count: usize) -> bool {
        let role = self.traits.role;
        if self.iqr > 0.0
            || self.traits.moves
            || matches!(
                role,
                SignalRole::Demand | SignalRole::Setting | SignalRole::Lost
            )
        {
            return true;
        }
        let n = self.offs.len() as f64;
        let as_far = self
            .offs
            .iter()
            .filter(|off| **off * level.signum() >= 0.5 * level.abs())
            .count();
        if role == SignalRole::Availability && as_far == 0 && width > 1 {
            return true;
        }
        let share = (1.0 + as_far as f64) / (1.0 + n);
        let half = (width as f64).midpoint(1.0);
        half * -share.ln() > self.looks(width, count).ln()
    }

    /// Independent looks at stretches of that width, among so many samples, signals and bundles.
    fn looks(&self, width: usize, count: usize) -> f64 {
        (count as f64 / width as f64).max(1.0) * self.traits.signals as f64 * RARE
    }

    /// The deviation that medians of `width` samples reach by chance, when `count` of them are
    /// looked at.
    pub(super) fn by_chance(&self, width: usize, count: usize) -> f64 {
        let blocks = sorted(medians(&self.offs, width).map(|(_, m)| m.abs()));
        let (usual, far) = (quantile(&blocks, 0.8), quantile(&blocks, 0.95));
        let looks = self.looks(width, count);
        // beyond the 80th percentile as an exponential tail; single samples other than of load have
        // heavier ones
        let tail = usual + (far - usual) / 4.0_f64.ln() * (0.2 * looks).ln().max(0.0);
        let heavy = if width == 1 && usual > 0.0 && self.traits.role != SignalRole::Demand {
            far * (far / usual).powf(HEAVY * (0.05 * looks).ln().max(0.0) / 4.0_f64.ln())
        } else {
            0.0
        };
        (self.doubt * tail.max(heavy)).max(self.least())
    }

    /// The deviation below which nothing is a change, at any width.
    pub(super) fn least(&self) -> f64 {
        self.doubt * SPREADS * self.scale
    }
}

/// How far sorted values lie from the level, a share of strays forgiven.
fn envelope(mut values: &[f64], level: f64) -> f64 {
    let strays = if values.len() >= 4 * ENOUGH {
        values.len().div_ceil(50)
    } else {
        0
    };
    let mut far = 0.0;
    for _ in 0..=strays {
        let [low, .., high] = values else { break };
        far = (level - low).max(high - level);
        values = if level - low < far {
            &values[..values.len() - 1]
        } else {
            &values[1..]
        };
    }
    far
}

/// The medians of `width` values in a row, by where these begin; of many, every fourth part of a
/// width is enough.
pub(super) fn medians(values: &[f64], width: usize) -> impl Iterator<Item = (usize, f64)> {
    let level = move |w: &[f64]| match w {
        [one] => *one,
        [a, b, c] => a.min(*b).max(a.max(*b).min(*c)),
        _ => median(w.iter().copied()),
    };
    let windows = values.windows(width).enumerate();
    windows
        .step_by((width / 4).max(1))
        .map(move |(i, w)| (i, level(w)))
}
