//! The content of all events so far, in the shape in which it is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use demo_core::{
    ChapterInfo, Event, Finding, FindingState, HealthSnapshot, Intervals, Measurement, StoryEnd,
    Table, TimedEvent, Tone,
};
use outside_text::{clean_line, clean_text};

use super::chart::Chart;
use super::marks::TimeMarks;

/// How long the reason for a refusal is shown.
pub(crate) const NOTICE: Duration = Duration::from_secs(4);
/// Most sentences kept of one chapter; scrolling back further is of no use.
const MAX_SPOKEN: usize = 400;
/// Most bytes kept of a text panel, from its end.
const MAX_TEXT: usize = 64 * 1024;
/// Most findings kept.
const MAX_FINDINGS: usize = 200;

/// The story so far. All text in it is safe to draw.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoryState {
    pub(crate) subject: String,
    pub(crate) chapters: Vec<ChapterInfo>,
    /// The current chapter, and whether its callback runs.
    pub(crate) current: Option<usize>,
    /// The chapters that were entered: a story that begins late leaves some out.
    pub(crate) entered: BTreeSet<usize>,
    pub(crate) running: bool,
    /// Title and narration of the encore.
    pub(crate) encore: Option<(String, String)>,
    /// The sentences and measurements of this chapter.
    pub(crate) spoken: Vec<NarrationLine>,
    pub(crate) status: Option<StatusGauge>,
    /// The charts of this act first.
    pub(crate) charts: Vec<Chart>,
    /// Begin of the time axes.
    pub(crate) act_began: Duration,
    pub(crate) marks: TimeMarks,
    pub(crate) health: HealthSnapshot,
    /// Notes on nodes and dependencies, by name.
    pub(crate) notes: BTreeMap<String, (Tone, String)>,
    /// Newest last.
    pub(crate) findings: Vec<Sighting>,
    pub(crate) measured: Vec<Measurement>,
    pub(crate) expected: Vec<(String, bool)>,
    pub(crate) page: Option<TextPage>,
    pub(crate) intervals: Option<Intervals>,
    pub(crate) refusal: Option<RefusalNotice>,
    pub(crate) outcome: Option<StoryEnd>,
    /// Time since the story began. Stands still when it has ended.
    pub(crate) now: Duration,
}

/// A line of the narration that was not written beforehand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NarrationLine {
    Said(Tone, String),
    Measured(Measurement),
    Expected(String, bool),
    Table(Table),
}

/// The status line, with the times for its progress bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatusGauge {
    pub(crate) text: String,
    /// Time of its end, if it is known.
    pub(crate) until: Option<Duration>,
    /// Its whole duration.
    pub(crate) total: Duration,
}

/// A finding, and the time of its end.
#[derive(Clone, Debug)]
pub(crate) struct Sighting {
    pub(crate) finding: Finding,
    pub(crate) cleared: Option<Duration>,
}

/// A longer text that belongs to one chapter.
#[derive(Clone, Debug)]
pub(crate) struct TextPage {
    pub(crate) panel: String,
    pub(crate) text: String,
    /// The second level.
    pub(crate) details: String,
}

/// The reason for a refused input, and the number of refusals in a row.
#[derive(Clone, Debug)]
pub(crate) struct RefusalNotice {
    pub(crate) reason: String,
    pub(crate) at: Duration,
    pub(crate) times: u32,
}

impl StoryState {
    /// Lets time pass.
    pub(crate) fn pass(&mut self, now: Duration) {
        if self.outcome.is_none() {
            self.now = self.now.max(now);
        }
    }

