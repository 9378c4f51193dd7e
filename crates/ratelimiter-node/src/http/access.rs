use cli_support::Hidden;
use client_tls::is_loopback;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, StatusCode};
use subtle::ConstantTimeEq;

use super::message::{HttpRefusal, refuse};

/// The scheme of an admin token, with the space after it.
const SCHEME: &[u8] = b"Bearer ";

/// Decides which requests may read keys and change limits.
///
/// With an admin token, both need it. Without one, reading is open, and a change must be one that
/// no web page can cause: a page reaches loopback through its visitor's browser, either directly
/// (then the request has an `Origin`, or a content type that forms use) or through a name that it
/// makes resolve to loopback (then that name is the `Host`).
#[derive(Debug)]
pub(crate) struct AccessControl {
    token: Option<Hidden>,
}

impl AccessControl {
    pub(crate) fn new(token: Option<&str>) -> Self {
        let token = token.map(Hidden::from);
        Self { token }
    }

    /// Lists of keys, and metrics, whose labels are keys.
    pub(crate) fn read(&self, head: &Parts) -> Result<(), HttpRefusal> {
        self.token
            .as_ref()
            .map_or(Ok(()), |token| bearer(head, token))
    }

    /// Changes of limits and counters.
    pub(crate) fn change(&self, head: &Parts) -> Result<(), HttpRefusal> {
        match &self.token {
            Some(token) => bearer(head, token)?,
            None => from_this_machine(head)?,
        }
        if head.method == Method::POST && !is_json(head) {
            return Err(refuse(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "this needs the header `Content-Type: application/json`",
            ));
        }
        Ok(())
    }
}

fn bearer(head: &Parts, token: &Hidden) -> Result<(), HttpRefusal> {
    let given = head
        .headers
        .get(AUTHORIZATION)
        .and_then(|v| v.as_bytes().split_at_checked(SCHEME.len()))
        // The name of a scheme is in any case (RFC 9110, section 11.1).
        .and_then(|(scheme, token)| scheme.eq_ignore_ascii_case(SCHEME).then_some(token));
    if given.is_some_and(|given| given.ct_eq(token.expose().as_bytes()).into()) {
        return Ok(());
    }
    Err(refuse(
        StatusCode::UNAUTHORIZED,
        "this needs the header `Authorization: Bearer TOKEN` with the node's admin token",
    ))
}

fn from_this_machine(head: &Parts) -> Result<(), HttpRefusal> {
    let forbidden = |detail: &str| refuse(StatusCode::FORBIDDEN, detail);
    if head.headers.contains_key(ORIGIN) {
        return Err(forbidden(
            "a web page may change nothing here: a node without an admin token refuses an Origin",
        ));
    }
    let host = match head.uri.authority() {
        Some(authority) => Some(authority.clone()),
        None => head
            .headers
            .get(HOST)
            .and_then(|host| Authority::try_from(host.as_bytes()).ok()),
    };
    if host.is_some_and(|host| is_loopback(host.host())) {
        return Ok(());
    }
    Err(forbidden(
        "a node without an admin token takes changes only with a loopback Host, such as 127.0.0.1 \
         or localhost",
    ))
}

fn is_json(head: &Parts) -> bool {
    let given = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    given
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn status(access: &AccessControl, method: Method, fields: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri("/limit");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        access
            .change(&head)
            .map_or_else(|refusal| refusal.status().as_u16(), |()| 200)
    }

    const JSON: (&str, &str) = ("content-type", "application/json");

    #[test]
    fn without_a_token_only_loopback_hosts_change() {
        let open = AccessControl::new(None);
        for (host, expected) in [
            ("localhost", 200),
            ("LOCALHOST:8001", 200),
            ("127.0.0.1:8001", 200),
            ("127.8.8.8", 200),
            ("[::1]:8001", 200),
            ("localhost.attacker.example", 403),
            ("127.0.0.1.attacker.example:8001", 403),
            ("10.0.0.1", 403),
            ("node-1:8001", 403),
            ("[2001:db8::1]", 403),
            ("not a host", 403),
            ("", 403),
        ] {
            assert_eq!(
                status(&open, Method::POST, &[("host", host), JSON]),
                expected,
                "{host}"
            );
            assert_eq!(
                status(&open, Method::DELETE, &[("host", host)]),
                expected,
                "{host}"
            );
        }
        assert_eq!(status(&open, Method::POST, &[JSON]), 403, "without a Host");
    }

    #[test]
    fn web_pages_change_nothing() {
        let (open, host) = (AccessControl::new(None), ("host", "localhost"));
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "application/jsonp",
            "",
        ] {
            assert_eq!(
                status(&open, Method::POST, &[host, ("content-type", kind)]),
                415,
                "{kind}"
            );
        }
        assert_eq!(status(&open, Method::POST, &[host]), 415);
        assert_eq!(
            status(
                &open,
                Method::POST,
                &[host, ("content-type", "Application/JSON; charset=utf-8")]
            ),
            200
        );
        for origin in ["https://attacker.example", "null", "http://localhost:8001"] {
            assert_eq!(
                status(&open, Method::POST, &[host, JSON, ("origin", origin)]),
                403,
                "{origin}"
            );
            assert_eq!(
                status(&open, Method::DELETE, &[host, ("origin", origin)]),
                403,
                "{origin}"
            );
        }
    }

    #[test]
    fn a_token_is_enough_from_anywhere() {
        let access = AccessControl::new(Some("s3cret"));
        for (given, expected) in [
            ("Bearer s3cret", 200),
            ("bearer s3cret", 200),
            ("BEARER s3cret", 200),
            ("Basic s3cret", 401),
            ("Bearer\ts3cret", 401),
            ("Bearer s3cre", 401),
            ("Bearer s3cret ", 401),
            ("s3cret", 401),
            ("Bearer ", 401),
        ] {
            assert_eq!(
                status(&access, Method::POST, &[JSON, ("authorization", given)]),
                expected,
                "{given}"
            );
        }
        assert_eq!(
            status(&access, Method::POST, &[JSON, ("host", "localhost")]),
            401
        );
        assert!(!format!("{access:?}").contains("s3cret"));
    }
}
