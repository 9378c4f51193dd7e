use std::time::Duration;

use demo_core::{Input, Stamped};
use ratatui::buffer::Buffer;
use ratatui::layout::Size;

use crate::app::App;
use crate::environment::Environment;
use crate::update::{Action, Command};
use crate::view::view;
use crate::{Background, Charset, ColorChoice, Options, Press, ascii};

/// The screen without a terminal and without a clock: events and keys in, a buffer out. For tests
/// of a story's looks and for pictures of recorded events.
///
/// Ignores the environment: colours, Unicode and a dark background by default.
#[derive(Clone, Debug)]
pub struct Offscreen {
    app: App,
    ascii: bool,
}

impl Offscreen {
    /// An empty screen.
    pub fn new(options: &Options) -> Self {
        let nowhere = Environment::default();
        let color = match options.color {
            ColorChoice::Auto => ColorChoice::Always,
            chosen => chosen,
        };
        let background = match options.background {
            Background::Auto => Background::Dark,
            chosen => chosen,
        };
        let app = App::new(nowhere.palette(color, background), options);
        Self {
            app,
            ascii: options.charset == Charset::Ascii,
        }
    }

    /// Takes an event in.
    pub fn apply(&mut self, stamped: Stamped) {
        self.app.update(Action::Emitted(stamped));
    }

    /// Presses a key and returns the inputs for the story.
    pub fn press(&mut self, press: Press) -> Vec<Input> {
        let commands = self.app.update(Action::Pressed(press)).into_iter();
        commands
            .filter_map(|command| match command {
                Command::Send(input) => Some(input),
                _ => None,
            })
            .collect()
    }

    /// Lets the story's time pass, up to `now` since it began.
    pub fn pass(&mut self, now: Duration) {
        self.app.update(Action::Passed(now));
    }

    /// Draws the screen at a size.
    pub fn draw(&mut self, width: u16, height: u16) -> Buffer {
        self.app.update(Action::Resized(Size { width, height }));
        let mut buffer = view(&self.app);
        if self.ascii {
            ascii::fold(&mut buffer);
        }
        buffer
    }
}
