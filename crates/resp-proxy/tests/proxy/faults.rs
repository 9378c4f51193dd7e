//! Each fault, on a real store, with a real client.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::store::Store;
use crate::support::{PATIENCE, connect_raw, eventually, proxy, receives, rule};
use redis::aio::{ConnectionManagerConfig, MultiplexedConnection};
use resp_proxy::RespProxy;

async fn connect(address: std::net::SocketAddr) -> MultiplexedConnection {
    let client = redis::Client::open(format!("redis://{address}")).unwrap();
    let config = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .unwrap()
}

async fn get(connection: &mut MultiplexedConnection, key: &str) -> Option<i64> {
    redis::cmd("GET")
        .arg(key)
        .query_async(connection)
        .await
        .unwrap()
}

async fn incr(connection: &mut MultiplexedConnection, key: &str) -> redis::RedisResult<i64> {
    redis::cmd("INCR").arg(key).query_async(connection).await
}

#[tokio::test(flavor = "multi_thread")]
async fn swallowed_replies_leave_committed_writes() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let guard = proxy.inject(rule("command=INCR do=swallow-reply"));
    const COUNT: i64 = 10_000;
    let address = proxy.address();
    // Written in one go and never answered, as by a client that loses its network.
    let client = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = "*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n".repeat(COUNT as usize);
        stream.write_all(request.as_bytes()).unwrap();
        stream
    });
    let mut stream = client.await.unwrap();
    let mut direct = connect(store.address).await;
    eventually("all are counted", async || {
        get(&mut direct, "k").await == Some(COUNT)
    })
    .await;
    eventually("all replies are swallowed", async || {
        guard.report().effects == COUNT as u64
    })
    .await;
    stream.set_nonblocking(true).unwrap();
    let answer = stream.read(&mut [0; 16]).unwrap_err();
    assert_eq!(
        answer.kind(),
        std::io::ErrorKind::WouldBlock,
        "the client received an answer"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retrying_client_counts_twice() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let client = redis::Client::open(format!("redis://{}", proxy.address())).unwrap();
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(PATIENCE))
        .set_number_of_retries(3);
    let mut manager = client
        .get_connection_manager_with_config(config)
        .await
        .unwrap();
    let guard = proxy.inject(rule("command=INCR,ZADD nth=1 do=reset-after"));
    let counted = |reply: redis::RedisResult<i64>| reply.is_ok();
    // The caller repeats an unanswered request, as every retrying client does.
    let mut answered = false;
    while !answered {
        answered = counted(
            redis::cmd("INCR")
                .arg("plain")
                .query_async(&mut manager)
                .await,
        );
    }
    drop(guard);
    let _guard = proxy.inject(rule("command=ZADD nth=1 do=reset-after"));
    answered = false;
    while !answered {
        let add = redis::cmd("ZADD")
            .arg("set")
            .arg("NX")
            .arg(1)
            .arg("node:boot:1")
            .query_async(&mut manager)
            .await;
        answered = counted(add);
    }
    let mut direct = connect(store.address).await;
    assert_eq!(
        get(&mut direct, "plain").await,
        Some(2),
        "one request, counted twice"
    );
    let members: i64 = redis::cmd("ZCARD")
        .arg("set")
        .query_async(&mut direct)
        .await
        .unwrap();
    assert_eq!(members, 1, "an idempotent member counts once");
}

