use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use ratelimiter_api::{Claims, Outcome};

use super::HttpSite;
use crate::http2::{CONNECTIONS, Http2Lanes};
use crate::route::{ProxyProtocol, SourceAddress};
use crate::{Check, CheckAnswer, Expectation, StatusSet, Template};

/// The content type of forms.
const FORM: &str = "application/x-www-form-urlencoded";

/// The form of requests and answers. By default a GET; statuses 200 to 299 allow and 429 denies.
#[derive(Clone, Debug)]
pub struct HttpForm {
    /// The request's method.
    pub method: Method,
    /// Header fields of every request. A `Host` replaces the URL's; the length of the body is the
    /// client's own field.
    pub headers: Vec<(HeaderName, Template)>,
    /// The request's body.
    pub body: Option<Template>,
    /// Statuses of an allowed check.
    pub allowed: StatusSet,
    /// Statuses of a denied check.
    pub denied: StatusSet,
    /// The field of the JSON body that decides among the allowed statuses.
    pub expectation: Option<Expectation>,
    /// Statuses of a check that was not admitted, for another reason than quota. They go before the
    /// allowed ones. A status in none of the sets is unknown.
    pub failed: StatusSet,
    /// A socket file to connect to, instead of the URL's host and port.
    pub socket: Option<PathBuf>,
    /// The address from which connections come.
    pub source: Option<SourceAddress>,
    /// The version of the PROXY protocol that states an address for each key.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// HTTP/2 without a question. Otherwise `https://` servers choose (ALPN), and others are asked
    /// in HTTP/1.1.
    pub http2: bool,
    /// Connections of a node over which the checks of a burst spread in HTTP/2, at least 1: every
    /// other check is on the first one. There are more where the server permits too few streams.
    pub connections: usize,
}

impl Default for HttpForm {
    fn default() -> Self {
        Self {
            method: Method::GET,
            headers: Vec::new(),
            body: None,
            allowed: StatusSet::of([200..=299]),
            denied: StatusSet::of([429..=429]),
            expectation: None,
            failed: StatusSet::default(),
            socket: None,
            source: None,
            proxy_protocol: None,
            http2: false,
            connections: CONNECTIONS,
        }
    }
}

impl HttpForm {
    /// The shared connections of a site.
    pub(super) fn lanes(&self) -> Arc<Http2Lanes> {
        let body = self.body.as_ref().map_or(0, Template::room);
        Arc::new(Http2Lanes::new(self.connections, self.http2, body))
    }

    /// The request of one check, as HTTP/1.1 has it.
    pub(super) fn request(&self, site: &HttpSite, check: &Check) -> Result<Request<Bytes>, String> {
        let headers = &self.headers;
        let is_form = |(name, value): &(HeaderName, Template)| {
            *name == CONTENT_TYPE && value.fill(check).trim_start().starts_with(FORM)
        };
        let is_form = headers.iter().any(is_form);
        let body = self.body.as_ref();
        let body = body.map(|body| body.fill_body(check, is_form));
        let body = body.unwrap_or_default();
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(site.path.fill_url(check));
        if !headers.iter().any(|(name, _)| name == HOST) {
            request = request.header(HOST, site.address.to_string());
        }
        // The length follows from the body, which another one may contradict.
        for (name, value) in headers.iter().filter(|(name, _)| name != CONTENT_LENGTH) {
            request = request.header(name, header_value(name, &value.fill(check))?);
        }
        request.body(body.into()).map_err(|e| e.to_string())
    }

    /// The outcome of a check whose connection is closed without an answer.
    pub(super) fn closed(&self) -> Outcome {
        if self.denied.has_close() {
            Outcome::Denied
        } else if self.failed.has_close() {
            Outcome::Failed
        } else {
            Outcome::Unknown
        }
    }

    /// A text of the server without the values of our header fields, which it may repeat.
    pub(super) fn without_secrets(&self, check: &Check, text: &str) -> String {
        let values = self.headers.iter().map(|(_, value)| value.fill(check));
        values.fold(text.to_owned(), |text, value| {
            let words = value.split_whitespace().filter(|word| word.len() >= 4);
            words.fold(text, |text, word| text.replace(word, "***"))
        })
    }

    pub(super) fn read(&self, status: StatusCode, claims: Claims, body: &[u8]) -> CheckAnswer {
        let answer = |outcome| CheckAnswer {
            outcome,
            claims,
            ..CheckAnswer::plain(outcome)
        };
        let neither = |outcome| CheckAnswer {
            detail: format!("status {}", status.as_u16()),
            ..answer(outcome)
        };
        if self.denied.has(status) {
            return answer(Outcome::Denied);
        }
        if self.failed.has(status) {
            return neither(Outcome::Failed);
        }
        if !self.allowed.has(status) {
            return neither(Outcome::Unknown);
        }
        let Some(expectation) = &self.expectation else {
            return answer(Outcome::Allowed);
        };
        let json = serde_json::from_slice(body).unwrap_or(serde_json::Value::Null);
        match expectation.is_met(&json) {
            Some(true) => answer(Outcome::Allowed),
            Some(false) => answer(Outcome::Denied),
            None => CheckAnswer {
                detail: format!("the body has no {expectation}"),
                ..answer(Outcome::Unknown)
            },
        }
    }
}

/// A header field's value. White space at its ends would not arrive, so that two keys would be one.
fn header_value(name: &HeaderName, text: &str) -> Result<HeaderValue, String> {
    let refused = || format!("header {name} cannot carry this key");
    if text.trim() != text {
        return Err(refused());
    }
    let mut value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| refused())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_by_status_and_field() {
        let read = |form: &HttpForm, status, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            form.read(status, Claims::default(), body.as_bytes())
                .outcome
        };
        let form = HttpForm::default();
        assert_eq!(read(&form, 204, ""), Outcome::Allowed);
        assert_eq!(read(&form, 429, ""), Outcome::Denied);
        assert_eq!(read(&form, 500, ""), Outcome::Unknown);
        let failing = HttpForm {
            failed: "302,503".parse().unwrap(),
            ..form.clone()
        };
        assert_eq!(read(&failing, 503, ""), Outcome::Failed);
        assert_eq!(read(&failing, 302, ""), Outcome::Failed);
        assert_eq!(read(&failing, 500, ""), Outcome::Unknown);
        let form = HttpForm {
            expectation: Some("/allowed=true".parse().unwrap()),
            ..form
        };
        assert_eq!(read(&form, 200, r#"{"allowed":true}"#), Outcome::Allowed);
        assert_eq!(read(&form, 200, r#"{"allowed":false}"#), Outcome::Denied);
        assert_eq!(read(&form, 200, "<html>"), Outcome::Unknown);
    }
}
