//! Volleys against servers that wait for the end of each connection before they serve the next.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use ratelimiter_api::Key;
use ratelimiter_chaos::{Release, VolleyReport, volley};
use ratelimiter_target::{Authorities, Check, HttpForm, HttpTarget, Reach};
use tokio::time::Instant;

/// Ten checks at one instant to a server of a single worker, which gives this answer to every
/// request and serves a connection to its end.
async fn one_worker(answer: &'static str) -> VolleyReport {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/{{key}}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            while matches!(stream.read(&mut request), Ok(1..))
                && stream.write_all(answer.as_bytes()).is_ok()
            {}
        }
    });
    let trust = Authorities::default();
    let target = HttpTarget::new(&[url], HttpForm::default(), Reach::ThisMachine, &trust);
    let check = Check {
        key: Key::new("k").unwrap(),
        cost: 1,
        deadline: Duration::from_secs(20),
    };
    let checks = vec![check; 10];
    let report = volley(&target.unwrap(), checks, Release::LastByte, Instant::now()).await;
    report.unwrap()
}

#[tokio::test]
async fn workers_that_close_get_every_check() {
    let report =
        one_worker("HTTP/1.1 429 no\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(report.tally.denied, 10);
}

#[tokio::test]
async fn workers_that_keep_alive_get_every_check() {
    let report = one_worker("HTTP/1.1 200 ok\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(report.tally.allowed, 10);
    assert_eq!(report.seen, ["200 ok"]);
}
