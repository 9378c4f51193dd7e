use std::io::IsTerminal;
use std::pin::pin;
use std::time::Duration;

use demo_core::{Event, Log, StoryEnd, StoryInput, TimedEvent, Transcript};
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::bindings::{KeyEffect, KeyMode};
use crate::environment::Environment;
use crate::playback::LogPlayback;
use crate::screen::keys::KeyInput;
use crate::screen::terminal::{TICK, Terminal, TerminalEvent, until};
use crate::source::{LiveSource, LogSource, StorySource};
use crate::state::{Overlay, ScreenState};
use crate::update::{ScreenAction, ScreenCommand};
use crate::{ScreenOptions, TuiError};

/// Deadline of the story's end after it was asked to quit. A runner heals in three seconds at most.
const HEAL_DEADLINE: Duration = Duration::from_secs(10);

/// A front-end that is ready to show a story. Nothing is drawn before [`Tui::run`] or
/// [`Tui::replay`].
#[derive(Debug)]
pub struct Tui {
    pub(crate) app: ScreenState,
    pub(crate) ascii: bool,
    /// Shortest time for which a chapter of a log is visible.
    pub(crate) dwell: Duration,
}

/// The end of a story on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScreenResult {
    /// The story's outcome; `None` when the screen was left without waiting for healing.
    pub outcome: Option<StoryEnd>,
    /// The story's measurements and its outcome, one line each.
    pub summary: Vec<String>,
    /// Whether Ctrl-C ended it early, which programs report with an exit code of its own.
    pub interrupted: bool,
}

impl Tui {
    /// Checks that there is a terminal, before anything starts.
    ///
    /// # Errors
    /// [`TuiError::NotATerminal`].
    pub fn new(options: &ScreenOptions) -> Result<Self, TuiError> {
        if !std::io::stdout().is_terminal() {
            return Err(TuiError::NotATerminal("output"));
        }
        if !std::io::stdin().is_terminal() {
            return Err(TuiError::NotATerminal("input"));
        }
        let environment = Environment::read(|name| std::env::var(name).ok());
        let palette = environment.palette(options.color, options.background);
        let ascii = environment.ascii(options.charset);
        Ok(Self {
            app: ScreenState::new(palette, options),
            ascii,
            dwell: options.dwell,
        })
    }

    /// Takes the terminal, shows the story, and gives the terminal back on every path.
    ///
    /// `events` and `inputs` are those of a [`DemoRunner`](demo_core::DemoRunner) that runs in a
    /// task of its own. The caller owns the signals: when `shutdown` resolves
    /// ([`termination`](crate::termination) is made for it), the story is asked to end as with `q`,
    /// and left when it has. A story left before its end gets [`StoryInput::Quit`] first, and has
    /// healed when its last event comes; only a second Ctrl-C, or a story that does not end for ten
    /// seconds, is left without that. Dropping the future gives the terminal back, too.
    ///
    /// Drawing writes to the terminal and may block as long as the terminal does, so the story must
    /// be able to go on elsewhere: a runtime of several threads.
    ///
    /// # Errors
    /// [`TuiError::InUse`], [`TuiError::Terminal`], [`TuiError::Panicked`] or
    /// [`TuiError::StoryLost`]. The terminal has been given back and the story has been asked to
    /// end by then.
    pub async fn run(
        self,
        events: UnboundedReceiver<TimedEvent>,
        inputs: Sender<StoryInput>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<ScreenResult, TuiError> {
        self.show(LiveSource::new(events, inputs), vec![], shutdown)
            .await
    }

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
        let mut playback = LogPlayback::new(log, self.dwell);
        let begun = match from {
            Some(chapter) => playback.enter(chapter).ok_or(TuiError::NoChapter {
                number: chapter + 1,
            })?,
            None => &[],
        };
        let begun = begun.to_vec();
        self.show(LogSource::new(playback), begun, shutdown).await
    }

