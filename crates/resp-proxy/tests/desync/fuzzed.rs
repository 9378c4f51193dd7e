//! Fuzzed frames of RESP2 and RESP3, between a scripted client and a scripted store.

use std::net::Ipv4Addr;
use std::time::Duration;

use resp_proxy::StreamSide;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::frames::{bulk, ends};
use crate::proxy::proxy_to;
use crate::rng::{Rng, RngExt as _, command};
use crate::{MARK, MARKED, RULE, frame_count};

/// Longest time without a byte.
const PATIENCE: Duration = Duration::from_secs(60);

/// One reply. Every type, nested up to four deep.
fn reply(rng: &mut Rng, depth: u8, out: &mut Vec<u8>) {
    let kinds = if depth == 4 { 11 } else { 16 };
    match rng.u64(..kinds) {
        0 | 1 => out.extend_from_slice(format!("+{}\r\n", rng.line()).as_bytes()),
        2 => out.extend_from_slice(format!("-ERR {}\r\n", rng.line()).as_bytes()),
        3 => out.extend_from_slice(format!(":{}\r\n", rng.u64(..).cast_signed()).as_bytes()),
        4 | 5 => {
            let payload = rng.payload();
            out.extend(bulk('$', &payload));
        }
        6 => out.extend_from_slice(
            [b"$-1\r\n".as_slice(), b"*-1\r\n", b"_\r\n"][rng.u64(..3) as usize],
        ),
        7 => out.extend_from_slice(
            [b"#t\r\n".as_slice(), b",1.5e3\r\n", b",inf\r\n"][rng.u64(..3) as usize],
        ),
        8 => out.extend_from_slice(format!("({}\r\n", rng.u64(..)).as_bytes()),
        9 => {
            let payload = rng.payload();
            out.extend(bulk(['=', '!'][rng.u64(..2) as usize], &payload));
        }
        10 => {
            out.extend_from_slice(b"$?\r\n");
            for _ in 0..rng.u64(..4) {
                let chunk = [rng.payload(), b"x".to_vec()].concat();
                out.extend(bulk(';', &chunk));
            }
            out.extend_from_slice(b";0\r\n");
        }
        11 => {
            out.extend_from_slice(b"*?\r\n");
            (0..rng.u64(..4)).for_each(|_| reply(rng, depth + 1, out));
            out.extend_from_slice(b".\r\n");
        }
        12 => {
            // An attribute of an element.
            out.extend_from_slice(b"*1\r\n|1\r\n+ttl\r\n");
            reply(rng, 4, out);
            reply(rng, depth + 1, out);
        }
        kind => {
            let (kind, values) = [('*', 1), ('~', 1), ('%', 2)][kind as usize - 13];
            let length = rng.u64(..4);
            out.extend_from_slice(format!("{kind}{length}\r\n").as_bytes());
            (0..length * values).for_each(|_| reply(rng, depth + 1, out));
        }
    }
}

/// A turn that the store takes part in: a request, and its reply with pushes and attributes before
/// it.
fn turn(rng: &mut Rng, request: &mut Vec<u8>, answer: &mut Vec<u8>) {
    if rng.u64(..20) == 0 {
        request.extend_from_slice(b"GET inline\r\n");
    } else {
        let arguments: Vec<_> = (0..rng.u64(..4)).map(|_| rng.payload()).collect();
        let name: &[u8] = [b"GET".as_slice(), b"set", b"FUZZ", b"EVALSHA"][rng.u64(..4) as usize];
        let arguments: Vec<&[u8]> = [name]
            .into_iter()
            .chain(arguments.iter().map(Vec::as_slice))
            .collect();
        request.extend(command(&arguments));
    }
    if rng.u64(..10) == 0 {
        let payload = rng.payload();
        answer.extend([b">2\r\n+message\r\n".to_vec(), bulk('$', &payload)].concat());
    }
    if rng.u64(..10) == 0 {
        answer.extend_from_slice(b"|1\r\n+ttl\r\n:3600\r\n");
    }
    reply(rng, 0, answer);
}

/// What the two sides send and receive for turn after turn of one seed.
struct Script {
    rng: Rng,
    turns: u64,
    request: Vec<u8>,
    answer: Vec<u8>,
}

enum Turn {
    /// Answered by the rule.
    Marked,
    /// Answered by the store.
    Passed,
}

impl Script {
    fn new(seed: u64, turns: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            turns,
            request: Vec::new(),
            answer: Vec::new(),
        }
    }

    fn next(&mut self) -> Option<Turn> {
        self.turns = self.turns.checked_sub(1)?;
        self.request.clear();
        self.answer.clear();
        Some(if self.rng.u64(..16) == 0 {
            Turn::Marked
        } else {
            turn(&mut self.rng, &mut self.request, &mut self.answer);
            Turn::Passed
        })
    }
}

/// Bytes to be sent in pieces of random sizes.
struct Sender<W> {
    out: W,
    pieces: Rng,
    waiting: Vec<u8>,
    piece: usize,
}

