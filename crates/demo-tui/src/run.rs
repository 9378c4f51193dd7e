use std::fs::OpenOptions;
use std::io::IsTerminal;
use std::pin::pin;
use std::time::Duration;

use demo_core::{Event, Input, Outcome, Stamped, Transcript};
use ratatui::buffer::Buffer;
use ratatui::crossterm::terminal;
use ratatui::layout::Size;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::app::App;
use crate::bindings::Press;
use crate::environment::Environment;
use crate::screen::cast::Cast;
use crate::screen::claim::Claim;
use crate::screen::display::Display;
use crate::screen::keys::{KeyInput, Keys};
use crate::screen::pacer::Pacer;
use crate::theme::Palette;
use crate::update::{Action, Command};
use crate::view::view;
use crate::{Moment, Options, Picture, TuiError, ascii, svg};

/// How often time passes on the screen when nothing else happens.
const TICK: Duration = Duration::from_millis(200);
/// Deadline of the story's end after it was asked to quit. A runner heals in three seconds at most.
const HEAL_DEADLINE: Duration = Duration::from_secs(10);
/// Events taken in before keys are looked at again.
const BATCH: usize = 64;

/// A front-end that is ready to show a story. Nothing is drawn before [`Tui::run`].
#[derive(Debug)]
pub struct Tui {
    app: App,
    ascii: bool,
    palette: Palette,
    cast: Option<Cast>,
    pictures: Vec<Picture>,
    offscreen: Option<Size>,
}

/// The end of a story on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The story's outcome; `None` when the screen was left without waiting for healing.
    pub outcome: Option<Outcome>,
    /// The story's measurements and its outcome, one line each.
    pub summary: Vec<String>,
    /// Whether Ctrl-C ended it early, which programs report with an exit code of its own.
    pub interrupted: bool,
    /// Failures of the recording or a picture, which do not stop a story.
    pub warnings: Vec<String>,
}

impl Tui {
    /// Checks everything that can fail before anything starts: that there is a terminal, and that the recording and the
    /// pictures can be written.
    ///
    /// # Errors
    /// [`TuiError::NotATerminal`], [`TuiError::Record`] or [`TuiError::Picture`].
    pub fn new(options: Options) -> Result<Self, TuiError> {
        if options.offscreen.is_none() {
            if !std::io::stdout().is_terminal() {
                return Err(TuiError::NotATerminal("output"));
            }
            if !std::io::stdin().is_terminal() {
                return Err(TuiError::NotATerminal("input"));
            }
        }
        for Picture { path, .. } in &options.pictures {
            let opened = OpenOptions::new().create(true).append(true).open(path);
            opened.map_err(|source| TuiError::Picture { path: path.clone(), source })?;
        }
        let cast = match options.record {
            Some(path) => Some(Cast::create(&path).map_err(|source| TuiError::Record { path, source })?),
            None => None,
        };
        let environment = Environment::read(|name| std::env::var(name).ok());
        let palette = environment.palette(options.color, options.background);
        let mut app = App::new(palette, &options.mode_label);
        app.recording = cast.is_some() && options.offscreen.is_none();
        Ok(Self {
            app,
            ascii: environment.ascii(options.charset),
            palette,
            cast,
            pictures: options.pictures,
            offscreen: options.offscreen,
        })
    }

