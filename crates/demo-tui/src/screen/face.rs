//! The terminal while it is ours, with the time of its next frame. Both loops, of a live story and
//! of a log, stand on it.

use std::time::Duration;

use ratatui::crossterm::terminal;
use ratatui::layout::Size;
use tokio::time::{Instant, sleep_until};

use super::claim::Claim;
use super::display::Display;
use super::keys::{KeyInput, Keys};
use super::pacer::Pacer;
use crate::app::App;
use crate::bindings::Mode;
use crate::view::view;
use crate::{TuiError, ascii};

/// A claimed terminal: keys in, frames out.
pub(crate) struct Face {
    claim: Claim,
    display: Display,
    keys: Keys,
    pacer: Pacer,
    opened: Instant,
    ascii: bool,
    /// The failure that ended drawing.
    failure: Option<TuiError>,
}

/// The next thing to do.
#[derive(Debug)]
pub(crate) enum Prompt {
    /// Something in this process panicked.
    Panicked(String),
    /// A key, a size, or the end of both.
    Key(KeyInput),
    /// A frame is due.
    Draw,
}

impl Face {
    /// Takes the terminal.
    pub(crate) fn open(ascii: bool, mode: Mode) -> Result<(Self, Size), TuiError> {
        let claim = Claim::take()?;
        let (width, height) = terminal::size().map_err(|source| TuiError::Terminal {
            operation: "measuring",
            source,
        })?;
        let size = Size { width, height };
        let display = Display::open(size).map_err(|source| TuiError::Terminal {
            operation: "setting up",
            source,
        })?;
        let mut pacer = Pacer::default();
        pacer.changed();
        let (keys, opened) = (Keys::read(mode), Instant::now());
        Ok((
            Self {
                claim,
                display,
                keys,
                pacer,
                opened,
                ascii,
                failure: None,
            },
            size,
        ))
    }

    /// The next thing to do. After a failure there are no more keys and frames. Cancel safe.
    pub(crate) async fn next(&mut self) -> Prompt {
        let due = self.pacer.due().map(|due| self.opened + due);
        let alive = self.failure.is_none();
        tokio::select! {
            biased;
            message = self.claim.panicked() => Prompt::Panicked(message),
            key = self.keys.next(), if alive => Prompt::Key(key),
            () = until(due), if alive => Prompt::Draw,
        }
    }

    /// A key has changed the screen: a frame is due at once.
    pub(crate) fn pressed(&mut self) {
        self.pacer.pressed();
    }

    /// The screen has changed: a frame is due soon.
    pub(crate) fn changed(&mut self) {
        self.pacer.changed();
    }

    /// Draws a frame.
    pub(crate) fn draw(&mut self, app: &App) -> Result<(), TuiError> {
        let mut buffer = view(app);
        if self.ascii {
            ascii::fold(&mut buffer);
        }
        let shown = self.display.show(buffer);
        self.pacer.drawn(self.opened.elapsed());
        shown.map_err(|source| TuiError::Terminal {
            operation: "drawing on",
            source,
        })
    }

    /// Draws every cell of the next frame.
    pub(crate) fn forget(&mut self, size: Size) {
        self.display.forget(size);
    }

    /// Gives the terminal back. The first failure is the one that counts.
    pub(crate) fn fail(&mut self, failure: TuiError) {
        self.claim.release();
        self.failure.get_or_insert(failure);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// The instant at which the terminal was taken.
    pub(crate) fn opened(&self) -> Instant {
        self.opened
    }

    /// Gives the terminal back, and returns the failure if there was one.
    pub(crate) fn close(self) -> Result<(), TuiError> {
        self.failure.map_or(Ok(()), Err)
    }
}

/// Resolves at `instant`; never without one.
pub(crate) async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Interval in which time passes on the screen when nothing else happens.
pub(crate) const TICK: Duration = Duration::from_millis(200);
