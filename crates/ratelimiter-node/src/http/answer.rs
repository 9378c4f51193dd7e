use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use ratelimiter_api::{CheckResponse, Limit, PROBLEM_CONTENT_TYPE, Problem};
use serde::Serialize;

pub(crate) type HttpAnswer = Response<Full<Bytes>>;

/// RateLimit fields of draft-ietf-httpapi-ratelimit-headers, revision 10.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

pub(crate) fn text(body: String, content_type: &'static str) -> HttpAnswer {
    build(StatusCode::OK, content_type, body.into())
}

pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> HttpAnswer {
    let body = serde_json::to_vec(body).expect("the API's types have string keys only");
    build(status, "application/json", body.into())
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

pub(crate) fn method_not_allowed(detail: impl Into<String>, allow: &'static str) -> HttpRefusal {
    HttpRefusal {
        allow: Some(allow),
        ..refuse(StatusCode::METHOD_NOT_ALLOWED, detail)
    }
}

impl From<HttpRefusal> for HttpAnswer {
    /// A problem document (RFC 9457).
    fn from(
        HttpRefusal {
            status,
            detail,
            allow,
        }: HttpRefusal,
    ) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").into();
        let problem = Problem {
            kind: "about:blank".into(),
            title,
            status: status.as_u16(),
            detail,
        };
        let body = serde_json::to_vec(&problem).expect("a problem has string keys only");
        let mut answer = build(status, PROBLEM_CONTENT_TYPE, body.into());
        if status == StatusCode::UNAUTHORIZED {
            answer
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        if let Some(allow) = allow {
            answer
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static(allow));
        }
        answer
    }
}

/// 200 or 429, with the header fields that carry the remaining quota and the time until more of it
/// is free.
pub(crate) fn check(response: &CheckResponse, limit: Limit) -> HttpAnswer {
    let status = if response.allowed {
        StatusCode::OK
    } else {
        StatusCode::TOO_MANY_REQUESTS
    };
    let mut answer = json(status, response);
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
        headers.insert(RETRY_AFTER, ascii(reset_s.to_string()));
    }
    answer
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits, letters and quotes make a header value")
}

fn build(status: StatusCode, content_type: &'static str, body: Bytes) -> HttpAnswer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
