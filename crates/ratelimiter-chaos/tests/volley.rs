//! Volleys against servers that wait for the end of each connection before they serve the next, or
//! decide before they have a whole request.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ratelimiter_api::Key;
use ratelimiter_chaos::{Release, VolleyReport, volley};
use ratelimiter_target::{Authorities, Check, HttpForm, HttpTarget, Reach};
use tokio::time::Instant;

/// Ten checks at one instant.
async fn ten_checks(url: String, form: HttpForm) -> VolleyReport {
    let trust = Authorities::default();
    let target = HttpTarget::new(&[url], form, Reach::ThisMachine, &trust);
    let check = Check::new(Key::new("k").unwrap(), 1, Duration::from_secs(20));
    let checks = vec![check; 10];
    let report = volley(&target.unwrap(), checks, Release::Cork, Instant::now()).await;
    report.unwrap()
}

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
    ten_checks(url, HttpForm::default()).await
}

/// A gateway may decide by the head of a request, before its body has come.
#[tokio::test]
async fn no_byte_leaves_before_the_invoke() {
    let origin = Instant::now();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/{{key}}", listener.local_addr().unwrap());
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&arrivals);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                stream.read_exact(&mut request[..1]).unwrap();
                seen.lock().unwrap().push(origin.elapsed());
                let answer = b"HTTP/1.1 200 ok\r\ncontent-length: 0\r\n\r\n";
                while matches!(stream.read(&mut request), Ok(1..)) {
                    stream.write_all(answer).unwrap();
                }
            });
        }
    });
    let form = HttpForm {
        method: "POST".parse().unwrap(),
        body: Some("{key}".parse().unwrap()),
        ..HttpForm::default()
    };
    let report = ten_checks(url, form).await;
    let origin_of_report = report.released - report.operations[0].invoke;
    let mut arrivals = arrivals.lock().unwrap().clone();
    arrivals.sort();
    for (operation, arrival) in report.operations.iter().zip(arrivals) {
        assert!(
            origin_of_report + operation.invoke <= origin + arrival,
            "{operation:?} {arrival:?}"
        );
    }
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
