//! The class of a command, its role on a connection, and the place of its first key.

use std::fmt;

use crate::command::Command;
use crate::key::KeyPlace;

/// The class of a command, as rules name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandClass {
    /// Changes data, or may be replicated: SET, ZADD, PUBLISH, PFCOUNT.
    Write,
    /// Reads data: GET, ZCOUNT, EVAL_RO, and EVAL of a script with the flag `no-writes`.
    Read,
    /// Runs a script or function that may write: EVAL, EVALSHA, FCALL.
    Script,
    /// Everything else: PING, HELLO, CLIENT, CONFIG, SUBSCRIBE.
    Other,
}

impl fmt::Display for CommandClass {
    /// The word of the text form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Script => "script",
            Self::Other => "other",
        })
    }
}

/// Class of one command, the place of its first key, and its role in the dialogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandKind {
    pub(crate) class: CommandClass,
    pub(crate) key: KeyPlace,
    pub(crate) role: CommandRole,
}

impl CommandKind {
    /// The class of this command. A script may say on its first line that it does not write.
    pub(crate) fn class_of(&self, command: &Command) -> CommandClass {
        let says_so = self.class == CommandClass::Script
            && command.is("EVAL")
            && command.argument(1).is_some_and(has_no_writes);
        if says_so {
            CommandClass::Read
        } else {
            self.class
        }
    }
}

/// Whether a script begins with a line such as `#!lua flags=no-writes,allow-stale`.
fn has_no_writes(script: &[u8]) -> bool {
    let line = script.split(|byte| *byte == b'\n').next();
    let line = String::from_utf8_lossy(line.unwrap_or_default());
    line.starts_with("#!")
        && line
            .split_whitespace()
            .filter_map(|word| word.strip_prefix("flags="))
            .any(|flags| flags.split(',').any(|flag| flag == "no-writes"))
}

/// The effect of a command on the connection itself, which decides the replies of later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandRole {
    /// None.
    Plain,
    /// None; class and key belong to the subcommand, such as `XGROUP CREATE`.
    Container,
    Client,
    Discard,
    Exec,
    Hello,
    Multi,
    Reset,
    /// MONITOR, SYNC and PSYNC: an endless stream follows.
    Stream,
    /// SUBSCRIBE and its relatives, which confirm each of their channels.
    Subscribe(ChannelKind),
}

/// The three kinds of subscriptions, each of which a connection has its own number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChannelKind {
    Name,
    Pattern,
    Shard,
}

/// The classes of one command, or of all commands of a transaction. One bit a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommandClasses(u8);

impl CommandClasses {
    /// This class and no other.
    pub(crate) fn one(class: CommandClass) -> Self {
        Self::default().with(class)
    }

    /// With one more class.
    pub(crate) fn with(self, class: CommandClass) -> Self {
        Self(self.0 | 1 << class as u8)
    }

    pub(crate) fn is(self, class: CommandClass) -> bool {
        self.0 & (1 << class as u8) != 0
    }
}
