//! Memory stays bounded for any input: one huge value, or a line without end.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

#[path = "support/proxy.rs"]
mod proxy;

use std::net::Ipv4Addr;

use proxy::proxy_to;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Bytes sent; `RESP_PROXY_BYTES=536870912` is the largest value a store takes.
fn bytes() -> usize {
    std::env::var("RESP_PROXY_BYTES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(64 << 20)
}

/// Resident memory of this process, bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap()
        * 4096
}

/// The way that the bytes take.
#[derive(Clone, Copy, Debug)]
enum Way {
    ToStore,
    ToClient,
}

/// Sends `head`, then `total` bytes, to an end that counts them. Returns the growth of resident
/// memory.
async fn growth(way: Way, head: &[u8], total: usize) -> usize {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let upstream = format!("redis://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let accepting = tokio::spawn(async move {
        // The proxy asks for the commands first; a store that does not answer COMMAND closes.
        drop(listener.accept().await.unwrap());
        listener.accept().await.unwrap().0
    });
    let proxy = proxy_to(upstream).await;
    let client = TcpStream::connect(proxy.address()).await.unwrap();
    let store = accepting.await.unwrap();
    let (mut from, mut to) = match way {
        Way::ToStore => (client, store),
        Way::ToClient => (store, client),
    };
    let expected = head.len() + total;
    let counting = tokio::spawn(async move {
        let (mut buffer, mut received) = (vec![0; 1 << 16], 0);
        while received < expected {
            received += to.read(&mut buffer).await.unwrap();
        }
    });
    let block = vec![b'v'; 1 << 16];
    let before = resident();
    from.write_all(head).await.unwrap();
    let mut sent = 0;
    let mut peak = before;
    while sent < total {
        let piece = &block[..block.len().min(total - sent)];
        from.write_all(piece).await.unwrap();
        sent += piece.len();
        peak = peak.max(resident());
    }
    counting.await.unwrap();
    peak - before
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn huge_values_and_endless_lines_need_no_memory() {
    let total = bytes();
    for (way, head) in [
        (
            Way::ToStore,
            format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${total}\r\n"),
        ),
        (Way::ToStore, "SET k ".to_owned()),
        (Way::ToClient, format!("${total}\r\n")),
        (Way::ToClient, format!(">2\r\n+message\r\n${total}\r\n")),
        (Way::ToClient, "+".to_owned()),
    ] {
        let grown = growth(way, head.as_bytes(), total).await;
        assert!(
            grown < 8 << 20,
            "{way:?}, {head:?}: {grown} bytes for {total} sent"
        );
    }
}
