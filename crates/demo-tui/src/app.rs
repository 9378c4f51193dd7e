//! The state of the front-end, and how it answers. Nothing here waits, draws or reads a clock.

use std::time::Duration;

use demo_core::{Event, Input, Outcome, Stamped};
use ratatui::layout::Size;

use crate::bindings::Press;
use crate::layout::{self, Layout, Needs, Panel};
use crate::model::story::Story;
use crate::theme::{Palette, Theme};
use crate::{Moment, panel};

/// A key that was meant for the last chapter does not close the summary that it brought up.
const LINGER: Duration = Duration::from_secs(1);

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// The story told something.
    Heard(Stamped),
    /// A key was pressed.
    Pressed(Press),
    /// So much time has passed since the story began.
    Passed(Duration),
    /// The screen has this size now.
    Resized(Size),
    /// The process was asked to end.
    Told,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Tell the story.
    Send(Input),
    /// Draw every cell again.
    Redraw,
    /// Take the pictures of this moment, and mark it in the recording.
    Keep(Moment),
    /// The story is over: leave.
    Leave,
    /// Leave without waiting for the story.
    Abandon,
}

/// Where a panel is scrolled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scroll {
    /// So many lines down.
    At(usize),
    /// The end, also when more comes.
    Tail,
}

/// The state of the front-end.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) story: Story,
    pub(crate) theme: Theme,
    pub(crate) mode_label: String,
    pub(crate) recording: bool,
    pub(crate) size: Size,
    focus: Panel,
    /// The user chose the focus in this chapter.
    focus_chosen: bool,
    pub(crate) zoom: bool,
    pub(crate) help: bool,
    /// Which chart stands first.
    pub(crate) first_chart: usize,
    scrolls: [Scroll; Panel::ALL.len()],
    /// Panels that the user scrolled in this chapter are left where they are.
    scrolled: [bool; Panel::ALL.len()],
    /// Somebody wants to leave, and the story has been told.
    pub(crate) leaving: bool,
    /// Ctrl-C was pressed before the story had ended.
    pub(crate) interrupted: bool,
    /// Like the story's time, but never stands still.
    clock: Duration,
    finished: Option<Duration>,
}

impl App {
    pub(crate) fn new(palette: Palette, mode_label: &str) -> Self {
        Self {
            story: Story::default(),
            theme: Theme::new(palette),
            mode_label: crate::model::text::one_line(mode_label),
            recording: false,
            size: Size::new(80, 24),
            focus: Panel::Narration,
            focus_chosen: false,
            zoom: false,
            help: false,
            first_chart: 0,
            scrolls: [Scroll::At(0); Panel::ALL.len()],
            scrolled: [false; Panel::ALL.len()],
            leaving: false,
            interrupted: false,
            clock: Duration::ZERO,
            finished: None,
        }
    }

    /// Takes in what happened and says what is to be done about it.
    pub(crate) fn update(&mut self, action: Action) -> Vec<Command> {
        match action {
            Action::Heard(stamped) => self.heard(&stamped),
            Action::Pressed(press) => self.pressed(press),
            Action::Passed(now) => {
                self.clock = self.clock.max(now);
                self.story.pass(now);
                vec![]
            }
            Action::Resized(size) => {
                self.size = size;
                vec![Command::Redraw]
            }
            Action::Told if self.finished.is_some() => vec![Command::Leave],
            Action::Told => self.quit(),
        }
    }

    /// The focused panel; the narration when the one that was chosen has nothing to show.
    pub(crate) fn focus(&self) -> Panel {
        if self.panels().contains(&self.focus) { self.focus } else { Panel::Narration }
    }

    /// The panels that can be focused, in the order of the Tab key.
    pub(crate) fn panels(&self) -> Vec<Panel> {
        let shown = |panel: &Panel| match panel {
            Panel::Text => self.story.page.is_some(),
            Panel::Charts => !self.story.charts.is_empty(),
            _ => true,
        };
        Panel::ALL.into_iter().filter(shown).collect()
    }

    /// Who stands where, at the present size.
    pub(crate) fn layout(&self) -> Layout {
        let rows = |n: usize| u16::try_from(n).unwrap_or(u16::MAX).min(100);
        layout::arrange(
            self.size,
            &Needs {
                focus: self.focus(),
                zoom: self.zoom,
                text: self.story.page.is_some(),
                over: self.story.outcome.is_some(),
                charts: self.story.charts.len(),
                chapters: rows(self.story.chapters.len()),
                narration: rows(panel::prose(self, layout::prose_width(self.size).into()).len()),
                cluster: rows(panel::cluster::rows(&self.story)),
                findings: rows(self.story.findings.len()),
            },
        )
    }

    pub(crate) fn scroll(&self, panel: Panel) -> Scroll {
        self.scrolls[panel as usize]
    }

    /// Whether the user scrolled a panel in this chapter.
    pub(crate) fn is_scrolled(&self, panel: Panel) -> bool {
        self.scrolled[panel as usize]
    }

