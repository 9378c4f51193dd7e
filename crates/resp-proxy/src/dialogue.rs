//! The states of a connection that decide which replies a command has: transactions, CLIENT REPLY, subscriptions, names.

use crate::class::{Commands, Subject};
use crate::command::Command;
use crate::expected::Form;

/// The commands of one connection so far, as far as later ones depend on them. Pure: commands in, expectations out.
#[derive(Debug, Default)]
pub(crate) struct Dialogue {
    /// The classes of the commands queued in a transaction, if one is open.
    queued: Option<Subject>,
    replies: Replies,
    client: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Replies {
    #[default]
    On,
    SkipNext,
    Off,
}

/// The consequences of one command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The form of its reply; nothing when it has none.
    pub(crate) reply: Option<Form>,
    /// Subject of the rules; none for a command that only joins a transaction.
    pub(crate) subject: Option<Subject>,
}

impl Dialogue {
    /// The name that the client set.
    pub(crate) fn client(&self) -> &str {
        &self.client
    }

    /// Whether enough of a command is known to decide about it.
    pub(crate) fn is_enough(command: &Command, known: usize, commands: &Commands) -> bool {
        match command.name() {
            b"" => false,
            _ if command.is("HELLO") => false,
            _ if command.is("CLIENT") => known > 2,
            _ if command.is("CLUSTER") => known > 1,
            name => known > commands.kind(name).key,
        }
    }

    /// Takes the next command.
    pub(crate) fn next(&mut self, command: &Command, commands: &Commands) -> Step {
        let kind = commands.kind(command.name());
        let replied = self.replies;
        if self.replies == Replies::SkipNext {
            self.replies = Replies::On;
        }
        let mut form = Form::One;
        let mut subject = Some(Subject::one(kind));
        if let Some(queued) = self.queued {
            if command.is("EXEC") {
                subject = subject.map(|exec| exec.and(queued));
                self.queued = None;
            } else if command.is("DISCARD") || command.is("RESET") {
                self.queued = None;
            } else {
                self.queued = Some(queued.with(kind.class));
                subject = None;
            }
        } else if command.is("MULTI") {
            self.queued = Some(Subject::default());
        } else {
            form = self.form(command);
        }
        if command.is("CLIENT") && command.argument_is(1, "REPLY") {
            return Step { reply: self.set_replies(command, replied), subject };
        }
        if command.is("RESET") {
            *self = Self::default();
        }
        Step { reply: (replied == Replies::On).then_some(form), subject }
    }

    fn form(&mut self, command: &Command) -> Form {
        if command.is("HELLO") {
            self.hello(command);
            return match command.argument(1) {
                Some(b"3") => Form::Hello(3),
                Some(b"2") => Form::Hello(2),
                _ => Form::One,
            };
        }
        if command.is("RESET") {
            return Form::Hello(2);
        }
        if command.is("CLIENT") && command.argument_is(1, "SETNAME") {
            command.argument(2).inspect(|name| self.client = String::from_utf8_lossy(name).into_owned());
        }
        let one_of = |names: &[&str]| names.iter().any(|name| command.is(name));
        if one_of(&["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"]) {
            return Form::Subscribe;
        }
        if one_of(&["MONITOR", "SYNC", "PSYNC"]) {
            return Form::Stream;
        }
        let map = ["SLOTS", "SHARDS", "NODES"].iter().any(|word| command.argument_is(1, word));
        if command.is("CLUSTER") && map { Form::Addresses } else { Form::One }
    }

    fn hello(&mut self, command: &Command) {
        let mut arguments = command.arguments().skip_while(|a| !a.eq_ignore_ascii_case(b"SETNAME"));
        if let Some(name) = arguments.nth(1) {
            self.client = String::from_utf8_lossy(name).into_owned();
        }
    }

    /// CLIENT REPLY ON is answered even when replies were off; OFF and SKIP are not.
    fn set_replies(&mut self, command: &Command, before: Replies) -> Option<Form> {
        if command.argument_is(2, "ON") {
            self.replies = Replies::On;
            return Some(Form::One);
        }
        if command.argument_is(2, "OFF") {
            self.replies = Replies::Off;
            return None;
        }
        if command.argument_is(2, "SKIP") {
            self.replies = if before == Replies::Off { Replies::Off } else { Replies::SkipNext };
            return None;
        }
        // Wrong usage: an error answers it.
        (before == Replies::On).then_some(Form::One)
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
        dialogue.next(&command, &Commands::built_in())
    }

    #[test]
    fn rules_see_a_transaction_at_its_exec() {
        let mut dialogue = Dialogue::default();
        assert_eq!(take(&mut dialogue, "MULTI").reply, Some(Form::One));
        let queued = take(&mut dialogue, "INCR a");
        assert_eq!(queued, Step { reply: Some(Form::One), subject: None });
        let exec = take(&mut dialogue, "EXEC");
        assert_eq!(exec.reply, Some(Form::One));
        assert!(exec.subject.unwrap().is(Class::Write));
        assert!(!take(&mut dialogue, "EXEC").subject.unwrap().is(Class::Write));
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
    fn names_are_set_by_client_and_hello() {
        let mut dialogue = Dialogue::default();
        take(&mut dialogue, "CLIENT SETNAME worker");
        assert_eq!(dialogue.client(), "worker");
        assert_eq!(take(&mut dialogue, "HELLO 3 AUTH u p SETNAME other").reply, Some(Form::Hello(3)));
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
            ("CLUSTER SLOTS", Form::Addresses),
            ("CLUSTER INFO", Form::One),
            ("HELLO", Form::One),
        ] {
            assert_eq!(take(&mut dialogue, command).reply, Some(form), "{command}");
        }
    }
}
