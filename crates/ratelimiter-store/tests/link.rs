//! A link against small servers that misbehave on purpose, speaking just enough of the protocol.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ratelimiter_store::{Link, StoreError, StoreUrl, StoreVersion};
use redis::cmd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server's reaction to one request.
enum Reaction {
    Answer(&'static str),
    Silence,
    /// The connection is closed without an answer.
    Close,
    /// The connection is closed after the answer.
    AnswerAndClose(&'static str),
}

const PONG: &str = "+PONG\r\n";

/// A store that reacts to every request on its `n`-th connection with `react(n)`.
async fn store(
    react: impl Fn(usize) -> Reaction + Send + Sync + 'static,
) -> (Link, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&accepted);
    let react = Arc::new(react);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let n = counter.fetch_add(1, Ordering::SeqCst);
            let react = Arc::clone(&react);
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while matches!(stream.read(&mut buffer).await, Ok(1..)) {
                    match react(n) {
                        Reaction::Answer(text) => stream.write_all(text.as_bytes()).await.unwrap(),
                        Reaction::Silence => {}
                        Reaction::Close => return,
                        Reaction::AnswerAndClose(text) => {
                            return stream.write_all(text.as_bytes()).await.unwrap();
                        }
                    }
                }
            });
        }
    });
    (Link::new(url.parse().unwrap()), accepted)
}

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_silent_connection_is_given_up() {
    let (link, accepted) = store(|n| {
        if n > 0 {
            Reaction::Answer(PONG)
        } else {
            Reaction::Silence
        }
    })
    .await;
    assert!(matches!(
        link.query::<String>(&cmd("PING"), SHORT).await,
        Err(StoreError::Deadline { .. })
    ));
    assert_eq!(
        link.query::<String>(&cmd("PING"), LONG).await.unwrap(),
        "PONG"
    );
    assert_eq!(
        link.query::<String>(&cmd("PING"), LONG).await.unwrap(),
        "PONG"
    );
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}

/// The same server, addressed over TLS.
fn over_tls(link: &Link) -> Link {
    Link::new(
        link.url()
            .to_string()
            .replace("redis://", "rediss://")
            .parse()
            .unwrap(),
    )
}

#[tokio::test]
async fn a_port_without_tls_is_named() {
    // A store reads a handshake as an unfinished command.
    let (link, _) = store(|_| Reaction::Silence).await;
    let silent = over_tls(&link)
        .query::<String>(&cmd("PING"), SHORT)
        .await
        .unwrap_err();
    assert!(silent.is_transient());
    assert!(
        silent
            .to_string()
            .contains("no TLS connection within 100 ms"),
        "{silent}"
    );
    let (link, _) = store(|_| Reaction::Answer("-ERR unknown command\r\n")).await;
    let refused = over_tls(&link)
        .query::<String>(&cmd("PING"), LONG)
        .await
        .unwrap_err();
    assert!(!refused.is_transient());
    assert!(
        refused
            .to_string()
            .contains("does not answer in TLS; redis:// is for a port without"),
        "{refused}"
    );
}

#[tokio::test]
async fn an_end_before_the_first_answer_hints_at_tls() {
    let (link, _) = store(|n| {
        if n > 0 {
            Reaction::AnswerAndClose(PONG)
        } else {
            Reaction::Close
        }
    })
    .await;
    let error = link
        .query::<String>(cmd("INCR").arg("x"), LONG)
        .await
        .unwrap_err();
    assert!(error.is_transient());
    assert!(
        error
            .to_string()
            .contains("a port for TLS ends so: rediss:// is for that"),
        "{error}"
    );
}

#[tokio::test]
async fn authorities_without_tls_are_refused() {
    let (link, _) = store(|_| Reaction::Silence).await;
    let refused = |url: &StoreUrl, file: &str| url.trusting(file.as_ref()).unwrap_err().to_string();
    assert!(refused(link.url(), "/nowhere").contains("rediss:// alone"));
    let tls = over_tls(&link);
    assert!(refused(tls.url(), "/nowhere").contains("/nowhere: No such file"));
    assert!(refused(tls.url(), "Cargo.toml").contains("no certificate"));
}