    /// Shows a source, whose first events are at hand.
    async fn show(
        self,
        mut source: impl StorySource,
        begun: Vec<TimedEvent>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<ScreenResult, TuiError> {
        let keys = match source.player() {
            Some(_) => KeyMode::Log,
            None => KeyMode::Live,
        };
        // A full channel holds inputs that make the story go on, and closes with the caller's end
        // of it.
        let (terminal, size) =
            Terminal::open(self.ascii, keys).inspect_err(|_| source.send(StoryInput::Quit))?;
        let mut show = Show {
            app: self.app,
            terminal,
            source,
            transcript: Transcript::new(),
            give_up: None,
            left: false,
            abandoned: false,
        };
        show.act(ScreenAction::Resized(size));
        show.follow_player();
        show.take(begun);
        show.play(shutdown).await;
        show.terminal.close()?;
        Ok(ScreenResult {
            outcome: show.app.story.outcome.filter(|_| !show.abandoned),
            summary: show.transcript.summary(),
            interrupted: show.app.interrupted,
        })
    }
}

/// The shell around [`ScreenState`]: it has the source, the screen and the deadline, and decides
/// nothing.
struct Show<S> {
    app: ScreenState,
    terminal: Terminal,
    source: S,
    /// The source of the summary.
    transcript: Transcript,
    give_up: Option<Instant>,
    left: bool,
    abandoned: bool,
}

impl<S: StorySource> Show<S> {
    async fn play(&mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut asked = false;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while !self.left {
            tokio::select! {
                biased;
                () = &mut shutdown, if !asked => {
                    asked = true;
                    self.act(ScreenAction::Shutdown);
                }
                () = until(self.give_up) => self.abandon(),
                event = self.terminal.next() => self.handle(event),
                ready = self.source.ready() => {
                    self.pass();
                    if let Err(lost) = ready && self.app.story.outcome.is_none() {
                        self.fail(lost);
                        self.left = true;
                    }
                }
                _ = ticks.tick() => self.pass(),
            }
        }
    }

    fn act(&mut self, action: ScreenAction) {
        match self.app.update(action) {
            Some(ScreenCommand::Send(input)) => {
                if input == StoryInput::Quit {
                    self.give_up
                        .get_or_insert_with(|| Instant::now() + HEAL_DEADLINE);
                }
                self.source.send(input);
            }
            Some(ScreenCommand::Redraw) => self.terminal.forget(self.app.size),
            Some(ScreenCommand::Leave) => self.left = true,
            Some(ScreenCommand::Abandon) => self.abandon(),
            None => {}
        }
    }

    fn handle(&mut self, event: TerminalEvent) {
        match event {
            TerminalEvent::Draw => {
                if let Err(failure) = self.terminal.draw(&self.app) {
                    self.fail(failure);
                }
            }
            TerminalEvent::Key(KeyInput::Press(press)) => self.press(press),
            TerminalEvent::Key(KeyInput::Resize(size)) => {
                self.terminal.pressed();
                self.act(ScreenAction::Resized(size));
            }
            TerminalEvent::Key(KeyInput::Failed(source)) => self.fail(TuiError::Terminal {
                operation: "reading",
                source,
            }),
            TerminalEvent::Panicked(message) => self.fail(TuiError::Panicked(message)),
        }
    }

    fn press(&mut self, press: KeyEffect) {
        self.pass();
        let covered = self.app.overlay;
        // The answer to these is the story's, and drawn when it comes.
        let answered = matches!(
            press,
            KeyEffect::Advance | KeyEffect::Rerun | KeyEffect::Encore
        );
        if !answered || covered == Some(Overlay::Help) {
            self.terminal.pressed();
        }
        self.act(ScreenAction::Pressed(press));
        if covered.is_none() {
            if let Some(events) = self.source.press(press) {
                self.act(ScreenAction::Rewound);
                self.transcript = Transcript::new();
                self.take(events);
            }
            self.follow_player();
        }
    }

    fn follow_player(&mut self) {
        if let Some(player) = self.source.player() {
            self.act(ScreenAction::Played(player));
        }
    }

    /// Takes the events that are due, and lets time pass.
    fn pass(&mut self) {
        let events = self.source.take();
        self.take(events);
        if let Some(now) = self.source.now() {
            self.act(ScreenAction::Passed(now));
            self.terminal.changed();
        }
    }

    fn take(&mut self, events: Vec<TimedEvent>) {
        for stamped in events {
            if matches!(
                stamped.event,
                Event::Entered { .. } | Event::Refused { .. } | Event::Finished { .. }
            ) {
                self.terminal.pressed();
            }
            if self.app.story.outcome.is_none() {
                self.transcript.lines(&stamped);
            }
            self.act(ScreenAction::Emitted(stamped));
        }
        self.left |= self.app.story.outcome.is_some() && self.terminal.has_failed();
    }

    /// Gives the terminal back and waits for the story to heal.
    fn fail(&mut self, failure: TuiError) {
        self.terminal.fail(failure);
        self.act(ScreenAction::Shutdown);
    }

    fn abandon(&mut self) {
        self.abandoned = true;
        self.left = true;
    }
}
