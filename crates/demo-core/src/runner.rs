use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::chapter::Callback;
use crate::{
    Chapter, ChapterResult, ChartSpec, Event, HealthPoller, HealthSnapshot, LogVersion, Stage,
    StartError, StoryCommand, StoryEnd, StoryInput, StoryMachine, StoryPace, TimedEvent, route,
};

/// Time that a cancelled callback has for healing before it is dropped.
const HEAL_DEADLINE: Duration = Duration::from_secs(3);
/// Keys that wait while the story heals.
const KEYS: usize = 8;
/// Interval between two looks at the poller's snapshot.
const HEALTH_TICK: Duration = Duration::from_millis(200);

/// Plays a story: the shell around [`StoryMachine`] that has the clock, the tasks and the channel.
///
/// Inputs come from a front-end over one channel, and events go back over another.
pub struct DemoRunner<P> {
    subject: String,
    chapters: Vec<Chapter>,
    charts: Vec<ChartSpec>,
    poller: Arc<P>,
    pace: StoryPace,
    /// The chapter at which the audience joins.
    from: usize,
    stage: Stage,
}

impl<P: HealthPoller> DemoRunner<P> {
    /// A story about `subject`, and the events that a front-end will show. Needs no runtime, opens
    /// nothing and starts nothing.
    ///
    /// The channel is unbounded, so that emitting an event never waits and loses nothing: a story
    /// emits some tens of events a second, and a front-end that cannot keep up with that has
    /// stopped.
    pub fn new(
        subject: impl Into<String>,
        chapters: Vec<Chapter>,
        poller: Arc<P>,
    ) -> (Self, UnboundedReceiver<TimedEvent>) {
        let (events, heard) = mpsc::unbounded_channel();
        let stage = Stage::new(events, Instant::now());
        let subject = subject.into();
        (
            Self {
                subject,
                chapters,
                charts: Vec::new(),
                poller,
                pace: StoryPace::Manual,
                from: 0,
                stage,
            },
            heard,
        )
    }

    /// Sets the pace; [`StoryPace::Manual`] by default.
    #[must_use]
    pub fn pace(mut self, pace: StoryPace) -> Self {
        self.pace = pace;
        self
    }

    /// Begins with a chapter, from 0. Earlier chapters that it [needs](Chapter::needs) are played
    /// first, without keys.
    ///
    /// # Errors
    /// When there is no such chapter, or a chapter needs one that does not come before it.
    pub fn starting_at(mut self, chapter: usize) -> Result<Self, StartError> {
        route::to(&self.chapters, chapter)?;
        self.from = chapter;
        Ok(self)
    }

    /// Declares the charts.
    #[must_use]
    pub fn charts(mut self, charts: Vec<ChartSpec>) -> Self {
        self.charts = charts;
        self
    }

    /// A stage for tasks that run through all chapters, for example a detector.
    pub fn stage(&self) -> Stage {
        self.stage.clone()
    }

    /// Plays the story at [`StoryPace::Auto`] to its end, without inputs.
    pub async fn play(self) -> StoryEnd {
        let (_, inputs) = mpsc::channel(1);
        self.pace(StoryPace::Auto).run(inputs).await
    }

    /// Starts the story in a task of its own; the sender takes the keys. Needs a runtime.
    pub fn start(self) -> (mpsc::Sender<StoryInput>, JoinHandle<StoryEnd>) {
        let (keys, inputs) = mpsc::channel(KEYS);
        (keys, tokio::spawn(self.run(inputs)))
    }

