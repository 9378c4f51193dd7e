//! A proxy without rules changes nothing: frames of all kinds and sizes, cut anywhere, arrive byte
//! for byte.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

#[path = "support/frames.rs"]
mod frames;
#[path = "support/proxy.rs"]
mod proxy;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use frames::{bulk, ends};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use proxy::proxy_to;
use resp_proxy::StreamSide;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of payloads, line breaks and type bytes among them.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..40),
        2 => Just(b"\r\n$3\r\n*1\r\n".to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 3000..80_000),
    ]
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    ("[+,(#_]", "[ -~]{0,30}").prop_map(|(kind, text)| format!("{kind}{text}\r\n").into_bytes())
}

/// One reply of RESP2 or RESP3. Errors and pushes are made by their own strategies.
fn reply() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        line(),
        any::<i64>().prop_map(|n| format!(":{n}\r\n").into_bytes()),
        payload().prop_map(|p| bulk('$', &p)),
        payload().prop_map(|p| bulk('=', &p)),
        Just(b"$-1\r\n".to_vec()),
        Just(b"*-1\r\n".to_vec()),
        "[ -~]{1,40}".prop_map(|text| format!("-{text}\r\n").into_bytes()),
        payload().prop_map(|p| {
            let chunks: Vec<u8> = p
                .chunks(7)
                .flat_map(|c| {
                    [
                        format!(";{}\r\n", c.len()).into_bytes(),
                        c.to_vec(),
                        b"\r\n".to_vec(),
                    ]
                    .concat()
                })
                .collect();
            [b"$?\r\n".to_vec(), chunks, b";0\r\n".to_vec()].concat()
        }),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        (
            prop_oneof![Just('*'), Just('~'), Just('%'), Just('?')],
            proptest::collection::vec(inner, 0..5),
        )
            .prop_map(|(kind, mut elements)| match kind {
                '?' => [b"*?\r\n".to_vec(), elements.concat(), b".\r\n".to_vec()].concat(),
                '%' => {
                    elements.truncate(elements.len() / 2 * 2);
                    [
                        format!("%{}\r\n", elements.len() / 2).into_bytes(),
                        elements.concat(),
                    ]
                    .concat()
                }
                kind => [
                    format!("{kind}{}\r\n", elements.len()).into_bytes(),
                    elements.concat(),
                ]
                .concat(),
            })
    })
}

/// A command with its reply, perhaps behind pushes and attributes.
#[derive(Clone, Debug)]
struct Turn {
    request: Vec<u8>,
    reply: Vec<u8>,
}

fn turn() -> impl Strategy<Value = Turn> {
    let request = prop_oneof![
        3 => proptest::collection::vec(payload(), 1..5).prop_map(|mut arguments| {
            arguments[0] = b"GET".to_vec();
            let body: Vec<u8> = arguments.iter().flat_map(|a| bulk('$', a)).collect();
            [format!("*{}\r\n", arguments.len()).into_bytes(), body].concat()
        }),
        1 => Just(b"GET inline\r\n".to_vec()),
    ];
    let before = prop_oneof![
        4 => Just(Vec::new()),
        1 => payload().prop_map(|p| [b">2\r\n+message\r\n".to_vec(), bulk('$', &p)].concat()),
        1 => Just(b"|1\r\n+ttl\r\n:3600\r\n".to_vec()),
    ];
    (request, before, reply()).prop_map(|(request, before, reply)| Turn {
        request,
        reply: [before, reply].concat(),
    })
}

fn requests(turns: &[Turn]) -> Vec<u8> {
    turns.iter().flat_map(|turn| turn.request.clone()).collect()
}

fn replies(turns: &[Turn]) -> Vec<u8> {
    turns.iter().flat_map(|turn| turn.reply.clone()).collect()
}

