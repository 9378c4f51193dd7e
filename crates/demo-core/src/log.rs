use std::io::{self, BufRead};

use outside_text::read_line;

use crate::{Event, TimedEvent};

/// A recorded story: its events with their times, in their order.
///
/// On disk it is one JSON object a line, as front-ends print events for programs. It holds all that
/// a screen shows, so a story can be played again without its subject.
///
/// ```
/// use demo_core::Log;
///
/// let lines = r#"{"at_ms":0.0,"event":"started","subject":"a glass","chapters":[],"charts":[]}
/// {"at_ms":12.5,"event":"said","tone":"bad","text":"crash"}
/// "#;
/// let log = Log::read(lines.as_bytes())?;
/// assert_eq!(log.events().len(), 2);
/// # Ok::<(), demo_core::LogError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Log(Vec<TimedEvent>);

/// The reason why a log is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The log cannot be read.
    #[error("reading the log, line {line}: {source}")]
    Read {
        /// Number of the line, from 1.
        line: usize,
        /// The system's error.
        source: io::Error,
    },
    /// A line holds no event.
    #[error("line {line} of the log is no event: {source}")]
    Event {
        /// Number of the line, from 1.
        line: usize,
        /// The parser's error.
        source: serde_json::Error,
    },
    /// The first event is another than [`Event::Started`].
    #[error(
        "the log does not begin with the start of a story: is it the output of `--json` or \
         `--record`?"
    )]
    NoStart,
}

impl Log {
    /// Reads a log. A last line without a line break that holds no whole event was cut off when its
    /// writer was killed, and is left out.
    ///
    /// # Errors
    /// [`LogError`] names the line; a line of more than
    /// [`LONGEST_LINE`](outside_text::LONGEST_LINE) bytes is not read.
    pub fn read(mut from: impl BufRead) -> Result<Self, LogError> {
        let (mut events, mut text) = (Vec::new(), String::new());
        for line in 1.. {
            let length = read_line(&mut from, &mut text);
            if length.map_err(|source| LogError::Read { line, source })? == 0 {
                break;
            }
            match serde_json::from_str(&text) {
                Ok(event) => events.push(event),
                Err(_)
                    if text.trim().is_empty() || (!events.is_empty() && !text.ends_with('\n')) => {}
                Err(source) => return Err(LogError::Event { line, source }),
            }
        }
        Self::new(events)
    }

    /// A log of these events. An event that is earlier than the one before it gets the time of the
    /// one before it, so that time only goes forward.
    ///
    /// # Errors
    /// [`LogError::NoStart`] when the first is another than [`Event::Started`].
    pub fn new(mut events: Vec<TimedEvent>) -> Result<Self, LogError> {
        if !matches!(
            events.first(),
            Some(TimedEvent {
                event: Event::Started { .. },
                ..
            })
        ) {
            return Err(LogError::NoStart);
        }
        let mut latest = events[0].at;
        for stamped in &mut events {
            stamped.at = stamped.at.max(latest);
            latest = stamped.at;
        }
        Ok(Self(events))
    }

    /// Whether the story's end is in it. Without one, its writer was killed, or its last part is
    /// lost.
    pub fn is_complete(&self) -> bool {
        let last = self.0.last().map(|stamped| &stamped.event);
        matches!(last, Some(Event::Finished { .. }))
    }

    /// The events, in the order of their times. Never empty.
    pub fn events(&self) -> &[TimedEvent] {
        &self.0
    }
}
