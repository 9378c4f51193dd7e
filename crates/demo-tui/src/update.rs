//! The changes of the front-end's state: an action in, commands out. Nothing here waits, draws or
//! reads a clock.

use std::time::Duration;

use demo_core::{Event, Input, Outcome, Stamped};
use ratatui::layout::Size;

use crate::app::{App, Overlay, Player, Scroll};
use crate::bindings::Press;
use crate::layout::Panel;
use crate::model::story::Story;
use crate::panel;

/// A key that was meant for the last chapter does not close the summary that it brought up.
const LINGER: Duration = Duration::from_secs(1);

/// An input of the front-end.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// The story emitted an event.
    Emitted(Stamped),
    /// A key was pressed.
    Pressed(Press),
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
pub(crate) enum Command {
    /// Send an input to the story.
    Send(Input),
    /// Draw every cell again.
    Redraw,
    /// The story is over: leave.
    Leave,
    /// Leave without waiting for the story.
    Abandon,
}

impl App {
    /// Applies an action, and returns the commands that follow from it.
    pub(crate) fn update(&mut self, action: Action) -> Vec<Command> {
        match action {
            Action::Emitted(stamped) => self.apply(&stamped),
            Action::Pressed(press) => {
                self.last_key = Some(self.clock);
                self.pressed(press)
            }
            Action::Passed(now) => {
                self.clock = self.clock.max(now);
                self.story.pass(now);
                vec![]
            }
            Action::Resized(size) => {
                self.size = size;
                vec![Command::Redraw]
            }
            Action::Played(player) => {
                self.player = Some(player);
                vec![]
            }
            Action::Rewound => {
                (self.story, self.finished, self.clock) = (Story::default(), None, Duration::ZERO);
                vec![]
            }
            Action::Shutdown if self.finished.is_some() => vec![Command::Leave],
            Action::Shutdown => self.quit(),
        }
    }

    fn apply(&mut self, stamped: &Stamped) -> Vec<Command> {
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
                self.scrolls = [Scroll::At(0); Panel::ALL.len()];
                self.scrolled = [false; Panel::ALL.len()];
            }
            Event::Said { .. } | Event::Measured(_) | Event::Expected { .. } => {
                self.follow(Panel::Narration, Scroll::Tail);
            }
            Event::Focused { .. } => self.first_chart = 0,
            Event::Text { .. } => {
                if !had_page && !self.focus_chosen {
                    self.focus = Panel::Text;
                }
                self.follow(Panel::Text, Scroll::Tail);
            }
            // The complete text is read from its beginning.
            Event::Settled { .. } => self.follow(Panel::Text, Scroll::At(0)),
            Event::Finished { outcome } => return self.ended(stamped, outcome),
            _ => {}
        }
        vec![]
    }

    fn ended(&mut self, stamped: &Stamped, outcome: &Outcome) -> Vec<Command> {
        self.finished = Some(stamped.at);
        self.focus = Panel::Narration;
        (self.zoom, self.overlay) = (false, None);
        self.scrolls[Panel::Narration as usize] = Scroll::At(0);
        // A user who quit does not need the summary.
        let quit = self.leaving || *outcome == Outcome::Quit;
        if quit && self.player.is_none() {
            vec![Command::Leave]
        } else {
            vec![]
        }
    }

    fn pressed(&mut self, press: Press) -> Vec<Command> {
        let leaves = matches!(press, Press::Quit | Press::Interrupt);
        if press == Press::Ahead && self.overlay == Some(Overlay::Ahead) {
            self.overlay = None;
            return vec![];
        }
        if self.overlay.take() == Some(Overlay::Help) && !leaves {
            return vec![];
        }
        match press {
            Press::Quit | Press::Interrupt if self.finished.is_some() || self.player.is_some() => {
                vec![Command::Leave]
            }
            Press::Interrupt if self.leaving => vec![Command::Abandon],
            Press::Quit => self.quit(),
            Press::Interrupt => {
                self.interrupted = true;
                self.quit()
            }
            Press::Advance => match self.finished {
                Some(at) if self.clock >= at + LINGER => vec![Command::Leave],
                Some(_) => vec![],
                None => self.send(Input::Advance),
            },
            Press::Rerun => self.send(Input::Rerun),
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
                self.overlay = Some(Overlay::Help);
                vec![]
            }
            Press::Ahead => {
                self.overlay = Some(Overlay::Ahead);
                vec![]
            }
            Press::Details => {
                self.details = !self.details;
                self.scrolls[Panel::Text as usize] = Scroll::At(0);
                vec![]
            }
            Press::Redraw => vec![Command::Redraw],
            // The player of the log follows these.
            Press::Pause
            | Press::Faster
            | Press::Slower
            | Press::NextChapter
            | Press::PreviousChapter
            | Press::End => vec![],
        }
    }

    /// Sends an input, unless the story is quitting or over.
    fn send(&self, input: Input) -> Vec<Command> {
        if self.leaving || self.finished.is_some() {
            vec![]
        } else {
            vec![Command::Send(input)]
        }
    }

    fn quit(&mut self) -> Vec<Command> {
        let commands = self.send(Input::Quit);
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
        self.focus =
            panels[at.saturating_add_signed(panels.len().cast_signed() + by) % panels.len()];
        self.focus_chosen = true;
        vec![]
    }

    fn scroll_by(&mut self, by: isize, pages: bool) -> Vec<Command> {
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
            Scroll::Tail
        } else {
            Scroll::At(to)
        };
        self.scrolled[panel as usize] = true;
        vec![]
    }
}

#[cfg(test)]
mod tests;
