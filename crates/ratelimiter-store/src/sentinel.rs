//! Sentinels: which store is the primary of a service, and the announcement of another.

use std::sync::Weak;
use std::time::Duration;

use futures_util::StreamExt;
use redis::{Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisError, RedisResult, Value, cmd};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::StoreUrl;
use crate::connection::Connection;
use crate::line::Shared;
use crate::url::Place;

/// How long one sentinel may take to answer. Shorter than the timeout of a check, so that the next can be asked.
const ANSWER: Duration = Duration::from_millis(60);
/// Time until a lost subscription is renewed.
const RENEW: Duration = Duration::from_millis(100);
/// The channel on which sentinels announce another primary: `service old-host old-port new-host new-port`.
const SWITCH: &str = "+switch-master";

/// Connects to the primary that a sentinel names, and makes sure that it is one: a sentinel that was cut off names an old one.
pub(crate) async fn open_primary(url: &StoreUrl) -> RedisResult<Connection> {
    let address = primary(url).await?;
    let connection = Connection::open(&address, url.settings()).await?;
    let role: Vec<Value> = cmd("ROLE").query_async(&mut connection.handle()).await?;
    match role.first() {
        Some(Value::BulkString(role)) if role == b"master" => Ok(connection),
        _ => Err(no_primary(format!("{address} is no primary yet"))),
    }
}

/// The primary's address, by the first sentinel that answers.
pub(crate) async fn primary(url: &StoreUrl) -> RedisResult<ConnectionAddr> {
    let Place::Sentinel { sentinels, service } = url.place() else {
        return Err(no_primary("the store has no sentinels".into()));
    };
    let mut asked = Vec::new();
    for (sentinel, at) in url.sentinels().iter().zip(sentinels) {
        let answer = timeout(ANSWER, async {
            let connection = Connection::open(at, sentinel.settings()).await?;
            let mut ask = cmd("SENTINEL");
            ask.arg("GET-MASTER-ADDR-BY-NAME").arg(service);
            ask.query_async::<Option<(String, u16)>>(&mut connection.handle()).await
        });
        match answer.await {
            Ok(Ok(Some((host, port)))) => return Ok(ConnectionAddr::Tcp(host, port)),
            Ok(Ok(None)) => asked.push(format!("{at} does not know {service}")),
            Ok(Err(error)) => asked.push(format!("{at}: {error}")),
            Err(_) => asked.push(format!("{at} did not answer within {} ms", ANSWER.as_millis())),
        }
    }
    Err(no_primary(format!("no sentinel names a primary: {}", asked.join("; "))))
}

fn no_primary(why: String) -> RedisError {
    RedisError::from((ErrorKind::Io, "no primary", why))
}

/// Leaves the line's connection whenever a sentinel announces another primary, until the line is gone.
pub(crate) fn watch(url: StoreUrl, line: Weak<Shared>) -> AbortHandle {
    let watching = async move {
        let addresses = url.sentinels();
        let service = url.service().unwrap_or_default().to_owned();
        for sentinel in addresses.iter().cycle() {
            if listen(sentinel, &service, &line).await.is_none() {
                return;
            }
            sleep(RENEW).await;
        }
    };
    tokio::spawn(watching).abort_handle()
}

/// Listens to one sentinel until it is lost; none when the line is gone.
async fn listen(sentinel: &StoreUrl, service: &str, line: &Weak<Shared>) -> Option<()> {
    let client = sentinel.to_string().into_connection_info().and_then(Client::open);
    let Ok(client) = client else { return Some(()) };
    let Ok(Ok(mut subscription)) = timeout(RENEW, client.get_async_pubsub()).await else { return Some(()) };
    if subscription.subscribe(SWITCH).await.is_err() {
        return Some(());
    }
    let mut messages = subscription.on_message();
    while let Some(message) = messages.next().await {
        let text: String = message.get_payload().unwrap_or_default();
        if text.split(' ').next() == Some(service) {
            line.upgrade()?.leave();
        }
    }
    Some(())
}
