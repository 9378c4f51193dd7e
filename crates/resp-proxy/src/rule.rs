//! A fault as a value: the commands or connections concerned, and their fate.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::class::{CommandClass, CommandClasses};
use crate::client::ClientAddress;
use crate::command::Command;
use crate::occurrence::Occurrence;

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
/// | `key=user:1` | only commands whose first key this is, 128 bytes at most |
/// | `prefix=user:` | only commands whose first key begins so; compared by its first 128 bytes |
/// | `client=worker` | only connections that set this name with CLIENT SETNAME or HELLO |
/// | `client-address=127.0.0.1:5000` | only connections from this address; without a port, of any |
/// | `link=node-1` | only the proxy of this name |
/// | `skip=5` | not the first five commands that all of the above fits |
/// | `every=3` | of those behind them, only the third, the sixth and so on |
/// | `first=2` | of those, only the first two |
/// | `nth=3` | only the third command that all of the above fits; not with the last three |
/// | `percent=10` | only this share of those commands, drawn at random |
/// | `seed=7` | seed of all draws; drawn itself unless given, and printed |
/// | `for=2s` | how long the fault lasts, from its first effect; until healed unless given |
///
/// Commands are counted for each rule by itself, over all connections and whatever other rules do.
/// The first rule that applies to a command decides its fate.
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
/// - `latency by=50ms jitter=10ms`: all bytes arrive later by this time, give or take the jitter.
/// - `timeout after=1s`: bytes are dropped, and the connection is closed after this time; when the
///   fault ends, unless given.
/// - `reset after=1s`: the connection is reset so long after its next bytes; at once unless given.
///
/// The last six concern connections as a whole: only `client`, `client-address`, `link` and `for`
/// go with them (`refuse` takes `link` and `for` alone). `stream=upstream` limits the last three to
/// bytes from the client, `stream=downstream` to bytes from the store.
///
/// A transaction is one command: rules look at its EXEC, which fits when it does itself or when one
/// of the queued commands does. `error` then discards the store's transaction, so that both sides
/// agree that there is none.
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
    pub(crate) address: Option<ClientAddress>,
    pub(crate) link: Option<String>,
}

impl ConnectionFilter {
    /// Whether a connection with this name and address is concerned, its link aside.
    pub(crate) fn is_of(&self, client: &str, address: SocketAddr) -> bool {
        self.client.as_deref().is_none_or(|name| name == client)
            && self.address.is_none_or(|one| one.is(address))
    }
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
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) prefix: Option<Vec<u8>>,
    pub(crate) occurrence: Occurrence,
    pub(crate) percent: Option<f64>,
    /// Drawn when the rule comes into force, unless given.
    pub(crate) seed: Option<u64>,
}

impl CommandFilter {
    /// Every command.
    pub fn all() -> Self {
        Self::default()
    }

    /// Commands of this class; called again, of either class.
    #[must_use]
    pub fn of_class(mut self, class: CommandClass) -> Self {
        self.classes.push(class);
        self
    }

    /// Whether it fits a command of these classes with this first key, its number aside.
    pub(crate) fn fits(
        &self,
        command: &Command,
        classes: CommandClasses,
        key: Option<&[u8]>,
    ) -> bool {
        (self.names.is_empty() || self.names.iter().any(|name| command.is(name)))
            && (self.classes.is_empty() || self.classes.iter().any(|class| classes.is(*class)))
            && (self.key.is_none() || self.key.as_deref() == key)
            && (self.prefix.as_deref())
                .is_none_or(|prefix| key.is_some_and(|key| key.starts_with(prefix)))
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

impl CommandFault {
    /// Whether the command must not reach the store before its fate is known.
    pub(crate) fn withholds(&self) -> bool {
        matches!(self, Self::Hold | Self::Error(_) | Self::ResetBefore)
    }

    fn has_jitter(&self) -> bool {
        matches!(self, Self::Delay { jitter, .. } if !jitter.is_zero())
    }
}

/// Fault of whole connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionFault {
    /// Nothing passes in either direction; connections stay open.
    Silence,
    /// Open connections are reset and new ones refused.
    Refuse,
    /// At most this many bytes a second in each direction of each connection.
    Bandwidth {
        /// Bytes a second.
        rate: std::num::NonZeroU32,
    },
    /// All bytes arrive later by `by`, give or take up to `jitter`.
    Latency {
        /// Time added.
        by: Duration,
        /// Largest deviation from `by`, drawn uniformly.
        jitter: Duration,
        /// The direction concerned; both unless given.
        stream: Option<LinkDirection>,
    },
    /// Bytes are dropped, and the connection is closed.
    Timeout {
        /// Time to the close, from the beginning of the connection or of the fault. None: when the
        /// fault ends.
        after: Option<Duration>,
        /// The direction whose bytes are dropped; both unless given.
        stream: Option<LinkDirection>,
    },
    /// The connection is reset.
    Reset {
        /// Time to the reset, from the next bytes.
        after: Duration,
        /// The direction whose bytes count; both unless given.
        stream: Option<LinkDirection>,
    },
}

/// The direction of bytes through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkDirection {
    /// From the client to the store.
    Upstream,
    /// From the store to the client.
    Downstream,
}

impl fmt::Display for LinkDirection {
    /// The word of the text form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upstream => "upstream",
            Self::Downstream => "downstream",
        })
    }
}

/// One line of printable text, such as `READONLY You can't write against a read only replica.` It
/// comes from the text form, which lets no line break pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorLine(pub(crate) String);

impl Rule {
    /// A fault of commands.
    pub fn commands(which: CommandFilter, fault: CommandFault) -> Self {
        Self {
            scope: ConnectionFilter::default(),
            lasts: None,
            fault: RuleFault::Command(which, fault),
        }
    }

    /// No connection passes.
    #[cfg(feature = "control")]
    pub(crate) fn refusing() -> Self {
        Self {
            scope: ConnectionFilter::default(),
            lasts: None,
            fault: RuleFault::Connection(ConnectionFault::Refuse),
        }
    }

    /// The rule with this seed where it has none and needs one.
    pub(crate) fn seeded(mut self, seed: u64) -> Self {
        if let RuleFault::Command(which, fault) = &mut self.fault
            && which.seed.is_none()
            && (which.percent.is_some() || fault.has_jitter())
        {
            which.seed = Some(seed);
        }
        self
    }
}
