use std::io::IsTerminal;
use std::pin::pin;
use std::time::Duration;

use demo_core::{Event, StoryEnd, StoryInput, TimedEvent, Transcript};
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::bindings::{KeyEffect, StorySource};
use crate::environment::Environment;
use crate::screen::keys::KeyInput;
use crate::screen::terminal::{TICK, Terminal, TerminalEvent, until};
use crate::state::{Overlay, ScreenState};
use crate::update::{ScreenAction, ScreenCommand};
use crate::{ScreenOptions, TuiError};

/// Deadline of the story's end after it was asked to quit. A runner heals in three seconds at most.
const HEAL_DEADLINE: Duration = Duration::from_secs(10);
/// Events taken in before keys are looked at again.
const BATCH: usize = 64;

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
        let Self { mut app, ascii, .. } = self;
        let (terminal, size) = match Terminal::open(ascii, StorySource::Live) {
            Ok(opened) => opened,
            Err(error) => {
                // A full channel holds inputs that make the story go on, and closes with the
                // caller's end of it.
                let _ = inputs.try_send(StoryInput::Quit);
                return Err(error);
            }
        };
        app.update(ScreenAction::Resized(size));
        let mut show = Show {
            app,
            terminal,
            transcript: Transcript::new(),
            inputs,
            quit_pending: false,
            story_began: None,
            give_up: None,
            left: false,
            abandoned: false,
        };
        show.play(events, shutdown).await;
        show.end()
    }
}

/// The shell around [`ScreenState`]: it has the clock, the channels and the screen, and decides
/// nothing.
struct Show {
    app: ScreenState,
    terminal: Terminal,
    /// The source of the summary.
    transcript: Transcript,
    inputs: Sender<StoryInput>,
    /// [`StoryInput::Quit`] is not sent yet. The story does not receive while it heals.
    quit_pending: bool,
    story_began: Option<Instant>,
    give_up: Option<Instant>,
    left: bool,
    abandoned: bool,
}

impl Show {
    async fn play(
        &mut self,
        mut events: UnboundedReceiver<TimedEvent>,
        shutdown: impl Future<Output = ()>,
    ) {
        let mut shutdown = pin!(shutdown);
        let (mut asked, mut open) = (false, true);
        let mut emitted = Vec::with_capacity(BATCH);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while !self.left {
            tokio::select! {
                biased;
                () = &mut shutdown, if !asked => {
                    asked = true;
                    self.act(ScreenAction::Shutdown);
                }
                () = until(self.give_up) => {
                    self.abandoned = true;
                    self.left = true;
                }
                prompt = self.terminal.next() => self.prompted(prompt),
                // A closed channel belongs to a story that has ended.
                _ = self.inputs.send(StoryInput::Quit), if self.quit_pending => {
                    self.quit_pending = false;
                }
                count = events.recv_many(&mut emitted, BATCH), if open => {
                    open = count > 0;
                    for stamped in emitted.drain(..) {
                        self.emitted(stamped);
                    }
                    if !open && self.app.story.outcome.is_none() {
                        self.fail(TuiError::StoryLost);
                        self.left = true;
                    }
                }
                _ = ticks.tick() => self.pass(),
            }
        }
    }

    fn end(self) -> Result<ScreenResult, TuiError> {
        let Self {
            app,
            terminal,
            transcript,
            abandoned,
            ..
        } = self;
        terminal.close()?;
        let interrupted = app.interrupted;
        let outcome = app.story.outcome.filter(|_| !abandoned);
        Ok(ScreenResult {
            outcome,
            summary: transcript.summary(),
            interrupted,
        })
    }

    fn act(&mut self, action: ScreenAction) {
        for command in self.app.update(action) {
            match command {
                ScreenCommand::Send(StoryInput::Quit) => self.quit(),
                // A story that does not listen would follow too late.
                ScreenCommand::Send(input) => drop(self.inputs.try_send(input)),
                ScreenCommand::Redraw => self.terminal.forget(self.app.size),
                ScreenCommand::Leave => self.left = true,
                ScreenCommand::Abandon => {
                    self.abandoned = true;
                    self.left = true;
                }
            }
        }
    }

    fn prompted(&mut self, prompt: TerminalEvent) {
        match prompt {
            TerminalEvent::Panicked(message) => self.fail(TuiError::Panicked(message)),
            TerminalEvent::Draw => {
                if let Err(failure) = self.terminal.draw(&self.app) {
                    self.fail(failure);
                }
            }
            TerminalEvent::Key(KeyInput::Press(press)) => {
                // The answer to these is the story's, and drawn when it comes.
                let answered = matches!(press, KeyEffect::Advance | KeyEffect::Rerun);
                if !answered || self.app.overlay == Some(Overlay::Help) {
                    self.terminal.pressed();
                }
                self.act(ScreenAction::Pressed(press));
            }
            TerminalEvent::Key(KeyInput::Resize(size)) => {
                self.terminal.pressed();
                self.act(ScreenAction::Resized(size));
            }
            TerminalEvent::Key(KeyInput::Failed(source)) => {
                self.fail(TuiError::Terminal {
                    operation: "reading",
                    source,
                });
            }
        }
    }

    fn emitted(&mut self, stamped: TimedEvent) {
        // Events come a little late, never early: the earliest beginning is the right one.
        let began = Instant::now()
            .checked_sub(stamped.at)
            .unwrap_or(self.terminal.opened());
        self.story_began = Some(self.story_began.map_or(began, |known| known.min(began)));
        match stamped.event {
            Event::Entered { .. } | Event::Refused { .. } | Event::Finished { .. } => {
                self.terminal.pressed()
            }
            _ => self.terminal.changed(),
        }
        if self.app.story.outcome.is_none() {
            self.transcript.lines(&stamped);
        }
        self.act(ScreenAction::Emitted(stamped));
        self.left |= self.app.story.outcome.is_some() && self.terminal.has_failed();
    }

    fn pass(&mut self) {
        if let Some(began) = self.story_began {
            self.act(ScreenAction::Passed(began.elapsed()));
            self.terminal.changed();
        }
    }

    fn quit(&mut self) {
        self.quit_pending = true;
        self.give_up
            .get_or_insert_with(|| Instant::now() + HEAL_DEADLINE);
    }

    /// Gives the terminal back and waits for the story to heal.
    fn fail(&mut self, failure: TuiError) {
        self.terminal.fail(failure);
        self.left |= self.app.story.outcome.is_some();
        self.quit();
    }
}
