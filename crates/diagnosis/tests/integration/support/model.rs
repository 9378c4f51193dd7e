//! A local server that speaks as model providers do: the OpenAI chat completions stream and the
//! Anthropic messages stream, and everything that can go wrong with them.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use http_body_util::{BodyExt as _, Collected};
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Bytes, Frame, Incoming},
    header::{HeaderMap, HeaderName, HeaderValue},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

/// Tokens the server says it took in and gave out.
pub(crate) const USAGE: (u64, u64) = (1_234, 321);

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Format {
    OpenAi,
    Anthropic,
}

/// How the server answers one request.
pub(crate) enum Reply {
    /// Streams a text to its end.
    Text(String),
    /// Streams a text and drops the connection.
    Cut(String),
    /// Streams a text, ends the stream in order, but never says that it is complete.
    NoEnd(String),
    /// Streams that many bytes in small events.
    Flood(usize),
    /// Streams that many bytes in a single event.
    FloodInOne(usize),
    /// Streams what no format allows.
    Garbage,
    /// Refuses.
    Status(u16, Vec<(&'static str, String)>, String),
    /// Takes the request and says nothing.
    Never,
}

/// A request as it came.
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// The server. It ends when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    gone: watch::Receiver<usize>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    /// Answers the requests in turn.
    pub(crate) async fn start(format: Format, replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let replies = Arc::new(Mutex::new(replies.into_iter().collect::<VecDeque<_>>()));
        let (gone_tx, gone) = watch::channel(0);
        let seen = Arc::clone(&asked);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, replies, gone) =
                    (Arc::clone(&seen), Arc::clone(&replies), gone_tx.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (seen, replies, gone) =
                        (Arc::clone(&seen), Arc::clone(&replies), gone.clone());
                    async move {
                        // dropped with this future, or with the body, when the client goes away
                        let leaving = Leaving(gone);
                        let (parts, body) = request.into_parts();
                        let body = body
                            .collect()
                            .await
                            .map(Collected::to_bytes)
                            .unwrap_or_default();
                        seen.lock().expect("the log").push(Asked {
                            path: parts.uri.path().to_owned(),
                            headers: parts.headers,
                            body: serde_json::from_slice(&body).unwrap_or_default(),
                        });
                        let reply = replies.lock().expect("the script").pop_front();
                        Ok::<_, Infallible>(respond(format, reply, leaving).await)
                    }
                });
                tokio::spawn(async move {
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            address,
            asked,
            gone,
            accepting,
        }
    }

    /// The address a client is given.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> std::sync::MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().expect("the log")
    }

    /// Waits until so many exchanges have ended, by the server's end or the client's.
    pub(crate) async fn ended(&mut self, count: usize) {
        self.gone
            .wait_for(|gone| *gone >= count)
            .await
            .expect("the server is alive");
    }
}

/// Tells that an exchange is over.
struct Leaving(watch::Sender<usize>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.send_modify(|gone| *gone += 1);
    }
}

async fn respond(format: Format, reply: Option<Reply>, leaving: Leaving) -> Response<Script> {
    let mut script = Script {
        frames: VecDeque::new(),
        end: End::InOrder,
        _leaving: leaving,
    };
    let mut status = 200;
    let mut headers = vec![("content-type", "text/event-stream".to_owned())];
    match reply.unwrap_or(Reply::Status(
        500,
        Vec::new(),
        "no reply is left in the script".into(),
    )) {
        Reply::Text(text) => script.stream(format, &text, true),
        Reply::NoEnd(text) => script.stream(format, &text, false),
        Reply::Cut(text) => {
            script.stream(format, &text, false);
            script.end = End::Broken;
        }
        Reply::Flood(bytes) => {
            let piece = "x".repeat(1_000);
            script.push(opening(format));
            for _ in 0..bytes / piece.len() {
                script.push(event(format, &piece));
            }
        }
        Reply::FloodInOne(bytes) => script.stream_in(format, &"x".repeat(bytes), true, usize::MAX),
        Reply::Garbage => {
            script.push("data: this is not JSON\n\n".to_owned());
            script.push("event: nonsense\ndata: {]\n\n".to_owned());
        }
        Reply::Status(code, more, body) => {
            status = code;
            headers = more;
            script.frames.push_back(Bytes::from(body));
        }
        Reply::Never => std::future::pending().await,
    }
    let mut response = Response::new(script);
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    for (name, value) in headers {
        let value = HeaderValue::from_str(&value).expect("a header");
        response
            .headers_mut()
            .insert(HeaderName::from_static(name), value);
    }
    response
}

