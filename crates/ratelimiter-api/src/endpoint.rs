use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::Uri;

/// The address of a node: `http://host:port`, nothing more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
}

/// The reason why a text is not an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is not an endpoint: {why} (expected http://HOST:PORT)")]
pub struct EndpointError {
    url: String,
    why: &'static str,
}

impl Endpoint {
    /// `host:port`, as a connection needs it.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The host, a name or an address; an IPv6 address is in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(url: &str) -> Result<Self, EndpointError> {
        let refuse = |why| EndpointError {
            url: url.to_owned(),
            why,
        };
        let uri: Uri = url.parse().map_err(|_| refuse("it is not a URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(refuse("https is not supported")),
            _ => return Err(refuse("it has no http:// in front")),
        }
        if uri
            .path_and_query()
            .is_some_and(|rest| rest.as_str() != "/")
        {
            return Err(refuse("it has a path"));
        }
        let authority = uri.authority().ok_or_else(|| refuse("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(refuse("it has user information"));
        }
        let host = authority.host().to_owned();
        if host.is_empty() {
            return Err(refuse("it has no host"));
        }
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if authority.as_str() == host => 80,
            None => return Err(refuse("its port is not a number up to 65535")),
        };
        Ok(Self { host, port })
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        let host = match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        Self {
            host,
            port: address.port(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_prints_as_it_parses() {
        for url in [
            "http://localhost:8001",
            "http://127.0.0.1:80",
            "http://[::1]:9",
        ] {
            let endpoint: Endpoint = url.parse().unwrap();
            assert_eq!(endpoint.to_string(), url);
        }
        assert_eq!(
            "http://nodes.example/"
                .parse::<Endpoint>()
                .unwrap()
                .authority(),
            "nodes.example:80"
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, why) in [
            ("localhost:8001", "http://"),
            ("https://a:1", "https is not supported"),
            ("http://a:1/check", "path"),
            ("http://u:p@a:1", "user information"),
            ("http://a:99999", "port"),
            ("", "URL"),
        ] {
            let message = url.parse::<Endpoint>().unwrap_err().to_string();
            assert!(message.contains(why), "{url}: {message}");
        }
    }
}
