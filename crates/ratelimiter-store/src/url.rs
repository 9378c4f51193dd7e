use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use client_tls::{Authorities, is_loopback};
use redis::{
    ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo,
};
use tokio::io::DuplexStream;

use crate::StoreError;

/// The store's address, in one of three forms; `valkey` for `redis` likewise:
///
/// - `redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]`: one store;
/// - `redis+sentinel://[USER[:PASSWORD]@]HOST:PORT,.../SERVICE[/DB]`: the primary that these
///   sentinels name;
/// - `redis+cluster://[USER[:PASSWORD]@]HOST:PORT,...`: a cluster, of which these are some members.
///
/// With `rediss` or `valkeys` in their place, every connection is encrypted: to the store, to each
/// member, to the sentinels and to the primary that they name. Certificates are verified against
/// the system's authorities, and those of [`trusting`](Self::trusting).
///
/// User and password are those of the store; sentinels are asked without. The password is never
/// printed, not even by `Debug`.
#[derive(Clone)]
pub struct StoreUrl {
    /// Shared, since every error carries a copy.
    parts: Arc<UrlParts>,
}

#[derive(Clone)]
struct UrlParts {
    address: StoreAddress,
    settings: RedisConnectionInfo,
    /// The authorities of a store behind TLS.
    trust: Option<Authorities>,
    dialer: Option<Arc<StoreDialer>>,
}

/// Opens a connection to an address, `HOST:PORT`, of a store that is no process of its own.
pub type StoreDialer = dyn Fn(&str) -> io::Result<DuplexStream> + Send + Sync;

/// Where the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreAddress {
    One(ConnectionAddr),
    /// The primary of a service, by its sentinels.
    Sentinel {
        sentinels: Vec<ConnectionAddr>,
        service: String,
    },
    /// The cluster of these members.
    Cluster(Vec<ConnectionAddr>),
}

/// The kind of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// One store.
    Single,
    /// A primary with replicas, watched by sentinels.
    Sentinel,
    /// Several primaries, each with a part of the keys.
    Cluster,
}

impl StoreUrl {
    fn of(parts: UrlParts) -> Self {
        Self {
            parts: Arc::new(parts),
        }
    }

    /// Parses a URL. With a PEM file, its authorities are trusted beside the system's.
    ///
    /// # Errors
    /// When the text is no URL of a store, or as [`trusting`](Self::trusting).
    pub fn parse(text: &str, authorities: Option<&Path>) -> Result<Self, StoreError> {
        let url: Self = text.parse()?;
        authorities.map_or(Ok(url.clone()), |file| url.trusting(file))
    }

    /// The kind of the store.
    pub fn kind(&self) -> StoreKind {
        match self.parts.address {
            StoreAddress::One(_) => StoreKind::Single,
            StoreAddress::Sentinel { .. } => StoreKind::Sentinel,
            StoreAddress::Cluster(_) => StoreKind::Cluster,
        }
    }

    /// Whether everything sent there stays on this machine: loopback addresses, the name
    /// `localhost`, or a socket file.
    pub fn is_loopback(&self) -> bool {
        self.addresses().iter().all(|address| match address {
            ConnectionAddr::Tcp(host, _) => is_loopback(host),
            ConnectionAddr::Unix(_) => true,
            _ => false,
        })
    }

    /// One store at `host:port`, with the same user and password: a member of the cluster, or a
    /// replica.
    ///
    /// # Errors
    /// When `address` has no port.
    pub fn member(&self, address: &str) -> Result<Self, StoreError> {
        let address = StoreAddress::One(tcp(address).ok_or_else(|| StoreError::Url {
            shown: address.to_owned(),
            why: "it is no HOST:PORT".into(),
        })?);
        Ok(Self::of(UrlParts {
            address,
            ..UrlParts::clone(&self.parts)
        }))
    }

    /// The sentinels, each as a store of its own that is asked without a login; none for the other
    /// kinds.
    pub fn sentinels(&self) -> Vec<Self> {
        let StoreAddress::Sentinel { sentinels, .. } = &self.parts.address else {
            return Vec::new();
        };
        let one = |address: &ConnectionAddr| {
            Self::of(UrlParts {
                address: StoreAddress::One(address.clone()),
                settings: plain(RedisConnectionInfo::default()),
                trust: self.parts.trust.clone(),
                dialer: self.parts.dialer.clone(),
            })
        };
        sentinels.iter().map(one).collect()
    }

    /// The same store, with the authorities of a PEM file trusted beside the system's.
    ///
    /// # Errors
    /// When the file cannot be read or holds no certificate, or the URL is none of TLS.
    pub fn trusting(&self, file: &Path) -> Result<Self, StoreError> {
        let refused = |why: String| StoreError::Authorities {
            url: self.clone(),
            why,
        };
        if self.parts.trust.is_none() {
            return Err(refused("they go with rediss:// alone".into()));
        }
        let trust = Some(Authorities::in_file(file).map_err(|e| refused(e.to_string()))?);
        Ok(Self::of(UrlParts {
            trust,
            ..UrlParts::clone(&self.parts)
        }))
    }

