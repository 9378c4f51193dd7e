//! The terminal while it is ours, with the time of its next frame.

use std::time::Duration;

use ratatui::crossterm::terminal;
use ratatui::layout::Size;
use tokio::time::{Instant, sleep_until};

use super::display::ScreenDisplay;
use super::guard::TerminalGuard;
use super::keys::{KeyInput, KeyReader};
use super::timer::FrameTimer;
use crate::bindings::KeyMode;
use crate::state::ScreenState;
use crate::view::view;
use crate::{TuiError, ascii};

/// A claimed terminal: keys in, frames out.
pub(crate) struct Terminal {
    guard: TerminalGuard,
    display: ScreenDisplay,
    keys: KeyReader,
    timer: FrameTimer,
    opened: Instant,
    ascii: bool,
    /// The failure that ended drawing.
    failure: Option<TuiError>,
}

/// The next thing to do.
#[derive(Debug)]
pub(crate) enum TerminalEvent {
    /// Something in this process panicked.
    Panicked(String),
    /// A key, a size, or the end of both.
    Key(KeyInput),
    /// A frame is due.
    Draw,
}

impl Terminal {
    /// Takes the terminal.
    pub(crate) fn open(ascii: bool, mode: KeyMode) -> Result<(Self, Size), TuiError> {
        let guard = TerminalGuard::take()?;
        let (width, height) = terminal::size().map_err(|source| TuiError::Terminal {
            operation: "measuring",
            source,
        })?;
        let size = Size { width, height };
        let display = ScreenDisplay::open(size).map_err(|source| TuiError::Terminal {
            operation: "setting up",
            source,
        })?;
        let mut timer = FrameTimer::default();
        timer.changed();
        let (keys, opened) = (KeyReader::read(mode), Instant::now());
        Ok((
            Self {
                guard,
                display,
                keys,
                timer,
                opened,
                ascii,
                failure: None,
            },
            size,
        ))
    }

    /// The next thing to do. After a failure there are no more keys and frames. Cancel safe.
    pub(crate) async fn next(&mut self) -> TerminalEvent {
        let due = self.timer.due().map(|due| self.opened + due);
        let alive = self.failure.is_none();
        tokio::select! {
            biased;
            message = self.guard.panicked() => TerminalEvent::Panicked(message),
            key = self.keys.next(), if alive => TerminalEvent::Key(key),
            () = until(due), if alive => TerminalEvent::Draw,
        }
    }

    /// A key has changed the screen: a frame is due at once.
    pub(crate) fn pressed(&mut self) {
        self.timer.pressed();
    }

    /// The screen has changed: a frame is due soon.
    pub(crate) fn changed(&mut self) {
        self.timer.changed();
    }

    /// Draws a frame.
    pub(crate) fn draw(&mut self, app: &ScreenState) -> Result<(), TuiError> {
        let mut buffer = view(app);
        if self.ascii {
            ascii::fold(&mut buffer);
        }
        let shown = self.display.show(buffer);
        self.timer.drawn(self.opened.elapsed());
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
        self.guard.release();
        self.failure.get_or_insert(failure);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
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
