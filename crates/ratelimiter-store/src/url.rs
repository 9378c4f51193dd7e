use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use crate::StoreError;

/// Where the store is: `redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]`, or `valkey://` likewise.
///
/// The password is never printed, not even by `Debug`.
#[derive(Clone)]
pub struct StoreUrl {
    /// Shared, since every error names the store it came from.
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

    pub(crate) fn info(&self) -> ConnectionInfo {
        self.info.as_ref().clone()
    }
}

impl FromStr for StoreUrl {
    type Err = StoreError;

    fn from_str(url: &str) -> Result<Self, StoreError> {
        // The text may hold a password, so that a refusal names only what is in front of it.
        let shown =
            || url.split_once("://").map_or_else(|| "it".to_owned(), |(scheme, _)| format!("{scheme}://..."));
        let info = url.into_connection_info().map_err(|e| StoreError::Url {
            shown: shown(),
            why: e.detail().map_or_else(|| e.to_string(), ToOwned::to_owned),
        })?;
        if !info.addr().is_supported() {
            return Err(StoreError::Url { shown: shown(), why: "TLS is not supported".into() });
        }
        // RESP2 is spoken by every supported version, and a user allowed only a few commands may not run HELLO or CLIENT SETINFO.
        let settings =
            info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name();
        Ok(Self { info: Arc::new(info.set_redis_settings(settings)) })
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
        let refused = "http://u:hunter2@h".parse::<StoreUrl>().unwrap_err().to_string();
        assert!(!refused.contains("hunter2"), "{refused}");
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
