//! The states of a connection that decide which replies a command has: transactions, CLIENT REPLY,
//! subscriptions, names.

use crate::class::{Commands, Kind, Role, Subject};
use crate::command::Command;
use crate::expected::Form;

/// The commands of one connection so far, as far as later ones depend on them. Pure: commands in,
/// expectations out.
#[derive(Debug, Default)]
pub(crate) struct Dialogue {
    queued: Option<Queued>,
    replies: Replies,
    client: String,
}

/// The commands queued in an open transaction.
#[derive(Clone, Copy, Debug, Default)]
struct Queued {
    classes: Subject,
    /// One of them switches replies on or off in the middle of the reply to EXEC.
    switches_replies: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Replies {
    #[default]
    On,
    SkipNext,
    Off,
}

/// The consequences of one command, if it is passed on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The form of its reply; nothing when it has none.
    pub(crate) reply: Option<Form>,
    /// Subject of the rules; none for a command that only joins a transaction.
    pub(crate) subject: Option<Subject>,
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
    pub(crate) fn kind(command: &Command, known: usize, commands: &Commands) -> (Kind, bool) {
        let mut kind = commands.kind(command.name());
        if kind.role == Role::Container && known > 1 {
            kind = commands.subcommand(command.name(), command.argument(1).unwrap_or_default());
        }
        let last = match kind.role {
            // A name may come as its last argument.
            Role::Hello => usize::MAX,
            Role::Client => 2,
            Role::Container => 1,
            _ => kind.key,
        };
        (kind, known > last)
    }

    /// The consequences of the next command. Changes nothing: a command that is not passed on has
    /// none.
    pub(crate) fn look(&self, command: &Command, kind: Kind) -> Step {
        if let Some(queued) = self.queued
            && !matches!(kind.role, Role::Discard | Role::Reset)
        {
            let executes = kind.role == Role::Exec;
            let form = if executes && queued.switches_replies {
                Form::Stream
            } else {
                Form::One
            };
            let subject = executes.then(|| Subject::one(kind).and(queued.classes));
            return Step {
                reply: self.answered().then_some(form),
                subject,
                executes,
            };
        }
        let form = match kind.role {
            Role::Hello => match command.argument(1) {
                Some(b"3") => Form::Hello(3),
                Some(b"2") => Form::Hello(2),
                _ => Form::One,
            },
            Role::Reset => Form::Hello(2),
            Role::Subscribe => Form::Subscribe,
            Role::Stream => Form::Stream,
            _ => Form::One,
        };
        let answered = match (kind.role, Switch::of(command, kind)) {
            (Role::Reset, _) | (_, Some(Switch::On)) => true,
            (_, Some(Switch::Off | Switch::Skip)) => false,
            (_, None) => self.answered(),
        };
        Step {
            reply: answered.then_some(form),
            subject: Some(Subject::one(kind)),
            executes: false,
        }
    }

    fn answered(&self) -> bool {
        self.replies == Replies::On
    }

    /// Takes an empty line or array. It has no reply, and uses up a skip all the same.
    pub(crate) fn take_empty(&mut self) {
        if self.replies == Replies::SkipNext {
            self.replies = Replies::On;
        }
    }

    /// Takes a command that is passed on. True when the client's name changed.
    pub(crate) fn take(&mut self, command: &Command, kind: Kind) -> bool {
        let before = self.replies;
        self.take_empty();
        let switch = Switch::of(command, kind);
        match (&mut self.queued, kind.role) {
            (_, Role::Reset) => {
                *self = Self::default();
                return true;
            }
            (Some(_), Role::Exec | Role::Discard) => self.queued = None,
            (Some(queued), _) => {
                queued.classes = queued.classes.with(kind.class);
                queued.switches_replies |= switch.is_some();
            }
            (None, Role::Multi) => self.queued = Some(Queued::default()),
            (None, Role::Client | Role::Hello) => {
                self.replies = match switch {
                    Some(Switch::On) => Replies::On,
                    Some(Switch::Off) => Replies::Off,
                    Some(Switch::Skip) if before != Replies::Off => Replies::SkipNext,
                    _ => self.replies,
                };
                return self.take_name(command, kind);
            }
            (None, _) => {}
        }
        false
    }

    fn take_name(&mut self, command: &Command, kind: Kind) -> bool {
        let set = command
            .arguments()
            .position(|a| a.eq_ignore_ascii_case(b"SETNAME"));
        let stands_right = |at: &usize| kind.role == Role::Hello || *at == 1;
        let name = set
            .filter(stands_right)
            .and_then(|at| command.argument(at + 1));
        name.inspect(|name| self.client = String::from_utf8_lossy(name).into_owned())
            .is_some()
    }
}