    /// The same addresses, reached through `dialer` in place of the network: a store within this
    /// process, as simulations have one.
    #[must_use]
    pub fn dialed_by(&self, dialer: Arc<StoreDialer>) -> Self {
        Self::of(UrlParts {
            dialer: Some(dialer),
            ..UrlParts::clone(&self.parts)
        })
    }

    /// The service that the sentinels watch.
    pub fn service(&self) -> Option<&str> {
        match &self.parts.address {
            StoreAddress::Sentinel { service, .. } => Some(service),
            StoreAddress::One(_) | StoreAddress::Cluster(_) => None,
        }
    }

    pub(crate) fn address(&self) -> &StoreAddress {
        &self.parts.address
    }

    /// The authorities of a store behind TLS.
    pub(crate) fn trust(&self) -> Option<&Authorities> {
        self.parts.trust.as_ref()
    }

    /// The way to a store within this process.
    pub(crate) fn dialer(&self) -> Option<&StoreDialer> {
        self.parts.dialer.as_deref()
    }

    fn addresses(&self) -> &[ConnectionAddr] {
        match &self.parts.address {
            StoreAddress::One(address) => std::slice::from_ref(address),
            StoreAddress::Sentinel { sentinels, .. } => sentinels,
            StoreAddress::Cluster(members) => members,
        }
    }

    pub(crate) fn settings(&self) -> &RedisConnectionInfo {
        &self.parts.settings
    }
}

/// `HOST:PORT` as an address; the host may be in brackets, as IPv6 is.
pub(crate) fn tcp(address: &str) -> Option<ConnectionAddr> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some(ConnectionAddr::Tcp(host.to_owned(), port.parse().ok()?))
}

/// RESP2 is spoken by every supported version, and a user allowed only a few commands may not run
/// HELLO or CLIENT SETINFO.
fn plain(settings: RedisConnectionInfo) -> RedisConnectionInfo {
    settings
        .set_protocol(ProtocolVersion::RESP2)
        .set_skip_set_lib_name()
}

/// One store's URL, in the words of its library.
fn one(url: &str) -> Result<ConnectionInfo, String> {
    let info = url.into_connection_info();
    info.map_err(|e| {
        reason(
            url,
            &e.detail().map_or_else(|| e.to_string(), ToOwned::to_owned),
        )
    })
}

fn parse(url: &str) -> Result<UrlParts, String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err("it has no scheme".into());
    };
    let (base, kind) = scheme
        .split_once('+')
        .map_or((scheme, None), |(base, kind)| (base, Some(kind)));
    // TLS is this crate's own part: the library reads the URL without it.
    let (base, trust) = match base {
        "rediss" | "valkeys" => {
            let trust = Authorities::of_system().map_err(|e| e.to_string())?;
            (&base[..base.len() - 1], Some(trust))
        }
        other => (other, None),
    };
    if trust.is_some() && rest.contains('#') {
        return Err("certificates are always verified: nothing goes after a #".into());
    }
    let Some(kind) = kind else {
        let info = one(&format!("{base}://{rest}"))?;
        return Ok(UrlParts {
            address: StoreAddress::One(info.addr().clone()),
            settings: plain(info.redis_settings().clone()),
            trust,
            dialer: None,
        });
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, hosts) = authority
        .rsplit_once('@')
        .map_or(("", authority), |(login, hosts)| (login, hosts));
    let login = if login.is_empty() {
        String::new()
    } else {
        format!("{login}@")
    };
    let (service, db) = match kind {
        "cluster" if path.is_empty() => ("", ""),
        "cluster" => return Err("a cluster has no databases".into()),
        "sentinel" => path.split_once('/').unwrap_or((path, "")),
        _ => return Err("the scheme has neither +cluster nor +sentinel".into()),
    };
    let mut addresses = Vec::new();
    let mut settings = None;
    for host in hosts.split(',') {
        let info = one(&format!("{base}://{login}{host}/{db}"))?;
        if !matches!(info.addr(), ConnectionAddr::Tcp(..)) {
            return Err("it has no host".into());
        }
        addresses.push(info.addr().clone());
        settings.get_or_insert_with(|| plain(info.redis_settings().clone()));
    }
    let settings = settings.ok_or("it names no host")?;
    let address = match kind {
        "cluster" => StoreAddress::Cluster(addresses),
        _ if service.is_empty() => return Err("it names no service, as in .../mymaster".into()),
        _ => StoreAddress::Sentinel {
            sentinels: addresses,
            service: service.to_owned(),
        },
    };
    Ok(UrlParts {
        address,
        settings,
        trust,
        dialer: None,
    })
}

