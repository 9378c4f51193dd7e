use std::borrow::Cow;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::{ChapterInfo, HealthSnapshot, Outcome};

/// An event and when it happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stamped {
    /// Since the story began.
    #[serde(rename = "at_ms", serialize_with = "ms")]
    pub at: Duration,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What a front-end can learn of a story. Everything shown comes through here.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The story begins. The first event.
    Started {
        /// What is put to the test.
        subject: String,
        /// What will be told.
        chapters: Vec<ChapterInfo>,
        /// What will be drawn.
        charts: Vec<ChartSpec>,
    },
    /// A chapter was entered.
    Entered {
        /// Its place, from 0.
        chapter: usize,
    },
    /// The chapter's callback has begun, for the first time or again.
    Running {
        /// The chapter's place, from 0.
        chapter: usize,
    },
    /// The chapter's callback is done.
    Settled {
        /// The chapter's place, from 0.
        chapter: usize,
    },
    /// What is going on right now, replacing the status before it; `None` when nothing is.
    Status {
        /// The status line.
        status: Option<Status>,
    },
    /// A sentence for the audience.
    Said {
        /// How it is meant.
        tone: Tone,
        /// What.
        text: String,
    },
    /// A number that was measured.
    Measured(Measurement),
    /// One point of every series of a chart.
    Sampled {
        /// Which chart, by [`ChartSpec::id`].
        chart: &'static str,
        /// One value a series, in the order of [`ChartSpec::series`]. `None` is a missing sample: a gap, not a zero.
        values: Vec<Option<f64>>,
    },
    /// A point on the time axis of every chart.
    Marked(Mark),
    /// The subject's health has changed.
    Health(HealthSnapshot),
    /// A word on a node or a dependency, replacing the word before it: how quick it is, or that it takes no changes.
    Noted {
        /// On which, by [`NodeHealth::id`](crate::NodeHealth::id) or [`Dependency::name`](crate::Dependency::name).
        about: String,
        /// How it is meant.
        tone: Tone,
        /// What.
        text: String,
    },
    /// A detector has found something, has news of it, or sees it gone.
    Found(Finding),
    /// A piece of a longer text, to be appended to its panel.
    Text {
        /// Which panel, as "diagnosis".
        panel: &'static str,
        /// Some text; may hold line breaks.
        piece: String,
    },
    /// A report for programs, as JSON; people get its text in a panel.
    Reported {
        /// About what.
        name: String,
        /// The report.
        report: serde_json::Value,
    },
    /// Something that the story expects to happen did, or did not.
    Expected {
        /// What.
        name: String,
        /// Whether it did.
        occurred: bool,
    },
    /// An input was not followed.
    Refused {
        /// Why, for the audience.
        reason: String,
    },
    /// The story ended. The last event.
    Finished {
        /// How.
        outcome: Outcome,
    },
}

/// The status line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// What is going on.
    pub text: String,
    /// How much longer, where that is known.
    #[serde(rename = "remaining_ms", serialize_with = "option_ms")]
    pub remaining: Option<Duration>,
}

/// How a sentence is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// As it is.
    Plain,
    /// All is well.
    Good,
    /// Take care.
    Warning,
    /// Something broke.
    Bad,
}

/// A number that was measured, for the story and for the summary at its end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// Of what.
    pub name: String,
    /// How much.
    pub value: f64,
    /// In what; empty for a count.
    pub unit: Cow<'static, str>,
    /// How it comes about, as "node-1 29, node-2 29, store 40".
    pub detail: String,
}

/// What a chart shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChartSpec {
    /// Its name in [`Event::Sampled`].
    pub id: &'static str,
    /// What it shows, without the unit.
    pub title: String,
    /// In what.
    pub unit: String,
    /// Its lines.
    pub series: Vec<SeriesSpec>,
}

/// One line of a chart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeriesSpec {
    /// Its name in the legend.
    pub name: String,
    /// What it means, so that a front-end can choose how to draw it.
    pub role: SeriesRole,
}

/// What a line of a chart means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SeriesRole {
    /// One of the parts that should add up.
    Part,
    /// The sum of the parts.
    Sum,
    /// What the parts should add up to.
    Whole,
    /// How far [`Sum`](Self::Sum) and [`Whole`](Self::Whole) are apart, as measured. Its name is that of the anomaly.
    Gap,
    /// What must not be exceeded.
    Bound,
    /// More of it is good.
    Good,
    /// More of it is bad.
    Bad,
}

/// A point on the time axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// What began, ended or happened.
    pub label: String,
    /// Which of these.
    pub edge: MarkEdge,
}

/// Whether something begins, ends or just happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkEdge {
    /// It begins; an [`End`](Self::End) with the same label follows.
    Begin,
    /// It ends.
    End,
    /// It has no length.
    Moment,
}

/// Something a detector found. Findings with the same `id` are news of the same thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which one.
    pub id: String,
    /// What kind, as "counter_drift".
    pub name: String,
    /// With whom.
    pub subject: String,
    /// How bad.
    pub severity: Severity,
    /// Whether it is still there.
    pub state: FindingState,
    /// When it first held, since the story began.
    #[serde(rename = "first_seen_ms", serialize_with = "ms")]
    pub first_seen: Duration,
    /// When the detector was sure, since the story began.
    #[serde(rename = "detected_at_ms", serialize_with = "ms")]
    pub detected_at: Duration,
    /// The numbers, on one line.
    pub evidence: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A promise is bent.
    Warning,
    /// A promise is broken.
    Critical,
}

/// Where a finding is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingState {
    /// It is new.
    Raised,
    /// It is still there, with other numbers.
    Updated,
    /// It is gone.
    Cleared,
}

fn ms<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64((value.as_secs_f64() * 1e6).round() / 1e3)
}

fn option_ms<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => ms(value, to),
        None => to.serialize_none(),
    }
}
