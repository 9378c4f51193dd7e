//! The loop that plays a log.

use std::pin::pin;

use demo_core::{Event, Log, Stamped, Transcript};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::app::App;
use crate::bindings::{Mode, Press};
use crate::playback::Playback;
use crate::screen::face::{Face, Prompt, TICK};
use crate::screen::keys::KeyInput;
use crate::update::{Action, Command};
use crate::{Ending, Tui, TuiError};

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
    ) -> Result<Ending, TuiError> {
        let Self { app, ascii, dwell } = self;
        let mut playback = Playback::new(log, dwell);
        let begun = match from {
            Some(chapter) => playback
                .enter(chapter)
                .ok_or(TuiError::NoChapter {
                    number: chapter + 1,
                })?
                .to_vec(),
            None => vec![],
        };
        let (face, size) = Face::open(ascii, Mode::Log)?;
        let mut show = Show {
            app,
            face,
            playback,
            transcript: Transcript::new(),
            passed: Instant::now(),
            left: false,
        };
        show.act(Action::Resized(size));
        show.act(Action::Played(show.playback.player()));
        show.take(begun);
        show.play(shutdown).await;
        show.end()
    }
}

struct Show {
    app: App,
    face: Face,
    playback: Playback,
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
        while !self.left && !self.face.has_failed() {
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
                prompt = self.face.next() => self.prompted(prompt),
                () = due => self.pass(),
                _ = ticks.tick() => self.pass(),
            }
        }
    }

    fn prompted(&mut self, prompt: Prompt) {
        match prompt {
            Prompt::Panicked(message) => self.face.fail(TuiError::Panicked(message)),
            Prompt::Draw => {
                if let Err(failure) = self.face.draw(&self.app) {
                    self.face.fail(failure);
                }
            }
            Prompt::Key(KeyInput::Press(press)) => self.press(press),
            Prompt::Key(KeyInput::Resize(size)) => {
                self.face.pressed();
                self.act(Action::Resized(size));
            }
            Prompt::Key(KeyInput::Failed(source)) => {
                self.face.fail(TuiError::Terminal {
                    operation: "reading",
                    source,
                });
            }
        }
    }

    fn press(&mut self, press: Press) {
        self.pass();
        self.face.pressed();
        let covered = self.app.overlay.is_some();
        self.act(Action::Pressed(press));
        if covered {
            return;
        }
        if let Some(events) = self.playback.press(press).map(<[_]>::to_vec) {
            self.act(Action::Rewound);
            self.transcript = Transcript::new();
            self.take(events);
        }
        self.act(Action::Played(self.playback.player()));
    }

    /// Lets the time pass since it last did.
    fn pass(&mut self) {
        let now = Instant::now();
        let events = self.playback.pass(now - self.passed).to_vec();
        self.passed = now;
        self.take(events);
        self.act(Action::Passed(self.playback.now()));
        self.face.changed();
    }

    fn take(&mut self, events: Vec<Stamped>) {
        for stamped in events {
            if matches!(
                stamped.event,
                Event::Entered { .. } | Event::Finished { .. }
            ) {
                self.face.pressed();
            }
            self.transcript.lines(&stamped);
            self.act(Action::Emitted(stamped));
        }
    }

    fn act(&mut self, action: Action) {
        for command in self.app.update(action) {
            match command {
                Command::Redraw => self.face.forget(self.app.size),
                Command::Leave | Command::Abandon => self.left = true,
                // A log has no story that could follow.
                Command::Send(_) => {}
            }
        }
    }

    fn end(self) -> Result<Ending, TuiError> {
        self.face.close()?;
        let Self {
            app, transcript, ..
        } = self;
        Ok(Ending {
            outcome: app.story.outcome,
            summary: transcript.summary(),
            interrupted: app.interrupted,
        })
    }
}
