//! The state of the front-end, and the questions that the panels ask of it. It changes in `update`
//! alone.

use std::time::Duration;

use outside_text::clean_line;
use ratatui::layout::Size;

use crate::ScreenOptions;
use crate::bindings::KeyMode;
use crate::layout::Panel;
use crate::model::story::StoryState;
use crate::theme::{Palette, Theme};

/// The scroll position of a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScrollPosition {
    /// A number of lines from the top.
    At(usize),
    /// The end, also when more comes.
    Tail,
}

/// A box over all panels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overlay {
    /// The keys.
    Help,
    /// The narration of the next chapter.
    Ahead,
}

/// The progress of a log that is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Player {
    /// Multiple of the recorded pace.
    pub(crate) speed: f64,
    pub(crate) paused: bool,
    /// Time of the last event.
    pub(crate) length: Duration,
}

/// The state of the front-end.
#[derive(Clone, Debug)]
pub(crate) struct ScreenState {
    pub(crate) story: StoryState,
    pub(crate) theme: Theme,
    pub(crate) mode_label: String,
    /// Few panels and much space.
    pub(crate) large: bool,
    /// The log being played; `None` for a live story.
    pub(crate) player: Option<Player>,
    pub(crate) size: Size,
    pub(crate) focus: Panel,
    /// The user chose the focus in this chapter.
    pub(crate) focus_chosen: bool,
    pub(crate) zoom: bool,
    /// The box over all panels.
    pub(crate) overlay: Option<Overlay>,
    /// The text shows its second level.
    pub(crate) details: bool,
    /// Time of the last key, on the story's clock.
    pub(crate) last_key: Option<Duration>,
    /// Index of the chart that stands first.
    pub(crate) first_chart: usize,
    pub(crate) scrolls: [ScrollPosition; Panel::ALL.len()],
    /// Panels that the user scrolled in this chapter are left where they are.
    pub(crate) scrolled: [bool; Panel::ALL.len()],
    /// The story was asked to quit.
    pub(crate) leaving: bool,
    /// Ctrl-C was pressed before the story had ended.
    pub(crate) interrupted: bool,
    /// Like the story's time, but never stands still.
    pub(crate) clock: Duration,
    pub(crate) finished: Option<Duration>,
}

impl ScreenState {
    pub(crate) fn new(palette: Palette, options: &ScreenOptions) -> Self {
        Self {
            story: StoryState::default(),
            theme: Theme::new(palette),
            mode_label: clean_line(&options.mode_label),
            large: options.large,
            player: None,
            size: Size::new(80, 24),
            focus: Panel::Narration,
            focus_chosen: false,
            zoom: false,
            overlay: None,
            details: false,
            last_key: None,
            first_chart: 0,
            scrolls: [ScrollPosition::At(0); Panel::ALL.len()],
            scrolled: [false; Panel::ALL.len()],
            leaving: false,
            interrupted: false,
            clock: Duration::ZERO,
            finished: None,
        }
    }

    /// The set of keys that have an effect.
    pub(crate) fn mode(&self) -> KeyMode {
        if self.player.is_some() {
            KeyMode::Log
        } else {
            KeyMode::Live
        }
    }

    /// The focused panel; the narration when the one that was chosen has nothing to show.
    pub(crate) fn focus(&self) -> Panel {
        if self.panels().contains(&self.focus) {
            self.focus
        } else {
            Panel::Narration
        }
    }

    /// The panels that can be focused, in the order of the Tab key.
    pub(crate) fn panels(&self) -> Vec<Panel> {
        let shown = |panel: &Panel| match panel {
            Panel::Text => self.story.page.is_some(),
            Panel::Charts => self.story.charts_to_show() > 0,
            Panel::Intervals => self.story.intervals.is_some(),
            _ => true,
        };
        Panel::ALL.into_iter().filter(shown).collect()
    }

    pub(crate) fn scroll(&self, panel: Panel) -> ScrollPosition {
        self.scrolls[panel as usize]
    }

    /// Whether the user scrolled a panel in this chapter.
    pub(crate) fn is_scrolled(&self, panel: Panel) -> bool {
        self.scrolled[panel as usize]
    }

    /// The first visible line of a panel that can be scrolled by `most` lines.
    pub(crate) fn offset(&self, panel: Panel, most: usize) -> usize {
        match self.scroll(panel) {
            ScrollPosition::At(line) => line.min(most),
            ScrollPosition::Tail => most,
        }
    }
}
