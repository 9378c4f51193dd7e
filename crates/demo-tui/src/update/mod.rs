//! The changes of the front-end's state: an action in, a command out. Nothing here waits, draws or
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
    /// Applies an action, and returns the command that follows from it.
    pub(crate) fn update(&mut self, action: ScreenAction) -> Option<ScreenCommand> {
        match action {
            ScreenAction::Emitted(stamped) => return self.apply(&stamped),
            ScreenAction::Pressed(press) => {
                self.last_key = Some(self.clock);
                return self.pressed(press);
            }
            ScreenAction::Passed(now) => {
                self.clock = self.clock.max(now);
                self.story.pass(now);
            }
            ScreenAction::Resized(size) => {
                self.size = size;
                return Some(ScreenCommand::Redraw);
            }
            ScreenAction::Played(player) => self.player = Some(player),
            ScreenAction::Rewound => {
                self.story = StoryState::default();
                (self.finished, self.clock) = (None, Duration::ZERO);
            }
            ScreenAction::Shutdown => return self.quit(),
        }
        None
    }

    fn apply(&mut self, stamped: &TimedEvent) -> Option<ScreenCommand> {
        if self.finished.is_some() {
            // A detector may emit events shortly after the end.
            return None;
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
            Event::Finished { outcome } => {
                self.finished = Some(stamped.at);
                self.focus = Panel::Narration;
                (self.zoom, self.overlay) = (false, None);
                self.scrolls[Panel::Narration as usize] = ScrollPosition::At(0);
                // A user who quit does not need the summary.
                let quit = self.leaving || *outcome == StoryEnd::Quit;
                return (quit && self.player.is_none()).then_some(ScreenCommand::Leave);
            }
            _ => {}
        }
        None
    }

    fn pressed(&mut self, press: KeyEffect) -> Option<ScreenCommand> {
        let leaves = matches!(press, KeyEffect::Quit | KeyEffect::Interrupt);
        let covered = self.overlay.take();
        if covered == Some(Overlay::Help) && !leaves {
            return None;
        }
        match press {
            KeyEffect::Quit => return self.quit(),
            KeyEffect::Interrupt if self.leaving && self.finished.is_none() => {
                return Some(ScreenCommand::Abandon);
            }
            KeyEffect::Interrupt => {
                self.interrupted |= self.finished.is_none() && self.player.is_none();
                return self.quit();
            }
            KeyEffect::Advance => {
                return match self.finished {
                    Some(at) => (self.clock >= at + LINGER).then_some(ScreenCommand::Leave),
                    None => self.send(StoryInput::Advance),
                };
            }
            KeyEffect::Rerun => return self.send(StoryInput::Rerun),
            KeyEffect::Encore => return self.send(StoryInput::Encore),
            KeyEffect::Redraw => return Some(ScreenCommand::Redraw),
            KeyEffect::NextPanel => self.move_focus(1),
            KeyEffect::PreviousPanel => self.move_focus(-1),
            KeyEffect::Up => self.scroll_by(-1, false),
            KeyEffect::Down => self.scroll_by(1, false),
            KeyEffect::PageUp => self.scroll_by(-1, true),
            KeyEffect::PageDown => self.scroll_by(1, true),
            KeyEffect::Zoom => self.zoom = !self.zoom,
            KeyEffect::Help => self.overlay = Some(Overlay::Help),
            KeyEffect::Ahead if covered.is_none() => self.overlay = Some(Overlay::Ahead),
            KeyEffect::Details => {
                self.details = !self.details;
                self.scrolls[Panel::Text as usize] = ScrollPosition::At(0);
            }
            // The same key closes the narration ahead; the source follows the others.
            KeyEffect::Ahead
            | KeyEffect::Pause
            | KeyEffect::Faster
            | KeyEffect::Slower
            | KeyEffect::NextChapter
            | KeyEffect::PreviousChapter
            | KeyEffect::End => {}
        }
        None
    }

    /// Sends an input, unless the story is quitting or over.
    fn send(&self, input: StoryInput) -> Option<ScreenCommand> {
        let listens = !self.leaving && self.finished.is_none();
        listens.then_some(ScreenCommand::Send(input))
    }

    /// Leaves when there is no story to wait for, and else asks it to end.
    fn quit(&mut self) -> Option<ScreenCommand> {
        if self.finished.is_some() || self.player.is_some() {
            return Some(ScreenCommand::Leave);
        }
        let command = self.send(StoryInput::Quit);
        self.leaving = true;
        command
    }

    fn follow(&mut self, panel: Panel, to: ScrollPosition) {
        if !self.scrolled[panel as usize] {
            self.scrolls[panel as usize] = to;
        }
    }

    fn move_focus(&mut self, by: isize) {
        let panels = self.panels();
        let at = panels.iter().position(|p| *p == self.focus()).unwrap_or(0);
        self.focus = panels[wrapping(at, by, panels.len())];
        self.focus_chosen = true;
    }

    fn scroll_by(&mut self, by: isize, pages: bool) {
        let panel = self.focus();
        if panel == Panel::Charts {
            let charts = self.story.charts.len().max(1);
            self.first_chart = wrapping(self.first_chart, by, charts);
            return;
        }
        let (most, page) = panel::extent(self, panel);
        let step = if pages { page.max(1) } else { 1 };
        let from = self.offset(panel, most);
        let to = from
            .saturating_add_signed(by * step.cast_signed())
            .min(most);
        self.scrolls[panel as usize] = if to == most && by > 0 {
            ScrollPosition::Tail
        } else {
            ScrollPosition::At(to)
        };
        self.scrolled[panel as usize] = true;
    }
}

/// The place one step from another, of `places` in a circle.
fn wrapping(at: usize, by: isize, places: usize) -> usize {
    at.saturating_add_signed(places.cast_signed() + by) % places
}

#[cfg(test)]
mod tests;
