use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::iter;

use outside_text::clean_line;

use crate::{
    ChapterInfo, Event, Finding, FindingState, HealthSnapshot, Measurement, Reachability, Severity,
    TimedEvent, Tone,
};

/// Width of a drawing, in columns.
const TEXT_COLUMNS: usize = 72;

/// Turns events into lines of text, for front-ends without a screen: a CI log, a pipe, a terminal
/// that just scrolls.
///
/// Keeps the parts of earlier events that later lines and the summary need. Does no I/O.
#[derive(Debug, Default)]
pub struct Transcript {
    chapters: Vec<ChapterInfo>,
    status: String,
    health: Option<String>,
    notes: BTreeMap<String, Tone>,
    measured: Vec<Measurement>,
    outcome: String,
}

impl Transcript {
    /// An empty transcript.
    pub fn new() -> Self {
        Self::default()
    }

    /// The lines that an event adds; none for events that only a screen shows.
    pub fn lines(&mut self, stamped: &TimedEvent) -> Vec<String> {
        let at = stamped.at.as_secs_f64();
        self.texts(&stamped.event)
            .into_iter()
            .map(|text| format!("[{at:7.3}] {}", clean_line(&text)))
            .collect()
    }

    /// The measurements and the outcome, for the terminal after the story.
    pub fn summary(&self) -> Vec<String> {
        let measured = self.measured.iter();
        let measured = measured.map(|m| format!("  == {}", measurement(m)));
        iter::once("Summary".to_owned())
            .chain(measured)
            .chain([format!("  {}", self.outcome)])
            .map(|line| clean_line(&line))
            .collect()
    }

    fn texts(&mut self, event: &Event) -> Vec<String> {
        match event {
            Event::Started {
                subject, chapters, ..
            } => {
                self.chapters.clone_from(chapters);
                vec![format!("{subject}: {} chapters", chapters.len())]
            }
            Event::Entered { chapter } => self.entered(*chapter),
            Event::Encore { title, narration } => titled(format!("Encore: {title}"), narration),
            Event::Status { status } => {
                let text = status.as_ref().map(|s| match s.remaining {
                    // Whole seconds: a line a second is enough for a log.
                    Some(left) => format!("{} ... {} s", s.text, left.as_secs_f64().ceil()),
                    None => s.text.clone(),
                });
                match text {
                    Some(text) if text != self.status => {
                        self.status.clone_from(&text);
                        vec![format!("  .. {text}")]
                    }
                    Some(_) => vec![],
                    None => {
                        self.status.clear();
                        vec![]
                    }
                }
            }
            Event::Said { tone, text } => text
                .lines()
                .map(|line| format!("  {} {line}", tone_symbol(*tone)))
                .collect(),
            Event::Measured(m) => {
                self.measured.retain(|old| old.name != m.name);
                self.measured.push(m.clone());
                vec![format!("  == {}", measurement(m))]
            }
            Event::Marked(mark) => {
                vec![format!("  -- {}: {:?}", mark.label, mark.edge).to_lowercase()]
            }
            Event::Health(snapshot) => {
                let text = health(snapshot);
                let news = self.health.as_ref() != Some(&text);
                self.health = Some(text.clone());
                if news {
                    vec![format!(
                        "  {} {text}",
                        if snapshot.has_issues { "!!" } else { "ok" }
                    )]
                } else {
                    vec![]
                }
            }
            Event::Noted { about, tone, text } => self.noted(about, *tone, text),
            Event::Found(finding) => Self::found(finding),
            Event::Intervals(intervals) => intervals
                .lines(TEXT_COLUMNS)
                .iter()
                .map(|line| format!("     {line}"))
                .collect(),
            Event::Table(table) => [format!("     {}", table.title)]
                .into_iter()
                .chain(
                    table
                        .lines(TEXT_COLUMNS)
                        .into_iter()
                        .map(|(text, [within, beyond])| {
                            let bar = "=".repeat(within) + &"#".repeat(beyond);
                            format!("     {text}{bar}")
                        }),
                )
                .collect(),
            Event::Text { panel, piece, .. } => piece
                .lines()
                .map(|line| format!("  {panel}> {line}"))
                .collect(),
            Event::Expected {
                name,
                occurred: true,
            } => vec![format!("  ok {name}: occurred")],
            Event::Expected {
                name,
                occurred: false,
            } => vec![format!("  !! {name}: did not occur")],
            Event::Refused { reason } => vec![format!("  .. {reason}")],
            Event::Finished { outcome } => {
                self.outcome = outcome.to_string();
                self.summary()
            }
            Event::Running { .. }
            | Event::Settled { .. }
            | Event::Sampled { .. }
            | Event::Focused { .. }
            | Event::Reported { .. } => {
                vec![]
            }
        }
    }

