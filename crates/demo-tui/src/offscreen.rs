use std::time::Duration;

use demo_core::{StoryInput, TimedEvent};
use ratatui::buffer::Buffer;
use ratatui::layout::Size;

use crate::environment::Environment;
use crate::state::ScreenState;
use crate::update::{ScreenAction, ScreenCommand};
use crate::view::view;
use crate::{Background, Charset, ColorChoice, KeyEffect, ScreenOptions, ascii};

/// The screen without a terminal and without a clock: events and keys in, a buffer out. For tests
/// of a story's looks and for pictures of recorded events.
///
/// Ignores the environment: colours, Unicode and a dark background by default.
#[derive(Clone, Debug)]
pub struct Offscreen {
    app: ScreenState,
    ascii: bool,
}

impl Offscreen {
    /// An empty screen.
    pub fn new(options: &ScreenOptions) -> Self {
        let nowhere = Environment::default();
        let color = match options.color {
            ColorChoice::Auto => ColorChoice::Always,
            chosen => chosen,
        };
        let background = match options.background {
            Background::Auto => Background::Dark,
            chosen => chosen,
        };
        let app = ScreenState::new(nowhere.palette(color, background), options);
        Self {
            app,
            ascii: options.charset == Charset::Ascii,
        }
    }

    /// Takes an event in.
    pub fn apply(&mut self, stamped: TimedEvent) {
        self.app.update(ScreenAction::Emitted(stamped));
    }

    /// Presses a key and returns the input for the story, if there is one.
    pub fn press(&mut self, press: KeyEffect) -> Option<StoryInput> {
        match self.app.update(ScreenAction::Pressed(press)) {
            Some(ScreenCommand::Send(input)) => Some(input),
            _ => None,
        }
    }

    /// The title of the current chapter, as "4. The fault".
    pub(crate) fn chapter_title(&self) -> Option<String> {
        self.app.story.chapter_title()
    }

    /// Lets the story's time pass, up to `now` since it began.
    pub fn pass(&mut self, now: Duration) {
        self.app.update(ScreenAction::Passed(now));
    }

    /// Draws the screen at a size.
    pub fn draw(&mut self, width: u16, height: u16) -> Buffer {
        self.app
            .update(ScreenAction::Resized(Size { width, height }));
        let mut buffer = view(&self.app);
        if self.ascii {
            ascii::fold(&mut buffer);
        }
        buffer
    }
}
