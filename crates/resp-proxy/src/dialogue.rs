//! The states of a connection that decide which replies a command has: transactions, CLIENT REPLY,
//! subscriptions, names.

use crate::class::{CommandClasses, CommandKind, CommandRole, CommandTable};
use crate::command::Command;
use crate::queue::ReplyForm;

/// The commands of one connection so far, as far as later ones depend on them. Pure: commands in,
/// expectations out.
#[derive(Debug, Default)]
pub(crate) struct Dialogue {
    queued: Option<Transaction>,
    replies: ReplyMode,
    client: String,
}

/// The commands queued in an open transaction.
#[derive(Clone, Copy, Debug, Default)]
struct Transaction {
    classes: CommandClasses,
    /// One of them switches replies on or off in the middle of the reply to EXEC.
    switches_replies: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ReplyMode {
    #[default]
    On,
    SkipNext,
    Off,
}

/// The consequences of one command, if it is passed on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Consequences {
    /// The form of its reply; nothing when it has none.
    pub(crate) reply: Option<ReplyForm>,
    /// Subject of the rules; none for a command that only joins a transaction.
    pub(crate) subject: Option<CommandClasses>,
    /// The command ends an open transaction by executing it.
    pub(crate) executes: bool,
}

impl Dialogue {
    /// The name that the client set.
    pub(crate) fn client(&self) -> &str {
        &self.client
    }

    /// The kind of a command, and whether its `known` complete arguments are enough to decide about
    /// it.
    pub(crate) fn kind(
        command: &Command,
        known: usize,
        commands: &CommandTable,
    ) -> (CommandKind, bool) {
        let mut kind = commands.kind(command.name());
        if kind.role == CommandRole::Container && known > 1 {
            kind = commands.subcommand(command.name(), command.argument(1).unwrap_or_default());
        }
        let last = match kind.role {
            // A name may come as its last argument.
            CommandRole::Hello => usize::MAX,
            CommandRole::Client => 2,
            CommandRole::Container => 1,
            _ => kind.key,
        };
        (kind, known > last)
    }

    /// The consequences of the next command. Changes nothing: a command that is not passed on has
    /// none.
    pub(crate) fn look(&self, command: &Command, kind: CommandKind) -> Consequences {
        if let Some(queued) = self.queued
            && !matches!(kind.role, CommandRole::Discard | CommandRole::Reset)
        {
            let executes = kind.role == CommandRole::Exec;
            let form = if executes && queued.switches_replies {
                ReplyForm::Stream
            } else {
                ReplyForm::One
            };
            let subject = executes.then(|| CommandClasses::one(kind).and(queued.classes));
            return Consequences {
                reply: self.answered().then_some(form),
                subject,
                executes,
            };
        }
        let form = match kind.role {
            CommandRole::Hello => match command.argument(1) {
                Some(b"3") => ReplyForm::Hello(3),
                Some(b"2") => ReplyForm::Hello(2),
                _ => ReplyForm::One,
            },
            CommandRole::Reset => ReplyForm::Hello(2),
            CommandRole::Subscribe => ReplyForm::Subscribe,
            CommandRole::Stream => ReplyForm::Stream,
            _ => ReplyForm::One,
        };
        let answered = match (kind.role, ReplySwitch::of(command, kind)) {
            (CommandRole::Reset, _) | (_, Some(ReplySwitch::On)) => true,
            (_, Some(ReplySwitch::Off | ReplySwitch::Skip)) => false,
            (_, None) => self.answered(),
        };
        Consequences {
            reply: answered.then_some(form),
            subject: Some(CommandClasses::one(kind)),
            executes: false,
        }
    }

    fn answered(&self) -> bool {
        self.replies == ReplyMode::On
    }

    /// Takes an empty line or array. It has no reply, and uses up a skip all the same.
    pub(crate) fn take_empty(&mut self) {
        if self.replies == ReplyMode::SkipNext {
            self.replies = ReplyMode::On;
        }
    }