    fn entered(&self, chapter: usize) -> Vec<String> {
        let Some(info) = self.chapters.get(chapter) else {
            return vec![];
        };
        let (chapter, all) = (chapter + 1, self.chapters.len());
        titled(
            format!("Chapter {chapter} of {all}: {}", info.title),
            &info.narration,
        )
    }

    /// One line when the tone of a note changes; its numbers change all the time.
    fn noted(&mut self, about: &str, tone: Tone, text: &str) -> Vec<String> {
        let before = self.notes.insert(about.to_owned(), tone);
        let news = match before {
            Some(before) => before != tone,
            None => matches!(tone, Tone::Warning | Tone::Bad),
        };
        if news {
            vec![format!("  {} {about}: {text}", tone_symbol(tone))]
        } else {
            vec![]
        }
    }

    fn found(finding: &Finding) -> Vec<String> {
        let Finding {
            name,
            subject,
            evidence,
            ..
        } = finding;
        let after = (finding.detected_at.saturating_sub(finding.first_seen)).as_secs_f64();
        let mut line = match finding.state {
            FindingState::Raised => format!(
                "  !! {} {name} [{subject}] {evidence}",
                word(finding.severity)
            ),
            FindingState::Cleared => format!("  ok cleared {name} [{subject}]"),
        };
        if finding.state == FindingState::Raised && after > 0.0 {
            let _ = write!(line, " (held for {after:.1} s before it was called)");
        }
        vec![line]
    }
}

fn titled(title: String, narration: &str) -> Vec<String> {
    let paragraphs = narration.lines().filter(|line| !line.trim().is_empty());
    let narration = paragraphs.map(|line| format!("     {line}"));
    iter::once(title).chain(narration).collect()
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => "WARNING",
        Severity::Critical => "CRITICAL",
    }
}

fn tone_symbol(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "  ",
        Tone::Good => "ok",
        Tone::Warning | Tone::Bad => "!!",
    }
}

fn measurement(m: &Measurement) -> String {
    let mut text = format!("{}: {}", m.name, number(m.value));
    if !m.unit.is_empty() {
        let _ = write!(text, " {}", m.unit);
    }
    if !m.detail.is_empty() {
        let _ = write!(text, " ({})", m.detail);
    }
    text
}

/// Counts as they are, everything else with three decimals.
fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}

fn health(snapshot: &HealthSnapshot) -> String {
    let mut parts: Vec<String> = snapshot
        .nodes
        .iter()
        .map(|n| match n.state {
            Reachability::Up => format!("{} up", n.id),
            Reachability::Suspect => format!("{} suspect", n.id),
            Reachability::Down => format!("{} down", n.id),
        })
        .collect();
    parts.extend(snapshot.dependencies.iter().map(|d| {
        format!(
            "{} {}",
            d.name,
            if d.connected {
                "connected"
            } else {
                "not connected"
            }
        )
    }));
    format!("health: {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn note_adds_a_line_when_its_tone_changes() {
        let mut transcript = Transcript::new();
        let mut note = |tone, text: &str| {
            let event = Event::Noted {
                about: "tap".into(),
                tone,
                text: text.into(),
            };
            transcript
                .lines(&TimedEvent {
                    at: Duration::ZERO,
                    event,
                })
                .concat()
        };
        assert_eq!(note(Tone::Good, "2 ms"), "");
        assert_eq!(note(Tone::Good, "3 ms"), "");
        assert_eq!(note(Tone::Warning, "drips"), "[  0.000]   !! tap: drips");
        assert_eq!(note(Tone::Warning, "drips more"), "");
        assert_eq!(note(Tone::Good, "2 ms"), "[  0.000]   ok tap: 2 ms");
    }
}