impl FromStr for StoreUrl {
    type Err = StoreError;

    fn from_str(url: &str) -> Result<Self, StoreError> {
        // The text may hold a password, so that a refusal names only the scheme.
        let shown = || {
            url.split_once("://")
                .map_or_else(|| "it".to_owned(), |(scheme, _)| format!("{scheme}://..."))
        };
        let parts = parse(url).map_err(|why| StoreError::Url {
            shown: shown(),
            why,
        })?;
        Ok(Self::of(parts))
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
        let settings = &self.parts.settings;
        f.write_str(if self.parts.trust.is_some() {
            "rediss"
        } else {
            "redis"
        })?;
        f.write_str(match self.kind() {
            StoreKind::Single => "://",
            StoreKind::Sentinel => "+sentinel://",
            StoreKind::Cluster => "+cluster://",
        })?;
        if settings.username().is_some() || settings.password().is_some() {
            f.write_str(settings.username().unwrap_or_default())?;
            f.write_str(if settings.password().is_some() {
                ":***@"
            } else {
                "@"
            })?;
        }
        for (n, address) in self.addresses().iter().enumerate() {
            write!(f, "{}{address}", if n > 0 { "," } else { "" })?;
        }
        if let Some(service) = self.service() {
            write!(f, "/{service}")?;
        }
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
        for refused in [
            "http://u:hunter2@h",
            "redis://h?protocol=hunter2",
            "redis://h/hunter2",
            "redis://h:hunter2",
            "rediss://h:hunter2",
            "rediss://h#hunter2",
        ] {
            let refused = refused.parse::<StoreUrl>().unwrap_err().to_string();
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn three_kinds_are_told_apart() {
        for (url, kind, shown) in [
            ("redis://h:1", StoreKind::Single, "redis://h:1"),
            (
                "redis+cluster://u:p@a:1,b:2",
                StoreKind::Cluster,
                "redis+cluster://u:***@a:1,b:2",
            ),
            (
                "valkey+sentinel://a:1,b:2/main/3",
                StoreKind::Sentinel,
                "redis+sentinel://a:1,b:2/main/3",
            ),
            (
                "rediss://:p@h:1/2",
                StoreKind::Single,
                "rediss://:***@h:1/2",
            ),
            (
                "rediss+cluster://u:p@a:1,b:2",
                StoreKind::Cluster,
                "rediss+cluster://u:***@a:1,b:2",
            ),
            (
                "valkeys+sentinel://a:1/main",
                StoreKind::Sentinel,
                "rediss+sentinel://a:1/main",
            ),
        ] {
            let url: StoreUrl = url.parse().unwrap();
            assert_eq!((url.kind(), url.to_string().as_str()), (kind, shown));
        }
        let url: StoreUrl = "redis+cluster://:p@a:1,b:2".parse().unwrap();
        assert_eq!(
            url.member("127.0.0.1:7").unwrap().to_string(),
            "redis://:***@127.0.0.1:7"
        );
        let url: StoreUrl = "redis+sentinel://:p@a:1,b:2/main".parse().unwrap();
        assert_eq!(
            url.sentinels()[1].to_string(),
            "redis://b:2",
            "sentinels have no password"
        );
        let url: StoreUrl = "rediss+sentinel://:p@a:1,b:2/main".parse().unwrap();
        assert_eq!(url.sentinels()[1].to_string(), "rediss://b:2");
        assert_eq!(
            url.member("127.0.0.1:7").unwrap().to_string(),
            "rediss://:***@127.0.0.1:7"
        );
    }

    #[test]
    fn loopback_is_recognized() {
        for (url, loopback) in [
            ("redis://localhost", true),
            ("redis://127.0.0.9:1", true),
            ("valkey://[::1]:1", true),
            ("redis://10.0.0.1", false),
            ("redis://store.example:6379", false),
            ("redis+cluster://127.0.0.1:1,127.0.0.1:2", true),
            ("redis+cluster://127.0.0.1:1,10.0.0.1:2", false),
            ("redis+sentinel://[::1]:1,localhost:2/s", true),
        ] {
            assert_eq!(
                url.parse::<StoreUrl>().unwrap().is_loopback(),
                loopback,
                "{url}"
            );
        }
    }

    #[test]
    fn nonsense_is_refused_in_one_line() {
        for url in [
            "",
            "localhost:6379",
            "http://a",
            "rediss://a#insecure",
            "rediss+unix:///tmp/x",
            "redis://a:99999",
            "redis+cluster://",
            "redis+cluster://a:1/3",
            "rediss+cluster://a:1/3",
            "redis+sentinel://a:1",
            "redis+ring://a:1",
        ] {
            let message = url.parse::<StoreUrl>().unwrap_err().to_string();
            assert!(message.contains("expected redis://"), "{url}: {message}");
            assert!(!message.contains('\n'), "{url}: {message}");
        }
    }
}
