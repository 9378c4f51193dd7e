//! The store behind the proxy: its URL, and connections to it.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use client_tls::{Authorities, Stream};
use redis::{RedisResult, Value, cmd, parse_redis_value_async};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Host, Url};

use crate::table::CommandTable;

/// Time for one connection to the store to be open and authenticated.
const CONNECT: Duration = Duration::from_secs(5);
/// The largest reply that the proxy reads for itself, bytes. That of COMMAND has about 200,000.
const LARGEST: u64 = 4 * 1024 * 1024;

/// Where the store is: `redis://[USER[:PASSWORD]@]HOST[:PORT]`, `valkey://` likewise, or
/// `rediss://` for TLS.
///
/// The proxy authenticates with user and password where given; clients may authenticate themselves
/// as well. Neither is ever printed.
#[derive(Clone)]
pub struct Upstream {
    host: String,
    port: u16,
    user: Option<String>,
    password: Option<String>,
    /// The authorities of a `rediss://` URL.
    tls: Option<Authorities>,
}

/// No store can be there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "store URL: {reason}; expected redis://[USER[:PASSWORD]@]HOST[:PORT], valkey:// or rediss://"
)]
pub struct UpstreamError {
    reason: String,
}

fn refused(reason: impl Into<String>) -> UpstreamError {
    UpstreamError {
        reason: reason.into(),
    }
}

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let url = Url::parse(text).map_err(|e| refused(e.to_string()))?;
        let tls = match url.scheme() {
            "redis" | "valkey" => None,
            "rediss" => Some(Authorities::of_system().map_err(|e| refused(e.to_string()))?),
            other => return Err(refused(format!("unknown scheme {other}://"))),
        };
        let host = match url.host() {
            // `url` leaves the address of a scheme it does not know as a domain.
            Some(Host::Ipv6(ip)) => ip.to_string(),
            Some(host) => host.to_string(),
            None => return Err(refused("no host")),
        };
        let path = url.path().trim_matches('/');
        if !matches!(path, "" | "0") {
            return Err(refused("a database is the client's to choose, with SELECT"));
        }
        let decoded = |text: &str| {
            percent_encoding::percent_decode_str(text)
                .decode_utf8_lossy()
                .into_owned()
        };
        Ok(Self {
            host,
            port: url.port().unwrap_or(6379),
            user: Some(url.username())
                .filter(|user| !user.is_empty())
                .map(decoded),
            password: url.password().map(decoded),
            tls,
        })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls.is_some() {
            "rediss://"
        } else {
            "redis://"
        })?;
        if self.user.is_some() || self.password.is_some() {
            f.write_str(self.user.as_deref().unwrap_or_default())?;
            f.write_str(if self.password.is_some() {
                ":***@"
            } else {
                "@"
            })?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upstream({self})")
    }
}

impl Upstream {
    /// Whether everything sent there stays on this machine: a loopback address or the name
    /// `localhost`.
    pub fn is_loopback(&self) -> bool {
        client_tls::is_loopback(&self.host)
    }

    /// Whether the proxy authenticates with a password of its own.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Trusts these authorities when the URL is `rediss://`, instead of the system's alone.
    ///
    /// # Errors
    /// When the URL is not `rediss://`.
    pub fn trusting(mut self, trust: Authorities) -> Result<Self, UpstreamError> {
        if self.tls.is_none() {
            return Err(refused("certificates go with rediss:// only"));
        }
        self.tls = Some(trust);
        Ok(self)
    }

    /// Opens a connection, authenticated where the URL names a password.
    pub(crate) async fn connect(&self) -> io::Result<Stream<TcpStream>> {
        timeout(CONNECT, async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            let mut connection = match &self.tls {
                None => Stream::Left(stream),
                Some(trust) => Stream::Right(trust.connect(&self.host, stream, &[]).await?),
            };
            self.authenticate(&mut connection).await?;
            Ok(connection)
        })
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the store did not answer in time"))?
    }

    async fn authenticate(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let Some(password) = &self.password else {
            return Ok(());
        };
        let mut request = cmd("AUTH");
        request.arg(&self.user).arg(password);
        let answer = ask(stream, &request).await.and_then(Value::extract_error);
        answer.map(|_| ()).map_err(io::Error::other)
    }

    /// Asks the store for its commands. The inner error is why it lists none.
    ///
    /// # Errors
    /// When it takes no connection, or refuses the password.
    pub(crate) async fn commands(&self) -> io::Result<Result<CommandTable, String>> {
        let mut stream = self.connect().await?;
        let Ok(answer) = timeout(CONNECT, ask(&mut stream, &cmd("COMMAND"))).await else {
            return Ok(Err("no answer in time".to_owned()));
        };
        let answer = answer.and_then(Value::extract_error);
        Ok(answer
            .map_err(|refusal| refusal.to_string())
            .and_then(|answer| {
                CommandTable::reported(&answer)
                    .ok_or_else(|| "an answer of another form".to_owned())
            }))
    }
}

/// Sends one command and reads its reply.
async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &redis::Cmd,
) -> RedisResult<Value> {
    stream.write_all(&request.get_packed_command()).await?;
    stream.flush().await?;
    parse_redis_value_async(&mut Default::default(), &mut stream.take(LARGEST)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_without_their_secrets() {
        let url: Upstream = "redis://chaos:hunt%2Fer2@127.0.0.1:7000".parse().unwrap();
        assert_eq!(url.to_string(), "redis://chaos:***@127.0.0.1:7000");
        assert_eq!(url.password.as_deref(), Some("hunt/er2"));
        assert!(!format!("{url:?}").contains("hunt"));
        assert!(url.is_loopback());
        assert_eq!(
            "valkey://[::1]".parse::<Upstream>().unwrap().to_string(),
            "redis://[::1]:6379"
        );
        assert!(
            !"redis://10.0.0.1"
                .parse::<Upstream>()
                .unwrap()
                .is_loopback()
        );
        for wrong in ["", "http://u:hunter2@h", "redis://", "redis://h/3"] {
            let message = wrong.parse::<Upstream>().unwrap_err().to_string();
            assert!(
                message.contains("expected redis://") && !message.contains("hunter2"),
                "{message}"
            );
        }
    }
}
