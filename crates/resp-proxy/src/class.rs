//! The class of a command: by the store's own flags, or by a built-in table where the store gives
//! none.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use redis::{Value, from_redis_value_ref};

/// The class of a command, as rules name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandClass {
    /// Changes data, or may be replicated: SET, ZADD, PUBLISH.
    Write,
    /// Reads data: GET, ZCOUNT.
    Read,
    /// Runs a script or function: EVAL, EVALSHA, FCALL and their read-only forms.
    Script,
    /// Everything else: PING, HELLO, CLIENT, CONFIG, SUBSCRIBE.
    Other,
}

impl CommandClass {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Write, Self::Read, Self::Script, Self::Other];

    /// The word of the text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Script => "script",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for CommandClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CommandClass {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        Self::ALL
            .into_iter()
            .find(|class| class.as_str() == text)
            .ok_or(UnknownClass)
    }
}

/// There is no such class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("classes are write, read, script and other")]
pub struct UnknownClass;

/// Class of one command, the place of its first key, and its role in the dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommandKind {
    pub(crate) class: CommandClass,
    /// Position of the first key among the arguments; zero where there is none.
    pub(crate) key: usize,
    pub(crate) role: CommandRole,
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
    /// SUBSCRIBE and its relatives.
    Subscribe,
}

/// The part of a command's kind that rules look at: the classes of one command or of a whole
/// transaction, and the place of the first key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommandClasses {
    /// One bit a class.
    classes: u8,
    /// As in [`CommandKind`].
    pub(crate) key: usize,
}

impl CommandClasses {
    /// This command and no other.
    pub(crate) fn one(kind: CommandKind) -> Self {
        Self {
            key: kind.key,
            ..Self::default()
        }
        .with(kind.class)
    }

    /// With one more class.
    pub(crate) fn with(self, class: CommandClass) -> Self {
        Self {
            classes: self.classes | 1 << class as u8,
            ..self
        }
    }

    /// With the classes of another.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            classes: self.classes | other.classes,
            ..self
        }
    }

    pub(crate) fn is(self, class: CommandClass) -> bool {
        self.classes & (1 << class as u8) != 0
    }
}

/// The commands of one store. Names are in upper case.
#[derive(Clone, Debug)]
pub(crate) struct CommandTable {
    kinds: HashMap<Vec<u8>, CommandKind>,
}

impl CommandTable {
    /// The built-in table, for stores that answer COMMAND with an error or not at all.
    pub(crate) fn built_in() -> Self {
        let group = |class, names: &'static str| {
            let kind = CommandKind {
                class,
                key: 1,
                role: CommandRole::Plain,
            };
            names
                .split_whitespace()
                .map(move |name| (name.as_bytes().to_vec(), kind))
        };
        let kinds = group(CommandClass::Write, WRITES)
            .chain(group(CommandClass::Read, READS))
            .collect();
        Self::with_special(kinds)
    }

    /// The answer to COMMAND: one array a command,
    /// `[name, arity, [flags], first key, ..., subcommands]`. Empty when it is none.
    pub(crate) fn reported(answer: &Value) -> Option<Self> {
        let mut kinds = HashMap::new();
        elements(answer)
            .iter()
            .for_each(|command| report(command, &mut kinds));
        (!kinds.is_empty()).then(|| Self::with_special(kinds))
    }

    /// Stores flag scripts in several ways and give no fixed position of their keys, which stand
    /// behind their number.
    fn with_special(mut kinds: HashMap<Vec<u8>, CommandKind>) -> Self {
        for name in [
            "EVAL",
            "EVALSHA",
            "EVAL_RO",
            "EVALSHA_RO",
            "FCALL",
            "FCALL_RO",
        ] {
            kinds.insert(
                name.into(),
                CommandKind {
                    class: CommandClass::Script,
                    key: 3,
                    role: CommandRole::Plain,
                },
            );
        }
        for (name, role) in ROLES {
            kinds.entry(name.into()).or_insert(UNKNOWN).role = role;
        }
        Self { kinds }
    }

    /// The kind of the command with this name, in any case.
    pub(crate) fn kind(&self, name: &[u8]) -> CommandKind {
        self.look_up(&[name])
    }

    /// The kind of a container's subcommand.
    pub(crate) fn subcommand(&self, container: &[u8], name: &[u8]) -> CommandKind {
        self.look_up(&[container, b"|", name])
    }

    fn look_up(&self, parts: &[&[u8]]) -> CommandKind {
        // Longer than any name, so that looking one up allocates nothing.
        let (mut upper, mut length) = ([0; 48], 0);
        for part in parts {
            let Some(room) = upper.get_mut(length..length + part.len()) else {
                return UNKNOWN;
            };
            room.copy_from_slice(part);
            room.make_ascii_uppercase();
            length += part.len();
        }
        self.kinds.get(&upper[..length]).copied().unwrap_or(UNKNOWN)
    }
}

