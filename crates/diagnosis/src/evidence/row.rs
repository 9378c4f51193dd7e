//! The four kinds of evidence.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{Role, seconds};

/// The id of a row, written `E3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId(pub u32);

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E{}", self.0)
    }
}

impl FromStr for RowId {
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

impl Serialize for RowId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RowId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// How it is cited.
    pub id: RowId,
    /// Its content.
    #[serde(flatten)]
    pub fact: Fact,
}

impl Row {
    /// The entity it is about.
    pub fn entity(&self) -> &str {
        self.subject().0
    }

    /// The signal it is about; a violation has none.
    pub fn signal(&self) -> Option<&str> {
        self.subject().1.map(|(signal, _)| signal)
    }

    /// The part its signal plays.
    pub fn role(&self) -> Option<Role> {
        self.subject().1.map(|(_, role)| role)
    }

    fn subject(&self) -> (&str, Option<(&str, Role)>) {
        match &self.fact {
            Fact::Violation(v) => (&v.entity, None),
            Fact::Change(c) => (&c.entity, Some((&c.signal, c.role))),
            Fact::Steady(s) => (&s.entity, Some((&s.signal, s.role))),
            Fact::Gap(g) => (&g.entity, Some((&g.signal, g.role))),
        }
    }

    /// The change, when it is one.
    pub fn change(&self) -> Option<&Change> {
        match &self.fact {
            Fact::Change(c) => Some(c),
            _ => None,
        }
    }

    /// Every number in it.
    pub(crate) fn numbers(&self) -> Vec<f64> {
        match &self.fact {
            Fact::Violation(v) => vec![seconds::rounded(v.t), v.observed, v.bound],
            Fact::Change(c) => {
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
            Fact::Steady(s) => vec![s.median, s.score],
            Fact::Gap(g) => vec![seconds::rounded(g.from), seconds::rounded(g.to)],
        }
    }
}

/// The content of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Fact {
    /// An invariant was broken.
    Violation(Violation),
    /// A signal left its normal range.
    Change(Change),
    /// A signal did not. Absence of change is evidence.
    Steady(Steady),
    /// A signal was not seen. A missing sample is never a zero.
    Gap(Gap),
}

/// An invariant was broken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// Where.
    pub entity: String,
    /// Which.
    pub invariant: String,
    /// When it was first seen, since the run began.
    #[serde(with = "seconds")]
    pub t: Duration,
    /// The value observed.
    pub observed: f64,
    /// The value that would have been in order.
    pub bound: f64,
}

impl Violation {
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

/// Which way a signal went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Above normal.
    Up,
    /// Below normal.
    Down,
}

/// How a signal went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Out and back within a tenth of the time since the violation.
    Spike,
    /// To a new level.
    Step,
    /// Ever further away.
    Ramp,
}

/// The baseline of a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Before {
    /// The middle value. With a slope: where the signal would have been by the end of the change.
    pub median: f64,
    /// Spread between the quartiles; with a slope, of the slope.
    pub iqr: f64,
    /// Samples.
    pub n: usize,
    /// Units per second, when the signal moved steadily one way anyway: a total, a time since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slope: Option<f64>,
}

/// The signal after the violation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct After {
    /// The middle value from the violation on.
    pub median: f64,
    /// The value furthest from normal; with a slope, at the end of the change.
    pub peak: f64,
    /// The last value seen.
    pub last: f64,
    /// Samples from the violation on.
    pub n: usize,
}

/// A signal left its normal range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Whose signal.
    pub entity: String,
    /// Which.
    pub signal: String,
    /// Its unit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// The part it plays.
    #[serde(default)]
    pub role: Role,
    /// Which way.
    pub direction: Direction,
    /// How.
    pub shape: Shape,
    /// Normal.
    pub before: Before,
    /// Since then.
    pub after: After,
    /// The furthest deviation in units of the baseline's spread, 0 to 100. Free of the unit.
    pub score: f64,
    /// The deviation over the one that normal data of the same length shows by chance; more than 1.
    #[serde(default = "certain")]
    pub excess: f64,
    /// The first sample outside the normal range.
    #[serde(with = "seconds")]
    pub onset: Duration,
    /// The change began within this much before `onset`.
    #[serde(with = "seconds")]
    pub onset_err: Duration,
    /// It took at most this long from the last normal sample to nine tenths of the peak.
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
            Role::Demand => self.direction == Direction::Up,
            role => matches!(role, Role::Setting | Role::Uptime),
        }
    }

    /// Whether it lasted beyond a sample or two.
    pub fn is_sustained(&self) -> bool {
        self.shape != Shape::Spike
    }

    /// The value that stands for "after" in one figure: the level, or the peak of a spike or a
    /// ramp.
    pub fn extreme(&self) -> f64 {
        match self.shape {
            Shape::Step
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
pub struct Steady {
    /// Whose signal.
    pub entity: String,
    /// Which.
    pub signal: String,
    /// Its unit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// The part it plays.
    #[serde(default)]
    pub role: Role,
    /// The middle value throughout.
    pub median: f64,
    /// The furthest deviation in units of the baseline's spread.
    pub score: f64,
}

/// A signal was not seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// Whose signal.
    pub entity: String,
    /// Which.
    pub signal: String,
    /// The part it plays.
    #[serde(default)]
    pub role: Role,
    /// From when.
    #[serde(with = "seconds")]
    pub from: Duration,
    /// Until when.
    #[serde(with = "seconds")]
    pub to: Duration,
    /// Why nothing can be said.
    pub why: String,
}