/// What is sent, and how it ends.
struct Script {
    frames: VecDeque<Bytes>,
    end: End,
    _leaving: Leaving,
}

#[derive(PartialEq)]
enum End {
    InOrder,
    Broken,
}

impl Script {
    fn push(&mut self, text: String) {
        self.frames.push_back(Bytes::from(text));
    }

    /// A text in pieces of some characters; the events are cut across frames wherever it falls.
    fn stream(&mut self, format: Format, text: &str, complete: bool) {
        self.stream_in(format, text, complete, 23);
    }

    fn stream_in(&mut self, format: Format, text: &str, complete: bool, size: usize) {
        let mut wire = opening(format);
        let chars: Vec<char> = text.chars().collect();
        for piece in chars.chunks(size) {
            wire += &event(format, &piece.iter().collect::<String>());
        }
        if complete {
            wire += &closing(format);
        }
        let bytes = Bytes::from(wire);
        let mut at = 0;
        while at < bytes.len() {
            let end = bytes.len().min(at + 4_099);
            self.frames.push_back(bytes.slice(at..end));
            at = end;
        }
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(match self.frames.pop_front() {
            Some(bytes) => Some(Ok(Frame::data(bytes))),
            None if self.end == End::Broken => Some(Err(std::io::Error::other("cut"))),
            None => None,
        })
    }
}

fn opening(format: Format) -> String {
    match format {
        Format::OpenAi => data(&json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{
                "index": 0,
                "delta": {"role": "assistant", "content": ""},
                "finish_reason": null,
            }],
        })),
        Format::Anthropic => {
            named(
                "message_start",
                &json!({"type": "message_start", "message": {
                    "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
                    "content": [],
                    "stop_reason": null, "stop_sequence": null,
                    "usage": {"input_tokens": USAGE.0, "output_tokens": 1},
                }}),
            ) + &named(
                "content_block_start",
                &json!({
                    "type": "content_block_start", "index": 0,
                    "content_block": {"type": "text", "text": ""},
                }),
            ) + &named("ping", &json!({"type": "ping"}))
        }
    }
}

fn event(format: Format, text: &str) -> String {
    match format {
        Format::OpenAi => data(&json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}],
        })),
        Format::Anthropic => named(
            "content_block_delta",
            &json!({
                "type": "content_block_delta", "index": 0,
                "delta": {"type": "text_delta", "text": text},
            }),
        ),
    }
}

fn closing(format: Format) -> String {
    match format {
        Format::OpenAi => {
            data(&json!({
                "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
            })) + &data(&json!({
                "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                "choices": [],
                "usage": {
                    "prompt_tokens": USAGE.0,
                    "completion_tokens": USAGE.1,
                    "total_tokens": USAGE.0 + USAGE.1,
                },
            })) + "data: [DONE]\n\n"
        }
        Format::Anthropic => {
            named(
                "content_block_stop",
                &json!({"type": "content_block_stop", "index": 0}),
            ) + &named(
                "message_delta",
                &json!({
                    "type": "message_delta",
                    "delta": {"stop_reason": "end_turn", "stop_sequence": null},
                    "usage": {"output_tokens": USAGE.1},
                }),
            ) + &named("message_stop", &json!({"type": "message_stop"}))
        }
    }
}

fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn named(event: &str, value: &Value) -> String {
    format!("event: {event}\ndata: {value}\n\n")
}
