//! The bodies of requests and the answers to them: JSON in, JSON or a problem document out.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Body;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use outside_text::escape;
use ratelimiter_api::{CheckResponse, Limit, PROBLEM_CONTENT_TYPE, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// The largest request body, bytes.
pub(crate) const MAX_BODY: usize = 16 * 1024;
/// The largest body with many limits, bytes.
pub(crate) const MAX_BULK: usize = 1024 * 1024;
/// Time for a client to send a body.
const BODY_DEADLINE: Duration = Duration::from_secs(5);
/// Bounds on reading a body that no handler reads. It is read all the same: a connection that is
/// closed while its client still sends is reset, and the answer may be lost with it.
const MAX_DISCARDED: u64 = 1024 * 1024;
const DISCARD_DEADLINE: Duration = Duration::from_secs(1);

pub(crate) type HttpAnswer = Response<Full<Bytes>>;

/// RateLimit fields of draft-ietf-httpapi-ratelimit-headers, revision 10.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

pub(crate) fn text(body: String, content_type: &'static str) -> HttpAnswer {
    build(StatusCode::OK, content_type, body.into())
}

pub(crate) fn json(body: &impl Serialize) -> HttpAnswer {
    let body = serde_json::to_vec(body).expect("the API's types have string keys only");
    build(StatusCode::OK, "application/json", body.into())
}

/// An answer without a body.
pub(crate) fn empty() -> HttpAnswer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// Seconds after which a client may try again when the node itself could not answer.
const RETRY_AFTER_S: u64 = 1;

/// The reason why a request has no answer, on the client's side or on the node's.
#[derive(Debug)]
pub(crate) struct HttpRefusal {
    status: StatusCode,
    detail: String,
    /// The methods that the path has.
    allow: Option<&'static str>,
}

impl HttpRefusal {
    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }
}

pub(crate) fn refuse(status: StatusCode, detail: impl Into<String>) -> HttpRefusal {
    HttpRefusal {
        status,
        detail: detail.into(),
        allow: None,
    }
}

/// A failure of the node or its store, which may be over soon.
pub(crate) fn unavailable(detail: impl Into<String>) -> HttpRefusal {
    refuse(StatusCode::SERVICE_UNAVAILABLE, detail)
}

pub(crate) fn bad_request(detail: impl Into<String>) -> HttpRefusal {
    refuse(StatusCode::BAD_REQUEST, detail)
}

pub(crate) fn method_not_allowed(detail: String, allow: &'static str) -> HttpRefusal {
    HttpRefusal {
        allow: Some(allow),
        ..refuse(StatusCode::METHOD_NOT_ALLOWED, detail)
    }
}

impl From<HttpRefusal> for HttpAnswer {
    /// A problem document (RFC 9457).
    fn from(refusal: HttpRefusal) -> Self {
        let HttpRefusal {
            status,
            detail,
            allow,
        } = refusal;
        let title = status.canonical_reason().unwrap_or("Error").into();
        let problem = Problem {
            kind: "about:blank".into(),
            title,
            status: status.as_u16(),
            detail,
        };
        let body = serde_json::to_string(&problem).expect("a problem has string keys only");
        // The reason may repeat the client's text or the store's, and be read in a terminal.
        let body = escape(&body).into_owned();
        let mut answer = build(status, PROBLEM_CONTENT_TYPE, body.into());
        let headers = answer.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, RETRY_AFTER_S.into());
        }
        if let Some(allow) = allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        answer
    }
}

/// 200 or 429, with the header fields that carry the remaining quota and the time until more of it
/// is free.
pub(crate) fn check_answer(response: &CheckResponse, limit: Limit) -> HttpAnswer {
    let mut answer = json(response);
    // Whole seconds, rounded up: a client that returns then is not too early.
    let reset_s = response.reset_ms.div_ceil(1000);
    let (quota, window_s) = (limit.admissions(), limit.window().as_secs());
    let headers = answer.headers_mut();
    headers.insert(
        RATE_LIMIT_POLICY,
        ascii(format!("\"default\";q={quota};w={window_s}")),
    );
    headers.insert(
        RATE_LIMIT,
        ascii(format!("\"default\";r={};t={reset_s}", response.remaining)),
    );
    if !response.allowed {
        headers.insert(RETRY_AFTER, reset_s.into());
        *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    }
    answer
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits, letters and quotes make a header value")
}

fn build(status: StatusCode, content_type: &'static str, body: Bytes) -> HttpAnswer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

/// A body that is read at most once, and may be left unread.
pub(crate) trait RequestBody: Body<Data = Bytes, Error: std::error::Error> + Unpin {}
impl<B: Body<Data = Bytes, Error: std::error::Error> + Unpin> RequestBody for B {}

/// The JSON in a body of at most `most` bytes.
pub(crate) async fn read<T: DeserializeOwned>(
    body: &mut impl RequestBody,
    most: usize,
) -> Result<T, HttpRefusal> {
    let late = |_| {
        let seconds = BODY_DEADLINE.as_secs();
        let detail = format!("the body took more than {seconds} s to arrive");
        refuse(StatusCode::REQUEST_TIMEOUT, detail)
    };
    let collected = timeout(BODY_DEADLINE, collect(body, most));
    let bytes = collected.await.map_err(late)??;
    let wrong =
        |why: &dyn std::fmt::Display| bad_request(format!("the body is not as expected: {why}"));
    // The parser would accept a list of values in the right order.
    let first = bytes.trim_ascii_start().first();
    if first.is_some_and(|first| *first != b'{') {
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
