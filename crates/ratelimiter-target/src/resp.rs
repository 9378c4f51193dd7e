use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ratelimiter_api::{NodeId, Outcome};
use redis::aio::MultiplexedConnection;
use redis::{
    ConnectionAddr, ErrorKind, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, Value,
};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::{
    Answer, Check, Connection, Expectation, Hold, Reach, Target, TargetError, Template, Trust,
    stream,
};

/// A limiter behind RESP: a command such as `CL.THROTTLE {key} 9 10 60` or `EVALSHA ... 1 {key}`,
/// and the reply that allows.
#[derive(Clone)]
pub struct RespTarget {
    stores: Vec<Store>,
    nodes: Vec<NodeId>,
    form: Arc<Form>,
}

/// One URL.
#[derive(Clone)]
struct Store {
    host: String,
    port: u16,
    /// The authorities of a `rediss://` URL.
    tls: Option<Trust>,
    settings: RedisConnectionInfo,
}

struct Form {
    words: Vec<Template>,
    expectation: Expectation,
}

impl RespTarget {
    /// The limiter at these `redis://` or `rediss://` URLs, the latter with these authorities. The
    /// reply is read as JSON: an array as an array, a status as a string.
    ///
    /// # Errors
    /// When there is no URL, one is no `redis://` or `rediss://` URL, one is outside the reach, or
    /// the command is empty.
    pub fn new(
        urls: &[String],
        command: &[Template],
        expectation: Expectation,
        reach: Reach,
        trust: &Trust,
    ) -> Result<Self, TargetError> {
        if urls.is_empty() || command.is_empty() {
            return Err(TargetError::NoNodes);
        }
        let mut stores = Vec::new();
        let mut nodes = Vec::new();
        for url in urls {
            // The text may hold a password, so that a refusal shows only its scheme.
            let shown = url
                .split_once("://")
                .map_or("the URL".to_owned(), |(scheme, _)| {
                    format!("{scheme}://...")
                });
            // TLS is the stream's own part.
            let plain = url
                .strip_prefix("rediss://")
                .map(|rest| format!("redis://{rest}"));
            let tls = plain.is_some().then(|| trust.clone());
            let info = plain
                .as_deref()
                .unwrap_or(url)
                .into_connection_info()
                .map_err(|e| TargetError::Url {
                    shown: shown.clone(),
                    reason: e
                        .detail()
                        .map_or_else(|| "it does not parse".to_owned(), ToOwned::to_owned),
                })?;
            let ConnectionAddr::Tcp(host, port) = info.addr() else {
                return Err(TargetError::Url {
                    shown,
                    reason: "it has no host".into(),
                });
            };
            reach.permit(crate::is_loopback(host), &format!("{host}:{port}"))?;
            nodes.push(NodeId::new(format!("{host}:{port}")));
            let settings = info.redis_settings().clone();
            let settings = settings
                .set_protocol(ProtocolVersion::RESP2)
                .set_skip_set_lib_name();
            stores.push(Store {
                host: host.clone(),
                port: *port,
                tls,
                settings,
            });
        }
        Ok(Self {
            stores,
            nodes,
            form: Arc::new(Form {
                words: command.to_vec(),
                expectation,
            }),
        })
    }
}

impl fmt::Debug for RespTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RespTarget({:?})", self.nodes)
    }
}

impl Target for RespTarget {
    fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    fn connect(&self, node: usize) -> BoxFuture<'_, Result<Box<dyn Connection>, TargetError>> {
        async move {
            let Store {
                host,
                port,
                tls,
                settings,
            } = self.stores[node].clone();
            let failed = |source| TargetError::Connect {
                node: self.nodes[node].clone(),
                source,
            };
            let (stream, hold) = stream::connect(&host, port, tls.as_ref(), &[])
                .await
                .map_err(failed)?;
            let (opened, connection) = oneshot::channel();
            // The driver borrows the settings, so that the task owns both.
            let driver = tokio::spawn(async move {
                match MultiplexedConnection::new(&settings, stream).await {
                    Ok((connection, driver)) => {
                        let _ = opened.send(Ok(connection));
                        driver.await;
                    }
                    Err(error) => drop(opened.send(Err(error))),
                }
            })
            .abort_handle();
            let connection = connection.await.map_err(std::io::Error::other);
            let connection = connection
                .and_then(|opened| opened.map_err(std::io::Error::other))
                .map_err(failed)?;
            let form = Arc::clone(&self.form);
            Ok(Box::new(RespConnection {
                form,
                connection,
                hold,
                driver,
            }) as Box<dyn Connection>)
        }
        .boxed()
    }

    fn describe(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(ToString::to_string).collect();
        format!(
            "a command at {}; allowed: reply {}",
            nodes.join(", "),
            self.form.expectation
        )
    }
}

struct RespConnection {
    form: Arc<Form>,
    connection: MultiplexedConnection,
    hold: Arc<Hold>,
    driver: AbortHandle,
}

impl Connection for RespConnection {
    fn check<'a>(&'a mut self, check: &'a Check) -> BoxFuture<'a, Answer> {
        async move {
            let mut words = self.form.words.iter().map(|word| word.fill(check));
            let mut command = redis::cmd(&words.next().unwrap_or_default());
            words.for_each(|word| {
                command.arg(word);
            });
            match timeout(
                check.deadline,
                command.query_async::<Value>(&mut self.connection),
            )
            .await
            {
                Ok(Ok(reply)) => self.form.read(&reply),
                // The store's own refusal: the command did not run.
                Ok(Err(error))
                    if error.kind() == ErrorKind::Server(redis::ServerErrorKind::ResponseError) =>
                {
                    Answer {
                        detail: format!("error reply: {error}"),
                        ..Answer::plain(Outcome::Failed)
                    }
                }
                Ok(Err(error)) => Answer::unknown(format!("no reply: {error}")),
                Err(_) => {
                    Answer::unknown(format!("no reply within {} ms", check.deadline.as_millis()))
                }
            }
        }
        .boxed()
    }

    fn hold(&self) -> Option<Arc<Hold>> {
        Some(Arc::clone(&self.hold))
    }
}

impl Drop for RespConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Form {
    fn read(&self, reply: &Value) -> Answer {
        match self.expectation.is_met(&as_json(reply)) {
            Some(true) => Answer::plain(Outcome::Allowed),
            Some(false) => Answer::plain(Outcome::Denied),
            None => Answer::unknown(format!("the reply has no {}", self.expectation)),
        }
    }
}

fn as_json(reply: &Value) -> serde_json::Value {
    match reply {
        Value::Nil => serde_json::Value::Null,
        Value::Int(n) => json!(n),
        Value::Double(n) => json!(n),
        Value::Boolean(b) => json!(b),
        Value::Okay => json!("OK"),
        Value::SimpleString(text) => json!(text),
        Value::BulkString(bytes) => json!(String::from_utf8_lossy(bytes)),
        Value::Array(values) | Value::Set(values) => values.iter().map(as_json).collect(),
        _ => serde_json::Value::Null,
    }
}