    /// Takes the terminal, shows the story, and gives the terminal back on every path.
    ///
    /// `events` and `inputs` are those of a [`DemoRunner`](demo_core::DemoRunner) that runs in a task of its own. The
    /// caller owns the signals: when `shutdown` resolves ([`termination`](crate::termination) is made for it), the story
    /// is asked to end as with `q`, and left when it has. A story left before its end gets [`Input::Quit`] first, and
    /// has healed when its last event comes; only a second Ctrl-C, or a story that does not end for ten seconds, is
    /// left without that. Dropping the future gives the terminal back, too.
    ///
    /// Drawing writes to the terminal and may block as long as the terminal does, so the story must be able to go on
    /// elsewhere: a runtime of several threads.
    ///
    /// # Errors
    /// [`TuiError::InUse`], [`TuiError::Terminal`], [`TuiError::Panicked`] or [`TuiError::StoryLost`]. The terminal has
    /// been given back and the story has been asked to end by then.
    pub async fn run(
        self,
        events: UnboundedReceiver<Stamped>,
        inputs: Sender<Input>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<Ending, TuiError> {
        let visible = self.offscreen.is_none();
        let mut show = match self.open(inputs.clone()) {
            Ok(show) => show,
            Err(error) => {
                // A full channel holds inputs that make the story go on, and closes with the caller's end of it.
                let _ = inputs.try_send(Input::Quit);
                return Err(error);
            }
        };
        show.play(events, shutdown, Keys::read(visible)).await;
        show.end()
    }

    /// Takes the terminal.
    fn open(self, inputs: Sender<Input>) -> Result<Show, TuiError> {
        let visible = self.offscreen.is_none();
        let claim = Claim::take(visible)?;
        let size = match self.offscreen {
            Some(size) => size,
            None => terminal::size()
                .map(|(width, height)| Size { width, height })
                .map_err(|source| TuiError::Terminal { operation: "measuring", source })?,
        };
        let display = Display::open(size, visible, self.cast)
            .map_err(|source| TuiError::Terminal { operation: "setting up", source })?;
        let mut app = self.app;
        app.update(Action::Resized(size));
        Ok(Show {
            app,
            transcript: Transcript::new(),
            ascii: self.ascii,
            palette: self.palette,
            pictures: self.pictures,
            leaves_alone: !visible,
            claim,
            display,
            inputs,
            quit_pending: false,
            pacer: Pacer::default(),
            opened: Instant::now(),
            story_began: None,
            give_up: None,
            failure: None,
            left: false,
            abandoned: false,
            warnings: Vec::new(),
        })
    }
}

/// The shell around [`App`]: it has the clock, the channels and the screen, and decides nothing.
struct Show {
    app: App,
    /// The source of the summary.
    transcript: Transcript,
    ascii: bool,
    palette: Palette,
    pictures: Vec<Picture>,
    /// The screen closes at the end without a key.
    leaves_alone: bool,
    claim: Claim,
    display: Display,
    inputs: Sender<Input>,
    /// [`Input::Quit`] is not sent yet. The story does not receive while it heals.
    quit_pending: bool,
    pacer: Pacer,
    opened: Instant,
    story_began: Option<Instant>,
    give_up: Option<Instant>,
    /// The failure that ended drawing. The story is still waited for, so that it heals.
    failure: Option<TuiError>,
    left: bool,
    abandoned: bool,
    warnings: Vec<String>,
}

impl Show {
    async fn play(
        &mut self,
        mut events: UnboundedReceiver<Stamped>,
        shutdown: impl Future<Output = ()>,
        mut keys: Keys,
    ) {
        let mut shutdown = pin!(shutdown);
        let (mut asked, mut open) = (false, true);
        let mut emitted = Vec::with_capacity(BATCH);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        self.pacer.changed();
        while !self.left {
            let due = self.pacer.due().map(|due| self.opened + due);
            tokio::select! {
                biased;
                () = &mut shutdown, if !asked => {
                    asked = true;
                    self.act(Action::Shutdown);
                }
                message = self.claim.panicked() => self.fail(TuiError::Panicked(message)),
                () = until(self.give_up) => {
                    self.abandoned = true;
                    self.left = true;
                }
                key = keys.next(), if self.failure.is_none() => self.key(key),
                // A closed channel belongs to a story that has ended.
                _ = self.inputs.send(Input::Quit), if self.quit_pending => self.quit_pending = false,
                () = until(due), if self.failure.is_none() => self.draw(),
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

    fn end(self) -> Result<Ending, TuiError> {
        let Self { app, transcript, pictures, mut warnings, display, failure, abandoned, claim, .. } = self;
        drop(claim);
        if let Some(failure) = failure {
            return Err(failure);
        }
        if let Some(trouble) = display.trouble() {
            warnings.push(format!("the recording stopped: {trouble}"));
        }
        for Picture { when, path } in pictures {
            warnings.push(format!("the picture {} was not taken: {when} did not come", path.display()));
        }
        let interrupted = app.interrupted;
        let outcome = app.story.outcome.filter(|_| !abandoned);
        Ok(Ending { outcome, summary: transcript.summary(), interrupted, warnings })
    }

    fn act(&mut self, action: Action) {
        for command in self.app.update(action) {
            match command {
                Command::Send(Input::Quit) => self.quit(),
                // A story that does not listen would follow too late.
                Command::Send(input) => drop(self.inputs.try_send(input)),
                Command::Redraw => self.display.forget(self.app.size),
                Command::Keep(moment) => self.keep(moment),
                Command::Leave => self.left = true,
                Command::Abandon => {
                    self.abandoned = true;
                    self.left = true;
                }
            }
        }
    }

    fn key(&mut self, input: KeyInput) {
        match input {
            KeyInput::Press(press) => {
                // The answer to these is the story's, and drawn when it comes.
                if !matches!(press, Press::Advance | Press::Rerun) || self.app.help {
                    self.pacer.pressed();
                }
                self.act(Action::Pressed(press));
            }
            KeyInput::Resize(size) => {
                self.pacer.pressed();
                self.act(Action::Resized(size));
            }
            KeyInput::Failed(source) => self.fail(TuiError::Terminal { operation: "reading", source }),
        }
    }

    fn emitted(&mut self, stamped: Stamped) {
        // Events come a little late, never early: the earliest beginning is the right one.
        let began = Instant::now().checked_sub(stamped.at).unwrap_or(self.opened);
        self.story_began = Some(self.story_began.map_or(began, |known| known.min(began)));
        match stamped.event {
            Event::Entered { .. } | Event::Refused { .. } | Event::Finished { .. } => self.pacer.pressed(),
            _ => self.pacer.changed(),
        }
        if self.app.story.outcome.is_none() {
            self.transcript.lines(&stamped);
        }
        self.act(Action::Emitted(stamped));
        if self.app.story.outcome.is_some() && (self.leaves_alone || self.failure.is_some()) {
            self.left = true;
        }
    }

    fn pass(&mut self) {
        if let Some(began) = self.story_began {
            self.act(Action::Passed(began.elapsed()));
            self.pacer.changed();
        }
    }

    fn quit(&mut self) {
        self.quit_pending = true;
        self.give_up.get_or_insert_with(|| Instant::now() + HEAL_DEADLINE);
    }

    /// Gives the terminal back and waits for the story to heal.
    fn fail(&mut self, failure: TuiError) {
        self.claim.release();
        self.failure.get_or_insert(failure);
        self.left |= self.app.story.outcome.is_some();
        self.quit();
    }

    fn frame(&self) -> Buffer {
        let mut buffer = view(&self.app);
        if self.ascii {
            ascii::fold(&mut buffer);
        }
        buffer
    }

    fn draw(&mut self) {
        let shown = self.display.show(self.frame());
        self.pacer.drawn(self.opened.elapsed());
        if let Err(source) = shown {
            self.fail(TuiError::Terminal { operation: "drawing on", source });
        }
    }

    fn keep(&mut self, moment: Moment) {
        if let (Moment::Entered(number), Some(chapter)) = (moment, self.app.story.chapter()) {
            self.display.mark(&format!("{number}. {}", chapter.title));
        }
        if self.failure.is_some() || self.pictures.iter().all(|p| p.when != moment) {
            return;
        }
        self.draw();
        let picture = svg::svg(self.display.shown(), self.palette == Palette::Light);
        for Picture { path, .. } in self.pictures.extract_if(.., |p| p.when == moment) {
            if let Err(source) = std::fs::write(&path, &picture) {
                self.warnings.push(TuiError::Picture { path, source }.to_string());
            }
        }
    }
}

/// Resolves at `instant`; never without one.
async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
