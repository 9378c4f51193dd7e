use std::fmt;

use crate::ChapterInfo;

/// An input of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoryInput {
    /// Go on to the next chapter.
    Advance,
    /// Run this chapter's callback again.
    Rerun,
    /// Play this chapter's encore.
    Encore,
    /// Leave.
    Quit,
}

/// An output of the machine. The commands of one step are executed in order, each before the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoryCommand {
    /// Ask the running callback to end and wait until it has.
    Cancel,
    /// Show this chapter.
    Enter(usize),
    /// Start the chapter's callback, and call [`StoryMachine::settled`] when it is done.
    Run(usize),
    /// Start the chapter's encore, and call [`StoryMachine::settled`] when it is done.
    Encore(usize),
    /// Show the reason why an input is not followed.
    Refuse(InputRefusal),
    /// Stop: all chapters were played.
    Complete,
    /// Stop: the story was left.
    Quit,
}

/// Why an input is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputRefusal {
    /// The chapter blocks until its callback is done.
    Busy,
    /// The callback is running already.
    Running,
    /// This chapter has nothing that can be run again.
    NothingToRerun,
    /// This chapter has no encore.
    NoEncore,
}

impl fmt::Display for InputRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "not yet: the chapter is not done",
            Self::Running => "not yet: it is still running",
            Self::NothingToRerun => "this chapter has nothing to run again",
            Self::NoEncore => "the encore follows the last chapter",
        })
    }
}

/// The way in which chapters advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoryPace {
    /// On [`StoryInput::Advance`].
    Manual,
    /// Automatically, as soon as the chapter's callback is done.
    Auto,
}

/// The state machine of a story: the current chapter, whether its callback runs, and the effect of
/// each input.
///
/// ```text
///             +---- settled & (auto_advance or StoryPace::Auto), or Advance ----+
///             v                                                                 |
/// start -> [ENTER] -- has callback --> [RUNNING] -- settled --------> [IDLE] ---+--> COMPLETE
///           |   ^                       |   |  ^                       ^  |     after the last
///           |   |                       |   |  +-------- Rerun --------|--+
///           |   |                       |   +- Advance & blocks: REFUSE|
///           |   +- CANCEL -- Advance ---+                              |
///           +------------------ no callback ---------------------------+
/// ```
#[derive(Clone, Debug)]
pub struct StoryMachine {
    chapters: Vec<ChapterTraits>,
    pace: StoryPace,
    /// The chapters that are played, in order.
    route: Vec<usize>,
    /// Index of the next chapter in the route.
    next: usize,
    /// Chapters before this one advance by themselves.
    first: usize,
    at: usize,
    running: bool,
    over: bool,
}

#[derive(Clone, Copy, Debug)]
struct ChapterTraits {
    acts: bool,
    blocks: bool,
    auto: bool,
    repeatable: bool,
    encore: bool,
}

impl StoryMachine {
    /// A machine for chapters; each comes with a flag that is true when it has a callback.
    pub fn new<'a>(
        chapters: impl IntoIterator<Item = (&'a ChapterInfo, bool)>,
        pace: StoryPace,
    ) -> Self {
        let chapters: Vec<_> = chapters
            .into_iter()
            .map(|(info, acts)| ChapterTraits {
                acts,
                blocks: info.blocks_advance,
                auto: info.auto_advance,
                repeatable: info.repeatable,
                encore: info.has_encore,
            })
            .collect();
        let route = (0..chapters.len()).collect();
        Self {
            chapters,
            pace,
            route,
            next: 0,
            first: 0,
            at: 0,
            running: false,
            over: false,
        }
    }

    /// Plays only the chapters of a route. Those before `first` advance by themselves.
    pub(crate) fn on_route(self, route: Vec<usize>, first: usize) -> Self {
        Self {
            route,
            first,
            ..self
        }
    }

    /// Begins with the first chapter; a story without chapters is complete.
    pub fn start(&mut self) -> Vec<StoryCommand> {
        let mut commands = Vec::new();
        self.enter(&mut commands);
        commands
    }

    /// Follows an input, or refuses it. After the end nothing is followed.
    pub fn input(&mut self, input: &StoryInput) -> Vec<StoryCommand> {
        let mut commands = Vec::new();
        if self.over {
            return commands;
        }
        let here = self.chapters[self.at];
        match input {
            StoryInput::Advance if self.running && here.blocks => {
                commands.push(StoryCommand::Refuse(InputRefusal::Busy));
            }
            StoryInput::Advance => self.leave(&mut commands),
            StoryInput::Rerun if !(here.acts && here.repeatable) => {
                commands.push(StoryCommand::Refuse(InputRefusal::NothingToRerun));
            }
            StoryInput::Encore if !here.encore => {
                commands.push(StoryCommand::Refuse(InputRefusal::NoEncore));
            }
            StoryInput::Rerun | StoryInput::Encore if self.running => {
                commands.push(StoryCommand::Refuse(InputRefusal::Running));
            }
            StoryInput::Encore => {
                self.running = true;
                commands.push(StoryCommand::Encore(self.at));
            }
            StoryInput::Rerun => self.run(&mut commands),
            StoryInput::Quit => {
                self.cancel(&mut commands);
                self.over = true;
                commands.push(StoryCommand::Quit);
            }
        }
        commands
    }

