//! The four kinds of evidence.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{SignalRole, seconds};

/// The id of a row, written `E3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EvidenceId(pub u32);

impl fmt::Display for EvidenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E{}", self.0)
    }
}

impl FromStr for EvidenceId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.trim_matches(['[', ']', ' '])
            .strip_prefix('E')
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .map(Self)
            .ok_or_else(|| {
                format!(
                    "evidence id {:?} is not of the form E3",
                    crate::clean::capped(text, 40)
                )
            })
    }
}

impl Serialize for EvidenceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EvidenceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceRow {
    /// Id by which it is cited.
    pub id: EvidenceId,
    /// Its content.
    #[serde(flatten)]
    pub fact: EvidenceFact,
}

impl EvidenceRow {
    /// The entity it is about.
    pub fn entity(&self) -> &str {
        self.subject().0
    }

    /// The signal it is about; a violation has none.
    pub fn signal(&self) -> Option<&str> {
        self.subject().1.map(|(signal, _)| signal)
    }

    /// The part its signal plays.
    pub fn role(&self) -> Option<SignalRole> {
        self.subject().1.map(|(_, role)| role)
    }

    fn subject(&self) -> (&str, Option<(&str, SignalRole)>) {
        match &self.fact {
            EvidenceFact::Violation(v) => (&v.entity, None),
            EvidenceFact::Change(c) => (&c.entity, Some((&c.signal, c.role))),
            EvidenceFact::Steady(s) => (&s.entity, Some((&s.signal, s.role))),
            EvidenceFact::Gap(g) => (&g.entity, Some((&g.signal, g.role))),
        }
    }

    /// The change, when it is one.
    pub fn change(&self) -> Option<&Change> {
        match &self.fact {
            EvidenceFact::Change(c) => Some(c),
            _ => None,
        }
    }

    /// The times between which a change or a violation began.
    pub(crate) fn began(&self) -> Option<(Duration, Duration)> {
        match &self.fact {
            EvidenceFact::Violation(v) => Some((v.t, v.t)),
            EvidenceFact::Change(c) => Some((c.earliest(), c.onset)),
            EvidenceFact::Steady(_) | EvidenceFact::Gap(_) => None,
        }
    }

    /// Every number in it.
    pub(crate) fn numbers(&self) -> Vec<f64> {
        match &self.fact {
            EvidenceFact::Violation(v) => vec![seconds::rounded(v.t), v.observed, v.bound],
            EvidenceFact::Change(c) => {
                let mut all = vec![
                    c.before.median,
                    c.before.iqr,
                    c.before.n as f64,
                    c.after.median,
                    c.after.peak,
                    c.after.last,
                    c.after.n as f64,
                    c.score,
                    c.excess,
                    seconds::rounded(c.onset),
                    seconds::rounded(c.onset_err),
                    seconds::rounded(c.rise),
                ];
                all.extend(c.before.slope);
                all
            }
            EvidenceFact::Steady(s) => vec![s.median, s.score],
            EvidenceFact::Gap(g) => vec![seconds::rounded(g.from), seconds::rounded(g.to)],
        }
    }
}

/// The content of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum EvidenceFact {
    /// An invariant was broken.
    Violation(BrokenInvariant),
    /// A signal left its normal range.
    Change(Change),
    /// A signal stayed in its normal range. Absence of change is evidence.
    Steady(SteadySignal),
    /// A signal has no samples. A missing sample is never a zero.
    Gap(SignalGap),
}

/// An invariant was broken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BrokenInvariant {
    /// The entity at which it was broken.
    pub entity: String,
    /// Name of the invariant.
    pub invariant: String,
    /// Time of the first observation, since the run began.
    #[serde(with = "seconds")]
    pub t: Duration,
    /// The value observed.
    pub observed: f64,
    /// The value allowed.
    pub bound: f64,
}

impl BrokenInvariant {
    /// `invariant` was broken at `entity` at `t`: `observed` where `bound` was allowed.
    pub fn new(
        entity: impl Into<String>,
        invariant: impl Into<String>,
        t: Duration,
        observed: f64,
        bound: f64,
    ) -> Self {
        Self {
            entity: entity.into(),
            invariant: invariant.into(),
            t,
            observed,
            bound,
        }
    }
}

