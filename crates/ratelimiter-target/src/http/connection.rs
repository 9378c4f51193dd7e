use std::io;
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use bytes::Bytes;
use client_tls::Stream;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderMap;
use hyper_util::rt::TokioIo;
use ratelimiter_api::Outcome;
use tokio_util::task::AbortOnDropHandle;

use super::{HttpForm, HttpSite};
use crate::answer::{LARGEST, LARGEST_HEAD, SHOWN, within};
use crate::cork::CorkStream;
use crate::http2::{Http2Connection, HttpAnswer, SendError, SiteConnection};
use crate::{Check, CheckAnswer, Connection, Cork, claims};

/// A connection to a limiter, or a place on one.
pub(super) struct HttpConnection {
    site: HttpSite,
    form: Arc<HttpForm>,
    wire: Wire,
}

enum Wire {
    Http1(Http1Connection),
    Http2(Arc<Http2Connection>),
}

impl Connection for HttpConnection {
    fn check<'a>(&'a mut self, check: &'a Check) -> BoxFuture<'a, CheckAnswer> {
        within(check.deadline, self.exchange(check)).boxed()
    }

    fn cork(&self) -> Option<Arc<Cork>> {
        match &self.wire {
            Wire::Http1(connection) => connection.cork.upgrade(),
            Wire::Http2(connection) => connection.cork(),
        }
    }
}

impl HttpConnection {
    pub(super) async fn open(site: HttpSite, form: Arc<HttpForm>) -> io::Result<Self> {
        let wire = match site.lanes.connect(&site.address).await? {
            SiteConnection::Http1(stream, cork) => {
                Wire::Http1(Http1Connection::open(*stream, cork).await?)
            }
            SiteConnection::Http2(connection) => Wire::Http2(connection),
        };
        Ok(Self { site, form, wire })
    }

    /// Waits until the connection can take a request. A server may close an idle one: it is opened
    /// again, since nothing was sent on it. Where a close is an answer, an idle connection must not
    /// give it.
    async fn be_ready(&mut self) -> io::Result<()> {
        let is_ready = match &mut self.wire {
            Wire::Http1(connection) => {
                let idle = connection.answered && self.form.closed() != Outcome::Unknown;
                !idle && connection.sender.ready().await.is_ok()
            }
            Wire::Http2(connection) => connection.is_ready()?,
        };
        if !is_ready {
            *self = Self::open(self.site.clone(), Arc::clone(&self.form)).await?;
        }
        Ok(())
    }

    async fn exchange(&mut self, check: &Check) -> CheckAnswer {
        let request = match self.form.request(&self.site, check) {
            Ok(request) => request,
            // Never sent.
            Err(detail) => return CheckAnswer::failed(detail),
        };
        if let Err(error) = self.be_ready().await {
            return CheckAnswer::failed(format!("no connection: {error}"));
        }
        let sent = match &mut self.wire {
            Wire::Http1(connection) => connection.send(request).await,
            Wire::Http2(connection) => connection.send(request, &self.site.address).await,
        };
        let HttpAnswer { head, body, .. } = match sent {
            Ok(answer) => answer,
            Err(SendError::Closed(_)) if self.form.closed() != Outcome::Unknown => {
                return CheckAnswer::plain(self.form.closed()).seen("closed without an answer");
            }
            Err(error) => return error.into(),
        };
        let (claims, remarks) = claims::of(&head.headers, SystemTime::now());
        let mut answer = self.form.read(head.status, claims, &body);
        let detail = std::mem::take(&mut answer.detail);
        let details = std::iter::once(detail).chain(remarks);
        answer.detail = details
            .filter(|detail| !detail.is_empty())
            .collect::<Vec<_>>()
            .join(", ");
        let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN)]);
        let shown = self.form.without_secrets(check, &text);
        answer.seen(&format!("{} {shown}", head.status.as_u16()))
    }
}

/// A connection of HTTP/1.1.
struct Http1Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Whether a request was answered on it.
    answered: bool,
    cork: Weak<Cork>,
    _driver: AbortOnDropHandle<()>,
}

impl Http1Connection {
    async fn open(stream: Stream<CorkStream>, cork: Weak<Cork>) -> io::Result<Self> {
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(LARGEST_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        // The end of the connection is reported to the waiting request.
        let driver = tokio::spawn(async move { drop(driver.await) });
        Ok(Self {
            sender,
            answered: false,
            cork,
            _driver: AbortOnDropHandle::new(driver),
        })
    }

    async fn send(&mut self, request: Request<Bytes>) -> Result<HttpAnswer, SendError> {
        let response = self.sender.send_request(request.map(Full::new)).await;
        let response = response.map_err(|error| match error.to_string() {
            text if is_close(&error) => SendError::Closed(text),
            text => SendError::Broken(text),
        })?;
        self.answered = true;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LARGEST).collect().await;
        let body = body.map_err(|error| SendError::Partial(error.to_string()))?;
        Ok(HttpAnswer {
            head,
            body: body.to_bytes(),
            trailers: HeaderMap::new(),
        })
    }
}

/// Whether the server closed the connection before an answer began.
fn is_close(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    let reset = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
    error.is_incomplete_message() || cause.is_some_and(reset)
}
