//! A proxy in front of a store, connections by hand, and patience.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use resp_proxy::{RespProxy, Rule};

use crate::proxy::proxy_to;
use crate::store::Store;

/// Longer than anything here takes on a machine under load.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A proxy in front of the store.
pub(crate) async fn proxy(store: &Store) -> RespProxy {
    proxy_to(store.url().parse().unwrap()).await
}

/// A connection without a client library.
pub(crate) fn connect_raw(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Expects these bytes next.
#[track_caller]
pub(crate) fn receives(stream: &mut TcpStream, expected: &str) {
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), expected);
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn rule(text: &str) -> Rule {
    text.parse().unwrap()
}

/// Sends these bytes on a connection of their own and expects those.
#[track_caller]
pub(crate) fn ask(address: SocketAddr, request: &str, expected: &str) {
    let mut stream = connect_raw(address);
    stream.write_all(request.as_bytes()).unwrap();
    receives(&mut stream, expected);
}

/// The number of a store's connections, with the one that asks.
pub(crate) fn clients_of(store: SocketAddr) -> usize {
    let mut stream = connect_raw(store);
    stream.write_all(b"CLIENT LIST\r\n").unwrap();
    let mut answer = vec![0; 1 << 16];
    let read = stream.read(&mut answer).unwrap();
    let text = String::from_utf8_lossy(&answer[..read]);
    text.matches("addr=").count() - text.matches("laddr=").count()
}
