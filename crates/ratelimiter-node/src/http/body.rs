use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::Body;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::answer::{HttpRefusal, bad_request, refuse};

/// The largest request body, bytes.
pub(crate) const MAX_BODY: usize = 16 * 1024;
/// The largest body with many limits, bytes.
pub(crate) const MAX_BULK: usize = 1024 * 1024;
/// Time for a client to send it.
pub(crate) const BODY_DEADLINE: Duration = Duration::from_secs(5);
/// Bounds on reading a body that is not used: a connection that is closed while its client still
/// sends is reset, and the answer may be lost with it.
const MAX_DISCARDED: u64 = 1024 * 1024;
const DISCARD_DEADLINE: Duration = Duration::from_secs(1);

/// A body that is read at most once, and may be left unread.
pub(crate) trait RequestBody:
    Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static> + Unpin
{
}
impl<B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static> + Unpin> RequestBody
    for B
{
}

/// The JSON in a body of at most `most` bytes.
pub(crate) async fn read<T: DeserializeOwned>(
    body: &mut impl RequestBody,
    most: usize,
) -> Result<T, HttpRefusal> {
    let bytes = timeout(BODY_DEADLINE, collect(body, most))
        .await
        .map_err(|_| {
            let seconds = BODY_DEADLINE.as_secs();
            refuse(
                StatusCode::REQUEST_TIMEOUT,
                format!("the body took more than {seconds} s to arrive"),
            )
        })??;
    let wrong =
        |why: &dyn std::fmt::Display| bad_request(format!("the body is not as expected: {why}"));
    // A list of values in the right order would do for the parser.
    if bytes
        .trim_ascii_start()
        .first()
        .is_some_and(|first| *first != b'{')
    {
        return Err(wrong(&"it is not a JSON object"));
    }
    serde_json::from_slice(&bytes).map_err(|e| wrong(&e))
}

async fn collect(body: &mut impl RequestBody, most: usize) -> Result<BytesMut, HttpRefusal> {
    let too_large = || {
        refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is over {most} bytes"),
        )
    };
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| bad_request(format!("the body could not be read: {e}")))?;
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.remaining() > most {
                return Err(too_large());
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes)
}

/// Reads the rest of a body, within bounds, and drops it.
pub(crate) async fn discard(body: &mut impl RequestBody) {
    if body.is_end_stream() || body.size_hint().lower() > MAX_DISCARDED {
        return;
    }
    let rest = async {
        let mut discarded = 0;
        while let Some(Ok(frame)) = body.frame().await {
            discarded += frame.data_ref().map_or(0, |data| data.len() as u64);
            if discarded > MAX_DISCARDED {
                break;
            }
        }
    };
    // A client that is this slow is not waited for.
    let _ = timeout(DISCARD_DEADLINE, rest).await;
}
