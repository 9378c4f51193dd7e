use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ratelimiter_api::{NodeId, Outcome};
use redis::aio::MultiplexedConnection;
use redis::{
    ConnectionAddr, ErrorKind, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, Value,
};
use serde_json::json;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use crate::answer::within;
use crate::site::{SiteAddress, refused};
use crate::target::node_list;
use crate::{
    Authorities, Check, CheckAnswer, Connection, Cork, Expectation, Reach, Target, TargetError,
    Template,
};

/// A limiter behind RESP: a command such as `CL.THROTTLE {key} 9 10 60` or `EVALSHA ... 1 {key}`,
/// and the reply that allows.
#[derive(Clone)]
pub struct RespTarget {
    sites: Vec<RespSite>,
    nodes: Vec<NodeId>,
    form: Arc<RespForm>,
}

/// The site of one URL, and how it is logged in to.
#[derive(Clone)]
struct RespSite {
    address: SiteAddress,
    settings: RedisConnectionInfo,
}

struct RespForm {
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
        command: Vec<Template>,
        expectation: Expectation,
        reach: Reach,
        trust: &Authorities,
    ) -> Result<Self, TargetError> {
        if urls.is_empty() || command.is_empty() {
            return Err(TargetError::NoNodes);
        }
        let sites = urls
            .iter()
            .map(|url| RespSite::new(url, reach, trust))
            .collect::<Result<Vec<_>, _>>()?;
        let nodes = sites
            .iter()
            .map(|site| NodeId::new(site.address.to_string()))
            .collect();
        let form = Arc::new(RespForm {
            words: command,
            expectation,
        });
        Ok(Self { sites, nodes, form })
    }
}

impl RespSite {
    fn new(url: &str, reach: Reach, trust: &Authorities) -> Result<Self, TargetError> {
        // TLS is the stream's own part.
        let encrypted = url.strip_prefix("rediss://");
        let plain = encrypted.map(|rest| format!("redis://{rest}"));
        let info = plain.as_deref().unwrap_or(url).into_connection_info();
        let info = info.map_err(|e| refused(url, e.detail().unwrap_or("it does not parse")))?;
        let ConnectionAddr::Tcp(host, port) = info.addr() else {
            return Err(refused(url, "it has no host"));
        };
        let tls = encrypted.map(|_| trust.clone());
        let settings = info.redis_settings().clone();
        Ok(Self {
            address: SiteAddress::new(host, *port, tls, reach)?,
            settings: settings
                .set_protocol(ProtocolVersion::RESP2)
                .set_skip_set_lib_name(),
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
            let RespSite { address, settings } = self.sites[node].clone();
            let failed = |source| TargetError::Connect {
                node: self.nodes[node].clone(),
                source,
            };
            let (stream, cork) = address.connect(&[]).await.map_err(failed)?;
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
            });
            let driver = AbortOnDropHandle::new(driver);
            let connection = connection.await.map_err(std::io::Error::other);
            let mut connection = connection
                .and_then(|opened| opened.map_err(std::io::Error::other))
                .map_err(failed)?;
            // A check has its own deadline; the library's is half a second.
            connection.set_response_timeout(Duration::MAX);
            let form = Arc::clone(&self.form);
            Ok(Box::new(RespConnection {
                form,
                connection,
                cork,
                _driver: driver,
            }) as Box<dyn Connection>)
        }
        .boxed()
    }

    fn describe(&self) -> String {
        let nodes = node_list(&self.nodes);
        format!(
            "a command at {nodes}; allowed: reply {}",
            self.form.expectation
        )
    }

    fn has_key(&self) -> bool {
        self.form.words.iter().any(Template::has_key)
    }

    fn has_cost(&self) -> bool {
        self.form.words.iter().any(Template::has_cost)
    }
}

struct RespConnection {
    form: Arc<RespForm>,
    connection: MultiplexedConnection,
    cork: Weak<Cork>,
    _driver: AbortOnDropHandle<()>,
}

impl Connection for RespConnection {
    fn check<'a>(&'a mut self, check: &'a Check) -> BoxFuture<'a, CheckAnswer> {
        within(check.deadline, self.exchange(check)).boxed()
    }

    fn cork(&self) -> Option<Arc<Cork>> {
        self.cork.upgrade()
    }
}

impl RespConnection {
    async fn exchange(&mut self, check: &Check) -> CheckAnswer {
        let mut words = self.form.words.iter().map(|word| word.fill(check));
        let mut command = redis::cmd(&words.next().unwrap_or_default());
        words.for_each(|word| {
            command.arg(word);
        });
        match command.query_async::<Value>(&mut self.connection).await {
            Ok(reply) => self.form.read(&as_json(&reply)),
            // The store's own refusal: the command did not run.
            Err(error)
                if error.kind() == ErrorKind::Server(redis::ServerErrorKind::ResponseError) =>
            {
                CheckAnswer::failed(format!("error reply: {error}"))
            }
            Err(error) => CheckAnswer::unknown(format!("no reply: {error}")),
        }
    }
}

impl RespForm {
    fn read(&self, reply: &serde_json::Value) -> CheckAnswer {
        let answer = match self.expectation.is_met(reply) {
            Some(true) => CheckAnswer::plain(Outcome::Allowed),
            Some(false) => CheckAnswer::plain(Outcome::Denied),
            None => CheckAnswer::unknown(format!("the reply has no {}", self.expectation)),
        };
        answer.seen(&reply.to_string())
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