    /// The running callback is done.
    pub fn settled(&mut self) -> Vec<StoryCommand> {
        let mut commands = Vec::new();
        if self.running && !self.over {
            self.running = false;
            self.idle(&mut commands);
        }
        commands
    }

    /// The chapter being played, from 0.
    pub fn chapter(&self) -> usize {
        self.at
    }

    fn enter(&mut self, commands: &mut Vec<StoryCommand>) {
        let Some(chapter) = self.route.get(self.next).copied() else {
            self.over = true;
            commands.push(StoryCommand::Complete);
            return;
        };
        self.next += 1;
        self.at = chapter;
        commands.push(StoryCommand::Enter(chapter));
        if self.chapters[chapter].acts {
            self.run(commands);
        } else {
            self.idle(commands);
        }
    }

    fn run(&mut self, commands: &mut Vec<StoryCommand>) {
        self.running = true;
        commands.push(StoryCommand::Run(self.at));
    }

    fn idle(&mut self, commands: &mut Vec<StoryCommand>) {
        if self.pace == StoryPace::Auto || self.chapters[self.at].auto || self.at < self.first {
            self.leave(commands);
        }
    }

    fn leave(&mut self, commands: &mut Vec<StoryCommand>) {
        self.cancel(commands);
        self.enter(commands);
    }