    fn heard(&mut self, stamped: &Stamped) -> Vec<Command> {
        if self.finished.is_some() {
            // Some detector has not heard yet that it is over.
            return vec![];
        }
        self.clock = self.clock.max(stamped.at);
        let had_page = self.story.page.is_some();
        self.story.hear(stamped);
        match &stamped.event {
            Event::Entered { .. } => {
                self.focus = Panel::Narration;
                (self.focus_chosen, self.zoom) = (false, false);
                self.scrolls = [Scroll::At(0); Panel::ALL.len()];
                self.scrolled = [false; Panel::ALL.len()];
            }
            Event::Said { .. } | Event::Measured(_) | Event::Expected { .. } => {
                self.follow(Panel::Narration, Scroll::Tail);
            }
            Event::Text { .. } => {
                if !had_page && !self.focus_chosen {
                    self.focus = Panel::Text;
                }
                self.follow(Panel::Text, Scroll::Tail);
            }
            // What was written is now read from its beginning.
            Event::Settled { .. } => self.follow(Panel::Text, Scroll::At(0)),
            Event::Finished { outcome } => return self.ended(stamped, outcome),
            _ => {}
        }
        Moment::of(&stamped.event).map(Command::Keep).into_iter().collect()
    }

    fn ended(&mut self, stamped: &Stamped, outcome: &Outcome) -> Vec<Command> {
        self.finished = Some(stamped.at);
        self.focus = Panel::Narration;
        (self.zoom, self.help) = (false, false);
        self.scrolls[Panel::Narration as usize] = Scroll::At(0);
        let mut commands = vec![Command::Keep(Moment::Finished)];
        // Who asked to leave has seen enough.
        if self.leaving || *outcome == Outcome::Quit {
            commands.push(Command::Leave);
        }
        commands
    }

    fn pressed(&mut self, press: Press) -> Vec<Command> {
        let leaves = matches!(press, Press::Quit | Press::Interrupt);
        if self.help && !leaves {
            self.help = false;
            return vec![];
        }
        match press {
            Press::Quit | Press::Interrupt if self.finished.is_some() => vec![Command::Leave],
            Press::Interrupt if self.leaving => vec![Command::Abandon],
            Press::Quit => self.quit(),
            Press::Interrupt => {
                self.interrupted = true;
                self.quit()
            }
            Press::Advance => match self.finished {
                Some(at) if self.clock >= at + LINGER => vec![Command::Leave],
                Some(_) => vec![],
                None => self.tell(Input::Advance),
            },
            Press::Rerun => self.tell(Input::Rerun),
            Press::NextPanel => self.move_focus(1),
            Press::PreviousPanel => self.move_focus(-1),
            Press::Up => self.scroll_by(-1, false),
            Press::Down => self.scroll_by(1, false),
            Press::PageUp => self.scroll_by(-1, true),
            Press::PageDown => self.scroll_by(1, true),
            Press::Zoom => {
                self.zoom = !self.zoom;
                vec![]
            }
            Press::Help => {
                self.help = true;
                vec![]
            }
            Press::Redraw => vec![Command::Redraw],
        }
    }

    /// What the story is told while it can still follow.
    fn tell(&self, input: Input) -> Vec<Command> {
        if self.leaving || self.finished.is_some() { vec![] } else { vec![Command::Send(input)] }
    }

    fn quit(&mut self) -> Vec<Command> {
        let commands = self.tell(Input::Quit);
        self.leaving = true;
        commands
    }

    fn follow(&mut self, panel: Panel, to: Scroll) {
        if !self.scrolled[panel as usize] {
            self.scrolls[panel as usize] = to;
        }
    }

    fn move_focus(&mut self, by: isize) -> Vec<Command> {
        let panels = self.panels();
        let at = panels.iter().position(|p| *p == self.focus()).unwrap_or(0);
        self.focus = panels[at.saturating_add_signed(panels.len().cast_signed() + by) % panels.len()];
        self.focus_chosen = true;
        vec![]
    }

    fn scroll_by(&mut self, by: isize, pages: bool) -> Vec<Command> {
        let panel = self.focus();
        if panel == Panel::Charts {
            let charts = self.story.charts.len().max(1);
            self.first_chart = self.first_chart.saturating_add_signed(charts.cast_signed() + by) % charts;
            return vec![];
        }
        let (most, page) = panel::extent(self, panel);
        let from = self.offset(panel, most);
        let step = if pages { by * page.max(1).cast_signed() } else { by };
        let to = from.saturating_add_signed(step).min(most);
        self.scrolls[panel as usize] = if to == most && by > 0 { Scroll::Tail } else { Scroll::At(to) };
        self.scrolled[panel as usize] = true;
        vec![]
    }

    /// How far down a panel is shown that can be scrolled by `most` lines.
    pub(crate) fn offset(&self, panel: Panel, most: usize) -> usize {
        match self.scroll(panel) {
            Scroll::At(line) => line.min(most),
            Scroll::Tail => most,
        }
    }
}

#[cfg(test)]
mod tests;