    /// Takes an event in.
    pub(crate) fn apply(&mut self, TimedEvent { at, event }: &TimedEvent) {
        self.pass(*at);
        match event {
            Event::Started {
                version: _,
                subject,
                chapters,
                charts,
            } => {
                self.subject = clean_line(subject);
                self.chapters = chapters.iter().map(safe_chapter).collect();
                self.charts = charts.iter().cloned().map(Chart::new).collect();
            }
            Event::Entered { chapter } => {
                self.current = Some(*chapter);
                self.entered.insert(*chapter);
                self.running = false;
                self.encore = None;
                self.clear_chapter();
            }
            Event::Encore { title, narration } => {
                self.encore = Some((clean_line(title), clean_text(narration)));
                self.clear_chapter();
            }
            Event::Running { .. } => {
                self.running = true;
                (self.page, self.intervals) = (None, None);
            }
            Event::Settled { .. } => {
                self.running = false;
                self.status = None;
            }
            Event::Status { status } => {
                self.status = status
                    .as_ref()
                    .map(|s| self.status_line(*at, &s.text, s.remaining));
            }
            Event::Said { tone, text } => self.speak(NarrationLine::Said(*tone, clean_text(text))),
            Event::Measured(m) => self.measure(m),
            Event::Sampled { chart, values } => {
                if let Some(chart) = self.charts.iter_mut().find(|c| c.spec.id == *chart) {
                    chart.sample(*at, values);
                }
            }
            Event::Marked(mark) => self.marks.mark(*at, mark),
            Event::Focused { charts } => {
                let place = |chart: &Chart| charts.iter().position(|id| *id == chart.spec.id);
                self.charts
                    .sort_by_key(|chart| place(chart).unwrap_or(charts.len()));
                self.act_began = *at;
            }
            Event::Intervals(intervals) => self.intervals = Some(safe_intervals(intervals)),
            Event::Table(table) => self.speak(NarrationLine::Table(safe_table(table))),
            Event::Health(snapshot) => self.health = safe_health(snapshot),
            Event::Noted { about, tone, text } => {
                self.notes
                    .insert(clean_line(about), (*tone, clean_line(text)));
            }
            Event::Found(finding) => self.found(*at, finding),
            Event::Text {
                panel,
                piece,
                detail,
            } => self.append(panel, piece, *detail),
            Event::Expected { name, occurred } => {
                let name = clean_line(name);
                self.expected.retain(|(other, _)| *other != name);
                self.expected.push((name.clone(), *occurred));
                self.speak(NarrationLine::Expected(name, *occurred));
            }
            Event::Refused { reason } => self.refuse(*at, reason),
            Event::Finished { outcome } => {
                self.running = false;
                self.status = None;
                self.outcome = Some(safe_outcome(outcome));
                // A live clock is a little ahead of the events, and a log's is not.
                self.now = *at;
            }
            // Reports for programs are not shown.
            _ => {}
        }
    }

    /// The current chapter.
    pub(crate) fn chapter(&self) -> Option<&ChapterInfo> {
        self.chapters.get(self.current?)
    }

    /// Its number and title, as "4. The fault".
    pub(crate) fn chapter_title(&self) -> Option<String> {
        if let Some((title, _)) = &self.encore {
            return Some(format!("Encore: {title}"));
        }
        let number = self.current? + 1;
        Some(format!("{number}. {}", self.chapter()?.title))
    }

    /// Whether the chapter can not be left yet.
    pub(crate) fn blocked(&self) -> bool {
        self.running && self.chapter().is_some_and(|c| c.blocks_advance)
    }

    /// Number of charts, once the first has a value to draw. A table takes their place.
    pub(crate) fn charts_to_show(&self) -> usize {
        let is_table = |line: &NarrationLine| matches!(line, NarrationLine::Table(_));
        let has_table = self.spoken.iter().any(is_table);
        if !has_table && self.charts.first().is_some_and(Chart::has_data) {
            self.charts.len()
        } else {
            0
        }
    }

    /// The findings that still hold.
    pub(crate) fn active(&self) -> impl Iterator<Item = &Sighting> {
        self.findings.iter().filter(|s| s.cleared.is_none())
    }

    fn clear_chapter(&mut self) {
        self.spoken.clear();
        (self.page, self.intervals) = (None, None);
        self.refusal = None;
    }

    fn status_line(&self, at: Duration, words: &str, remaining: Option<Duration>) -> StatusGauge {
        let text = clean_line(words);
        let left = remaining.unwrap_or_default();
        let total = match &self.status {
            Some(before) if before.text == text => before.total.max(left),
            _ => left,
        };
        StatusGauge {
            text,
            until: remaining.map(|left| at + left),
            total,
        }
    }

    fn speak(&mut self, spoken: NarrationLine) {
        if self.spoken.len() >= MAX_SPOKEN {
            self.spoken.remove(0);
        }
        self.spoken.push(spoken);
    }

