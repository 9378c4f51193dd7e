//! The commands of one store: by its own answer to COMMAND, or by a built-in table where it gives
//! none.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use redis::{Value, from_redis_value_ref};

use crate::class::{ChannelKind, CommandClass, CommandKind, CommandRole};
use crate::counters::LiveCounter;
use crate::key::KeyPlace;

/// The commands of one store, each with the number of times that it was seen. Names are in upper
/// case.
#[derive(Debug)]
pub(crate) struct CommandTable {
    commands: HashMap<Vec<u8>, KnownCommand, RandomState>,
    unknown: KnownCommand,
}

/// One command of the table.
#[derive(Debug)]
pub(crate) struct KnownCommand {
    pub(crate) kind: CommandKind,
    pub(crate) seen: LiveCounter,
}

impl From<CommandKind> for KnownCommand {
    fn from(kind: CommandKind) -> Self {
        let seen = LiveCounter::default();
        Self { kind, seen }
    }
}

impl CommandTable {
    /// The built-in table, for stores that answer COMMAND with an error or not at all.
    pub(crate) fn built_in() -> Self {
        let group = |class, names: &'static str| {
            names
                .split_whitespace()
                .map(move |name| (name.as_bytes().to_vec(), plain(class, KeyPlace::At(1))))
        };
        let kinds: HashMap<_, _> = group(CommandClass::Write, WRITES)
            .chain(group(CommandClass::Read, READS))
            .chain(group(CommandClass::Script, "EVAL EVALSHA FCALL"))
            .chain(group(CommandClass::Other, OTHERS))
            .collect();
        Self::of(kinds, |_| true)
    }

    /// The answer to COMMAND: one array a command,
    /// `[name, arity, [flags], first key, ..., subcommands]`. Nothing when it is none.
    pub(crate) fn reported(answer: &Value) -> Option<Self> {
        let mut kinds = HashMap::new();
        for command in answer.as_sequence()? {
            report(command, &mut kinds);
        }
        if kinds.is_empty() {
            return None;
        }
        for (name, class) in [
            // Stores hide this flag: these may be replicated, and a write pause holds them back.
            ("PUBLISH", CommandClass::Write),
            ("SPUBLISH", CommandClass::Write),
            ("PFCOUNT", CommandClass::Write),
            ("CLUSTER|SYNCSLOTS", CommandClass::Write),
            ("EVAL", CommandClass::Script),
            ("EVALSHA", CommandClass::Script),
            ("FCALL", CommandClass::Script),
        ] {
            kinds
                .entry(name.into())
                .and_modify(|kind| kind.class = class);
        }
        // Before Redis 7.0, a store gives no place that is not fixed.
        Some(Self::of(kinds, |place| *place == KeyPlace::Nowhere))
    }

    /// These commands, with their roles, and with their keys at other places than the `wrong` ones.
    fn of(mut kinds: HashMap<Vec<u8>, CommandKind>, wrong: impl Fn(&KeyPlace) -> bool) -> Self {
        for (names, place) in places() {
            for name in names.split_whitespace() {
                if let Some(kind) = kinds.get_mut(name.as_bytes())
                    && wrong(&kind.key)
                {
                    kind.key = place.clone();
                }
            }
        }
        for (name, role) in ROLES {
            kinds.entry(name.into()).or_insert(unknown()).role = role;
        }
        Self {
            commands: (kinds.into_iter())
                .map(|(name, kind)| (name, kind.into()))
                .collect(),
            unknown: unknown().into(),
        }
    }

    /// The command with this name, in any case.
    pub(crate) fn command(&self, name: &[u8]) -> &KnownCommand {
        self.look_up(&[name])
    }

    /// A container's subcommand.
    pub(crate) fn subcommand(&self, container: &[u8], name: &[u8]) -> &KnownCommand {
        self.look_up(&[container, b"|", name])
    }

    fn look_up(&self, parts: &[&[u8]]) -> &KnownCommand {
        // Longer than any name, so that looking one up allocates nothing.
        let (mut upper, mut length) = ([0; 48], 0);
        for part in parts {
            let Some(room) = upper.get_mut(length..length + part.len()) else {
                return &self.unknown;
            };
            room.copy_from_slice(part);
            room.make_ascii_uppercase();
            length += part.len();
        }
        self.commands.get(&upper[..length]).unwrap_or(&self.unknown)
    }

    /// Whether a command is in no table.
    pub(crate) fn is_unknown(&self, command: &KnownCommand) -> bool {
        std::ptr::eq(command, &self.unknown)
    }

    /// Every command, with its name.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &KnownCommand)> {
        self.commands
            .iter()
            .filter_map(|(name, known)| Some((std::str::from_utf8(name).ok()?, known)))
    }
}

