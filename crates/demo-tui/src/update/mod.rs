//! The changes of the front-end's state: an action in, commands out. Nothing here waits, draws or
//! reads a clock.

use std::time::Duration;

use demo_core::{Event, StoryEnd, StoryInput, TimedEvent};
use ratatui::layout::Size;

use crate::bindings::KeyEffect;
use crate::layout::Panel;
use crate::model::story::StoryState;
use crate::panel;
use crate::state::{Overlay, Player, ScreenState, ScrollPosition};

/// A key that was meant for the last chapter does not close the summary that it brought up.
const LINGER: Duration = Duration::from_secs(1);

/// An input of the front-end.
#[derive(Clone, Debug)]
pub(crate) enum ScreenAction {
    /// The story emitted an event.
    Emitted(TimedEvent),
    /// A key was pressed.
    Pressed(KeyEffect),
    /// Time has passed; the duration is since the story began.
    Passed(Duration),
    /// The screen has this size now.
    Resized(Size),
    /// A log is played in this way from now on.
    Played(Player),
    /// A log jumps: its events come again from the first.
    Rewound,
    /// The process was asked to end.
    Shutdown,
}

/// An output of the front-end's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScreenCommand {
    /// Send an input to the story.
    Send(StoryInput),
    /// Draw every cell again.
    Redraw,
    /// The story is over: leave.
    Leave,
    /// Leave without waiting for the story.
    Abandon,
}

impl ScreenState {
    /// Applies an action, and returns the commands that follow from it.
    pub(crate) fn update(&mut self, action: ScreenAction) -> Vec<ScreenCommand> {
        match action {
            ScreenAction::Emitted(stamped) => self.apply(&stamped),
            ScreenAction::Pressed(press) => {
                self.last_key = Some(self.clock);
                self.pressed(press)
            }
            ScreenAction::Passed(now) => {
                self.clock = self.clock.max(now);
                self.story.pass(now);
                vec![]
            }
            ScreenAction::Resized(size) => {
                self.size = size;
                vec![ScreenCommand::Redraw]
            }
            ScreenAction::Played(player) => {
                self.player = Some(player);
                vec![]
            }
            ScreenAction::Rewound => {
                (self.story, self.finished, self.clock) =
                    (StoryState::default(), None, Duration::ZERO);
                vec![]
            }
            ScreenAction::Shutdown if self.finished.is_some() => vec![ScreenCommand::Leave],
            ScreenAction::Shutdown => self.quit(),
        }
    }

    fn apply(&mut self, stamped: &TimedEvent) -> Vec<ScreenCommand> {
        if self.finished.is_some() {
            // A detector may emit events shortly after the end.
            return vec![];
        }
        self.clock = self.clock.max(stamped.at);
        let had_page = self.story.page.is_some();
        self.story.apply(stamped);
        match &stamped.event {
            Event::Entered { .. } => {
                self.focus = Panel::Narration;
                (self.focus_chosen, self.zoom, self.details) = (false, false, false);
                self.scrolls = [ScrollPosition::At(0); Panel::ALL.len()];
                self.scrolled = [false; Panel::ALL.len()];
            }
            Event::Said { .. } | Event::Measured(_) | Event::Expected { .. } => {
                self.follow(Panel::Narration, ScrollPosition::Tail);
            }
            Event::Focused { .. } => self.first_chart = 0,
            Event::Text { .. } => {
                if !had_page && !self.focus_chosen {
                    self.focus = Panel::Text;
                }
                self.follow(Panel::Text, ScrollPosition::Tail);
            }
            // The complete text is read from its beginning.
            Event::Settled { .. } => self.follow(Panel::Text, ScrollPosition::At(0)),
            Event::Finished { outcome } => return self.ended(stamped, outcome),
            _ => {}
        }
        vec![]
    }

    fn ended(&mut self, stamped: &TimedEvent, outcome: &StoryEnd) -> Vec<ScreenCommand> {
        self.finished = Some(stamped.at);
        self.focus = Panel::Narration;
        (self.zoom, self.overlay) = (false, None);
        self.scrolls[Panel::Narration as usize] = ScrollPosition::At(0);
        // A user who quit does not need the summary.
        let quit = self.leaving || *outcome == StoryEnd::Quit;
        if quit && self.player.is_none() {
            vec![ScreenCommand::Leave]
        } else {
            vec![]
        }
    }