    fn measure(&mut self, m: &Measurement) {
        let m = Measurement {
            name: clean_line(&m.name),
            unit: clean_line(&m.unit).into(),
            detail: clean_line(&m.detail),
            value: m.value,
        };
        match self.measured.iter_mut().find(|old| old.name == m.name) {
            Some(old) => *old = m.clone(),
            None => self.measured.push(m.clone()),
        }
        let old = self.spoken.iter_mut().find(|line| match line {
            NarrationLine::Measured(old) => old.name == m.name,
            _ => false,
        });
        match old {
            Some(old) => *old = NarrationLine::Measured(m),
            None => self.speak(NarrationLine::Measured(m)),
        }
    }

    fn found(&mut self, at: Duration, finding: &Finding) {
        let finding = safe_finding(finding);
        let cleared = (finding.state == FindingState::Cleared).then_some(at);
        match self
            .findings
            .iter_mut()
            .find(|s| s.finding.id == finding.id)
        {
            // The numbers of the violation are more useful than those after healing.
            Some(known) if cleared.is_some() => known.cleared = known.cleared.or(cleared),
            Some(known) => *known = Sighting { finding, cleared },
            None => {
                if self.findings.len() >= MAX_FINDINGS {
                    self.findings.remove(0);
                }
                self.findings.push(Sighting { finding, cleared });
            }
        }
    }

    fn append(&mut self, panel: &str, piece: &str, detail: bool) {
        let panel = clean_line(panel);
        if self.page.as_ref().is_none_or(|page| page.panel != panel) {
            self.page = Some(TextPage {
                panel,
                text: String::new(),
                details: String::new(),
            });
        }
        let Some(page) = &mut self.page else { return };
        let text = if detail {
            &mut page.details
        } else {
            &mut page.text
        };
        text.push_str(&clean_text(piece));
        if text.len() > MAX_TEXT {
            let surplus = text.len() - MAX_TEXT;
            let cut = (surplus..).find(|i| text.is_char_boundary(*i));
            text.drain(..cut.unwrap_or(surplus));
        }
    }

    fn refuse(&mut self, at: Duration, reason: &str) {
        let reason = clean_line(reason);
        let times = match &self.refusal {
            Some(before) if before.reason == reason && at < before.at + NOTICE => before.times + 1,
            _ => 1,
        };
        self.refusal = Some(RefusalNotice { reason, at, times });
    }
}

fn safe_chapter(info: &ChapterInfo) -> ChapterInfo {
    ChapterInfo {
        title: clean_line(&info.title),
        narration: clean_text(&info.narration),
        key_hint: clean_line(&info.key_hint),
        ..info.clone()
    }
}

fn safe_health(snapshot: &HealthSnapshot) -> HealthSnapshot {
    let mut safe = snapshot.clone();
    for node in &mut safe.nodes {
        node.id = clean_line(&node.id);
        node.address = clean_line(&node.address);
    }
    for dependency in &mut safe.dependencies {
        dependency.name = clean_line(&dependency.name);
    }
    safe
}

fn safe_intervals(intervals: &Intervals) -> Intervals {
    let mut safe = intervals.clone();
    safe.title = clean_line(&safe.title);
    safe.unit = clean_line(&safe.unit).into();
    safe.rows
        .retain(|row| row.from.is_finite() && row.to.is_finite());
    for row in &mut safe.rows {
        row.label = clean_line(&row.label);
    }
    safe
}

fn safe_table(table: &Table) -> Table {
    let mut safe = table.clone();
    safe.title = clean_line(&safe.title);
    let cells = safe.rows.iter_mut().flat_map(|row| &mut row.cells);
    for cell in cells.chain(&mut safe.headings) {
        *cell = clean_line(cell);
    }
    safe
}

fn safe_finding(finding: &Finding) -> Finding {
    Finding {
        name: clean_line(&finding.name),
        subject: clean_line(&finding.subject),
        evidence: clean_line(&finding.evidence),
        ..finding.clone()
    }
}

fn safe_outcome(outcome: &StoryEnd) -> StoryEnd {
    match outcome {
        StoryEnd::Missed { expectations } => StoryEnd::Missed {
            expectations: expectations.iter().map(|e| clean_line(e)).collect(),
        },
        StoryEnd::Failed { chapter, error } => StoryEnd::Failed {
            chapter: clean_line(chapter),
            error: clean_line(error),
        },
        StoryEnd::Completed | StoryEnd::Quit => outcome.clone(),
    }
}
