//! Sentinels: which store is the primary of a service, and the announcement of another.

use std::collections::HashMap;
use std::sync::Weak;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{ConnectionAddr, ErrorKind, RedisError, RedisResult, Value, cmd};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::StoreUrl;
use crate::connection::{OpenConnection, SharedConnection, subscriber};
use crate::error::why;
use crate::url::StoreAddress;

/// Longest wait for the first answer of a sentinel: a handshake over TLS takes long on a busy
/// machine. Checks do not wait for it, since each has a deadline of its own.
const FIRST_ANSWER: Duration = Duration::from_secs(1);
/// Longest wait for the other sentinels once one has answered.
const OTHER_ANSWERS: Duration = Duration::from_millis(60);
/// Time until a lost subscription is renewed.
const RENEW: Duration = Duration::from_millis(100);
/// The channel on which sentinels announce another primary:
/// `service old-host old-port new-host new-port`.
const SWITCH: &str = "+switch-master";

/// Connects to the primary that a sentinel names, and makes sure that it is one: a sentinel that
/// was cut off names an old one.
pub(crate) async fn open_primary(url: &StoreUrl) -> RedisResult<OpenConnection> {
    let address = primary(url).await?;
    let connection = OpenConnection::open(&address, url).await?;
    let role = cmd("ROLE").query_async(&mut connection.handle()).await;
    let role: Vec<Value> = role.map_err(|error| connection.explain(error, url))?;
    match role.first() {
        Some(Value::BulkString(role)) if role == b"master" => Ok(connection),
        _ => Err(no_primary(format!("{address} is no primary yet"))),
    }
}

/// The primary's address. All sentinels are asked at once, and the newest configuration counts: a
/// sentinel that missed a failover goes on naming the old primary, which answers as one when it
/// comes back before they reach it.
pub(crate) async fn primary(url: &StoreUrl) -> RedisResult<ConnectionAddr> {
    let StoreAddress::Sentinel { sentinels, service } = url.address() else {
        return Err(no_primary("the store has no sentinels".into()));
    };
    let addresses = url.sentinels();
    let ask_each = |(sentinel, at)| async move { (at, ask(sentinel, at, service).await) };
    let mut asked: FuturesUnordered<_> = addresses.iter().zip(sentinels).map(ask_each).collect();
    let mut answers = Vec::new();
    let mut until = Instant::now() + FIRST_ANSWER;
    while let Ok(Some((at, answer))) = timeout_at(until, asked.next()).await {
        if answer.is_ok() {
            until = until.min(Instant::now() + OTHER_ANSWERS);
        }
        answers.push((at, answer));
    }
    let newest = answers
        .iter()
        .filter_map(|(_, answer)| answer.as_ref().ok());
    match newest.max_by_key(|(epoch, _)| *epoch) {
        Some((_, address)) => Ok(address.clone()),
        None => {
            let silence = if url.trust().is_some() {
                "no answer over TLS"
            } else {
                "no answer"
            };
            let error_of = |at| {
                let answer = answers.iter().find(|(answered, _)| *answered == at);
                let error = answer.and_then(|(_, answer)| answer.as_ref().err());
                error.cloned().unwrap_or_else(|| {
                    no_primary(format!("{silence} within {} ms", FIRST_ANSWER.as_millis()))
                })
            };
            let failed: Vec<_> = sentinels.iter().map(|at| (at, error_of(at))).collect();
            let each: Vec<String> = failed
                .iter()
                .map(|(at, error)| format!("{at}: {}", why(error)))
                .collect();
            let why = format!("no sentinel names a primary: {}", each.join("; "));
            // One that refuses goes on refusing; one that is away may come back.
            let refusal = failed
                .iter()
                .find(|(_, error)| error.kind() == ErrorKind::InvalidClientConfig);
            Err(match refusal {
                Some((_, error)) => RedisError::from((error.kind(), "refused", why)),
                None => no_primary(why),
            })
        }
    }
}

/// The primary that one sentinel knows, and the epoch of the failover that made it one.
async fn ask(
    sentinel: &StoreUrl,
    at: &ConnectionAddr,
    service: &str,
) -> RedisResult<(u64, ConnectionAddr)> {
    let connection = OpenConnection::open(at, sentinel).await?;
    let mut ask = cmd("SENTINEL");
    ask.arg("MASTER").arg(service);
    let answer = ask.query_async(&mut connection.handle()).await;
    let fields: HashMap<String, String> =
        answer.map_err(|error| connection.explain(error, sentinel))?;
    let field = |name: &str| {
        let missing = || no_primary(format!("the sentinel names no {name}"));
        fields.get(name).ok_or_else(missing)
    };
    let port = field("port")?
        .parse()
        .map_err(|_| no_primary("the port is no number".into()))?;
    let epoch = field("config-epoch")?.parse().unwrap_or(0);
    Ok((epoch, ConnectionAddr::Tcp(field("ip")?.clone(), port)))
}

fn no_primary(why: String) -> RedisError {
    RedisError::from((ErrorKind::Io, "no primary", why))
}

/// Leaves the connection in the slot whenever a sentinel announces another primary, until the slot
/// is gone.
pub(crate) fn watch(url: StoreUrl, slot: Weak<SharedConnection>) -> AbortHandle {
    let watching = async move {
        let addresses = url.sentinels();
        let service = url.service().unwrap_or_default().to_owned();
        for sentinel in addresses.iter().cycle() {
            if listen(sentinel, &service, &slot).await.is_none() {
                return;
            }
            sleep(RENEW).await;
        }
    };
    tokio::spawn(watching).abort_handle()
}

/// Listens to one sentinel until it is lost; none when the slot is gone.
async fn listen(sentinel: &StoreUrl, service: &str, slot: &Weak<SharedConnection>) -> Option<()> {
    let StoreAddress::One(address) = sentinel.address() else {
        return None;
    };
    let opening = timeout(RENEW, subscriber(address, sentinel)).await;
    let Ok(Ok(mut subscription)) = opening else {
        return Some(());
    };
    if subscription.subscribe(SWITCH).await.is_err() {
        return Some(());
    }
    let mut messages = subscription.on_message();
    while let Some(message) = messages.next().await {
        let text: String = message.get_payload().unwrap_or_default();
        if text.split(' ').next() == Some(service) {
            slot.upgrade()?.leave();
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A sentinel that answers every command with this primary; its address.
    async fn sentinel(port: u16, epoch: u64) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let fields = [
                "ip",
                "127.0.0.1",
                "port",
                &port.to_string(),
                "config-epoch",
                &epoch.to_string(),
            ];
            let fields: String = fields
                .iter()
                .map(|text| format!("${}\r\n{text}\r\n", text.len()))
                .collect();
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(format!("*6\r\n{fields}").as_bytes()).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn the_newest_failover_names_the_primary() {
        let nobody = "127.0.0.1:1".to_owned();
        let sentinels = [
            sentinel(7001, 3).await,
            nobody,
            sentinel(7002, 4).await,
            sentinel(7001, 3).await,
        ];
        let url = format!("redis+sentinel://{}/limits", sentinels.join(","));
        let primary = primary(&url.parse().unwrap()).await.unwrap();
        assert_eq!(primary, ConnectionAddr::Tcp("127.0.0.1".into(), 7002));
    }

    #[tokio::test]
    async fn sentinels_without_an_answer_are_named() {
        let url = "redis+sentinel://127.0.0.1:1/limits".parse().unwrap();
        let error = primary(&url).await.unwrap_err().to_string();
        assert!(error.contains("127.0.0.1:1: "), "{error}");
    }
}
