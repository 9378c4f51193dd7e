use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{ChapterInfo, HealthSnapshot, Intervals, StoryEnd, Table};

/// An event with its time.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct TimedEvent {
    /// Time since the story began.
    #[serde(rename = "at_ms", with = "ms")]
    pub at: Duration,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// The version of the form of a log, of which there is one: 1. Any other is refused, rather than
/// read in part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct LogVersion;

impl LogVersion {
    const NUMBER: u32 = 1;
}

impl TryFrom<u32> for LogVersion {
    type Error = String;

    fn try_from(number: u32) -> Result<Self, Self::Error> {
        if number == Self::NUMBER {
            return Ok(Self);
        }
        Err(format!(
            "the log has version {number}, and this program reads version {}",
            Self::NUMBER
        ))
    }
}

impl From<LogVersion> for u32 {
    fn from(LogVersion: LogVersion) -> Self {
        LogVersion::NUMBER
    }
}

/// One change of a story. Front-ends show nothing but events.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The story begins. The first event.
    Started {
        /// The version of the log's form.
        #[serde(default)]
        version: LogVersion,
        /// Name of the system under test.
        subject: String,
        /// The chapters, in order.
        chapters: Vec<ChapterInfo>,
        /// The charts, in order.
        charts: Vec<ChartSpec>,
    },
    /// A chapter was entered.
    Entered {
        /// The chapter's index, from 0.
        chapter: usize,
    },
    /// The chapter's callback has begun, for the first time or again.
    Running {
        /// The chapter's index, from 0.
        chapter: usize,
    },
    /// The chapter's callback is done.
    Settled {
        /// The chapter's index, from 0.
        chapter: usize,
    },
    /// More is played after the last chapter, which it belongs to.
    Encore {
        /// Title, a few words.
        title: String,
        /// Narration.
        narration: String,
    },
    /// The current activity. Replaces the status before it; `None` clears it.
    Status {
        /// The status line.
        status: Option<StatusLine>,
    },
    /// A sentence for the audience.
    Said {
        /// The sentence's meaning.
        tone: Tone,
        /// The sentence.
        text: String,
    },
    /// A number that was measured.
    Measured(Measurement),
    /// One point of every series of a chart.
    Sampled {
        /// The chart's [`ChartSpec::id`].
        chart: Cow<'static, str>,
        /// One value per series, in the order of [`ChartSpec::series`]. `None` is a missing sample:
        /// a gap, not a zero.
        values: Vec<Option<f64>>,
    },
    /// A point on the time axis of every chart.
    Marked(Mark),
    /// A new act begins: these charts come first, and the time axis of all charts begins here.
    Focused {
        /// [`ChartSpec::id`]s, the most important first.
        charts: Vec<Cow<'static, str>>,
    },
    /// Intervals on a time axis of their own. Belongs to the chapter.
    Intervals(Intervals),
    /// A table. Belongs to the chapter.
    Table(Table),
    /// The subject's health has changed.
    Health(HealthSnapshot),
    /// A short note on a node or a dependency, for example its latency. Replaces the note before
    /// it.
    Noted {
        /// The [`SubjectNode::id`](crate::SubjectNode::id) or
        /// [`Dependency::name`](crate::Dependency::name).
        about: String,
        /// The note's meaning.
        tone: Tone,
        /// The note.
        text: String,
    },
    /// A detector has raised or cleared a finding.
    Found(Finding),
    /// A piece of a longer text, to be appended to its panel.
    Text {
        /// Name of the panel, for example "diagnosis".
        panel: Cow<'static, str>,
        /// The text; may contain line breaks.
        piece: String,
        /// Whether the piece belongs to the second level, which a screen shows on request.
        #[serde(default)]
        detail: bool,
    },
    /// A report for programs, as JSON. Its text for people is in a panel.
    Reported {
        /// Name of the report.
        name: String,
        /// The report.
        report: serde_json::Value,
    },
    /// The last word on an expected anomaly: it occurred, or it did not.
    Expected {
        /// Name of the anomaly.
        name: String,
        /// Whether it occurred.
        occurred: bool,
    },
    /// An input was not followed.
    Refused {
        /// The reason, for the audience.
        reason: String,
    },
    /// The story ended. The last event.
    Finished {
        /// The outcome.
        outcome: StoryEnd,
    },
}