fn plain(class: CommandClass, key: KeyPlace) -> CommandKind {
    let role = CommandRole::Plain;
    CommandKind { class, key, role }
}

/// A command that neither the store nor the built-in table has.
fn unknown() -> CommandKind {
    plain(CommandClass::Other, KeyPlace::Nowhere)
}

/// Adds one command of the answer to COMMAND, with its subcommands. Nothing when it has another
/// form.
fn report(command: &Value, kinds: &mut HashMap<Vec<u8>, CommandKind>) {
    let Some([name, _, flags, key, rest @ ..]) = command.as_sequence() else {
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
    // Behind the first four: last key, step, categories, tips, key specifications, subcommands.
    let key = KeyPlace::reported(from_redis_value_ref(key).unwrap_or(0), rest.get(4));
    let subcommands = rest.get(5).and_then(Value::as_sequence).unwrap_or_default();
    let role = if subcommands.is_empty() {
        CommandRole::Plain
    } else {
        CommandRole::Container
    };
    kinds.insert(name.to_ascii_uppercase(), CommandKind { class, key, role });
    for subcommand in subcommands {
        report(subcommand, kinds);
    }
}

/// Commands whose first key is not their first argument, by its place.
fn places() -> [(&'static str, KeyPlace); 7] {
    [
        (
            "FLUSHALL FLUSHDB PUBLISH SWAPDB DBSIZE KEYS RANDOMKEY SCAN AUTH ECHO PING SELECT QUIT \
             INFO TIME COMMAND CONFIG WAIT",
            KeyPlace::Nowhere,
        ),
        ("BITOP XGROUP XINFO OBJECT", KeyPlace::At(2)),
        ("MIGRATE", KeyPlace::At(3)),
        (
            "LMPOP ZMPOP SINTERCARD ZINTERCARD ZUNION ZINTER ZDIFF",
            KeyPlace::Counted(1),
        ),
        (
            "BLMPOP BZMPOP EVAL EVALSHA EVAL_RO EVALSHA_RO FCALL FCALL_RO",
            KeyPlace::Counted(2),
        ),
        ("XREAD", KeyPlace::Behind("STREAMS".into(), 1)),
        ("XREADGROUP", KeyPlace::Behind("STREAMS".into(), 4)),
    ]
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
    ("SUBSCRIBE", CommandRole::Subscribe(ChannelKind::Name)),
    ("PSUBSCRIBE", CommandRole::Subscribe(ChannelKind::Pattern)),
    ("SSUBSCRIBE", CommandRole::Subscribe(ChannelKind::Shard)),
    ("UNSUBSCRIBE", CommandRole::Subscribe(ChannelKind::Name)),
    ("PUNSUBSCRIBE", CommandRole::Subscribe(ChannelKind::Pattern)),
    ("SUNSUBSCRIBE", CommandRole::Subscribe(ChannelKind::Shard)),
];

const WRITES: &str = "\
    APPEND BITFIELD BITOP BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN COPY DECR \
    DECRBY DEL EXPIRE EXPIREAT FLUSHALL FLUSHDB GEOADD GEORADIUS GEOSEARCHSTORE GETDEL GETEX \
    GETSET HDEL HEXPIRE HGETDEL HGETEX HINCRBY HINCRBYFLOAT HMSET HPERSIST HPEXPIRE HSET HSETEX \
    HSETNX INCR INCRBY INCRBYFLOAT LINSERT LMOVE LMPOP LPOP LPUSH LPUSHX LREM LSET LTRIM MIGRATE \
    MOVE MSET MSETNX PERSIST PEXPIRE PEXPIREAT PFADD PFCOUNT PFMERGE PSETEX PUBLISH RENAME \
    RENAMENX RESTORE RPOP RPOPLPUSH RPUSH RPUSHX SADD SDIFFSTORE SET SETBIT SETEX SETNX SETRANGE \
    SINTERSTORE SMOVE SORT SPOP SPUBLISH SREM SUNIONSTORE SWAPDB UNLINK XACK XADD XAUTOCLAIM \
    XCLAIM XDEL XGROUP XREADGROUP XSETID XTRIM ZADD ZDIFFSTORE ZINCRBY ZINTERSTORE ZMPOP ZPOPMAX \
    ZPOPMIN ZRANGESTORE ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZUNIONSTORE \
    CL.THROTTLE";

const READS: &str = "\
    BITCOUNT BITFIELD_RO BITPOS DBSIZE DUMP EVALSHA_RO EVAL_RO EXISTS EXPIRETIME FCALL_RO GEODIST \
    GEOHASH GEOPOS GEORADIUS_RO GEOSEARCH GET GETBIT GETRANGE HEXISTS HGET HGETALL HKEYS HLEN \
    HMGET HRANDFIELD HSCAN HSTRLEN HVALS KEYS LCS LINDEX LLEN LPOS LRANGE MGET OBJECT PEXPIRETIME \
    PTTL RANDOMKEY SCAN SCARD SDIFF SINTER SINTERCARD SISMEMBER SMEMBERS SMISMEMBER SORT_RO \
    SRANDMEMBER SSCAN STRLEN SUBSTR SUNION TOUCH TTL TYPE XINFO XLEN XPENDING XRANGE XREAD \
    XREVRANGE ZCARD ZCOUNT ZDIFF ZINTER ZINTERCARD ZLEXCOUNT ZMSCORE ZRANDMEMBER ZRANGE \
    ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN \
    ZSCORE ZUNION";

const OTHERS: &str = "AUTH COMMAND CONFIG ECHO INFO PING QUIT SELECT TIME WAIT";

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
            let found = &commands.command(name.as_bytes()).kind;
            assert_eq!(found.class, class, "{name}");
        }
        assert_eq!(commands.command(b"EVAL").kind.key, KeyPlace::Counted(2));
    }

    #[test]
    fn reported_flags_win() {
        let answer = b"*2\r\n*4\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n\
            *4\r\n$7\r\nlmnx.do\r\n:2\r\n*1\r\n+write\r\n:2\r\n";
        let commands = CommandTable::reported(&parse_redis_value(answer).unwrap()).unwrap();
        let kind = |name: &[u8]| commands.command(name).kind.clone();
        assert_eq!(kind(b"GET"), plain(CommandClass::Read, KeyPlace::At(1)));
        assert_eq!(
            kind(b"lmnx.do"),
            plain(CommandClass::Write, KeyPlace::At(2))
        );
        assert!(commands.is_unknown(commands.command(b"EVAL")));
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
        assert_eq!(
            commands.command(b"XGROUP").kind.role,
            CommandRole::Container
        );
        assert_eq!(
            commands.subcommand(b"xgroup", b"Create").kind,
            plain(CommandClass::Write, KeyPlace::At(2))
        );
        assert!(commands.is_unknown(commands.subcommand(b"xgroup", &[b'x'; 500])));
    }
}