    /// Takes a command that is passed on. True when the client's name changed.
    pub(crate) fn take(&mut self, command: &Command, kind: CommandKind) -> bool {
        let before = self.replies;
        self.take_empty();
        let switch = ReplySwitch::of(command, kind);
        match (&mut self.queued, kind.role) {
            (_, CommandRole::Reset) => {
                *self = Self::default();
                return true;
            }
            (Some(_), CommandRole::Exec | CommandRole::Discard) => self.queued = None,
            (Some(queued), _) => {
                queued.classes = queued.classes.with(kind.class);
                queued.switches_replies |= switch.is_some();
            }
            (None, CommandRole::Multi) => self.queued = Some(Transaction::default()),
            (None, CommandRole::Client | CommandRole::Hello) => {
                self.replies = match switch {
                    Some(ReplySwitch::On) => ReplyMode::On,
                    Some(ReplySwitch::Off) => ReplyMode::Off,
                    Some(ReplySwitch::Skip) if before != ReplyMode::Off => ReplyMode::SkipNext,
                    _ => self.replies,
                };
                return self.take_name(command, kind);
            }
            (None, _) => {}
        }
        false
    }

    fn take_name(&mut self, command: &Command, kind: CommandKind) -> bool {
        let set = command
            .arguments()
            .position(|a| a.eq_ignore_ascii_case(b"SETNAME"));
        let stands_right = |at: &usize| kind.role == CommandRole::Hello || *at == 1;
        let name = set
            .filter(stands_right)
            .and_then(|at| command.argument(at + 1));
        name.inspect(|name| self.client = String::from_utf8_lossy(name).into_owned())
            .is_some()
    }
}

/// CLIENT REPLY with a mode. ON is answered even when replies were off; OFF and SKIP are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReplySwitch {
    On,
    Off,
    Skip,
}

impl ReplySwitch {
    /// The mode; none for wrong usage, which an error answers.
    fn of(command: &Command, kind: CommandKind) -> Option<Self> {
        if kind.role != CommandRole::Client || !command.argument_is(1, "REPLY") {
            return None;
        }
        let modes = [("ON", Self::On), ("OFF", Self::Off), ("SKIP", Self::Skip)];
        modes
            .into_iter()
            .find(|(word, _)| command.argument_is(2, word))
            .map(|(_, mode)| mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::CommandClass;
    use crate::frame::ElementCapture as _;

    fn take(dialogue: &mut Dialogue, text: &str) -> Consequences {
        let mut command = Command::new();
        command.clear(true);
        command.piece(0, text.as_bytes());
        command.split_inline();
        let (kind, _) = Dialogue::kind(&command, usize::MAX, &CommandTable::built_in());
        let step = dialogue.look(&command, kind);
        dialogue.take(&command, kind);
        step
    }

    #[test]
    fn rules_see_a_transaction_at_its_exec() {
        let mut dialogue = Dialogue::default();
        assert_eq!(take(&mut dialogue, "MULTI").reply, Some(ReplyForm::One));
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
            ("CLIENT REPLY SKIP", None),
            ("GET a", None),
            ("GET a", Some(ReplyForm::One)),
            ("CLIENT REPLY OFF", None),
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
            ("MULTI", Some(ReplyForm::One)),
            ("RESET", Some(ReplyForm::Hello(2))),
            ("CLIENT REPLY OFF", None),
            ("RESET", Some(ReplyForm::Hello(2))),
            ("GET a", Some(ReplyForm::One)),
        ] {
            assert_eq!(take(&mut dialogue, command).reply, reply, "{command}");
        }
    }

    #[test]
    fn queued_switches_end_the_matching() {
        let mut dialogue = Dialogue::default();
        for (command, reply) in [
            ("MULTI", Some(ReplyForm::One)),
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
        assert_eq!(take(&mut dialogue, "CLIENT REPLY SKIP").reply, None);
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
            Some(ReplyForm::Hello(3))
        );
        assert_eq!(dialogue.client(), "other");
        take(&mut dialogue, "RESET");
        assert_eq!(dialogue.client(), "");
    }

    #[test]
    fn special_forms_are_recognized() {
        let mut dialogue = Dialogue::default();
        for (command, form) in [
            ("subscribe a b", ReplyForm::Subscribe),
            ("MONITOR", ReplyForm::Stream),
            ("CLUSTER SLOTS", ReplyForm::One),
            ("HELLO", ReplyForm::One),
        ] {
            assert_eq!(take(&mut dialogue, command).reply, Some(form), "{command}");
        }
    }
}
