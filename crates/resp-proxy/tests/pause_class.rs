//! `class=write,script do=hold` holds what CLIENT PAUSE WRITE holds, command by command.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/store.rs"]
mod store;

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use proxy::proxy_to;
use redis::Value;
use store::Store;

const PATIENCE: Duration = Duration::from_secs(60);

/// Commands that end the store or the connection, that answer later or never by themselves, or that
/// would change the pause or write files. CLUSTER SETSLOT may be replicated in Valkey and not in
/// Redis, and neither says so.
const LEFT_OUT: [&str; 25] = [
    "BGREWRITEAOF",
    "BGSAVE",
    "CLIENT|KILL",
    "CLIENT|NO-EVICT",
    "CLIENT|PAUSE",
    "CLIENT|REPLY",
    "CLIENT|UNBLOCK",
    "CLIENT|UNPAUSE",
    "CLUSTER|SETSLOT",
    "DEBUG",
    "FAILOVER",
    "MONITOR",
    "MULTI",
    "PFSELFTEST",
    "PSYNC",
    "QUIT",
    "REPLCONF",
    "REPLICAOF",
    "RESET",
    "SAVE",
    "SHUTDOWN",
    "SLAVEOF",
    "SYNC",
    "WAIT",
    "WAITAOF",
];

/// Scripts, by their flags.
const SCRIPTS: [&[&str]; 4] = [
    &["EVAL", "return 1", "0"],
    &["EVAL", "#!lua\nreturn 1", "0"],
    &["EVAL", "#!lua flags=no-writes\nreturn 1", "0"],
    &["EVAL_RO", "return 1", "0"],
];

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn ask(address: SocketAddr, words: &[&str]) -> Value {
    let mut connection = redis::Client::open(format!("redis://{address}"))
        .unwrap()
        .get_connection()
        .unwrap();
    redis::cmd(words[0])
        .arg(&words[1..])
        .query(&mut connection)
        .unwrap()
}

/// Every command of the store, and of its containers, with as many arguments as it needs.
fn requests(store: SocketAddr) -> Vec<Vec<String>> {
    let mut requests = Vec::new();
    let Value::Array(commands) = ask(store, &["COMMAND"]) else {
        panic!("COMMAND has another form");
    };
    commands.iter().for_each(|c| add_request(c, &mut requests));
    let script = |words: &&[&str]| words.iter().map(ToString::to_string).collect();
    requests.extend(SCRIPTS.iter().map(script));
    requests
}

fn add_request(command: &Value, requests: &mut Vec<Vec<String>>) {
    let Value::Array(fields) = command else {
        return;
    };
    let name: String = redis::from_redis_value_ref(&fields[0]).unwrap();
    let arity: i64 = redis::from_redis_value_ref(&fields[1]).unwrap();
    let subcommands = match fields.get(9) {
        Some(Value::Array(subcommands)) => subcommands.as_slice(),
        _ => &[],
    };
    subcommands.iter().for_each(|c| add_request(c, requests));
    let name = name.to_ascii_uppercase();
    let container = name.split('|').next().unwrap();
    if !subcommands.is_empty() || LEFT_OUT.contains(&name.as_str()) || LEFT_OUT.contains(&container)
    {
        return;
    }
    let mut words: Vec<String> = name.split('|').map(ToOwned::to_owned).collect();
    words.resize(
        words.len().max(arity.unsigned_abs() as usize),
        "1".to_owned(),
    );
    requests.push(words);
}

/// Sends each request on a connection of its own, and returns those without an answer while
/// `is_settled` says that no more answers come.
fn unanswered(
    address: SocketAddr,
    requests: &[Vec<String>],
    is_settled: impl Fn(usize) -> bool,
) -> BTreeSet<String> {
    let mut streams: Vec<_> = requests
        .iter()
        .map(|words| {
            let mut stream = connect(address);
            let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
            for word in words {
                bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
            }
            stream.write_all(&bytes).unwrap();
            stream.set_nonblocking(true).unwrap();
            (words.join(" "), stream)
        })
        .collect();
    let began = Instant::now();
    loop {
        streams.retain(|(_, stream)| {
            let peeked = stream.peek(&mut [0]);
            matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
        });
        if is_settled(streams.len()) {
            return streams.into_iter().map(|(words, _)| words).collect();
        }
        assert!(began.elapsed() < PATIENCE, "no answer to {streams:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The number of connections that the store has blocked.
fn blocked(store: SocketAddr) -> usize {
    let mut stream = connect(store);
    stream.write_all(b"INFO clients\r\nECHO end\r\n").unwrap();
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"end\r\n") {
        stream.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    let (_, rest) = text.split_once("blocked_clients:").unwrap();
    rest.split("\r\n").next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_classes_hold_what_a_pause_holds() {
    let held_by_pause = tokio::task::spawn_blocking(|| {
        let store = Store::start();
        let requests = requests(store.address);
        ask(store.address, &["CLIENT", "PAUSE", "600000", "WRITE"]);
        let held = unanswered(store.address, &requests, |left| {
            blocked(store.address) == left
        });
        (requests, held)
    });
    let (requests, held_by_pause) = held_by_pause.await.unwrap();
    assert!(held_by_pause.len() > 100, "{held_by_pause:?}");

    let store = Store::start();
    let proxy = proxy_to(store.url().parse().unwrap()).await;
    let guard = proxy.inject("class=write,script do=hold".parse().unwrap());
    let address = proxy.address();
    let held_by_rule = tokio::task::spawn_blocking(move || {
        unanswered(address, &requests, |left| {
            guard.report().effects == left as u64
        })
    });
    let held_by_rule = held_by_rule.await.unwrap();
    let only =
        |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
    assert_eq!(
        (
            only(&held_by_pause, &held_by_rule),
            only(&held_by_rule, &held_by_pause)
        ),
        (Vec::new(), Vec::new()),
        "held by the pause alone, and by the rule alone"
    );
    println!("{} commands are held by both", held_by_rule.len());
}
