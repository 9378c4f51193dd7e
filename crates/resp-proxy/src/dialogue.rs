//! The states of a connection that decide which replies a command has: transactions, CLIENT REPLY,
//! names.
//!
//! A change of state is assumed when its command is passed on, since others may follow before the
//! reply, and taken back when the reply refuses it.

use std::collections::VecDeque;

use crate::class::{CommandClasses, CommandKind, CommandRole};
use crate::command::Command;
use crate::key::FirstKey;
use crate::queue::ReplyForm;
use crate::table::{CommandTable, KnownCommand};

/// The commands of one connection so far, as far as later ones depend on them. Pure: commands and
/// outcomes in, expectations out.
#[derive(Debug, Default)]
pub(crate) struct Dialogue {
    session: Session,
    /// The changes whose replies are still to come, each with its remedy.
    unsettled: VecDeque<Undo>,
}

#[derive(Debug, Default)]
struct Session {
    queued: Option<Transaction>,
    replies: ReplyMode,
    client: String,
}

/// The commands queued in an open transaction.
#[derive(Clone, Copy, Debug, Default)]
struct Transaction {
    classes: CommandClasses,
    /// One of them changes the form of replies in the middle of the reply to EXEC.
    breaks_matching: bool,
}

/// As CLIENT REPLY names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ReplyMode {
    #[default]
    On,
    SkipNext,
    Off,
}

/// The remedy for a change that is refused.
#[derive(Debug)]
enum Undo {
    Nothing,
    /// The transaction did not begin.
    Transaction,
    /// Replies are on.
    Replies,
    /// The client has this name.
    Name(String),
    /// Nothing was reset.
    Session(Box<Session>),
}

/// The consequences of one command, if it is passed on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Consequences {
    /// The form of its reply; nothing when replies are switched off.
    pub(crate) reply: Option<ReplyForm>,
    /// Subject of the rules; none for a command that only joins a transaction.
    pub(crate) subject: Option<CommandClasses>,
    /// The command ends an open transaction by executing it.
    pub(crate) executes: bool,
}

impl Dialogue {
    /// The name that the client set.
    pub(crate) fn client(&self) -> &str {
        &self.session.client
    }

