use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo};

use crate::StoreError;

/// The store's address: `redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]`, or `valkey://` likewise.
///
/// The password is never printed, not even by `Debug`.
#[derive(Clone)]
pub struct StoreUrl {
    /// Shared, since every error carries a copy.
    info: Arc<ConnectionInfo>,
}

impl StoreUrl {
    /// Whether everything sent there stays on this machine: a loopback address, the name `localhost`, or a socket file.
    pub fn is_loopback(&self) -> bool {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, _) => {
                host.eq_ignore_ascii_case("localhost")
                    || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
            ConnectionAddr::Unix(_) => true,
            _ => false,
        }
    }

    /// Refuses the addresses that a [`Link`](crate::Link) cannot connect to.
    pub(crate) fn supported(&self) -> Result<(), StoreError> {
        match self.info.addr() {
            ConnectionAddr::Tcp(..) | ConnectionAddr::Unix(_) => Ok(()),
            _ => Err(StoreError::Url { shown: "redis://...".into(), why: "TLS is not supported".into() }),
        }
    }

    pub(crate) fn address(&self) -> &ConnectionAddr {
        self.info.addr()
    }

    pub(crate) fn settings(&self) -> &RedisConnectionInfo {
        self.info.redis_settings()
    }
}

impl FromStr for StoreUrl {
    type Err = StoreError;

    fn from_str(url: &str) -> Result<Self, StoreError> {
        // The text may hold a password, so that a refusal names only the scheme.
        let shown =
            || url.split_once("://").map_or_else(|| "it".to_owned(), |(scheme, _)| format!("{scheme}://..."));
        let info = url.into_connection_info().map_err(|e| StoreError::Url {
            shown: shown(),
            why: reason(url, &e.detail().map_or_else(|| e.to_string(), ToOwned::to_owned)),
        })?;
        // RESP2 is spoken by every supported version, and a user allowed only a few commands may not run HELLO or CLIENT SETINFO.
        let settings =
            info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name();
        let url = Self { info: Arc::new(info.set_redis_settings(settings)) };
        url.supported().map(|()| url)
    }
}

/// A parser's reason, unless it repeats a part of the URL, which may be secret.
fn reason(url: &str, why: &str) -> String {
    let repeats = |word: &str| word.len() > 3 && url.contains(word);
    if why.split(|c: char| !c.is_alphanumeric()).any(repeats) {
        "a part of it makes no sense".to_owned()
    } else {
        why.to_owned()
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.info.redis_settings();
        f.write_str("redis://")?;
        if settings.username().is_some() || settings.password().is_some() {
            f.write_str(settings.username().unwrap_or_default())?;
            f.write_str(if settings.password().is_some() { ":***@" } else { "@" })?;
        }
        write!(f, "{}", self.info.addr())?;
        if settings.db() != 0 {
            write!(f, "/{}", settings.db())?;
        }
        Ok(())
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_printed() {
        let url: StoreUrl = "redis://chaos:hunter2@127.0.0.1:6379/3".parse().unwrap();
        assert_eq!(url.to_string(), "redis://chaos:***@127.0.0.1:6379/3");
        assert!(!format!("{url:?}").contains("hunter2"));
        for refused in
            ["http://u:hunter2@h", "redis://h?protocol=hunter2", "redis://h/hunter2", "redis://h:hunter2"]
        {
            let refused = refused.parse::<StoreUrl>().unwrap_err().to_string();
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn loopback_is_recognized() {
        for (url, loopback) in [
            ("redis://localhost", true),
            ("redis://127.0.0.9:1", true),
            ("valkey://[::1]:1", true),
            ("redis://10.0.0.1", false),
            ("redis://store.example:6379", false),
        ] {
            assert_eq!(url.parse::<StoreUrl>().unwrap().is_loopback(), loopback, "{url}");
        }
    }

    #[test]
    fn nonsense_is_refused_in_one_line() {
        for url in ["", "localhost:6379", "http://a", "rediss://a", "redis://a:99999"] {
            let message = url.parse::<StoreUrl>().unwrap_err().to_string();
            assert!(message.contains("expected redis://"), "{url}: {message}");
            assert!(!message.contains('\n'), "{url}: {message}");
        }
    }
}
