//! Replies keep their commands whatever the dialogue: subscriptions, refusals, empty commands,
//! requests that no store takes, and ends of either side.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use crate::proxy::proxy_to;
use crate::store::Store;
use crate::support::{ask, clients_of, connect_raw, eventually, proxy, receives, rule};
use resp_proxy::{ProxyNotice, RespProxy};

/// A rule that marks GET with an answer of its own, so that a lost or swapped place shows.
const MARK: &str = "command=GET do=error text=\"ERR marked\"";

#[tokio::test(flavor = "multi_thread")]
async fn announcements_beyond_any_store_are_answered() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let ask_all = || {
        for (request, answer) in [
            ("*3000000000\r\n", "invalid multibulk length"),
            (
                "*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$2000000000\r\n",
                "invalid bulk length",
            ),
            ("*2\r\n$2000000000\r\n", "invalid bulk length"),
            ("*2\r\n$3\r\nGET\r\n$-10\r\n", "invalid bulk length"),
            ("*2\r\n:1\r\n", "expected '$'"),
        ] {
            let mut stream = connect_raw(proxy.address());
            stream.write_all(request.as_bytes()).unwrap();
            let mut line = String::new();
            let _ = stream.read_to_string(&mut line);
            assert!(line.contains(answer), "{request:?}: {line:?}");
        }
    };
    ask_all();
    // With a rule that may keep a command from the store, too.
    let _held = proxy.inject(rule("command=INCR do=hold"));
    ask_all();
}

#[tokio::test(flavor = "multi_thread")]
async fn unauthenticated_requests_are_not_held_back() {
    let store = Store::start();
    ask(
        store.address,
        "CONFIG SET requirepass hunter2\r\n",
        "+OK\r\n",
    );
    let proxy = proxy(&store).await;
    let mut stream = connect_raw(proxy.address());
    stream.write_all(b"*11\r\n").unwrap();
    let mut line = String::new();
    let _ = stream.read_to_string(&mut line);
    assert!(
        line.contains("unauthenticated multibulk length"),
        "{line:?}"
    );
}