#[tokio::test(flavor = "multi_thread")]
async fn healing_resets_connections_that_lost_replies() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let guard = proxy.inject(rule("command=INCR do=swallow-reply"));
    let mut stream = connect_raw(proxy.address());
    stream.write_all(b"INCR k\r\n").unwrap();
    eventually("the reply is swallowed", async || {
        guard.report().effects == 1
    })
    .await;
    let mut other = connect(proxy.address()).await;
    guard.heal();
    assert_eq!(
        stream.read(&mut [0; 16]).unwrap_err().kind(),
        std::io::ErrorKind::ConnectionReset
    );
    assert_eq!(
        incr(&mut other, "k").await.unwrap(),
        2,
        "other connections go on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn healing_ends_delays() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let guard = proxy.inject(rule("class=write do=delay by=1h"));
    let mut connection = connect(proxy.address()).await;
    let writing = tokio::spawn(async move { incr(&mut connection, "k").await });
    eventually("the reply is delayed", async || guard.report().effects == 1).await;
    drop(guard);
    assert_eq!(writing.await.unwrap().unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_for_a_transaction_discards_it() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let guard = proxy.inject(rule(
        "class=write do=error text=\"READONLY You can't write.\"",
    ));
    let mut stream = connect_raw(proxy.address());
    stream
        .write_all(b"MULTI\r\nINCR k\r\nEXEC\r\nGET k\r\n")
        .unwrap();
    let expected = "+OK\r\n+QUEUED\r\n-READONLY You can't write.\r\n$-1\r\n";
    receives(&mut stream, expected);
    assert_eq!(guard.report().effects, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn held_writes_pass_when_healed() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let guard = proxy.inject(rule("class=write do=hold"));
    let (mut writer, mut reader) = (
        connect(proxy.address()).await,
        connect(proxy.address()).await,
    );
    let writing = tokio::spawn(async move { incr(&mut writer, "k").await });
    eventually("the write is held", async || guard.report().effects == 1).await;
    assert_eq!(get(&mut reader, "k").await, None, "reads pass");
    let report = guard.heal();
    assert_eq!(writing.await.unwrap().unwrap(), 1);
    assert!(report.band().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_command_leaves_with_its_client() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let guard = proxy.inject(rule("class=write do=hold"));
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream.write_all(b"INCR k\r\n").unwrap();
    eventually("the write is held", async || guard.report().effects == 1).await;
    drop(stream);
    // A second command on a new connection is held behind nothing: the order of the two events is
    // the proxy's own.
    let mut other = connect(proxy.address()).await;
    let writing = tokio::spawn(async move { incr(&mut other, "other").await });
    eventually("the other is held", async || guard.report().effects == 2).await;
    drop(guard);
    writing.await.unwrap().unwrap();
    assert_eq!(get(&mut connect(store.address).await, "k").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_answer_in_order() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let guard = proxy.inject(rule(
        "class=script nth=2 do=error text=\"READONLY You can't write.\"",
    ));
    let mut stream = connect_raw(proxy.address());
    let eval = "*3\r\n$4\r\nEVAL\r\n$8\r\nreturn 7\r\n$1\r\n0\r\n";
    stream
        .write_all(format!("SET a 1\r\n{eval}{eval}GET a\r\n{eval}").as_bytes())
        .unwrap();
    let expected = "+OK\r\n:7\r\n-READONLY You can't write.\r\n$1\r\n1\r\n:7\r\n";
    receives(&mut stream, expected);
    assert_eq!((guard.report().fitted, guard.report().effects), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn resets_fall_before_or_after_the_commit() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let mut direct = connect(store.address).await;
    for (fault, committed) in [("reset-before", None), ("reset-after", Some(1))] {
        let guard = proxy.inject(rule(&format!("command=INCR do={fault}")));
        let mut stream = connect_raw(proxy.address());
        stream
            .write_all(format!("INCR {fault}\r\n").as_bytes())
            .unwrap();
        let error = stream.read(&mut [0; 16]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{fault}");
        assert_eq!(get(&mut direct, fault).await, committed, "{fault}");
        assert_eq!(guard.report().effects, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn delayed_replies_overlap() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let mut connection = connect(proxy.address()).await;
    let _guard = proxy.inject(rule("class=write do=delay by=100ms"));
    let began = Instant::now();
    let mut pipeline = redis::pipe();
    (0..50).for_each(|_| {
        pipeline.cmd("INCR").arg("k");
    });
    let answers: Vec<i64> = pipeline.query_async(&mut connection).await.unwrap();
    assert_eq!(answers.last(), Some(&50));
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(100), "{took:?}");
    assert!(
        took < Duration::from_millis(100) * 50,
        "delays add up: {took:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_where_it_began() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let mut connection = connect(proxy.address()).await;
    let guard = proxy.inject(rule("do=silence"));
    let asking = tokio::spawn(async move { incr(&mut connection, "k").await });
    eventually("a direction is silent", async || guard.report().effects > 0).await;
    assert_eq!(get(&mut connect(store.address).await, "k").await, None);
    drop(guard);
    assert_eq!(asking.await.unwrap().unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_connections_are_taken_again() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let mut open = connect(proxy.address()).await;
    let guard = proxy.inject(rule("do=refuse"));
    let refused = async || {
        TcpStream::connect(proxy.address())
            .is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused)
    };
    eventually("connections are refused", refused).await;
    assert!(
        incr(&mut open, "k").await.is_err(),
        "an open connection is reset"
    );
    drop(guard);
    eventually("connections are taken", async || {
        TcpStream::connect(proxy.address()).is_ok()
    })
    .await;
    // The reset may have taken the reply of an `INCR k` that was executed.
    let mut anew = connect(proxy.address()).await;
    assert_eq!(incr(&mut anew, "another").await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bandwidth_is_shared_by_bytes() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let _guard = proxy.inject(rule("do=bandwidth rate=100000"));
    let mut stream = connect_raw(proxy.address());
    let value = "v".repeat(50_000);
    let began = Instant::now();
    let head = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", value.len());
    stream
        .write_all((head + &value + "\r\n").as_bytes())
        .unwrap();
    receives(&mut stream, "+OK\r\n");
    assert!(
        began.elapsed() > Duration::from_millis(450),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_ends_after_its_duration() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let guard = proxy.inject(rule("class=write do=hold for=300ms"));
    let mut connection = connect(proxy.address()).await;
    assert_eq!(incr(&mut connection, "k").await.unwrap(), 1);
    let report = guard.report();
    assert!(report.healed.is_some());
    assert!(
        report.band().unwrap() >= Duration::from_millis(300),
        "{report:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn links_share_rules_by_name() {
    let store = Store::start();
    let rules = resp_proxy::RuleSet::new();
    let mut proxies = Vec::new();
    for name in ["node-1", "node-2"] {
        let builder = RespProxy::builder(store.url().parse().unwrap())
            .name(name)
            .rules(rules.clone());
        proxies.push(builder.listen(([127, 0, 0, 1], 0).into()).await.unwrap());
    }
    let _guard = rules.add(rule("link=node-1 do=error text=\"ERR only here\""));
    let mut stream = connect_raw(proxies[0].address());
    stream.write_all(b"PING\r\n").unwrap();
    receives(&mut stream, "-ERR only here\r\n");
    assert_eq!(
        incr(&mut connect(proxies[1].address()).await, "k")
            .await
            .unwrap(),
        1
    );
}
