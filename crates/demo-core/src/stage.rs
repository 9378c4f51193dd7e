use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Event, Finding, Mark, MarkEdge, Measurement, StatusLine, TimedEvent, Tone};

/// A callback's access to the story: it emits events and receives cancellation. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stage {
    events: UnboundedSender<TimedEvent>,
    epoch: Instant,
    cancel: CancellationToken,
    /// The last report on each expected anomaly. The outcome depends on it.
    expectations: Arc<Mutex<BTreeMap<String, bool>>>,
}

impl Stage {
    pub(crate) fn new(events: UnboundedSender<TimedEvent>, epoch: Instant) -> Self {
        Self {
            events,
            epoch,
            cancel: CancellationToken::new(),
            expectations: Arc::default(),
        }
    }

    /// The same stage for one run of a callback, cancelled alone.
    pub(crate) fn scene(&self) -> Self {
        Self {
            cancel: self.cancel.child_token(),
            ..self.clone()
        }
    }

    pub(crate) fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Time since the story began.
    pub fn elapsed(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// An instant as time since the story began; zero for one before.
    pub fn at(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.epoch)
    }

    /// Resolves when the callback should heal and end.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Whether the callback should end.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Emits an event.
    pub fn emit(&self, event: Event) {
        // Without a front-end the event has no receiver.
        let _ = self.events.send(TimedEvent {
            at: self.elapsed(),
            event,
        });
    }

    /// Shows a sentence.
    pub fn say(&self, tone: Tone, text: impl Into<String>) {
        self.emit(Event::Said {
            tone,
            text: text.into(),
        });
    }

    /// Sets the status line.
    pub fn status(&self, text: impl Into<String>, remaining: Option<Duration>) {
        self.emit(Event::Status {
            status: Some(StatusLine {
                text: text.into(),
                remaining,
            }),
        });
    }

    /// Empties the status line.
    pub fn clear_status(&self) {
        self.emit(Event::Status { status: None });
    }

    /// Shows a number that was measured.
    pub fn measured(
        &self,
        name: impl Into<String>,
        value: f64,
        unit: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) {
        let (name, unit, detail) = (name.into(), unit.into(), detail.into());
        self.emit(Event::Measured(Measurement {
            name,
            value,
            unit,
            detail,
        }));
    }

    /// Marks a point on the time axis.
    pub fn mark(&self, label: impl Into<String>, edge: MarkEdge) {
        self.emit(Event::Marked(Mark {
            label: label.into(),
            edge,
        }));
    }

    /// Begins an act: these charts come first, and the time axis begins now.
    pub fn focus<const N: usize>(&self, charts: [&'static str; N]) {
        self.emit(Event::Focused {
            charts: charts.map(Cow::Borrowed).to_vec(),
        });
    }

    /// Shows a short note on a node or a dependency. Replaces the note before it.
    pub fn note(&self, about: impl Into<String>, tone: Tone, text: impl Into<String>) {
        self.emit(Event::Noted {
            about: about.into(),
            tone,
            text: text.into(),
        });
    }

    /// Shows a finding of a detector.
    pub fn found(&self, finding: Finding) {
        self.emit(Event::Found(finding));
    }

    /// Reports whether an expected anomaly has occurred. The outcome depends on the last report of
    /// each name.
    pub fn expected(&self, name: impl Into<String>, occurred: bool) {
        let name = name.into();
        self.expectations.lock().insert(name.clone(), occurred);
        self.emit(Event::Expected { name, occurred });
    }

    /// The expected anomalies that have not occurred.
    pub(crate) fn missed(&self) -> Vec<String> {
        let expectations = self.expectations.lock();
        expectations
            .iter()
            .filter(|(_, occurred)| !**occurred)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Counts down on the status line, a second at a time; false when cancelled meanwhile.
    pub async fn countdown(&self, text: &str, from: u32) -> bool {
        for left in (1..=from).rev() {
            self.status(text, Some(Duration::from_secs(left.into())));
            tokio::select! {
                () = self.cancelled() => return false,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
        self.clear_status();
        true
    }
}
