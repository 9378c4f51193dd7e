//! Random commands to a real store, through the proxy and directly: the replies are the same bytes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::proxy::proxy_to;
use crate::rng::{Rng, RngExt as _, command};
use crate::store::Store;
use crate::{MARK, MARKED, RULE, frame_count};

const PATIENCE: Duration = Duration::from_secs(60);

/// A command with the same reply in every store of one version: no times, no ids, no random choice.
fn random_command(rng: &mut Rng, out: &mut Vec<u8>) {
    let key = [b'k', b'0' + rng.u64(..4) as u8];
    let other = [b'o', b'0' + rng.u64(..4) as u8];
    let value = rng.payload();
    let arguments: &[&[u8]] = match rng.u64(..34) {
        0 | 1 => &[b"SET", &key, &value],
        2 | 3 => &[b"GET", &key],
        4 => &[b"INCR", &other],
        5 => &[b"APPEND", &key, &value],
        6 => &[b"LPUSH", b"list", &value],
        7 => &[b"LRANGE", b"list", b"0", b"5"],
        8 => &[b"LTRIM", b"list", b"0", b"20"],
        9 => &[b"HSET", b"hash", &key, &value],
        10 => &[b"HGET", b"hash", &key],
        11 => &[b"HINCRBYFLOAT", b"floats", &key, b"0.5"],
        12 => &[b"ZADD", b"zset", b"1.5", &key],
        13 => &[b"ZRANGE", b"zset", b"0", b"-1", b"WITHSCORES"],
        14 => &[b"ZSCORE", b"zset", &key],
        15 => &[
            b"EVAL",
            b"return {1, 'a', {ARGV[1]}, redis.call('GET', KEYS[1])}",
            b"1",
            &key,
            &value,
        ],
        16 => &[
            b"EVALSHA",
            b"ffffffffffffffffffffffffffffffffffffffff",
            b"0",
        ],
        17 => &[b"NOSUCHCOMMAND", &value],
        18 => &[b"GET"],
        19 => &[b"MULTI"],
        20 | 21 => &[b"EXEC"],
        22 => &[b"DISCARD"],
        23 => &[b"ECHO", &value],
        24 => &[b"CLIENT", b"REPLY", b"SKIP"],
        25 => &[b"CLIENT", b"SETNAME", &key],
        26 => &[b"CLIENT", b"GETNAME"],
        27 => &[b"XGROUP", b"CREATE", b"stream", &key, b"$", b"MKSTREAM"],
        28 => &[b"TYPE", &key],
        29 => {
            out.extend_from_slice(b"PING\r\n");
            return;
        }
        30 => {
            out.extend_from_slice(b"\r\n*0\r\nSTRLEN k1\r\n");
            return;
        }
        31 => &[b"DEL", &key],
        32 => &[b"CLIENT", b"REPLY", b"ON"],
        _ => &[b"PING", &value],
    };
    out.extend(command(arguments));
}

/// Pipelines of random commands. A marked one stands between them, outside of transactions, with
/// all replies switched on.
fn pipeline(rng: &mut Rng, count: u64, protocol: u8) -> Vec<u8> {
    let mut bytes = command(&[b"RESET"]);
    bytes.extend(command(&[b"HELLO", &[b'0' + protocol]]));
    let mut queueing = false;
    for _ in 0..count {
        let before = bytes.len();
        random_command(rng, &mut bytes);
        let has = |word: &[u8]| bytes[before..].windows(word.len()).any(|w| w == word);
        // A queued switch would silence a part of the reply to EXEC.
        if queueing && has(b"REPLY") {
            bytes.truncate(before);
            continue;
        }
        queueing = (queueing || has(b"$5\r\nMULTI\r\n"))
            && !has(b"$4\r\nEXEC\r\n")
            && !has(b"$7\r\nDISCARD\r\n");
    }
    if queueing {
        bytes.extend(command(&[b"DISCARD"]));
    }
    bytes.extend(command(&[b"CLIENT", b"REPLY", b"ON"]));
    bytes
}

/// Sends in random pieces, and reads until the answer to a last ECHO of a word that nothing else
/// has in it.
fn exchange(address: SocketAddr, request: &[u8], rng: &mut Rng, end: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut writing = stream.try_clone().unwrap();
    let (mut rest, mut pieces) = ([request, &command(&[b"ECHO", end])].concat(), rng.clone());
    let writer = std::thread::spawn(move || {
        while !rest.is_empty() {
            let piece = pieces.piece().min(rest.len());
            writing.write_all(&rest[..piece]).unwrap();
            rest.drain(..piece);
        }
    });
    let (mut answer, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    let last = [end, b"\r\n"].concat();
    while !answer.ends_with(&last) {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "closed after {} bytes", answer.len());
        answer.extend_from_slice(&buffer[..read]);
    }
    writer.join().unwrap();
    without_id(answer)
}

/// Replaces the number of the connection in the reply to HELLO, which depends on the connections
/// before.
fn without_id(answer: Vec<u8>) -> Vec<u8> {
    const NAME: &[u8] = b"$2\r\nid\r\n:";
    let Some(at) = answer.windows(NAME.len()).position(|w| w == NAME) else {
        return answer;
    };
    let digits = at + NAME.len();
    let rest = answer[digits..]
        .iter()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or_default();
    [&answer[..digits], b"0", &answer[digits + rest..]].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_are_those_of_a_direct_connection() {
    let (behind, direct) = (Store::start(), Store::start());
    let proxy = proxy_to(behind.url().parse().unwrap()).await;
    let guard = proxy.inject(RULE.parse().unwrap());
    let (through, direct_address) = (proxy.address(), direct.address);
    let marked = tokio::task::spawn_blocking(move || {
        let (mut rng, mut marked) = (Rng::with_seed(11), 0);
        const PIPELINE: u64 = 200;
        for round in 0..frame_count() / PIPELINE {
            let request = pipeline(&mut rng, PIPELINE, 2 + (round % 2) as u8);
            let word = format!("end-{round}");
            let expected = exchange(direct_address, &request, &mut rng, word.as_bytes());
            let with_mark = [&request, MARK].concat();
            let answer = exchange(through, &with_mark, &mut rng, word.as_bytes());
            let echo = format!("${}\r\n{word}\r\n", word.len());
            let before = expected.len() - echo.len();
            let expected = [&expected[..before], MARKED, echo.as_bytes()].concat();
            let differs = answer.iter().zip(&expected).position(|(a, b)| a != b);
            let near = |bytes: &[u8]| {
                let at = differs.unwrap_or_default();
                let part = &bytes[at.saturating_sub(80)..bytes.len().min(at + 80)];
                String::from_utf8_lossy(part).into_owned()
            };
            assert!(
                answer == expected,
                "round {round}, byte {differs:?} of {}: {:?} instead of {:?}",
                expected.len(),
                near(&answer),
                near(&expected)
            );
            marked += 1;
        }
        marked
    });
    let marked: u64 = marked.await.unwrap();
    let counters = proxy.counters();
    assert_eq!(guard.report().effects, marked, "{counters:?}");
    assert_eq!(
        (counters.unmatched, counters.streams, counters.not_resp),
        (0, 0, 0),
        "{counters:?}"
    );
}