/// Direction of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Above normal.
    Up,
    /// Below normal.
    Down,
}

/// Shape of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeShape {
    /// Out and back within a tenth of the time since the violation.
    Spike,
    /// To a new level.
    Step,
    /// Ever further away.
    Ramp,
}

/// The baseline of a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaselineLevels {
    /// The median. With a slope: the expected value at the end of the change.
    pub median: f64,
    /// Spread between the quartiles; with a slope, of the slope.
    pub iqr: f64,
    /// Samples.
    pub n: usize,
    /// Units per second of a signal that always moves one way, such as a total or an uptime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slope: Option<f64>,
}

/// The signal after the violation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentLevels {
    /// The median from the violation on.
    pub median: f64,
    /// The value furthest from normal; with a slope, at the end of the change.
    pub peak: f64,
    /// The last value.
    pub last: f64,
    /// Samples from the violation on.
    pub n: usize,
}

/// A signal left its normal range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The entity.
    pub entity: String,
    /// Name of the signal.
    pub signal: String,
    /// Its unit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// Role of the signal.
    #[serde(default)]
    pub role: SignalRole,
    /// Direction.
    pub direction: Direction,
    /// Shape.
    pub shape: ChangeShape,
    /// Before the change.
    pub before: BaselineLevels,
    /// After it.
    pub after: IncidentLevels,
    /// The furthest deviation in units of the baseline's spread, 0 to 100. Free of the unit.
    pub score: f64,
    /// The deviation over the one that normal data of the same length shows by chance; more than 1.
    #[serde(default = "certain")]
    pub excess: f64,
    /// The first sample outside the normal range.
    #[serde(with = "seconds")]
    pub onset: Duration,
    /// Longest time before `onset` at which the change can have begun.
    #[serde(with = "seconds")]
    pub onset_err: Duration,
    /// Longest possible time from the last normal sample to nine tenths of the peak.
    #[serde(with = "seconds")]
    pub rise: Duration,
}

/// The excess where none is given.
fn certain() -> f64 {
    10.0
}

impl Change {
    /// The earliest moment at which it can have begun.
    pub fn earliest(&self) -> Duration {
        self.onset.saturating_sub(self.onset_err)
    }

    /// Whether it comes from outside: no other entity's fault explains it. Less load is an effect
    /// like any other.
    pub(crate) fn is_exogenous(&self) -> bool {
        match self.role {
            SignalRole::Demand => self.direction == Direction::Up,
            role => matches!(role, SignalRole::Setting | SignalRole::Uptime),
        }
    }

    /// Whether it lasted longer than a sample or two.
    pub fn is_sustained(&self) -> bool {
        self.shape != ChangeShape::Spike
    }

    /// The value that stands for "after" in one figure: the level, or the peak of a spike or a
    /// ramp.
    pub fn extreme(&self) -> f64 {
        match self.shape {
            ChangeShape::Step
                if self.before.slope.is_none()
                    && (self.after.median - self.before.median).abs() > self.before.iqr =>
            {
                self.after.median
            }
            _ => self.after.peak,
        }
    }
}

/// A signal stayed within its normal range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SteadySignal {
    /// The entity.
    pub entity: String,
    /// Name of the signal.
    pub signal: String,
    /// Its unit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// Role of the signal.
    #[serde(default)]
    pub role: SignalRole,
    /// The median of all samples.
    pub median: f64,
    /// The furthest deviation in units of the baseline's spread.
    pub score: f64,
}

/// A signal without samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalGap {
    /// The entity.
    pub entity: String,
    /// Name of the signal.
    pub signal: String,
    /// Role of the signal.
    #[serde(default)]
    pub role: SignalRole,
    /// Time of the first missing sample.
    #[serde(with = "seconds")]
    pub from: Duration,
    /// End of the gap.
    #[serde(with = "seconds")]
    pub to: Duration,
    /// The reason.
    pub why: String,
}