/// A store that receives and sends exactly these bytes, in pieces of these sizes.
async fn scripted(
    received: usize,
    sent: Vec<u8>,
    piece: usize,
) -> (SocketAddr, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        // The proxy asks for the commands first; a store that does not answer COMMAND closes.
        drop(listener.accept().await.unwrap());
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut read, mut write) = stream.split();
        let receive = async {
            let mut bytes = vec![0; received];
            read.read_exact(&mut bytes).await.unwrap();
            bytes
        };
        let send = async {
            for piece in sent.chunks(piece) {
                write.write_all(piece).await.unwrap();
            }
        };
        let (bytes, ()) = tokio::join!(receive, send);
        bytes
    });
    (address, serving)
}

/// Sends all requests through a proxy and returns the bytes that both sides received.
async fn through(turns: &[Turn], piece: usize) -> (Vec<u8>, Vec<u8>) {
    let requests = requests(turns);
    let replies = replies(turns);
    let (address, store) = scripted(requests.len(), replies.clone(), piece).await;
    let upstream = format!("redis://{address}").parse().unwrap();
    let proxy = proxy_to(upstream).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut read, mut write) = stream.split();
    let send = async {
        for piece in requests.chunks(piece) {
            write.write_all(piece).await.unwrap();
        }
    };
    let receive = async {
        let mut bytes = vec![0; replies.len()];
        read.read_exact(&mut bytes).await.unwrap();
        bytes
    };
    let ((), client) = tokio::join!(send, receive);
    let received = store.await.unwrap();
    let counters = proxy.counters();
    // Replies may come before their commands here, so that only the bytes are compared, and that no
    // side was given up.
    assert_eq!(counters.not_resp, 0, "{counters:?}");
    (received, client)
}

/// How many cases: a few in the gate, as many as `RESP_PROXY_CASES` says for the long proof.
fn cases() -> u32 {
    std::env::var("RESP_PROXY_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(48)
}

#[test]
fn streams_arrive_byte_for_byte() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut runner = TestRunner::new(Config {
        cases: cases(),
        ..Config::default()
    });
    let pieces = prop_oneof![Just(1_usize), Just(2), Just(7), Just(1000), Just(100_000)];
    runner
        .run(
            &(proptest::collection::vec(turn(), 1..40), pieces),
            |(turns, piece)| {
                // A byte at a time only where there are few: a large value would take minutes.
                let bytes: usize = turns.iter().map(|t| t.request.len() + t.reply.len()).sum();
                let piece = piece.max(bytes / 4000);
                let both = through(&turns, piece);
                let (received, client) = runtime
                    .block_on(async { timeout(PATIENCE, both).await })
                    .expect("the proxy stalled");
                prop_assert!(received == requests(&turns), "requests differ");
                prop_assert!(client == replies(&turns), "replies differ");
                Ok(())
            },
        )
        .unwrap();
}

#[test]
fn frames_end_alike_however_they_are_cut() {
    let mut runner = TestRunner::new(Config {
        cases: cases() * 4,
        ..Config::default()
    });
    runner
        .run(
            &(proptest::collection::vec(turn(), 1..6), 1_usize..200),
            |(turns, step)| {
                let replies = replies(&turns);
                let whole = ends(StreamSide::Replies, [&replies[..]]).unwrap();
                prop_assert_eq!(whole.last(), Some(&replies.len()));
                prop_assert_eq!(
                    ends(StreamSide::Replies, replies.chunks(step)).unwrap(),
                    whole
                );
                let requests = requests(&turns);
                let whole = ends(StreamSide::Requests, [&requests[..]]).unwrap();
                prop_assert_eq!(whole.len(), turns.len());
                prop_assert_eq!(
                    ends(StreamSide::Requests, requests.chunks(step)).unwrap(),
                    whole
                );
                Ok(())
            },
        )
        .unwrap();
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        step in 1_usize..50,
    ) {
        for side in [StreamSide::Requests, StreamSide::Replies] {
            let cut = ends(side, bytes.chunks(step));
            prop_assert_eq!(cut.is_ok(), ends(side, [&bytes[..]]).is_ok());
        }
    }
}