    /// The command of the table that is meant, and whether the `known` complete arguments are
    /// enough to decide about it.
    pub(crate) fn known<'t>(
        command: &Command,
        known: usize,
        commands: &'t CommandTable,
    ) -> (&'t KnownCommand, bool) {
        let mut found = commands.command(command.name());
        if found.kind.role == CommandRole::Container && known > 1 {
            let subcommand = command.argument(1).unwrap_or_default();
            found = commands.subcommand(command.name(), subcommand);
        }
        let is_enough = match found.kind.role {
            // A name may come as its last argument.
            CommandRole::Hello => known == usize::MAX,
            CommandRole::Client => known > 2,
            CommandRole::Container => known > 1,
            _ => known > 0 && found.kind.key.first_key(command, known) != FirstKey::Unknown,
        };
        (found, is_enough)
    }

    /// The consequences of the next command, which has `arguments` arguments, its name included.
    /// Changes nothing: a command that is not passed on has none.
    pub(crate) fn look(
        &self,
        command: &Command,
        kind: &CommandKind,
        arguments: u64,
    ) -> Consequences {
        let class = kind.class_of(command);
        if let Some(queued) = self.session.queued
            && !matches!(kind.role, CommandRole::Discard | CommandRole::Reset)
        {
            let executes = kind.role == CommandRole::Exec;
            let form = if executes && queued.breaks_matching {
                ReplyForm::Stream
            } else {
                ReplyForm::One
            };
            let subject = executes.then(|| queued.classes.with(class));
            return Consequences {
                reply: self.answered().then_some(form),
                subject,
                executes,
            };
        }
        let switch = reply_switch(command, kind);
        let form = match kind.role {
            CommandRole::Client if matches!(switch, Some(ReplyMode::Off | ReplyMode::SkipNext)) => {
                ReplyForm::Refusal
            }
            CommandRole::Hello => ReplyForm::Hello(match command.argument(1) {
                Some(b"3") => Some(3),
                Some(b"2") => Some(2),
                _ => None,
            }),
            CommandRole::Reset => ReplyForm::Reset,
            CommandRole::Multi => ReplyForm::Outcome,
            CommandRole::Client if command.argument_is(1, "SETNAME") => ReplyForm::Outcome,
            CommandRole::Subscribe(channels) => {
                let named = u32::try_from(arguments.saturating_sub(1));
                ReplyForm::Confirmations(channels, named.unwrap_or(u32::MAX))
            }
            CommandRole::Stream => ReplyForm::Stream,
            _ => ReplyForm::One,
        };
        let switches_on = kind.role == CommandRole::Reset || switch == Some(ReplyMode::On);
        Consequences {
            reply: (switches_on || self.answered()).then_some(form),
            subject: Some(CommandClasses::one(class)),
            executes: false,
        }
    }

    fn answered(&self) -> bool {
        self.session.replies == ReplyMode::On
    }

    /// Takes an empty line or array. It has no reply, and uses up a skip all the same.
    pub(crate) fn take_empty(&mut self) {
        if self.session.replies == ReplyMode::SkipNext {
            self.session.replies = ReplyMode::On;
        }
    }

    /// Takes a command that is passed on, with the form of its reply. True when the client's name
    /// changed.
    pub(crate) fn take(
        &mut self,
        command: &Command,
        kind: &CommandKind,
        reply: Option<ReplyForm>,
    ) -> bool {
        let before = self.session.replies;
        let switch = reply_switch(command, kind);
        let mut undo = Undo::Nothing;
        let mut is_renamed = false;
        if kind.role == CommandRole::Reset {
            undo = Undo::Session(Box::new(std::mem::take(&mut self.session)));
            is_renamed = true;
        }
        self.take_empty();
        match (&mut self.session.queued, kind.role) {
            (Some(_), CommandRole::Exec | CommandRole::Discard) => self.session.queued = None,
            (Some(queued), role) => {
                queued.classes = queued.classes.with(kind.class_of(command));
                queued.breaks_matching |= switch.is_some()
                    || matches!(
                        role,
                        CommandRole::Hello | CommandRole::Subscribe(_) | CommandRole::Stream
                    );
            }
            (None, CommandRole::Multi) => {
                self.session.queued = Some(Transaction::default());
                undo = Undo::Transaction;
            }
            (None, CommandRole::Client | CommandRole::Hello) => {
                if let Some(mode) = switch {
                    if mode != ReplyMode::SkipNext || before != ReplyMode::Off {
                        self.session.replies = mode;
                    }
                    undo = Undo::Replies;
                } else if let Some(name) = name_set_by(command, kind) {
                    undo = Undo::Name(std::mem::replace(&mut self.session.client, name));
                    is_renamed = true;
                }
            }
            (None, _) => {}
        }
        if reply.is_some_and(ReplyForm::has_outcome) {
            self.unsettled.push_back(undo);
        }
        is_renamed
    }

    /// Takes the outcome of the oldest change that has none yet. True when the client's name
    /// changed.
    pub(crate) fn settle(&mut self, accepted: bool) -> bool {
        let undo = self.unsettled.pop_front().filter(|_| !accepted);
        match undo.unwrap_or(Undo::Nothing) {
            Undo::Nothing => {}
            Undo::Transaction => self.session.queued = None,
            Undo::Replies => self.session.replies = ReplyMode::On,
            Undo::Name(name) => {
                let later = self.unsettled.iter_mut().find_map(|undo| match undo {
                    Undo::Name(before) => Some(before),
                    _ => None,
                });
                *later.unwrap_or(&mut self.session.client) = name;
                return true;
            }
            Undo::Session(session) => {
                self.session = *session;
                return true;
            }
        }
        false
    }
}

/// The name that CLIENT SETNAME or HELLO sets.
fn name_set_by(command: &Command, kind: &CommandKind) -> Option<String> {
    let set = command
        .arguments()
        .position(|a| a.eq_ignore_ascii_case(b"SETNAME"))
        .filter(|at| kind.role == CommandRole::Hello || *at == 1)?;
    let name = command.argument(set + 1)?;
    Some(String::from_utf8_lossy(name).into_owned())
}