impl<W: AsyncWriteExt + Unpin> Sender<W> {
    fn new(out: W, seed: u64) -> Self {
        let mut pieces = Rng::with_seed(seed);
        let piece = pieces.piece();
        Self {
            out,
            pieces,
            waiting: Vec::new(),
            piece,
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
        while self.waiting.len() >= self.piece {
            self.out
                .write_all(&self.waiting[..self.piece])
                .await
                .unwrap();
            self.waiting.drain(..self.piece);
            self.piece = self.pieces.piece();
        }
    }

    async fn flush(&mut self) {
        self.out.write_all(&self.waiting).await.unwrap();
        self.waiting.clear();
    }
}

/// Bytes that must arrive exactly so.
struct Receiver<R> {
    from: R,
    buffer: Vec<u8>,
    at: usize,
}

impl<R: AsyncReadExt + Unpin> Receiver<R> {
    fn new(from: R) -> Self {
        Self {
            from,
            buffer: Vec::new(),
            at: 0,
        }
    }

    async fn expect(&mut self, bytes: &[u8], turn: u64) {
        let mut done = 0;
        while done < bytes.len() {
            if self.at == self.buffer.len() {
                self.buffer.resize(1 << 16, 0);
                let read = timeout(PATIENCE, self.from.read(&mut self.buffer))
                    .await
                    .expect("the proxy stalled")
                    .unwrap();
                assert!(read > 0, "closed in turn {turn}");
                self.buffer.truncate(read);
                self.at = 0;
            }
            let take = (bytes.len() - done).min(self.buffer.len() - self.at);
            assert!(
                bytes[done..done + take] == self.buffer[self.at..self.at + take],
                "other bytes in turn {turn}"
            );
            done += take;
            self.at += take;
        }
    }
}

/// The store: receives each request, and only then sends its answer.
async fn store(stream: TcpStream, seed: u64, turns: u64) {
    let (from, to) = stream.into_split();
    let (mut receiver, mut sender) = (Receiver::new(from), Sender::new(to, seed ^ 1));
    let mut script = Script::new(seed, turns);
    while let Some(turn) = script.next() {
        if let Turn::Passed = turn {
            // The client waits for no reply, so that the store may hold some back until more
            // requests are there.
            if receiver.at == receiver.buffer.len() {
                sender.flush().await;
            }
            receiver.expect(&script.request, script.turns).await;
            sender.send(&script.answer).await;
        }
    }
    sender.flush().await;
    // Until the proxy closes: a close of this side could overtake the last answers.
    let _ = receiver.from.read(&mut [0; 1]).await;
}

async fn passes(seed: u64, turns: u64) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let upstream = format!("redis://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let serving = tokio::spawn(async move {
        // The proxy asks for the commands first; a store that does not answer COMMAND closes.
        drop(listener.accept().await.unwrap());
        store(listener.accept().await.unwrap().0, seed, turns).await;
    });
    let proxy = proxy_to(upstream).await;
    let guard = proxy.inject(RULE.parse().unwrap());
    let (from, to) = TcpStream::connect(proxy.address())
        .await
        .unwrap()
        .into_split();
    let sending = tokio::spawn(async move {
        let (mut script, mut sender) = (Script::new(seed, turns), Sender::new(to, seed ^ 2));
        while let Some(turn) = script.next() {
            match turn {
                Turn::Marked => sender.send(MARK).await,
                Turn::Passed => sender.send(&script.request).await,
            }
        }
        sender.flush().await;
        sender.out
    });
    let (mut script, mut receiver) = (Script::new(seed, turns), Receiver::new(from));
    let mut marked = 0;
    while let Some(turn) = script.next() {
        match turn {
            Turn::Marked => {
                marked += 1;
                receiver.expect(MARKED, script.turns).await;
            }
            Turn::Passed => receiver.expect(&script.answer, script.turns).await,
        }
    }
    let counters = proxy.counters();
    assert_eq!(
        (counters.commands, guard.report().effects),
        (turns, marked),
        "{counters:?}"
    );
    assert_eq!(
        (counters.unmatched, counters.streams, counters.not_resp),
        (0, 0, 0),
        "{counters:?}"
    );
    drop(sending.await.unwrap());
    drop(receiver);
    serving.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fuzzed_frames_keep_their_places() {
    let seed = std::env::var("RESP_PROXY_SEED")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0x5eed);
    println!("seed {seed}");
    passes(seed, frame_count()).await;
}

#[test]
fn small_frames_end_alike_at_every_cut() {
    let mut rng = Rng::with_seed(7);
    for _ in 0..500 {
        let (mut request, mut answer) = (Vec::new(), Vec::new());
        turn(&mut rng, &mut request, &mut answer);
        for (side, bytes) in [
            (StreamSide::Requests, &request),
            (StreamSide::Replies, &answer),
        ] {
            let whole = ends(side, [&bytes[..]]).unwrap();
            assert_eq!(whole.last(), Some(&bytes.len()));
            for cut in (0..bytes.len()).take(400) {
                let (head, tail) = bytes.split_at(cut);
                assert_eq!(
                    ends(side, [head, tail]).unwrap(),
                    whole,
                    "cut at {cut}: {:?}",
                    String::from_utf8_lossy(bytes)
                );
            }
        }
    }
}