    /// Plays the story to its end. When `inputs` is closed, a story at [`StoryPace::Auto`] goes on
    /// and any other is left.
    pub async fn run(self, mut inputs: mpsc::Receiver<StoryInput>) -> StoryEnd {
        let machine = StoryMachine::new(
            self.chapters
                .iter()
                .map(|c| (c.info(), c.on_enter.is_some())),
            self.pace,
        );
        // An invalid start was refused before.
        let route = route::to(&self.chapters, self.from).unwrap_or_default();
        let machine = machine.on_route(route, self.from);
        let stage = self.stage;
        let chapters = self.chapters.iter().map(|c| c.info().clone()).collect();
        stage.emit(Event::Started {
            version: LogVersion,
            subject: self.subject,
            chapters,
            charts: self.charts,
        });
        let mut play = RunnerState {
            machine,
            scene: None,
            stage,
            chapters: self.chapters,
            ending: None,
        };

        let poller = tokio::spawn({
            let poller = Arc::clone(&self.poller);
            async move { poller.run().await }
        });
        let mut ticks = interval(HEALTH_TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        // A snapshot like this one is not the result of a poll.
        let mut health = HealthSnapshot::default();
        let mut listening = true;

        let first = play.machine.start();
        play.follow(first).await;
        while play.ending.is_none() {
            tokio::select! {
                biased;
                result = settled(&mut play.scene) => play.settled(result).await,
                input = inputs.recv(), if listening => match input {
                    Some(input) => play.input(&input).await,
                    None if self.pace == StoryPace::Auto => listening = false,
                    None => play.input(&StoryInput::Quit).await,
                },
                _ = ticks.tick() => {
                    let now = self.poller.health();
                    if health != now {
                        play.stage.emit(Event::Health(now.clone()));
                        health = now;
                    }
                }
            }
        }

        self.poller.stop();
        // The answer of a poll in flight is not needed any more.
        poller.abort();
        let outcome = match play.ending {
            Some(ending @ (StoryEnd::Failed { .. } | StoryEnd::Quit)) => ending,
            _ => match play.stage.missed() {
                missed if missed.is_empty() => StoryEnd::Completed,
                expectations => StoryEnd::Missed { expectations },
            },
        };
        play.stage.emit(Event::Finished {
            outcome: outcome.clone(),
        });
        outcome
    }
}

/// A callback being run.
struct ChapterRun {
    stage: Stage,
    task: JoinHandle<ChapterResult>,
}

/// Resolves when the running callback is done; never when none runs.
async fn settled(scene: &mut Option<ChapterRun>) -> Result<(), String> {
    match scene {
        Some(running) => {
            let result = (&mut running.task).await;
            *scene = None;
            match result {
                Ok(result) => result.map_err(|e| e.to_string()),
                Err(panic) => Err(panic_message(panic)),
            }
        }
        None => std::future::pending().await,
    }
}

fn panic_message(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            format!(
                "panicked: {}",
                text.unwrap_or_else(|| "without a message".into())
            )
        }
        Err(cancelled) => cancelled.to_string(),
    }
}

struct RunnerState {
    machine: StoryMachine,
    scene: Option<ChapterRun>,
    stage: Stage,
    chapters: Vec<Chapter>,
    ending: Option<StoryEnd>,
}

impl RunnerState {
    async fn input(&mut self, input: &StoryInput) {
        let commands = self.machine.input(input);
        self.follow(commands).await;
    }

    async fn settled(&mut self, result: Result<(), String>) {
        let chapter = self.machine.chapter();
        self.stage.clear_status();
        self.stage.emit(Event::Settled { chapter });
        if let Err(error) = result {
            self.ending = Some(StoryEnd::Failed {
                chapter: self.chapters[chapter].info().title.clone(),
                error,
            });
            return;
        }
        let commands = self.machine.settled();
        self.follow(commands).await;
    }

    async fn follow(&mut self, commands: Vec<StoryCommand>) {
        for command in commands {
            match command {
                StoryCommand::Cancel => self.cancel().await,
                StoryCommand::Enter(chapter) => self.stage.emit(Event::Entered { chapter }),
                StoryCommand::Run(chapter) => self.run(chapter, |chapter| &chapter.on_enter),
                StoryCommand::Encore(chapter) => self.run(chapter, |chapter| &chapter.encore),
                StoryCommand::Refuse(refusal) => self.stage.emit(Event::Refused {
                    reason: refusal.to_string(),
                }),
                StoryCommand::Complete => self.ending = Some(StoryEnd::Completed),
                StoryCommand::Quit => self.ending = Some(StoryEnd::Quit),
            }
        }
    }

    fn run(&mut self, chapter: usize, callback: fn(&Chapter) -> &Option<Callback>) {
        let Some(callback) = callback(&self.chapters[chapter]) else {
            return;
        };
        self.stage.emit(Event::Running { chapter });
        let stage = self.stage.scene();
        let task = tokio::spawn(callback(stage.clone()));
        self.scene = Some(ChapterRun { stage, task });
    }

    async fn cancel(&mut self) {
        let Some(mut scene) = self.scene.take() else {
            return;
        };
        scene.stage.cancel();
        if timeout(HEAL_DEADLINE, &mut scene.task).await.is_err() {
            scene.task.abort();
            // Guards heal when they are dropped, and the task drops them before it ends.
            let _ = scene.task.await;
        }
        self.stage.clear_status();
    }
}