    fn pressed(&mut self, press: KeyEffect) -> Vec<ScreenCommand> {
        let leaves = matches!(press, KeyEffect::Quit | KeyEffect::Interrupt);
        if press == KeyEffect::Ahead && self.overlay == Some(Overlay::Ahead) {
            self.overlay = None;
            return vec![];
        }
        if self.overlay.take() == Some(Overlay::Help) && !leaves {
            return vec![];
        }
        match press {
            KeyEffect::Quit | KeyEffect::Interrupt
                if self.finished.is_some() || self.player.is_some() =>
            {
                vec![ScreenCommand::Leave]
            }
            KeyEffect::Interrupt if self.leaving => vec![ScreenCommand::Abandon],
            KeyEffect::Quit => self.quit(),
            KeyEffect::Interrupt => {
                self.interrupted = true;
                self.quit()
            }
            KeyEffect::Advance => match self.finished {
                Some(at) if self.clock >= at + LINGER => vec![ScreenCommand::Leave],
                Some(_) => vec![],
                None => self.send(StoryInput::Advance),
            },
            KeyEffect::Rerun => self.send(StoryInput::Rerun),
            KeyEffect::NextPanel => self.move_focus(1),
            KeyEffect::PreviousPanel => self.move_focus(-1),
            KeyEffect::Up => self.scroll_by(-1, false),
            KeyEffect::Down => self.scroll_by(1, false),
            KeyEffect::PageUp => self.scroll_by(-1, true),
            KeyEffect::PageDown => self.scroll_by(1, true),
            KeyEffect::Zoom => {
                self.zoom = !self.zoom;
                vec![]
            }
            KeyEffect::Help => {
                self.overlay = Some(Overlay::Help);
                vec![]
            }
            KeyEffect::Ahead => {
                self.overlay = Some(Overlay::Ahead);
                vec![]
            }
            KeyEffect::Details => {
                self.details = !self.details;
                self.scrolls[Panel::Text as usize] = ScrollPosition::At(0);
                vec![]
            }
            KeyEffect::Redraw => vec![ScreenCommand::Redraw],
            // The player of the log follows these.
            KeyEffect::Pause
            | KeyEffect::Faster
            | KeyEffect::Slower
            | KeyEffect::NextChapter
            | KeyEffect::PreviousChapter
            | KeyEffect::End => vec![],
        }
    }

    /// Sends an input, unless the story is quitting or over.
    fn send(&self, input: StoryInput) -> Vec<ScreenCommand> {
        if self.leaving || self.finished.is_some() {
            vec![]
        } else {
            vec![ScreenCommand::Send(input)]
        }
    }

    fn quit(&mut self) -> Vec<ScreenCommand> {
        let commands = self.send(StoryInput::Quit);
        self.leaving = true;
        commands
    }

    fn follow(&mut self, panel: Panel, to: ScrollPosition) {
        if !self.scrolled[panel as usize] {
            self.scrolls[panel as usize] = to;
        }
    }

    fn move_focus(&mut self, by: isize) -> Vec<ScreenCommand> {
        let panels = self.panels();
        let at = panels.iter().position(|p| *p == self.focus()).unwrap_or(0);
        self.focus =
            panels[at.saturating_add_signed(panels.len().cast_signed() + by) % panels.len()];
        self.focus_chosen = true;
        vec![]
    }

    fn scroll_by(&mut self, by: isize, pages: bool) -> Vec<ScreenCommand> {
        let panel = self.focus();
        if panel == Panel::Charts {
            let charts = self.story.charts.len().max(1);
            self.first_chart = self
                .first_chart
                .saturating_add_signed(charts.cast_signed() + by)
                % charts;
            return vec![];
        }
        let (most, page) = panel::extent(self, panel);
        let from = self.offset(panel, most);
        let step = if pages {
            by * page.max(1).cast_signed()
        } else {
            by
        };
        let to = from.saturating_add_signed(step).min(most);
        self.scrolls[panel as usize] = if to == most && by > 0 {
            ScrollPosition::Tail
        } else {
            ScrollPosition::At(to)
        };
        self.scrolled[panel as usize] = true;
        vec![]
    }
}

#[cfg(test)]
mod tests;
