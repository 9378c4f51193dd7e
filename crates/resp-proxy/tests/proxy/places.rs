//! Faults do as their words say where commands have an unusual form: transactions, subscriptions
//! of RESP3, keys behind other arguments, more bytes than a buffer holds.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::store::Store;
use crate::support::{ask, clients_of, connect_raw, eventually, proxy, receives, rule};
use resp_proxy::{RespProxy, RuleSet};

#[tokio::test(flavor = "multi_thread")]
async fn held_commands_of_any_length_leave_with_their_client() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let value = "v".repeat(100_000);
    let large = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n{value}\r\nINCR n\r\n");
    let pipelined = "INCR k\r\n".repeat(20_000);
    for request in ["INCR k\r\n", &large, &pipelined] {
        let guard = proxy.inject(rule("class=write do=hold"));
        let mut stream = connect_raw(proxy.address());
        stream.write_all(request.as_bytes()).unwrap();
        eventually("the write is held", async || guard.report().effects == 1).await;
        drop(stream);
        // A fault that is healed before the proxy has seen the client leave lets the command pass.
        eventually("the connection has ended", async || {
            clients_of(store.address) == 1
        })
        .await;
        guard.heal();
        ask(store.address, "EXISTS k n\r\n", ":0\r\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn held_commands_of_any_length_pass_when_healed() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let guard = proxy.inject(rule("class=write do=hold"));
    let mut stream = connect_raw(proxy.address());
    let count = 20_000;
    stream
        .write_all("INCR k\r\n".repeat(count).as_bytes())
        .unwrap();
    eventually("the first is held", async || guard.report().effects == 1).await;
    guard.heal();
    let expected: String = (1..=count).map(|n| format!(":{n}\r\n")).collect();
    tokio::task::spawn_blocking(move || receives(&mut stream, &expected))
        .await
        .unwrap();
}

/// A connection that speaks RESP3, with the reply to HELLO read.
fn resp3(proxy: &RespProxy) -> TcpStream {
    let mut stream = connect_raw(proxy.address());
    stream.write_all(b"HELLO 3\r\nECHO ready\r\n").unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"ready\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_of_resp3_meet_their_faults() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let confirmed = ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
    {
        let _late = proxy.inject(rule("command=SUBSCRIBE do=delay by=300ms"));
        let mut stream = resp3(&proxy);
        let began = Instant::now();
        stream.write_all(b"SUBSCRIBE a\r\n").unwrap();
        receives(&mut stream, confirmed);
        assert!(began.elapsed() >= Duration::from_millis(300));
    }
    {
        let guard = proxy.inject(rule("command=SUBSCRIBE do=swallow-reply"));
        let mut stream = resp3(&proxy);
        stream.write_all(b"SUBSCRIBE a\r\n").unwrap();
        eventually("the confirmation is swallowed", async || {
            guard.report().effects == 1
        })
        .await;
        guard.heal();
        let end = stream.read(&mut [0; 16]).unwrap_err();
        assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    }
    let guard = proxy.inject(rule("command=SUBSCRIBE do=reset-after"));
    let mut stream = resp3(&proxy);
    stream.write_all(b"SUBSCRIBE a\r\n").unwrap();
    let end = stream.read(&mut [0; 16]).unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(guard.report().effects, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_change_leaves_the_rules_in_force() {
    let store = Store::start();
    let user = "ACL SETUSER app on nopass ~* &* +@all -multi -client|setname\r\n";
    ask(store.address, user, "+OK\r\n");
    let proxy = proxy(&store).await;
    let named = proxy.inject(rule("client=worker do=error text=\"ERR named\""));
    let guard = proxy.inject(rule("command=INCR do=error text=\"ERR marked\""));
    let mut stream = connect_raw(proxy.address());
    stream.write_all(b"AUTH app x\r\n").unwrap();
    receives(&mut stream, "+OK\r\n");
    for refused in ["MULTI", "CLIENT SETNAME worker", "HELLO 9 SETNAME worker"] {
        stream
            .write_all(format!("{refused}\r\n").as_bytes())
            .unwrap();
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        assert!(line.starts_with(b"-NOP"), "{refused}: {line:?}");
        stream.write_all(b"INCR k\r\nPING\r\n").unwrap();
        receives(&mut stream, "-ERR marked\r\n+PONG\r\n");
    }
    assert_eq!((guard.report().effects, named.report().effects), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_found_where_they_stand() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    for (command, key) in [
        ("GET k", Some("k")),
        ("XREAD COUNT 1 STREAMS k 0", Some("k")),
        (
            "XREADGROUP GROUP g c COUNT 10 BLOCK 1 NOACK STREAMS k >",
            Some("k"),
        ),
        ("ZMPOP 1 k MIN", Some("k")),
        ("BZMPOP 1 1 k MIN", Some("k")),
        ("LMPOP 2 k other LEFT", Some("k")),
        ("SINTERCARD 1 k", Some("k")),
        ("EVAL \"return 1\" 1 k", Some("k")),
        ("EVAL \"return 1\" 0 k", None),
        ("EVALSHA ffffffffffffffffffffffffffffffffffffffff 0", None),
        ("OBJECT ENCODING k", Some("k")),
        ("XGROUP CREATE k g $ MKSTREAM", Some("k")),
        ("MEMORY USAGE k", Some("k")),
        ("BITOP NOT k source", Some("k")),
        ("SET \"k\" v", Some("k")),
        ("SET \"k l\" v", Some("k l")),
        ("PING k", None),
    ] {
        for text in ["key=k", "prefix=k"] {
            let guard = proxy.inject(rule(&format!("{text} do=error text=\"ERR marked\"")));
            let mut stream = connect_raw(proxy.address());
            let begins = |k: &str| text == "prefix=k" && k.starts_with('k');
            let expected = key.is_some_and(|key| key == "k" || begins(key));
            stream
                .write_all(format!("{command}\r\nECHO end\r\n").as_bytes())
                .unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"end\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                answer.push(byte[0]);
            }
            let marked = String::from_utf8_lossy(&answer).contains("marked");
            assert_eq!(marked, expected, "{text}: {command}");
            assert_eq!(guard.report().effects, u64::from(expected), "{command}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_fits_by_its_commands() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let transaction = "MULTI\r\nSET other 1\r\nINCR user:1\r\nEXEC\r\n";
    let discarded = "+OK\r\n+QUEUED\r\n+QUEUED\r\n-ERR marked\r\n";
    for text in [
        "command=INCR",
        "key=user:1",
        "command=INCR prefix=user:",
        "command=EXEC",
    ] {
        let guard = proxy.inject(rule(&format!("{text} do=error text=\"ERR marked\"")));
        ask(proxy.address(), transaction, discarded);
        assert_eq!(
            (guard.report().fitted, guard.report().effects),
            (1, 1),
            "{text}"
        );
    }
    // Not by the name of one and the key of another.
    let guard = proxy.inject(rule("command=INCR key=other do=error text=\"ERR marked\""));
    let done = "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:1\r\n";
    ask(proxy.address(), transaction, done);
    assert_eq!(guard.report().fitted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_calls_fail_and_later_ones_work() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let guard = proxy.inject(rule("command=INCR first=2 do=error text=\"ERR no\""));
    let request = "INCR k\r\n".repeat(4);
    ask(
        proxy.address(),
        &request,
        "-ERR no\r\n-ERR no\r\n:1\r\n:2\r\n",
    );
    assert_eq!((guard.report().fitted, guard.report().effects), (4, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_that_came_are_told() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let request = "INCRBY user:1 1\r\nINCRBY user:1 1\r\nNOSUCH a\r\nPING\r\n";
    let mut stream = connect_raw(proxy.address());
    stream.write_all(request.as_bytes()).unwrap();
    receives(&mut stream, ":1\r\n:2\r\n-ERR");
    let seen = proxy.seen();
    assert_eq!(seen.commands[0], ("INCRBY".to_owned(), 2));
    assert!(
        seen.commands.contains(&("NOSUCH".to_owned(), 1)),
        "{seen:?}"
    );
    assert_eq!(seen.keys, ["user:1"]);
    assert!(seen.to_string().starts_with("INCRBY 2, "), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_very_first_connection_is_refused() {
    let store = Store::start();
    let rules = RuleSet::new();
    let guard = rules.add(rule("do=refuse"));
    let builder = RespProxy::builder(store.url().parse().unwrap()).rules(rules);
    let proxy = builder.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let refused = TcpStream::connect(proxy.address()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(proxy.counters().connections, 0);
    drop(guard);
    eventually("connections are taken", async || {
        TcpStream::connect(proxy.address()).is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn latency_is_added_and_overlaps() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    for stream in ["upstream", "downstream"] {
        let guard = proxy.inject(rule(&format!("do=latency by=200ms stream={stream}")));
        let mut client = connect_raw(proxy.address());
        let began = Instant::now();
        for n in 1..=10 {
            client
                .write_all(format!("ECHO {n:02}\r\n").as_bytes())
                .unwrap();
            std::thread::yield_now();
        }
        let expected: String = (1..=10).map(|n| format!("$2\r\n{n:02}\r\n")).collect();
        let mut client = tokio::task::spawn_blocking(move || {
            receives(&mut client, &expected);
            client
        })
        .await
        .unwrap();
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(200), "{stream}: {took:?}");
        assert_eq!(guard.report().effects, 1, "{stream}");
        drop(guard);
        client.write_all(b"PING\r\n").unwrap();
        receives(&mut client, "+PONG\r\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn timeouts_drop_bytes_and_close() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    // The store executes it, and its reply is dropped.
    let guard = proxy.inject(rule("do=timeout stream=downstream"));
    let mut stream = connect_raw(proxy.address());
    stream.write_all(b"INCR k\r\n").unwrap();
    eventually("the reply is dropped", async || guard.report().effects == 1).await;
    ask(store.address, "GET k\r\n", "$1\r\n1\r\n");
    guard.heal();
    assert!(matches!(stream.read(&mut [0; 16]), Ok(0) | Err(_)));
    // It never reaches the store.
    let _guard = proxy.inject(rule("do=timeout after=100ms stream=upstream"));
    let mut stream = connect_raw(proxy.address());
    stream.write_all(b"INCR k\r\n").unwrap();
    assert!(matches!(stream.read(&mut [0; 16]), Ok(0) | Err(_)));
    ask(store.address, "GET k\r\n", "$1\r\n1\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn resets_come_after_the_next_bytes() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let mut stream = connect_raw(proxy.address());
    stream.write_all(b"PING\r\n").unwrap();
    receives(&mut stream, "+PONG\r\n");
    let guard = proxy.inject(rule("do=reset after=100ms"));
    let began = Instant::now();
    stream.write_all(b"PING\r\n").unwrap();
    let end = stream.read(&mut [0; 16]).unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert_eq!(guard.report().effects, 1);
}