#[tokio::test]
async fn an_error_of_the_store_keeps_the_connection() {
    let (link, accepted) =
        store(|_| Reaction::Answer("-NOPERM this user has no permissions\r\n")).await;
    for _ in 0..3 {
        assert!(matches!(
            link.query::<String>(&cmd("PING"), LONG).await,
            Err(StoreError::NotPermitted { .. })
        ));
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_absent_store_is_named_in_the_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let link = Link::new(format!("redis://{address}").parse().unwrap());
    let error = link.query::<String>(&cmd("PING"), LONG).await.unwrap_err();
    assert!(error.is_transient());
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn an_old_store_is_refused_with_its_version() {
    let (link, _) = store(|_| Reaction::Answer("$22\r\nredis_version:5.0.14\r\n\r\n")).await;
    let message = StoreVersion::check(&link, LONG)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("Redis 5.0.14") && message.contains("6.2"),
        "{message}"
    );
}

#[tokio::test]
async fn a_missing_login_is_a_login_error() {
    let (link, _) = store(|_| Reaction::Answer("-NOAUTH Authentication required.\r\n")).await;
    assert!(matches!(
        link.query::<String>(&cmd("PING"), LONG).await,
        Err(StoreError::Login { .. })
    ));
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_reopened() {
    let (link, accepted) = store(|_| Reaction::AnswerAndClose(PONG)).await;
    for n in 1..=20 {
        assert_eq!(
            link.query::<String>(&cmd("PING"), LONG).await.unwrap(),
            "PONG",
            "use {n}"
        );
        // The runtime looks at its sockets between two turns, so that the end of this one is known
        // after some.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 20);
}

#[tokio::test]
async fn a_command_that_was_sent_is_not_repeated() {
    let (link, accepted) = store(|n| {
        if n > 0 {
            Reaction::Answer(PONG)
        } else {
            Reaction::Close
        }
    })
    .await;
    let lost = link.query::<String>(cmd("INCR").arg("x"), LONG).await;
    assert!(
        matches!(lost, Err(StoreError::Unreachable { .. })),
        "{lost:?}"
    );
    assert_eq!(accepted.load(Ordering::SeqCst), 1, "it may have run");
    assert_eq!(
        link.query::<String>(&cmd("PING"), LONG).await.unwrap(),
        "PONG"
    );
}

#[tokio::test]
async fn an_idempotent_command_is_repeated_once() {
    let (link, accepted) = store(|n| {
        if n == 1 {
            Reaction::Answer(PONG)
        } else {
            Reaction::Close
        }
    })
    .await;
    let ping = async |mut connection| cmd("PING").query_async::<String>(&mut connection).await;
    assert_eq!(
        link.at("key").run_idempotent(LONG, ping).await.unwrap(),
        "PONG"
    );
    link.close();
    let lost = link.at("key").run_idempotent(LONG, ping).await;
    assert!(
        matches!(lost, Err(StoreError::Unreachable { .. })),
        "{lost:?}"
    );
    assert_eq!(accepted.load(Ordering::SeqCst), 4, "two attempts a use");
}

#[tokio::test]
async fn a_missed_deadline_waits_for_no_other_use() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    // The first login is answered; the next one, and all commands, are not.
    let (link, _) = store(move |_| match counter.fetch_add(1, Ordering::SeqCst) {
        0 => Reaction::Answer("+OK\r\n"),
        _ => Reaction::Silence,
    })
    .await;
    let address = link.url().to_string().replace("redis://", "");
    let link = Link::new(format!("redis://:secret@{address}").parse().unwrap());
    let ping = cmd("PING");
    let first = async {
        assert!(matches!(
            link.query::<String>(&ping, SHORT).await,
            Err(StoreError::Deadline { .. })
        ));
    };
    let second = async {
        while requests.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        link.close();
        link.query::<String>(&ping, LONG).await
    };
    tokio::select! {
        biased;
        () = first => {}
        answer = second => panic!("the use that opens a connection was waited for: {answer:?}"),
    }
}
