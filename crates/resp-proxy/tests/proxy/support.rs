//! A proxy in front of a store, connections by hand, and patience.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use resp_proxy::RespProxy;

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