/// A command that neither the store nor the built-in table has.
const UNKNOWN: CommandKind = CommandKind {
    class: CommandClass::Other,
    key: 0,
    role: CommandRole::Plain,
};

/// The elements of an array; none of another value.
fn elements(value: &Value) -> &[Value] {
    match value {
        Value::Array(elements) => elements,
        _ => &[],
    }
}

/// Adds one command of the answer to COMMAND, with its subcommands. Nothing when it has another
/// form.
fn report(command: &Value, kinds: &mut HashMap<Vec<u8>, CommandKind>) {
    let [name, _, flags, key, rest @ ..] = elements(command) else {
        return;
    };
    let Ok(name) = from_redis_value_ref::<Vec<u8>>(name) else {
        return;
    };
    let flags: Vec<String> = from_redis_value_ref(flags).unwrap_or_default();
    let flag = |word: &str| flags.iter().any(|flag| flag == word);
    let class = if flag("write") || flag("may_replicate") {
        CommandClass::Write
    } else if flag("readonly") {
        CommandClass::Read
    } else {
        CommandClass::Other
    };
    let key = from_redis_value_ref(key).unwrap_or(0);
    // Behind the first four: last key, step, categories, tips, key specifications.
    let subcommands = rest.get(5).map(elements).unwrap_or_default();
    let role = if subcommands.is_empty() {
        CommandRole::Plain
    } else {
        CommandRole::Container
    };
    kinds.insert(name.to_ascii_uppercase(), CommandKind { class, key, role });
    subcommands
        .iter()
        .for_each(|subcommand| report(subcommand, kinds));
}

const ROLES: [(&str, CommandRole); 15] = [
    ("CLIENT", CommandRole::Client),
    ("DISCARD", CommandRole::Discard),
    ("EXEC", CommandRole::Exec),
    ("HELLO", CommandRole::Hello),
    ("MULTI", CommandRole::Multi),
    ("RESET", CommandRole::Reset),
    ("MONITOR", CommandRole::Stream),
    ("SYNC", CommandRole::Stream),
    ("PSYNC", CommandRole::Stream),
    ("SUBSCRIBE", CommandRole::Subscribe),
    ("PSUBSCRIBE", CommandRole::Subscribe),
    ("SSUBSCRIBE", CommandRole::Subscribe),
    ("UNSUBSCRIBE", CommandRole::Subscribe),
    ("PUNSUBSCRIBE", CommandRole::Subscribe),
    ("SUNSUBSCRIBE", CommandRole::Subscribe),
];

const WRITES: &str = "\
    APPEND BITFIELD BITOP BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN COPY DECR \
    DECRBY DEL EXPIRE EXPIREAT FLUSHALL FLUSHDB GEOADD GEORADIUS GEOSEARCHSTORE GETDEL GETEX \
    GETSET HDEL HEXPIRE HGETDEL HGETEX HINCRBY HINCRBYFLOAT HMSET HPERSIST HPEXPIRE HSET HSETEX \
    HSETNX INCR INCRBY INCRBYFLOAT LINSERT LMOVE LMPOP LPOP LPUSH LPUSHX LREM LSET LTRIM MIGRATE \
    MOVE MSET MSETNX PERSIST PEXPIRE PEXPIREAT PFADD PFCOUNT PFMERGE PSETEX PUBLISH RENAME \
    RENAMENX RESTORE RPOP RPOPLPUSH RPUSH RPUSHX SADD SDIFFSTORE SET SETBIT SETEX SETNX SETRANGE \
    SINTERSTORE SMOVE SORT SPOP SPUBLISH SREM SUNIONSTORE SWAPDB UNLINK XACK XADD XAUTOCLAIM \
    XCLAIM XDEL XGROUP XSETID XTRIM ZADD ZDIFFSTORE ZINCRBY ZINTERSTORE ZMPOP ZPOPMAX ZPOPMIN \
    ZRANGESTORE ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZUNIONSTORE CL.THROTTLE";

