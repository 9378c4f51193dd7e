//! HTTP/2: shared connections, streams that are refused, and servers without it.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use h2::Reason;
use hyper::Response;
use ratelimiter_api::{Key, Outcome};
use ratelimiter_target::{
    Authorities, Check, CheckAnswer, Connection, HttpForm, HttpTarget, Reach, Target as _,
};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Streams that the server permits at the same time.
const STREAMS: u32 = 7;

/// The requests of each connection, by their arrival.
type Arrivals = Arc<Mutex<Vec<Vec<Instant>>>>;

/// A server that speaks HTTP/2 alone. The key of a check is what it does: it resets the stream,
/// says goodbye after the answer, or only answers.
async fn serve(listener: TcpListener, arrivals: Arrivals) {
    while let Ok((stream, _)) = listener.accept().await {
        let arrivals = Arc::clone(&arrivals);
        tokio::spawn(async move {
            let mut server = h2::server::Builder::new();
            let server = server.max_concurrent_streams(STREAMS);
            let server = server.handshake::<_, bytes::Bytes>(stream);
            let Ok(mut server) = server.await else { return };
            let number = {
                let mut arrivals = arrivals.lock().unwrap();
                arrivals.push(Vec::new());
                arrivals.len() - 1
            };
            while let Some(Ok((request, mut respond))) = server.accept().await {
                arrivals.lock().unwrap()[number].push(Instant::now());
                match request.uri().path() {
                    "/refused" => respond.send_reset(Reason::REFUSED_STREAM),
                    "/reset" => respond.send_reset(Reason::INTERNAL_ERROR),
                    path => {
                        if path == "/goodbye" {
                            server.graceful_shutdown();
                        }
                        let denied = Response::builder().status(429).body(()).unwrap();
                        respond.send_response(denied, true).unwrap();
                    }
                }
            }
        });
    }
}

async fn start() -> (String, Arrivals) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/{{key}}", listener.local_addr().unwrap());
    let arrivals = Arrivals::default();
    tokio::spawn(serve(listener, Arc::clone(&arrivals)));
    (url, arrivals)
}

fn target(url: String, http2: bool) -> HttpTarget {
    let form = HttpForm {
        http2,
        connections: 2,
        body: Some("a body".parse().unwrap()),
        ..HttpForm::default()
    };
    HttpTarget::new(&[url], form, Reach::ThisMachine, &Authorities::default()).unwrap()
}

async fn ask(connection: &mut dyn Connection, key: &str) -> CheckAnswer {
    let check = Check::new(Key::new(key).unwrap(), 1, Duration::from_secs(60));
    connection.check(&check).await
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_share_connections_and_leave_together() {
    let (url, arrivals) = start().await;
    let target = target(url, true);
    let mut connections = Vec::new();
    for _ in 0..40 {
        connections.push(target.connect(0).await.unwrap());
    }
    let corks: Vec<_> = connections.iter().map(|c| c.cork().unwrap()).collect();
    corks.iter().for_each(|cork| cork.arm());
    let mut checks = JoinSet::new();
    for mut connection in connections {
        checks.spawn(async move { (ask(&mut *connection, "k").await, connection) });
    }
    for cork in &corks {
        cork.ready().await;
    }
    let released = Instant::now();
    assert!(arrivals.lock().unwrap().iter().all(Vec::is_empty));
    let instants: Vec<_> = corks.iter().map(|cork| cork.release().unwrap()).collect();
    let answers = checks.join_all().await;
    assert!(
        answers.iter().all(|(a, _)| a.outcome == Outcome::Denied),
        "{:?}",
        answers[0].0
    );
    assert!(instants.iter().all(|at| *at >= released));
    // Twenty on each of two lanes, seven a connection.
    let mut shares: Vec<_> = arrivals.lock().unwrap().iter().map(Vec::len).collect();
    shares.sort_unstable();
    assert_eq!(shares, [6, 6, 7, 7, 7, 7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_stream_harms_no_other() {
    let (url, arrivals) = start().await;
    let target = target(url, true);
    let mut first = target.connect(0).await.unwrap();
    let _second = target.connect(0).await.unwrap();
    let mut third = target.connect(0).await.unwrap();
    assert_eq!(ask(&mut *first, "k").await.outcome, Outcome::Denied);
    assert_eq!(ask(&mut *third, "refused").await.outcome, Outcome::Failed);
    let reset = ask(&mut *third, "reset").await;
    assert_eq!(reset.outcome, Outcome::Unknown, "{reset:?}");
    assert!(
        reset.detail.starts_with("the connection broke"),
        "{reset:?}"
    );
    assert_eq!(ask(&mut *third, "k").await.outcome, Outcome::Denied);
    assert_eq!(arrivals.lock().unwrap().iter().map(Vec::len).max(), Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goodbye_leads_to_another_connection() {
    let (url, arrivals) = start().await;
    let mut connection = target(url, true).connect(0).await.unwrap();
    for key in ["goodbye", "k", "goodbye", "k"] {
        let answer = ask(&mut *connection, key).await;
        assert!(
            matches!(answer.outcome, Outcome::Denied | Outcome::Failed),
            "{answer:?}"
        );
    }
    let last = ask(&mut *connection, "k").await;
    assert_eq!(last.outcome, Outcome::Denied, "{last:?}");
    assert!(arrivals.lock().unwrap().len() > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_http1_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let _ = stream.read(&mut [0; 24]);
        let _ = stream.write_all(b"HTTP/1.1 400 no\r\ncontent-length: 0\r\n\r\n");
    });
    let refused = target(url, true)
        .connect(0)
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(refused.contains("without --http2"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_http2_decides_nothing_in_http1() {
    let (url, _) = start().await;
    let mut connection = target(url, false).connect(0).await.unwrap();
    let answer = ask(&mut *connection, "k").await;
    assert!(
        matches!(answer.outcome, Outcome::Unknown | Outcome::Failed),
        "{answer:?}"
    );
    assert!(!answer.detail.is_empty());
}
