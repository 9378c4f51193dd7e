//! HTTP/2: connections that checks share, each check a stream of its own.
//!
//! ```text
//!   checks of a node   1   3   5   7 ...   the first connection, which one write releases
//!                        2       6 ...     \ the others, since most servers have one event loop
//!                            4       8     / for a connection
//! ```
//!
//! A connection takes as many checks as its server permits streams; then another is opened.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use client_tls::{Stream, has_chosen};
use futures_util::FutureExt as _;
use h2::Reason;
use h2::client::{Builder, Connection, SendRequest};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::response::Parts;
use hyper::{Request, Uri};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::answer::{LARGEST, LARGEST_HEAD};
use crate::cork::CorkStream;
use crate::site::SiteAddress;
use crate::{CheckAnswer, Cork};

/// Connections of a node over which the checks of a burst spread.
pub(crate) const CONNECTIONS: usize = 8;
/// The names of the versions in TLS (ALPN).
const H2: &str = "h2";
const HTTP1: &str = "http/1.1";
/// Time for the server to send its settings.
const SETTINGS: Duration = Duration::from_secs(5);
/// Bytes of bodies that a server permits before it has read any (RFC 9113, section 6.9.2).
const WINDOW: usize = 65_535;
/// Bytes of answers that a server may send before they are read.
const ANSWERS: u32 = 1 << 24;
/// Header fields that are for one connection of HTTP/1.1 alone (RFC 9113, section 8.2.2).
const OF_CONNECTIONS: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// The connections to one node.
#[derive(Debug)]
pub(crate) struct Http2Lanes {
    /// The newest connection of each lane.
    lanes: Vec<Mutex<Weak<Http2Connection>>>,
    turn: AtomicUsize,
    /// HTTP/2 without a question, else by the server's choice in TLS.
    is_known: bool,
    /// Whether the server chose HTTP/1.1.
    is_declined: AtomicBool,
    /// The most streams of a connection whose bodies fit into its window.
    most: usize,
}

/// A connection to a server.
pub(crate) enum SiteConnection {
    Http1(Box<Stream<CorkStream>>, Weak<Cork>),
    Http2(Arc<Http2Connection>),
}

impl Http2Lanes {
    /// At least one connection, for bodies of about so many bytes.
    pub(crate) fn new(connections: usize, is_known: bool, body: usize) -> Self {
        let lanes = (0..connections.max(1)).map(|_| Mutex::default());
        Self {
            lanes: lanes.collect(),
            turn: AtomicUsize::new(0),
            is_known,
            is_declined: AtomicBool::new(false),
            most: WINDOW / body.max(1),
        }
    }

    /// A place on a shared connection, or a connection of HTTP/1.1.
    pub(crate) async fn connect(&self, site: &SiteAddress) -> io::Result<SiteConnection> {
        let is_declined = || self.is_declined.load(Ordering::Relaxed);
        if !self.is_known && (site.tls.is_none() || is_declined()) {
            let (stream, cork) = site.connect(&[HTTP1]).await?;
            return Ok(SiteConnection::Http1(Box::new(stream), cork));
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let lane = match self.lanes.len() - 1 {
            0 => 0,
            others if turn % 2 == 1 => 1 + turn / 2 % others,
            _ => 0,
        };
        let mut lane = self.lanes[lane].lock().await;
        let has_place = |shared: &Arc<Http2Connection>| {
            Arc::strong_count(shared) <= shared.streams.min(self.most).max(1) && shared.is_open()
        };
        if let Some(shared) = lane.upgrade().filter(has_place) {
            return Ok(SiteConnection::Http2(shared));
        }
        let protocols = if self.is_known {
            &[H2][..]
        } else {
            &[H2, HTTP1]
        };
        let (stream, cork) = site.connect(protocols).await?;
        let is_http2 =
            self.is_known || matches!(&stream, Stream::Right(stream) if has_chosen(stream, H2));
        if !is_http2 {
            self.is_declined.store(true, Ordering::Relaxed);
            return Ok(SiteConnection::Http1(Box::new(stream), cork));
        }
        let opened = Arc::new(Http2Connection::open(stream, cork).await?);
        *lane = Arc::downgrade(&opened);
        Ok(SiteConnection::Http2(opened))
    }
}

/// A connection of HTTP/2, which ends with its last user.
#[derive(Debug)]
pub(crate) struct Http2Connection {
    sender: SendRequest<Bytes>,
    /// Streams that the server permits at the same time.
    streams: usize,
    cork: Weak<Cork>,
    _writer: AbortOnDropHandle<()>,
}

/// A complete answer.
pub(crate) struct HttpAnswer {
    pub(crate) head: Parts,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

/// The end of a request without a complete answer.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The server has not begun with it.
    Refused(String),
    /// Closed before an answer.
    Closed(String),
    /// No answer that can be read.
    Broken(String),
    /// The answer ended in the middle.
    Partial(String),
}

impl From<SendError> for CheckAnswer {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Refused(why) => Self::failed(why),
            SendError::Closed(why) | SendError::Broken(why) => {
                Self::unknown(format!("the connection broke: {why}"))
            }
            SendError::Partial(why) => Self::unknown(format!("the answer broke off: {why}")),
        }
    }
}