const READS: &str = "\
    BITCOUNT BITFIELD_RO BITPOS DBSIZE DUMP EXISTS EXPIRETIME GEODIST GEOHASH GEOPOS GEORADIUS_RO \
    GEOSEARCH GET GETBIT GETRANGE HEXISTS HGET HGETALL HKEYS HLEN HMGET HRANDFIELD HSCAN HSTRLEN \
    HVALS KEYS LCS LINDEX LLEN LPOS LRANGE MGET PEXPIRETIME PTTL RANDOMKEY SCAN SCARD SDIFF SINTER \
    SINTERCARD SISMEMBER SMEMBERS SMISMEMBER SORT_RO SRANDMEMBER SSCAN STRLEN SUBSTR SUNION TOUCH \
    TTL TYPE XLEN XPENDING XRANGE XREAD XREVRANGE ZCARD ZCOUNT ZDIFF ZINTER ZINTERCARD ZLEXCOUNT \
    ZMSCORE ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYLEX \
    ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION";

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;

    #[test]
    fn built_in_classes_need_no_store() {
        let commands = CommandTable::built_in();
        for (name, class) in [
            ("incr", CommandClass::Write),
            ("ZCOUNT", CommandClass::Read),
            ("EvalSha", CommandClass::Script),
            ("PING", CommandClass::Other),
            (
                "a.name.far.longer.than.that.of.any.command",
                CommandClass::Other,
            ),
        ] {
            assert_eq!(commands.kind(name.as_bytes()).class, class, "{name}");
        }
        assert_eq!(commands.kind(b"EVAL").key, 3);
    }

    #[test]
    fn reported_flags_win() {
        let answer = b"*2\r\n*4\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n\
            *4\r\n$7\r\nlmnx.do\r\n:2\r\n*1\r\n+write\r\n:2\r\n";
        let commands = CommandTable::reported(&parse_redis_value(answer).unwrap()).unwrap();
        assert_eq!(
            commands.kind(b"GET"),
            CommandKind {
                class: CommandClass::Read,
                key: 1,
                role: CommandRole::Plain
            }
        );
        assert_eq!(
            commands.kind(b"lmnx.do"),
            CommandKind {
                class: CommandClass::Write,
                key: 2,
                role: CommandRole::Plain
            }
        );
        assert_eq!(commands.kind(b"EVAL").class, CommandClass::Script);
        let refusal = parse_redis_value(b"-ERR unknown command\r\n").unwrap();
        assert!(CommandTable::reported(&refusal).is_none());
    }

    #[test]
    fn subcommands_have_classes_of_their_own() {
        let create = "*10\r\n$13\r\nxgroup|create\r\n:-5\r\n*1\r\n+write\r\n:2\r\n:2\r\n:1\r\n\
            *0\r\n*0\r\n*0\r\n*0\r\n";
        let answer = format!(
            "*1\r\n*10\r\n$6\r\nxgroup\r\n:-2\r\n*0\r\n:0\r\n:0\r\n:0\r\n*0\r\n*0\r\n*0\r\n\
             *1\r\n{create}"
        );
        let commands =
            CommandTable::reported(&parse_redis_value(answer.as_bytes()).unwrap()).unwrap();
        assert_eq!(commands.kind(b"XGROUP").role, CommandRole::Container);
        assert_eq!(
            commands.subcommand(b"xgroup", b"Create"),
            CommandKind {
                class: CommandClass::Write,
                key: 2,
                role: CommandRole::Plain
            }
        );
        assert_eq!(commands.subcommand(b"xgroup", &[b'x'; 500]), UNKNOWN);
    }
}
