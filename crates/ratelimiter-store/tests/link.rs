//! A link against small servers that misbehave on purpose, speaking just enough of the protocol.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its subject has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ratelimiter_store::{Link, StoreError, StoreVersion};
use redis::cmd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A store that gives every request on its `n`-th connection the answer `answer(n)`; `None` is silence.
async fn store(answer: impl Fn(usize) -> Option<String> + Send + Sync + 'static) -> (Link, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&accepted);
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let n = counter.fetch_add(1, Ordering::SeqCst);
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while matches!(stream.read(&mut buffer).await, Ok(1..)) {
                    if let Some(text) = answer(n) {
                        stream.write_all(text.as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    (Link::new(url.parse().unwrap()).unwrap(), accepted)
}

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_silent_connection_is_given_up_and_the_next_use_opens_another() {
    let (link, accepted) = store(|n| (n > 0).then(|| "+PONG\r\n".to_owned())).await;
    assert!(matches!(link.query::<String>(&cmd("PING"), SHORT).await, Err(StoreError::Deadline { .. })));
    assert_eq!(link.query::<String>(&cmd("PING"), LONG).await.unwrap(), "PONG");
    assert_eq!(link.query::<String>(&cmd("PING"), LONG).await.unwrap(), "PONG");
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_error_of_the_store_keeps_the_connection() {
    let (link, accepted) = store(|_| Some("-NOPERM this user has no permissions\r\n".to_owned())).await;
    for _ in 0..3 {
        assert!(matches!(
            link.query::<String>(&cmd("PING"), LONG).await,
            Err(StoreError::NotPermitted { .. })
        ));
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_store_that_is_gone_is_unreachable_and_says_where() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let link = Link::new(format!("redis://{address}").parse().unwrap()).unwrap();
    let error = link.query::<String>(&cmd("PING"), LONG).await.unwrap_err();
    assert!(error.is_transient());
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn an_old_store_is_refused_with_its_version() {
    let (link, _) = store(|_| Some("$22\r\nredis_version:5.0.14\r\n\r\n".to_owned())).await;
    let message = StoreVersion::check(&link, LONG).await.unwrap_err().to_string();
    assert!(message.contains("Redis 5.0.14") && message.contains("6.2"), "{message}");
}

#[tokio::test]
async fn a_missing_login_is_told_as_such() {
    let (link, _) = store(|_| Some("-NOAUTH Authentication required.\r\n".to_owned())).await;
    assert!(matches!(link.query::<String>(&cmd("PING"), LONG).await, Err(StoreError::Login { .. })));
}
