//! TCP, or TLS over it, with a hold below both: a TLS record without its last byte cannot be
//! decrypted.

use std::io;
use std::sync::Arc;

use client_tls::{Stream, Trust};
use tokio::net::TcpStream;

use crate::Hold;
use crate::hold::HeldStream;

/// Connects, over TLS where there are authorities to trust, and then with protocols to choose from
/// (ALPN).
pub(crate) async fn connect(
    host: &str,
    port: u16,
    tls: Option<&Trust>,
    protocols: &[&str],
) -> io::Result<(Stream<HeldStream>, Arc<Hold>)> {
    let stream =
        TcpStream::connect((host.trim_start_matches('[').trim_end_matches(']'), port)).await?;
    // A check is one small packet each way: waiting to fill it would be the latency measured.
    stream.set_nodelay(true)?;
    let stream = HeldStream::new(stream);
    let hold = stream.hold();
    let stream = match tls {
        None => Stream::Plain(stream),
        Some(trust) => trust.connect(host, stream, protocols).await?,
    };
    Ok((stream, hold))
}