/// CLIENT REPLY with a mode. ON is answered even when replies were off; OFF and SKIP are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Switch {
    On,
    Off,
    Skip,
}

impl Switch {
    /// The mode; none for wrong usage, which an error answers.
    fn of(command: &Command, kind: Kind) -> Option<Self> {
        if kind.role != Role::Client || !command.argument_is(1, "REPLY") {
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
    use crate::class::Class;
    use crate::frame::Capture as _;

    fn take(dialogue: &mut Dialogue, text: &str) -> Step {
        let mut command = Command::new();
        command.clear(true);
        command.piece(0, text.as_bytes());
        command.split_inline();
        let (kind, _) = Dialogue::kind(&command, usize::MAX, &Commands::built_in());
        let step = dialogue.look(&command, kind);
        dialogue.take(&command, kind);
        step
    }

    #[test]
    fn rules_see_a_transaction_at_its_exec() {
        let mut dialogue = Dialogue::default();
        assert_eq!(take(&mut dialogue, "MULTI").reply, Some(Form::One));
        let queued = take(&mut dialogue, "INCR a");
        assert_eq!(
            queued,
            Step {
                reply: Some(Form::One),
                subject: None,
                executes: false
            }
        );
        let exec = take(&mut dialogue, "EXEC");
        assert_eq!(exec.reply, Some(Form::One));
        assert!(exec.executes && exec.subject.unwrap().is(Class::Write));
        assert!(
            !take(&mut dialogue, "EXEC")
                .subject
                .unwrap()
                .is(Class::Write)
        );
    }

    #[test]
    fn switched_off_replies_are_not_expected() {
        let mut dialogue = Dialogue::default();
        for (command, reply) in [
            ("CLIENT REPLY SKIP", None),
            ("GET a", None),
            ("GET a", Some(Form::One)),
            ("CLIENT REPLY OFF", None),
            ("GET a", None),
            ("CLIENT REPLY SKIP", None),
            ("GET a", None),
            ("GET a", None),
            ("CLIENT REPLY ON", Some(Form::One)),
            ("GET a", Some(Form::One)),
        ] {
            assert_eq!(take(&mut dialogue, command).reply, reply, "{command}");
        }
    }

    #[test]
    fn reset_ends_every_state() {
        let mut dialogue = Dialogue::default();
        for (command, reply) in [
            ("MULTI", Some(Form::One)),
            ("RESET", Some(Form::Hello(2))),
            ("CLIENT REPLY OFF", None),
            ("RESET", Some(Form::Hello(2))),
            ("GET a", Some(Form::One)),
        ] {
            assert_eq!(take(&mut dialogue, command).reply, reply, "{command}");
        }
    }

    #[test]
    fn queued_switches_end_the_matching() {
        let mut dialogue = Dialogue::default();
        for (command, reply) in [
            ("MULTI", Some(Form::One)),
            ("CLIENT REPLY OFF", Some(Form::One)),
            ("GET a", Some(Form::One)),
            ("EXEC", Some(Form::Stream)),
        ] {
            assert_eq!(take(&mut dialogue, command).reply, reply, "{command}");
        }
    }

    #[test]
    fn empty_requests_use_up_a_skip() {
        let mut dialogue = Dialogue::default();
        assert_eq!(take(&mut dialogue, "CLIENT REPLY SKIP").reply, None);
        dialogue.take_empty();
        assert_eq!(take(&mut dialogue, "GET a").reply, Some(Form::One));
    }

    #[test]
    fn names_are_set_by_client_and_hello() {
        let mut dialogue = Dialogue::default();
        take(&mut dialogue, "CLIENT SETNAME worker");
        assert_eq!(dialogue.client(), "worker");
        assert_eq!(
            take(&mut dialogue, "HELLO 3 AUTH u p SETNAME other").reply,
            Some(Form::Hello(3))
        );
        assert_eq!(dialogue.client(), "other");
        take(&mut dialogue, "RESET");
        assert_eq!(dialogue.client(), "");
    }

    #[test]
    fn special_forms_are_recognized() {
        let mut dialogue = Dialogue::default();
        for (command, form) in [
            ("subscribe a b", Form::Subscribe),
            ("MONITOR", Form::Stream),
            ("CLUSTER SLOTS", Form::One),
            ("HELLO", Form::One),
        ] {
            assert_eq!(take(&mut dialogue, command).reply, Some(form), "{command}");
        }
    }
}