fn confirmed(word: &str, channel: Option<&str>, number: u32, kind: char) -> String {
    let channel = channel.map_or_else(
        || {
            if kind == '>' {
                "_\r\n".to_owned()
            } else {
                "$-1\r\n".to_owned()
            }
        },
        |name| format!("${}\r\n{name}\r\n", name.len()),
    );
    format!(
        "{kind}3\r\n${}\r\n{word}\r\n{channel}:{number}\r\n",
        word.len()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_of_resp2_keep_their_places() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let guard = proxy.inject(rule(MARK));
    let expected = [
        confirmed("unsubscribe", None, 0, '*'),
        confirmed("subscribe", Some("a"), 1, '*'),
        confirmed("subscribe", Some("b"), 2, '*'),
        confirmed("psubscribe", Some("p*"), 3, '*'),
        "-ERR marked\r\n".to_owned(),
        confirmed("unsubscribe", Some("a"), 2, '*'),
        confirmed("unsubscribe", Some("b"), 1, '*'),
        confirmed("punsubscribe", Some("p*"), 0, '*'),
        "-ERR marked\r\n+PONG\r\n".to_owned(),
    ];
    let request = "UNSUBSCRIBE\r\nSUBSCRIBE a b\r\nPSUBSCRIBE p*\r\nGET k\r\nUNSUBSCRIBE a\r\n\
        UNSUBSCRIBE\r\nPUNSUBSCRIBE\r\nGET k\r\nPING\r\n";
    ask(proxy.address(), request, &expected.concat());
    let counters = proxy.counters();
    assert_eq!(
        (guard.report().effects, counters.streams, counters.unmatched),
        (2, 0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_answer_no_command() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    for protocol in [2, 3] {
        let guard = proxy.inject(rule("command=PING nth=2 do=reset-after"));
        let mut stream = connect_raw(proxy.address());
        stream
            .write_all(format!("HELLO {protocol}\r\nSUBSCRIBE news\r\nPING\r\n").as_bytes())
            .unwrap();
        eventually("the subscriber is there", async || {
            published(store.address) == ":1\r\n"
        })
        .await;
        for _ in 0..20 {
            published(store.address);
        }
        // The messages are none of its replies, so that it is there for the second PING alone.
        assert_eq!(guard.report().effects, 0, "protocol {protocol}");
        stream.write_all(b"PING\r\n").unwrap();
        eventually("the second PING resets", async || {
            guard.report().effects == 1
        })
        .await;
    }
}

fn published(store: std::net::SocketAddr) -> String {
    let mut stream = connect_raw(store);
    stream.write_all(b"PUBLISH news hi\r\n").unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_of_resp3_keep_their_places() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let guard = proxy.inject(rule(MARK));
    let mut stream = connect_raw(proxy.address());
    stream.write_all(b"HELLO 3\r\nECHO ready\r\n").unwrap();
    reads_until(&mut stream, "ready\r\n");
    stream
        .write_all(b"SUBSCRIBE a b\r\nGET k\r\nSUBSCRIBE c\r\nGET k\r\nUNSUBSCRIBE\r\nGET k\r\n")
        .unwrap();
    let marked = "-ERR marked\r\n";
    receives(
        &mut stream,
        &[
            &confirmed("subscribe", Some("a"), 1, '>'),
            &confirmed("subscribe", Some("b"), 2, '>'),
            marked,
            &confirmed("subscribe", Some("c"), 3, '>'),
            marked,
        ]
        .map(ToString::to_string)
        .concat(),
    );
    let rest = reads_until(&mut stream, marked);
    assert_eq!(rest.matches("unsubscribe").count(), 3, "{rest}");
    assert_eq!(guard.report().effects, 3);
}

/// Reads up to the end of this text.
fn reads_until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(end.as_bytes()) {
        stream.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// A user who may not switch replies.
fn restricted(store: &Store) {
    let user = "ACL SETUSER app on nopass ~* &* +@all -client\r\n";
    ask(store.address, user, "+OK\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_switches_of_replies_change_nothing() {
    let store = Store::start();
    restricted(&store);
    let proxy = proxy(&store).await;
    let guard = proxy.inject(rule(MARK));
    for switch in ["OFF", "SKIP"] {
        let mut stream = connect_raw(proxy.address());
        stream.write_all(b"AUTH app x\r\n").unwrap();
        receives(&mut stream, "+OK\r\n");
        let request = format!("CLIENT REPLY {switch}\r\nINCR {switch}\r\nPING\r\nECHO a\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let refusal = reads_until(&mut stream, "\r\n");
        assert!(refusal.starts_with("-NOPERM"), "{refusal}");
        receives(&mut stream, ":1\r\n+PONG\r\n$1\r\na\r\n");
        stream.write_all(b"GET k\r\nPING\r\n").unwrap();
        receives(&mut stream, "-ERR marked\r\n+PONG\r\n");
    }
    assert_eq!((guard.report().effects, proxy.counters().unmatched), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_replies_are_not_awaited() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let _guard = proxy.inject(rule(MARK));
    let request = "CLIENT REPLY SKIP\r\nINCR a\r\nGET k\r\nCLIENT REPLY OFF\r\nINCR a\r\nGET k\r\n\
        CLIENT REPLY ON\r\nGET k\r\nPING\r\n";
    let expected = "-ERR marked\r\n+OK\r\n-ERR marked\r\n+PONG\r\n";
    ask(proxy.address(), request, expected);
    assert_eq!(proxy.counters().unmatched, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn silenced_subscriptions_are_confirmed_all_the_same() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let mut stream = connect_raw(proxy.address());
    stream
        .write_all(b"CLIENT REPLY OFF\r\nSUBSCRIBE news\r\n")
        .unwrap();
    receives(&mut stream, &confirmed("subscribe", Some("news"), 1, '*'));
    published(store.address);
    reads_until(&mut stream, "$2\r\nhi\r\n");
    assert_eq!(proxy.counters().unmatched, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_command_has_its_reply() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let _guard = proxy.inject(rule(MARK));
    let mut stream = connect_raw(proxy.address());
    stream
        .write_all(b"*1\r\n$0\r\n\r\n*0\r\n\r\n*-10\r\nGET k\r\nPING\r\n")
        .unwrap();
    let unknown = reads_until(&mut stream, "\r\n");
    assert!(unknown.starts_with("-ERR unknown command"), "{unknown}");
    receives(&mut stream, "-ERR marked\r\n+PONG\r\n");
    assert_eq!(proxy.counters().unmatched, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_replies_stop_no_requests() {
    const COUNT: usize = 200_000;
    let store = Store::start();
    let proxy = proxy(&store).await;
    let _guard = proxy.inject(rule("command=INCR do=delay by=1ms"));
    let address = proxy.address();
    let writing = tokio::task::spawn_blocking(move || {
        let mut stream = connect_raw(address);
        stream.write_all(&b"INCR k\r\n".repeat(COUNT)).unwrap();
        stream
    });
    let mut stream = writing.await.unwrap();
    let expected: String = (1..=COUNT).map(|n| format!(":{n}\r\n")).collect();
    tokio::task::spawn_blocking(move || receives(&mut stream, &expected))
        .await
        .unwrap();
}

/// The store has no connection but the one that asks.
async fn is_left_alone(store: &Store, why: &str) {
    eventually(why, async || clients_of(store.address) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_end_with_their_clients() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    for text in [
        "do=silence",
        "command=INCR do=delay by=1h",
        "command=INCR do=hold",
        "command=INCR do=swallow-reply",
    ] {
        let guard = proxy.inject(rule(text));
        let mut stream = connect_raw(proxy.address());
        stream.write_all(b"INCR k\r\n").unwrap();
        eventually(text, async || guard.report().effects > 0).await;
        drop(stream);
        is_left_alone(&store, text).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_resets_is_seen_to_reset() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let accepting = std::thread::spawn(move || {
        // The proxy asks for the commands first; a store that does not answer COMMAND closes.
        drop(listener.accept().unwrap());
        listener.accept().unwrap().0
    });
    let proxy = proxy_to(url.parse().unwrap()).await;
    let mut stream = connect_raw(proxy.address());
    let store = accepting.join().unwrap();
    // Bytes that it never reads turn its close into a reset.
    stream.write_all(b"PING\r\n").unwrap();
    let mut peeked = [0; 6];
    while store.peek(&mut peeked).unwrap() < peeked.len() {}
    drop(store);
    let end = stream.read(&mut [0; 16]).unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_words_of_a_store_arrive() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    for _ in 0..20 {
        let mut stream = connect_raw(proxy.address());
        stream.write_all(b"*1\r\nfoo\r\n").unwrap();
        // Goes on writing, as a client that has not read the error yet.
        while stream.write_all(&[b'A'; 1024]).is_ok() {}
        let mut line = Vec::new();
        let _ = stream.read_to_end(&mut line);
        let line = String::from_utf8_lossy(&line);
        assert!(line.contains("Protocol error"), "{line:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_comes_back_lists_its_commands() {
    let store = Store::start();
    let address = store.address;
    drop(store);
    let (sender, notices) = std::sync::mpsc::channel();
    let builder = RespProxy::builder(format!("redis://{address}").parse().unwrap());
    let proxy = builder
        .notices(move |notice| sender.send(notice).unwrap())
        .listen((Ipv4Addr::LOCALHOST, 0).into())
        .await
        .unwrap();
    let away = notices.recv().unwrap();
    assert!(
        matches!(&away, ProxyNotice::StoreAway { reason } if reason.contains("refused")),
        "{away:?}"
    );
    let of_this_store = rule("command=LOLWUT do=hold");
    assert_eq!(proxy.warnings(&of_this_store).len(), 1);
    let _store = Store::start_at(address.port());
    ask(proxy.address(), "PING\r\n", "+PONG\r\n");
    eventually("its commands are known", async || {
        proxy.warnings(&of_this_store).is_empty()
    })
    .await;
    let wait = Duration::from_secs(30);
    assert_eq!(notices.recv_timeout(wait).unwrap(), ProxyNotice::StoreBack);
    assert_eq!(
        notices.recv_timeout(wait).unwrap(),
        ProxyNotice::CommandsKnown
    );
}
