//! A fault as a value: the commands or connections concerned, and their fate.

use std::time::Duration;

use crate::class::CommandClass;

/// One fault. Parsed from its [text form](crate::Rule#text-form); one of commands can be built with
/// [`Rule::commands`].
///
/// # Text form
///
/// Words of the form `name=value`, in any order, separated by spaces; a value with spaces stands in
/// double quotes, in which `\"` and `\\` stand for themselves.
///
/// | word | meaning |
/// |---|---|
/// | `do=` | the fault, see below; required |
/// | `command=INCR,DECR` | only commands with one of these names |
/// | `class=write,script` | only commands of these classes: `write`, `read`, `script`, `other` |
/// | `prefix=user:` | only commands whose first key begins so; compared by its first 128 bytes |
/// | `client=worker` | only connections that set this name with CLIENT SETNAME or HELLO |
/// | `link=node-1` | only the proxy of this name |
/// | `nth=3` | only the third command that all of the above fits, counted over all connections |
/// | `percent=10` | only this share of those commands, drawn at random |
/// | `seed=7` | seed of all draws, 0 unless given |
/// | `for=2s` | how long the fault lasts, from its first effect; until healed unless given |
///
/// Effects of `do=`:
///
/// - `delay by=50ms jitter=10ms`: the command is passed on at once, and its reply not before this
///   time after the command came.
/// - `hold`: the command, and all behind it on its connection, wait until the fault ends; then they
///   are passed on.
/// - `swallow-reply`: the command is passed on. Its reply, and all behind it on its connection, are
///   dropped; the connection is reset when the fault ends.
/// - `error text="READONLY ..."`: the command is not passed on; this error line answers it.
/// - `reset-before`: both connections are reset before the command is passed on.
/// - `reset-after`: the command is passed on; both connections are reset when its reply comes.
/// - `silence`: nothing passes in either direction until the fault ends; connections stay open.
/// - `refuse`: connections are reset, and new ones are refused.
/// - `bandwidth rate=10000`: at most so many bytes a second and direction on each connection.
///
/// The last three concern connections as a whole: only `client`, `link` and `for` go with them
/// (`refuse` takes no `client`). A transaction is one command: rules look at its EXEC, which is of
/// every class that was queued but has the name EXEC and no key. `error` then discards the store's
/// transaction, so that both sides agree that there is none.
///
/// `hold` lets replies pass, as a paused store does; a client that closes its connection meanwhile
/// takes the held command with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub(crate) scope: ConnectionFilter,
    pub(crate) lasts: Option<Duration>,
    pub(crate) fault: RuleFault,
}

/// The connections that a rule concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConnectionFilter {
    pub(crate) client: Option<String>,
    pub(crate) link: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RuleFault {
    Command(CommandFilter, CommandFault),
    Connection(ConnectionFault),
}

/// The commands that a fault concerns; all of them unless limited.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommandFilter {
    pub(crate) names: Vec<String>,
    pub(crate) classes: Vec<CommandClass>,
    pub(crate) prefix: Option<Vec<u8>>,
    pub(crate) nth: Option<u64>,
    pub(crate) percent: Option<f64>,
    pub(crate) seed: u64,
}

impl CommandFilter {
    /// Every command.
    pub fn all() -> Self {
        Self::default()
    }

    /// Commands with this name, in any case; called again, with either name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.names.push(name.to_ascii_uppercase());
        self
    }

    /// Commands of this class; called again, of either class.
    #[must_use]
    pub fn of_class(mut self, class: CommandClass) -> Self {
        self.classes.push(class);
        self
    }

    /// Only this share of them, drawn from `seed`: 0 to 100 percent, clamped.
    #[must_use]
    pub fn percent(mut self, percent: f64, seed: u64) -> Self {
        self.percent = Some(percent.clamp(0.0, 100.0));
        self.seed = seed;
        self
    }
}

/// Fault of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandFault {
    /// Its reply is passed on no earlier than `by`, give or take up to `jitter`, after the command
    /// came.
    Delay {
        /// Delay of the reply.
        by: Duration,
        /// Largest deviation from `by`, drawn uniformly.
        jitter: Duration,
    },
    /// It waits, with all behind it on its connection, until the fault ends.
    Hold,
    /// The store executes it; its reply and all later ones on the connection are dropped.
    SwallowReply,
    /// It is not passed on, and this error line (without the leading dash) answers it.
    Error(ErrorLine),
    /// Client and store connection are reset, and the store never receives it.
    ResetBefore,
    /// Client and store connection are reset when its reply arrives.
    ResetAfter,
}

/// Fault of whole connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFault {
    /// Nothing passes in either direction; connections stay open.
    Silence,
    /// Open connections are reset and new ones refused.
    Refuse,
    /// At most this many bytes a second in each direction of each connection.
    Bandwidth {
        /// Bytes a second.
        rate: std::num::NonZeroU32,
    },
}

/// One line of printable text, such as `READONLY You can't write against a read only replica.`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorLine(String);

/// The text of an error reply is empty, or has a line break or control character in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an error reply is one line of printable text")]
pub struct ErrorLineRefusal;

impl ErrorLine {
    /// An error line.
    ///
    /// # Errors
    /// When the text is empty or has control characters.
    pub fn new(text: impl Into<String>) -> Result<Self, ErrorLineRefusal> {
        let text = text.into();
        if text.is_empty() || text.chars().any(char::is_control) {
            Err(ErrorLineRefusal)
        } else {
            Ok(Self(text))
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Rule {
    /// A fault of commands.
    pub fn commands(which: CommandFilter, fault: CommandFault) -> Self {
        Self {
            scope: ConnectionFilter::default(),
            lasts: None,
            fault: RuleFault::Command(which, fault),
        }
    }
}
