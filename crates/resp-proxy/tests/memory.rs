//! Memory stays bounded for any input: one huge value, or a line without end.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its subject has failed")]

use std::net::Ipv4Addr;

use resp_proxy::RespProxy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Bytes sent; `RESP_PROXY_BYTES=536870912` is the largest value a store takes.
fn bytes() -> usize {
    std::env::var("RESP_PROXY_BYTES").ok().and_then(|n| n.parse().ok()).unwrap_or(64 << 20)
}

/// Resident memory of this process, bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Sends `head`, then `total` bytes, to a store that counts them. Returns the growth of resident memory.
async fn growth(head: &[u8], total: usize) -> usize {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let upstream = format!("redis://{}", listener.local_addr().unwrap()).parse().unwrap();
    let expected = head.len() + total;
    let store = tokio::spawn(async move {
        drop(listener.accept().await.unwrap());
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut buffer, mut received) = (vec![0; 1 << 16], 0);
        while received < expected {
            received += stream.read(&mut buffer).await.unwrap();
        }
    });
    let proxy = RespProxy::builder(upstream).listen((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let block = vec![b'v'; 1 << 16];
    let before = resident();
    client.write_all(head).await.unwrap();
    let mut sent = 0;
    let mut peak = before;
    while sent < total {
        let piece = &block[..block.len().min(total - sent)];
        client.write_all(piece).await.unwrap();
        sent += piece.len();
        peak = peak.max(resident());
    }
    store.await.unwrap();
    peak - before
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn huge_values_and_endless_lines_need_no_memory() {
    let total = bytes();
    for head in [format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${total}\r\n").into_bytes(), b"SET k ".to_vec()] {
        let grown = growth(&head, total).await;
        assert!(grown < 8 << 20, "{grown} bytes for {total} sent");
    }
}
