//! Requests and connections as a server sees them.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use hyper::header::{CONTENT_LENGTH, HOST};
use ratelimiter_api::{Key, Outcome};
use ratelimiter_target::{
    Authorities, Check, Connection, HttpForm, HttpTarget, Reach, Target as _,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to a listener, and a check.
async fn connected(listener: &TcpListener, form: HttpForm) -> (Box<dyn Connection>, Check) {
    let url = format!("http://{}/{{key}}", listener.local_addr().unwrap());
    let target = HttpTarget::new(&[url], form, Reach::ThisMachine, &Authorities::default());
    let check = Check::new(Key::new("k").unwrap(), 1, PATIENCE);
    (target.unwrap().connect(0).await.unwrap(), check)
}

/// Accepts a connection, reads a request of one packet, and gives an answer.
fn answer(listener: &TcpListener, answer: &str) -> (TcpStream, String) {
    let mut stream = listener.accept().unwrap().0;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = [0; 4096];
    let length = stream.read(&mut request).unwrap();
    stream.write_all(answer.as_bytes()).unwrap();
    (
        stream,
        String::from_utf8_lossy(&request[..length]).to_lowercase(),
    )
}

#[tokio::test]
async fn given_fields_replace_those_of_the_client() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let form = HttpForm {
        headers: vec![
            (HOST, "api.example".parse().unwrap()),
            (CONTENT_LENGTH, "7".parse().unwrap()),
        ],
        body: Some("body".parse().unwrap()),
        ..HttpForm::default()
    };
    let (mut connection, check) = connected(&listener, form).await;
    let server = std::thread::spawn(move || answer(&listener, "HTTP/1.1 204 none\r\n\r\n").1);
    assert_eq!(connection.check(&check).await.outcome, Outcome::Allowed);
    let request = server.join().unwrap();
    let fields = |name: &str| -> Vec<_> {
        let lines = request.lines().filter(|line| line.starts_with(name));
        lines.map(ToOwned::to_owned).collect()
    };
    assert_eq!(fields("host:"), ["host: api.example"], "{request}");
    assert_eq!(
        fields("content-length:"),
        ["content-length: 4"],
        "{request}"
    );
}

#[tokio::test]
async fn an_answer_that_says_close_closes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut connection, check) = connected(&listener, HttpForm::default()).await;
    // A worker that waits for the end of its connection, as gunicorn's do.
    let server = std::thread::spawn(move || {
        let closing = "HTTP/1.1 429 denied\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        answer(&listener, closing).0.read(&mut [0]).unwrap()
    });
    assert_eq!(connection.check(&check).await.outcome, Outcome::Denied);
    let read = tokio::task::spawn_blocking(|| server.join().unwrap());
    assert_eq!(read.await.unwrap(), 0, "the client has not closed");
    drop(connection);
}

#[tokio::test]
async fn an_answer_is_shown_without_secrets() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let form = HttpForm {
        headers: vec![(
            hyper::header::AUTHORIZATION,
            "Bearer hunter2".parse().unwrap(),
        )],
        ..HttpForm::default()
    };
    let (mut connection, check) = connected(&listener, form).await;
    let server = std::thread::spawn(move || {
        answer(
            &listener,
            "HTTP/1.1 301 moved\r\ncontent-length: 19\r\n\r\n{\"you\":\n \"hunter2\"}",
        )
    });
    let answer = connection.check(&check).await;
    assert_eq!(answer.seen, r#"301 {"you": "***"}"#);
    server.join().unwrap();
}

#[tokio::test]
async fn a_close_without_an_answer_may_be_a_denial() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let form = HttpForm {
        denied: "429,close".parse().unwrap(),
        ..HttpForm::default()
    };
    let (mut connection, check) = connected(&listener, form).await;
    // An idle connection may be closed for another reason, so that none is used again.
    let server = std::thread::spawn(move || {
        drop(answer(&listener, "HTTP/1.1 204 none\r\n\r\n"));
        drop(answer(&listener, ""));
        drop(answer(&listener, "HTTP/1.1 204 none\r\n\r\n"));
    });
    for outcome in [Outcome::Allowed, Outcome::Denied, Outcome::Allowed] {
        assert_eq!(connection.check(&check).await.outcome, outcome);
    }
    server.join().unwrap();
}

#[tokio::test]
async fn connections_of_a_key_come_from_its_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let form = HttpForm {
        source: Some("{ip}".parse().unwrap()),
        proxy_protocol: Some("v1".parse().unwrap()),
        headers: vec![("x-address".parse().unwrap(), "{ip}".parse().unwrap())],
        ..HttpForm::default()
    };
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let target = HttpTarget::new(&[url], form, Reach::ThisMachine, &Authorities::default());
    let target = target.unwrap();
    assert!(target.has_key());
    let mut addresses = Vec::new();
    for key in ["a", "b", "a"] {
        let key = Key::new(key).unwrap();
        let check = Check::new(key.clone(), 1, PATIENCE);
        let mut connection = target.of_key(&key).unwrap().connect(0).await.unwrap();
        let server = listener.try_clone().unwrap();
        let server = std::thread::spawn(move || {
            let mut stream = server.accept().unwrap().0;
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut request = String::new();
            while !request.contains("\r\n\r\n") {
                let mut part = [0; 4096];
                let length = stream.read(&mut part).unwrap();
                request += &String::from_utf8_lossy(&part[..length]);
            }
            stream.write_all(b"HTTP/1.1 204 none\r\n\r\n").unwrap();
            (stream.peer_addr().unwrap().ip().to_string(), request)
        });
        assert_eq!(connection.check(&check).await.outcome, Outcome::Allowed);
        let (address, request) = server.join().unwrap();
        let stated = format!("PROXY TCP4 {address} 127.0.0.1 40000 ");
        assert!(request.starts_with(&stated), "{request}");
        assert!(
            request.contains(&format!("x-address: {address}\r\n")),
            "{request}"
        );
        addresses.push(address);
    }
    assert!(
        addresses[0] == addresses[2] && addresses[0] != addresses[1],
        "{addresses:?}"
    );
}
