//! HTTP by hand, for requests that no client would send.

use ratelimiter_api::{Endpoint, PROBLEM_CONTENT_TYPE, Problem};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The problem that a refusal carries.
    pub(crate) fn problem(&self) -> Problem {
        assert_eq!(
            self.header("content-type"),
            Some(PROBLEM_CONTENT_TYPE),
            "{self:?}"
        );
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status, self.status);
        assert!(
            !problem.title.is_empty() && !problem.detail.is_empty(),
            "{problem:?}"
        );
        problem
    }
}

/// A connection on which anything can be sent.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) async fn open(endpoint: &Endpoint) -> Self {
        Self(TcpStream::connect(endpoint.authority()).await.unwrap())
    }

    /// Sends, if the other end still listens: one that has refused already need not.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    /// The next answer, or nothing when the connection is closed instead.
    pub(crate) async fn reply(&mut self) -> Option<Reply> {
        timeout(PATIENCE, self.read())
            .await
            .expect("the node answers or closes the connection")
    }

    async fn read(&mut self) -> Option<Reply> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            if self.0.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return None;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let mut reply = Reply {
            status,
            headers,
            body: bytes.split_off(end),
        };
        let length = reply
            .header("content-length")
            .map_or(0, |n| n.parse().unwrap());
        while reply.body.len() < length && self.0.read_buf(&mut reply.body).await.unwrap_or(0) > 0 {
        }
        assert_eq!(reply.body.len(), length, "{reply:?}");
        Some(reply)
    }
}

/// One request on a connection of its own, and the answer that it must get.
pub(crate) async fn exchange(endpoint: &Endpoint, request: &[u8]) -> Reply {
    let mut raw = Raw::open(endpoint).await;
    raw.send(request).await;
    let shown = String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned();
    raw.reply()
        .await
        .unwrap_or_else(|| panic!("no answer to {shown:?}"))
}

/// The header field of a JSON body.
pub(crate) const JSON: &str = "content-type: application/json\r\n";

/// A request in due form.
pub(crate) fn request(method: &str, path: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{fields}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

pub(crate) fn post(path: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    request("POST", path, JSON, body.as_ref())
}

/// Each of these is refused with this status and a problem that names the reason.
pub(crate) async fn refused(endpoint: &Endpoint, status: u16, requests: &[(Vec<u8>, &str)]) {
    for (request, named) in requests {
        let shown = String::from_utf8_lossy(&request[..request.len().min(300)]).into_owned();
        let reply = exchange(endpoint, request).await;
        assert_eq!(reply.status, status, "{shown}: {reply:?}");
        let problem = reply.problem();
        assert!(
            problem.detail.contains(named),
            "{shown}: {:?} does not say {named:?}",
            problem.detail
        );
    }
}