    fn cancel(&mut self, commands: &mut Vec<StoryCommand>) {
        if self.running {
            self.running = false;
            commands.push(StoryCommand::Cancel);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Chapter;

    fn machine(pace: StoryPace, chapters: &[(Chapter, bool)]) -> StoryMachine {
        StoryMachine::new(chapters.iter().map(|(c, acts)| (c.info(), *acts)), pace)
    }

    fn chapter() -> Chapter {
        Chapter::new("t", "n")
    }

    #[test]
    fn blocking_chapter_refuses_to_advance_until_done() {
        let mut m = machine(
            StoryPace::Manual,
            &[(chapter().blocks_advance(), true), (chapter(), false)],
        );
        assert_eq!(m.start(), [StoryCommand::Enter(0), StoryCommand::Run(0)]);
        assert_eq!(
            m.input(&StoryInput::Advance),
            [StoryCommand::Refuse(InputRefusal::Busy)]
        );
        assert_eq!(m.settled(), []);
        assert_eq!(m.input(&StoryInput::Advance), [StoryCommand::Enter(1)]);
        assert_eq!(m.input(&StoryInput::Advance), [StoryCommand::Complete]);
        assert_eq!(m.input(&StoryInput::Advance), []);
    }

    #[test]
    fn advancing_cancels_a_callback_that_does_not_block() {
        let mut m = machine(StoryPace::Manual, &[(chapter(), true), (chapter(), false)]);
        m.start();
        assert_eq!(
            m.input(&StoryInput::Advance),
            [StoryCommand::Cancel, StoryCommand::Enter(1)]
        );
    }

    #[test]
    fn an_auto_advancing_chapter_leaves_by_itself() {
        let mut m = machine(
            StoryPace::Manual,
            &[(chapter().auto_advance(), true), (chapter(), false)],
        );
        m.start();
        assert_eq!(m.settled(), [StoryCommand::Enter(1)]);
    }

    #[test]
    fn repeatable_callback_runs_again_after_its_end() {
        let mut m = machine(
            StoryPace::Manual,
            &[(chapter().repeatable(), true), (chapter(), false)],
        );
        m.start();
        assert_eq!(
            m.input(&StoryInput::Rerun),
            [StoryCommand::Refuse(InputRefusal::Running)]
        );
        m.settled();
        assert_eq!(m.input(&StoryInput::Rerun), [StoryCommand::Run(0)]);
        m.settled();
        m.input(&StoryInput::Advance);
        assert_eq!(
            m.input(&StoryInput::Rerun),
            [StoryCommand::Refuse(InputRefusal::NothingToRerun)]
        );
    }

    #[test]
    fn an_encore_waits_for_the_chapter() {
        let mut last = chapter();
        last.info.has_encore = true;
        let mut m = machine(StoryPace::Manual, &[(last, true), (chapter(), false)]);
        m.start();
        let refused = |why| [StoryCommand::Refuse(why)];
        assert_eq!(m.input(&StoryInput::Encore), refused(InputRefusal::Running));
        m.settled();
        assert_eq!(m.input(&StoryInput::Encore), [StoryCommand::Encore(0)]);
        assert_eq!(m.input(&StoryInput::Encore), refused(InputRefusal::Running));
        assert_eq!(m.settled(), []);
        m.input(&StoryInput::Advance);
        assert_eq!(
            m.input(&StoryInput::Encore),
            refused(InputRefusal::NoEncore)
        );
    }

    #[test]
    fn quitting_cancels_first() {
        let mut m = machine(StoryPace::Manual, &[(chapter().blocks_advance(), true)]);
        m.start();
        assert_eq!(
            m.input(&StoryInput::Quit),
            [StoryCommand::Cancel, StoryCommand::Quit]
        );
        assert_eq!(m.settled(), []);
    }

    #[test]
    fn chapters_before_the_first_advance_by_themselves() {
        let chapters = [
            (chapter(), true),
            (chapter(), false),
            (chapter(), true),
            (chapter(), false),
        ];
        let mut m = machine(StoryPace::Manual, &chapters).on_route(vec![0, 2, 3], 2);
        assert_eq!(m.start(), [StoryCommand::Enter(0), StoryCommand::Run(0)]);
        assert_eq!(m.settled(), [StoryCommand::Enter(2), StoryCommand::Run(2)]);
        assert_eq!(m.settled(), []);
        assert_eq!(m.input(&StoryInput::Advance), [StoryCommand::Enter(3)]);
        assert_eq!(m.input(&StoryInput::Advance), [StoryCommand::Complete]);
    }

    #[test]
    fn a_story_without_chapters_is_complete() {
        assert_eq!(
            machine(StoryPace::Auto, &[]).start(),
            [StoryCommand::Complete]
        );
    }

    fn any_chapter() -> impl Strategy<Value = (Chapter, bool)> {
        any::<(bool, bool, bool, bool)>().prop_map(|(acts, blocks, auto, repeatable)| {
            let mut c = chapter();
            c.info.blocks_advance = blocks;
            c.info.auto_advance = auto;
            c.info.repeatable = repeatable;
            (c, acts)
        })
    }

    #[derive(Clone, Debug)]
    enum Step {
        Input(StoryInput),
        Settled,
    }

    proptest! {
        /// Whatever is pressed: chapters come in order, a callback never runs twice at once,
        /// nothing follows the end.
        #[test]
        fn any_keys_play_an_orderly_story(
            chapters in proptest::collection::vec(any_chapter(), 1..12),
            auto in any::<bool>(),
            steps in proptest::collection::vec(prop_oneof![
                Just(Step::Input(StoryInput::Advance)),
                Just(Step::Input(StoryInput::Rerun)),
                Just(Step::Settled),
            ], 0..80),
        ) {
            let mut m = machine(if auto { StoryPace::Auto } else { StoryPace::Manual }, &chapters);
            let (mut entered, mut running, mut over) = (0, false, false);
            let mut check = |commands: Vec<StoryCommand>, settled: bool| {
                if settled { running = false; }
                for command in commands {
                    prop_assert!(!over, "{command:?} after the end");
                    match command {
                        StoryCommand::Enter(i) => {
                            prop_assert_eq!(i, entered);
                            entered += 1;
                        }
                        StoryCommand::Run(i) => {
                            prop_assert!(!running);
                            prop_assert_eq!(i + 1, entered);
                            running = true;
                        }
                        StoryCommand::Cancel => {
                            prop_assert!(running);
                            running = false;
                        }
                        StoryCommand::Refuse(_) | StoryCommand::Encore(_) => {}
                        StoryCommand::Complete | StoryCommand::Quit => {
                            prop_assert!(!running);
                            over = true;
                        }
                    }
                }
                Ok(())
            };
            check(m.start(), false)?;
            for step in steps {
                match step {
                    Step::Input(input) => check(m.input(&input), false)?,
                    Step::Settled => check(m.settled(), true)?,
                }
            }
        }

        /// A story at automatic pace needs no key.
        #[test]
        fn at_auto_pace_settling_is_enough(
            chapters in proptest::collection::vec(any_chapter(), 0..12),
        ) {
            let acting = chapters.iter().filter(|(_, acts)| *acts).count();
            let mut m = machine(StoryPace::Auto, &chapters);
            let mut last = m.start();
            for _ in 0..acting {
                last = m.settled();
            }
            prop_assert_eq!(last.last(), Some(&StoryCommand::Complete));
        }
    }
}
