//! The requests that are answered: those of programs, since a page in a browser must not drive the
//! proxy.

use client_tls::{Reach, is_loopback};
use hyper::HeaderMap;
use hyper::header::{HOST, ORIGIN, USER_AGENT};

use super::ControlError;

/// Refuses requests of browsers: with an origin, or an agent that calls itself Mozilla. A name
/// that an attacker has pointed at this machine is refused too: hosts are this machine, and with
/// the permission for others also addresses and names without a dot, as containers have them.
pub(super) fn permit(headers: &HeaderMap, reach: Reach) -> Result<(), ControlError> {
    let is_browser = headers.contains_key(ORIGIN)
        || headers
            .keys()
            .any(|name| name.as_str().starts_with("sec-fetch-"))
        || headers
            .get(USER_AGENT)
            .is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"));
    if is_browser {
        return Err(ControlError::forbidden(
            "browsers are refused: a page must not drive the proxy",
        ));
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let name = host.map(without_port).unwrap_or_default();
    let is_own = is_loopback(name)
        || (reach == Reach::Anywhere
            && !name.is_empty()
            && (is_address(name) || !name.contains('.')));
    if is_own {
        return Ok(());
    }
    Err(ControlError::forbidden(format!(
        "the host {name:?} is foreign: address this machine as localhost or by its address"
    )))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_address(name: &str) -> bool {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn permits(reach: Reach, fields: &[(&str, &str)]) -> bool {
        let headers = fields.iter().map(|(name, value)| {
            (
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        });
        permit(&headers.collect(), reach).is_ok()
    }

    #[test]
    fn programs_on_this_machine_are_answered() {
        for host in [
            "localhost:8474",
            "127.0.0.1:8474",
            "[::1]:8474",
            "localhost",
        ] {
            assert!(permits(Reach::ThisMachine, &[("host", host)]), "{host}");
        }
        let agent = ("user-agent", "python-requests/2.32");
        assert!(permits(Reach::ThisMachine, &[("host", "localhost"), agent]));
    }

    #[test]
    fn pages_and_foreign_names_are_refused() {
        let local = ("host", "127.0.0.1:8474");
        for field in [
            ("origin", "http://127.0.0.1:8474"),
            ("origin", "null"),
            ("sec-fetch-site", "none"),
            ("user-agent", "Mozilla/5.0 (X11)"),
        ] {
            assert!(!permits(Reach::Anywhere, &[local, field]), "{field:?}");
        }
        for host in ["evil.example:8474", "127.0.0.1.evil.example", ""] {
            assert!(!permits(Reach::ThisMachine, &[("host", host)]), "{host}");
            assert!(!permits(Reach::Anywhere, &[("host", host)]), "{host}");
        }
        for host in ["proxy:8474", "10.1.2.3:8474"] {
            assert!(!permits(Reach::ThisMachine, &[("host", host)]), "{host}");
            assert!(permits(Reach::Anywhere, &[("host", host)]), "{host}");
        }
    }
}