/// The status line.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct StatusLine {
    /// The current activity.
    pub text: String,
    /// Remaining time, if it is known.
    #[serde(rename = "remaining_ms", with = "option_ms")]
    pub remaining: Option<Duration>,
}

/// The meaning of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Neutral.
    Plain,
    /// As it should be.
    Good,
    /// Unusual.
    Warning,
    /// Broken.
    Bad,
}

/// A number that was measured, for the story and for the summary at its end.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Measurement {
    /// Name of the quantity.
    pub name: String,
    /// Value, in `unit`. JSON has no infinities and no NaN: either is read back as NaN.
    #[serde(deserialize_with = "null_is_nan")]
    pub value: f64,
    /// Unit; empty for a count.
    pub unit: Cow<'static, str>,
    /// Its parts or its context, for example "node-1 29, node-2 29, store 40".
    pub detail: String,
}

/// The title, unit and lines of a chart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ChartSpec {
    /// Its name in [`Event::Sampled`].
    pub id: Cow<'static, str>,
    /// Title, without the unit.
    pub title: String,
    /// Unit of all values.
    pub unit: String,
    /// The way in which it is drawn.
    pub kind: ChartKind,
    /// The lines.
    pub series: Vec<SeriesSpec>,
}

/// The way in which a chart is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChartKind {
    /// Every series is a curve.
    Curves,
    /// The parts stand on each other.
    Stack,
}

/// One line of a chart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct SeriesSpec {
    /// Its name in the legend.
    pub name: String,
    /// Its meaning, from which a front-end chooses its look.
    pub role: SeriesRole,
}

/// The meaning of a line in a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SeriesRole {
    /// One of the parts that should add up.
    Part,
    /// The sum of the parts.
    Sum,
    /// The value that the sum should have.
    Whole,
    /// The measured difference of [`Sum`](Self::Sum) and [`Whole`](Self::Whole); in a
    /// [`Stack`](ChartKind::Stack), the part of the sum above the [`Bound`](Self::Bound). It is
    /// named after the anomaly.
    Gap,
    /// An upper bound.
    Bound,
    /// More of it is good.
    Good,
    /// More of it is bad.
    Bad,
}

/// A point on the time axis.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Mark {
    /// Name of the interval or instant.
    pub label: String,
    /// Begin, end or instant.
    pub edge: MarkEdge,
}

/// The kind of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkEdge {
    /// An interval begins; an [`End`](Self::End) with the same label follows.
    Begin,
    /// The interval ends.
    End,
    /// An instant.
    Moment,
}

/// A finding of a detector. Findings with the same `id` are states of one finding.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Finding {
    /// Identity of the finding.
    pub id: String,
    /// Kind, for example "counter_drift".
    pub name: String,
    /// The node, key or store concerned.
    pub subject: String,
    /// Severity.
    pub severity: Severity,
    /// Raised or cleared.
    pub state: FindingState,
    /// Start of the violation, since the story began.
    #[serde(rename = "first_seen_ms", with = "ms")]
    pub first_seen: Duration,
    /// End of the detector's grace, since the story began.
    #[serde(rename = "detected_at_ms", with = "ms")]
    pub detected_at: Duration,
    /// The numbers, on one line.
    pub evidence: String,
}

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A promise is at risk.
    Warning,
    /// A promise is broken.
    Critical,
}

/// The state of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingState {
    /// Present.
    Raised,
    /// No longer present.
    Cleared,
}

/// Durations as milliseconds with a fraction, exact to the microsecond.
mod ms {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    /// Beyond 2^53 the numbers of JSON lack the last microsecond.
    const MOST_US: f64 = 9_007_199_254_740_992.0;

    pub(super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64((value.as_secs_f64() * 1e6).round() / 1e3)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let us = (f64::deserialize(from)? * 1e3).round();
        if !(0.0..=MOST_US).contains(&us) {
            return Err(serde::de::Error::custom(
                "a time is from 0 to 9007199254740 ms",
            ));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked just before"
        )]
        let us = us as u64;
        Ok(Duration::from_micros(us))
    }
}

mod option_ms {
    use super::{Deserialize, Deserializer, Duration, Serializer, ms};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => ms::serialize(value, to),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        #[derive(Deserialize)]
        struct Ms(#[serde(with = "ms")] Duration);
        Ok(Option::<Ms>::deserialize(from)?.map(|Ms(value)| value))
    }
}

fn null_is_nan<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}
