//! The loop that plays a log.

use std::pin::pin;

use demo_core::{Event, Log, TimedEvent, Transcript};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::bindings::{KeyEffect, StorySource};
use crate::playback::LogPlayback;
use crate::screen::keys::KeyInput;
use crate::screen::terminal::{TICK, Terminal, TerminalEvent};
use crate::state::ScreenState;
use crate::update::{ScreenAction, ScreenCommand};
use crate::{ScreenResult, Tui, TuiError};

impl Tui {
    /// Plays a log on the terminal, from a chapter (from 0) or from its beginning, until the user
    /// leaves or `shutdown` resolves. Gives the terminal back on every path.
    ///
    /// # Errors
    /// [`TuiError::NoChapter`], [`TuiError::InUse`], [`TuiError::Terminal`] or
    /// [`TuiError::Panicked`].
    pub async fn replay(
        self,
        log: &Log,
        from: Option<usize>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<ScreenResult, TuiError> {
        let Self { app, ascii, dwell } = self;
        let mut playback = LogPlayback::new(log, dwell);
        let begun = match from {
            Some(chapter) => playback
                .enter(chapter)
                .ok_or(TuiError::NoChapter {
                    number: chapter + 1,
                })?
                .to_vec(),
            None => vec![],
        };
        let (terminal, size) = Terminal::open(ascii, StorySource::Log)?;
        let mut show = Show {
            app,
            terminal,
            playback,
            transcript: Transcript::new(),
            passed: Instant::now(),
            left: false,
        };
        show.act(ScreenAction::Resized(size));
        show.act(ScreenAction::Played(show.playback.player()));
        show.take(begun);
        show.play(shutdown).await;
        show.end()
    }
}

struct Show {
    app: ScreenState,
    terminal: Terminal,
    playback: LogPlayback,
    /// The source of the summary.
    transcript: Transcript,
    /// Time has passed up to here.
    passed: Instant,
    left: bool,
}

impl Show {
    async fn play(&mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while !self.left && !self.terminal.has_failed() {
            let wait = self.playback.wait();
            let due = async {
                match wait {
                    Some(wait) => sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = &mut shutdown => self.left = true,
                prompt = self.terminal.next() => self.prompted(prompt),
                () = due => self.pass(),
                _ = ticks.tick() => self.pass(),
            }
        }
    }

    fn prompted(&mut self, prompt: TerminalEvent) {
        match prompt {
            TerminalEvent::Panicked(message) => self.terminal.fail(TuiError::Panicked(message)),
            TerminalEvent::Draw => {
                if let Err(failure) = self.terminal.draw(&self.app) {
                    self.terminal.fail(failure);
                }
            }
            TerminalEvent::Key(KeyInput::Press(press)) => self.press(press),
            TerminalEvent::Key(KeyInput::Resize(size)) => {
                self.terminal.pressed();
                self.act(ScreenAction::Resized(size));
            }
            TerminalEvent::Key(KeyInput::Failed(source)) => {
                self.terminal.fail(TuiError::Terminal {
                    operation: "reading",
                    source,
                });
            }
        }
    }

    fn press(&mut self, press: KeyEffect) {
        self.pass();
        self.terminal.pressed();
        let covered = self.app.overlay.is_some();
        self.act(ScreenAction::Pressed(press));
        if covered {
            return;
        }
        if let Some(events) = self.playback.press(press).map(<[_]>::to_vec) {
            self.act(ScreenAction::Rewound);
            self.transcript = Transcript::new();
            self.take(events);
        }
        self.act(ScreenAction::Played(self.playback.player()));
    }

    /// Lets the time pass since it last did.
    fn pass(&mut self) {
        let now = Instant::now();
        let events = self.playback.pass(now - self.passed).to_vec();
        self.passed = now;
        self.take(events);
        self.act(ScreenAction::Passed(self.playback.now()));
        self.terminal.changed();
    }

    fn take(&mut self, events: Vec<TimedEvent>) {
        for stamped in events {
            if matches!(
                stamped.event,
                Event::Entered { .. } | Event::Finished { .. }
            ) {
                self.terminal.pressed();
            }
            self.transcript.lines(&stamped);
            self.act(ScreenAction::Emitted(stamped));
        }
    }

    fn act(&mut self, action: ScreenAction) {
        for command in self.app.update(action) {
            match command {
                ScreenCommand::Redraw => self.terminal.forget(self.app.size),
                ScreenCommand::Leave | ScreenCommand::Abandon => self.left = true,
                // A log has no story that could follow.
                ScreenCommand::Send(_) => {}
            }
        }
    }

    fn end(self) -> Result<ScreenResult, TuiError> {
        self.terminal.close()?;
        let Self {
            app, transcript, ..
        } = self;
        Ok(ScreenResult {
            outcome: app.story.outcome,
            summary: transcript.summary(),
            interrupted: app.interrupted,
        })
    }
}