impl Http2Connection {
    async fn open(stream: Stream<CorkStream>, cork: Weak<Cork>) -> io::Result<Self> {
        let refused = |reason: String| {
            io::Error::other(format!(
                "the server refuses HTTP/2 ({reason}): without --http2 it is asked in HTTP/1.1"
            ))
        };
        let (sender, mut connection) = Builder::new()
            .initial_max_send_streams(0)
            .initial_connection_window_size(ANSWERS)
            .max_header_list_size(LARGEST_HEAD as u32)
            .enable_push(false)
            .handshake(stream)
            .await
            .map_err(|error| refused(error.to_string()))?;
        let settings = poll_fn(|cx| match connection.poll_unpin(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Err("it closed the connection".to_owned())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.to_string())),
            Poll::Pending => match connection.max_concurrent_send_streams() {
                0 => Poll::Pending,
                streams => Poll::Ready(Ok(streams)),
            },
        });
        let settings = timeout(SETTINGS, settings).await;
        let streams = settings.unwrap_or_else(|_| Err("it permits no stream".into()));
        Ok(Self {
            sender,
            streams: streams.map_err(refused)?,
            _writer: AbortOnDropHandle::new(tokio::spawn(write(connection, cork.upgrade()))),
            cork,
        })
    }

    /// Whether it takes more requests; if not, another can take its place.
    ///
    /// # Errors
    /// When its cork waits for the request: another connection would send it before the release.
    pub(crate) fn is_ready(&self) -> io::Result<bool> {
        let is_open = self.is_open();
        match self.cork() {
            Some(cork) if !is_open && cork.is_armed() => {
                Err(io::Error::other("the server takes no more requests on it"))
            }
            _ => Ok(is_open),
        }
    }

    fn is_open(&self) -> bool {
        let ready = self.sender.clone().ready().now_or_never();
        matches!(ready, Some(Ok(_)))
    }

    pub(crate) fn cork(&self) -> Option<Arc<Cork>> {
        self.cork.upgrade()
    }

    /// Sends a request of HTTP/1.1 in HTTP/2, and waits for its answer.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        site: &SiteAddress,
    ) -> Result<HttpAnswer, SendError> {
        let refused = |error: String| SendError::Refused(format!("not sent: {error}"));
        let (request, body) = translate(request, site).map_err(refused)?;
        let sender = self.sender.clone().ready().await;
        let mut sender = sender.map_err(|error| refused(error.to_string()))?;
        let cork = self
            .cork()
            .ok_or_else(|| refused("the connection has ended".into()))?;
        let sent = cork.queue(|| -> Result<_, h2::Error> {
            let (answer, mut stream) = sender.send_request(request, body.is_empty())?;
            if !body.is_empty() {
                stream.send_data(body, true)?;
            }
            Ok(answer)
        });
        drop(cork);
        let answer = sent.map_err(|error| refused(error.to_string()))?;
        let (head, body) = answer
            .await
            .map_err(|error| without_answer(&error))?
            .into_parts();
        let (body, trailers) = read(body).await.map_err(SendError::Partial)?;
        Ok(HttpAnswer {
            head,
            body,
            trailers,
        })
    }
}

/// Writes and reads until the connection ends.
async fn write(mut connection: Connection<Stream<CorkStream>, Bytes>, cork: Option<Arc<Cork>>) {
    let Some(cork) = cork else { return };
    let ended = poll_fn(|cx| cork.write_queued(|| connection.poll_unpin(cx))).await;
    // Each waiting request has the reason.
    drop(ended);
}

/// The request as HTTP/2 has it: its `Host` is a part of the URI, and the length of its body is
/// stated.
fn translate(request: Request<Bytes>, site: &SiteAddress) -> Result<(Request<()>, Bytes), String> {
    let (mut head, body) = request.into_parts();
    let host = head.headers.remove(HOST);
    let host = host
        .as_ref()
        .map(|host| host.to_str().map_err(|e| e.to_string()));
    let host = host
        .transpose()?
        .map_or_else(|| site.to_string(), ToOwned::to_owned);
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let uri = Uri::builder()
        .scheme(if site.tls.is_some() { "https" } else { "http" })
        .authority(host)
        .path_and_query(path);
    head.uri = uri.build().map_err(|error| error.to_string())?;
    for name in OF_CONNECTIONS {
        head.headers.remove(name);
    }
    if !body.is_empty() {
        head.headers.insert(CONTENT_LENGTH, body.len().into());
    }
    Ok((Request::from_parts(head, ()), body))
}

/// The end of a stream that no answer came on. A server that ends a connection names the last
/// stream that it may have begun with; one that refuses a stream has not begun with it (RFC 9113,
/// sections 6.8 and 8.7).
fn without_answer(error: &h2::Error) -> SendError {
    let text = error.to_string();
    if error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM)) {
        SendError::Refused(text)
    } else if error.is_io() || error.is_remote() && error.is_reset() {
        SendError::Closed(text)
    } else {
        SendError::Broken(text)
    }
}

async fn read(mut body: h2::RecvStream) -> Result<(Bytes, HeaderMap), String> {
    let text = |error: h2::Error| error.to_string();
    let mut all = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part.map_err(text)?;
        body.flow_control()
            .release_capacity(part.len())
            .map_err(text)?;
        if all.len() + part.len() > LARGEST {
            return Err(format!("more than {LARGEST} bytes"));
        }
        all.extend_from_slice(&part);
    }
    let trailers = body.trailers().await.map_err(text)?;
    Ok((all.freeze(), trailers.unwrap_or_default()))
}
