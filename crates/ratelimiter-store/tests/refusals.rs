//! A cluster of one small server that refuses on purpose, each time in another way.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ratelimiter_store::{Link, Redirects, StoreError};
use redis::cmd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

const LONG: Duration = Duration::from_secs(10);

/// A cluster whose only member answers the `n`-th command that is not about the cluster with
/// `answer(n, own port)`.
async fn cluster(answer: impl Fn(usize, u16) -> String + Send + Sync + 'static) -> Link {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (answer, asked) = (Arc::new(answer), Arc::<AtomicUsize>::default());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    let reply = if text.contains("SLOTS") {
                        format!(
                            "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n\
         $9\r\n127.0.0.1\r\n:{port}\r\n$2\r\nid\r\n"
                        )
                    } else {
                        let reply = answer(asked.fetch_add(1, Ordering::SeqCst), port);
                        if text.contains("ASKING") {
                            format!("+OK\r\n{reply}")
                        } else {
                            reply
                        }
                    };
                    stream.write_all(reply.as_bytes()).await.unwrap();
                }
            });
        }
    });
    Link::new(format!("redis+cluster://127.0.0.1:{port}").parse().unwrap())
}

#[tokio::test]
async fn each_refusal_is_followed_and_counted() {
    let link = cluster(|n, port| match n {
        0 => format!("-MOVED 0 127.0.0.1:{port}\r\n"),
        1 => format!("-ASK 0 127.0.0.1:{port}\r\n"),
        2 => "-TRYAGAIN Multiple keys request during rehashing of slot\r\n".into(),
        3 => "-CLUSTERDOWN Hash slot not served\r\n".into(),
        4 => "-MASTERDOWN Link with MASTER is down\r\n".into(),
        5 => "-LOADING Redis is loading the dataset in memory\r\n".into(),
        6 => "-READONLY You can't write against a read only replica.\r\n".into(),
        _ => "+OK\r\n".into(),
    })
    .await;
    let set = link
        .at("k")
        .query::<String>(cmd("SET").arg("k").arg(1), LONG)
        .await;
    assert_eq!(set.unwrap(), "OK");
    let Redirects {
        moved,
        ask,
        try_again,
        down,
        loading,
        read_only,
        lost,
    } = link.redirects();
    assert_eq!(
        (moved, ask, try_again, down, loading, lost),
        (1, 1, 1, 2, 1, 0)
    );
    // A line follows one such answer by itself, over a new connection.
    assert!(read_only <= 1, "{read_only}");
}

#[tokio::test]
async fn refusals_without_end_keep_the_deadline() {
    let link = cluster(|n, _| match n % 2 {
        0 => "-TRYAGAIN Multiple keys request during rehashing of slot\r\n".into(),
        _ => "-LOADING Redis is loading the dataset in memory\r\n".into(),
    })
    .await;
    let (started, deadline) = (Instant::now(), Duration::from_millis(200));
    let set = link
        .at("k")
        .query::<String>(cmd("SET").arg("k").arg(1), deadline)
        .await;
    assert!(matches!(set, Err(StoreError::Answer { .. })), "{set:?}");
    assert!(started.elapsed() < 2 * deadline, "{:?}", started.elapsed());
    assert!(link.redirects().try_again > 1);
}