/// The mode that CLIENT REPLY sets; none for wrong usage, which an error answers. ON is answered
/// even when replies were off; OFF and SKIP are not.
fn reply_switch(command: &Command, kind: &CommandKind) -> Option<ReplyMode> {
    if kind.role != CommandRole::Client || !command.argument_is(1, "REPLY") {
        return None;
    }
    let modes = [
        ("ON", ReplyMode::On),
        ("OFF", ReplyMode::Off),
        ("SKIP", ReplyMode::SkipNext),
    ];
    let mut modes = modes.into_iter();
    let (_, mode) = modes.find(|(word, _)| command.argument_is(2, word))?;
    Some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::{ChannelKind, CommandClass};
    use crate::frame::ElementCapture as _;

    fn take(dialogue: &mut Dialogue, text: &str) -> Consequences {
        let mut command = Command::default();
        command.clear(true);
        command.piece(0, text.as_bytes());
        command.split_inline();
        let table = CommandTable::built_in();
        let kind = &Dialogue::known(&command, usize::MAX, &table).0.kind;
        let step = dialogue.look(&command, kind, command.count() as u64);
        dialogue.take(&command, kind, step.reply);
        step
    }

    #[test]
    fn rules_see_a_transaction_at_its_exec() {
        let mut dialogue = Dialogue::default();
        assert_eq!(take(&mut dialogue, "MULTI").reply, Some(ReplyForm::Outcome));
        let queued = take(&mut dialogue, "INCR a");
        assert_eq!(
            queued,
            Consequences {
                reply: Some(ReplyForm::One),
                subject: None,
                executes: false
            }
        );
        let exec = take(&mut dialogue, "EXEC");
        assert_eq!(exec.reply, Some(ReplyForm::One));
        assert!(exec.executes && exec.subject.unwrap().is(CommandClass::Write));
        assert!(
            !take(&mut dialogue, "EXEC")
                .subject
                .unwrap()
                .is(CommandClass::Write)
        );
    }

    #[test]
    fn switched_off_replies_are_not_expected() {
        let mut dialogue = Dialogue::default();
        for (command, reply) in [
            ("CLIENT REPLY SKIP", Some(ReplyForm::Refusal)),
            ("GET a", None),
            ("GET a", Some(ReplyForm::One)),
            ("CLIENT REPLY OFF", Some(ReplyForm::Refusal)),
            ("GET a", None),
            ("CLIENT REPLY SKIP", None),
            ("GET a", None),
            ("GET a", None),
            ("CLIENT REPLY ON", Some(ReplyForm::One)),
            ("GET a", Some(ReplyForm::One)),
        ] {
            assert_eq!(take(&mut dialogue, command).reply, reply, "{command}");
        }
    }

    #[test]
    fn reset_ends_every_state() {
        let mut dialogue = Dialogue::default();
        for (command, reply) in [
            ("MULTI", Some(ReplyForm::Outcome)),
            ("RESET", Some(ReplyForm::Reset)),
            ("CLIENT REPLY OFF", Some(ReplyForm::Refusal)),
            ("RESET", Some(ReplyForm::Reset)),
            ("GET a", Some(ReplyForm::One)),
        ] {
            assert_eq!(take(&mut dialogue, command).reply, reply, "{command}");
        }
    }

    #[test]
    fn queued_switches_end_the_matching() {
        let mut dialogue = Dialogue::default();
        for (command, reply) in [
            ("MULTI", Some(ReplyForm::Outcome)),
            ("CLIENT REPLY OFF", Some(ReplyForm::One)),
            ("GET a", Some(ReplyForm::One)),
            ("EXEC", Some(ReplyForm::Stream)),
        ] {
            assert_eq!(take(&mut dialogue, command).reply, reply, "{command}");
        }
    }

    #[test]
    fn empty_requests_use_up_a_skip() {
        let mut dialogue = Dialogue::default();
        take(&mut dialogue, "CLIENT REPLY SKIP");
        dialogue.take_empty();
        assert_eq!(take(&mut dialogue, "GET a").reply, Some(ReplyForm::One));
    }

    #[test]
    fn names_are_set_by_client_and_hello() {
        let mut dialogue = Dialogue::default();
        take(&mut dialogue, "CLIENT SETNAME worker");
        assert_eq!(dialogue.client(), "worker");
        assert_eq!(
            take(&mut dialogue, "HELLO 3 AUTH u p SETNAME other").reply,
            Some(ReplyForm::Hello(Some(3)))
        );
        assert_eq!(dialogue.client(), "other");
        take(&mut dialogue, "RESET");
        assert_eq!(dialogue.client(), "");
    }

    #[test]
    fn special_forms_are_recognized() {
        let mut dialogue = Dialogue::default();
        for (command, form) in [
            (
                "subscribe a b",
                ReplyForm::Confirmations(ChannelKind::Name, 2),
            ),
            ("MONITOR", ReplyForm::Stream),
            ("CLUSTER SLOTS", ReplyForm::One),
            ("HELLO", ReplyForm::Hello(None)),
        ] {
            assert_eq!(take(&mut dialogue, command).reply, Some(form), "{command}");
        }
    }

    #[test]
    fn a_refused_change_is_taken_back() {
        let mut dialogue = Dialogue::default();
        take(&mut dialogue, "MULTI");
        assert!(!dialogue.settle(false));
        assert!(take(&mut dialogue, "INCR a").subject.is_some());

        take(&mut dialogue, "CLIENT SETNAME first");
        take(&mut dialogue, "CLIENT SETNAME second");
        take(&mut dialogue, "HELLO 3 SETNAME third");
        assert!(dialogue.settle(false));
        assert_eq!(dialogue.client(), "third");
        dialogue.settle(true);
        assert!(dialogue.settle(false));
        assert_eq!(dialogue.client(), "second");

        take(&mut dialogue, "CLIENT REPLY OFF");
        assert_eq!(take(&mut dialogue, "GET a").reply, None);
        dialogue.settle(false);
        assert_eq!(take(&mut dialogue, "GET a").reply, Some(ReplyForm::One));
    }
}
