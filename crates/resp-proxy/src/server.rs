//! Takes connections, opens theirs to the store, and runs both directions.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use client_tls::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use crate::active::ActiveRule;
use crate::client::leaves;
use crate::listener::ProxyListener;
use crate::notice::ProxyNotice;
use crate::own_wake::OwnWake;
use crate::replies::ReplyStream;
use crate::requests::RequestStream;
use crate::rule::ConnectionFault;
use crate::state::{ConnectionEnd, ConnectionState, ProxyState};
use crate::upstream::Upstream;

/// How long a failing `accept` waits, for instance for file descriptors.
const BREATH: Duration = Duration::from_millis(10);
/// Time without a byte from the store after which a connection ends whose client has closed its
/// side. A store closes such a connection itself unless it is stuck.
const STUCK: Duration = Duration::from_secs(60);

/// Takes connections until it is dropped, and they with it.
pub(crate) async fn run(upstream: Upstream, link: Arc<ProxyState>, mut listener: ProxyListener) {
    let mut view = link.view();
    // Connections end with the server, since the set ends its tasks.
    let mut connections = JoinSet::new();
    loop {
        if let Some(active) = view.refusal() {
            listener.refuse();
            link.listening.send_replace(false);
            view.took_effect(&active);
            active.ended.cancelled().await;
            view.refresh();
            continue;
        }
        let accepting = async {
            let listener = listener.listen().await;
            link.listening
                .send_if_modified(|was| !std::mem::replace(was, true));
            listener.accept().await
        };
        tokio::select! {
            biased;
            () = view.changed() => {}
            Some(_) = connections.join_next() => {}
            accepted = accepting => match accepted {
                Ok((client, address)) => {
                    link.counters.connections.note();
                    let (upstream, link) = (upstream.clone(), Arc::clone(&link));
                    connections.spawn(serve(client, address, upstream, link));
                }
                Err(error) => {
                    let reason = error.to_string();
                    link.notices.send(ProxyNotice::NotAccepting { reason });
                    sleep(BREATH).await;
                }
            }
        }
    }
}

/// Asks the store for its commands, and notes its state.
pub(crate) async fn learn(upstream: &Upstream, link: &ProxyState) {
    let notice = match upstream.commands().await {
        Err(error) => return link.notices.send(away(&error)),
        Ok(Ok(table)) => {
            link.set_commands(table);
            ProxyNotice::CommandsKnown
        }
        Ok(Err(reason)) => ProxyNotice::CommandsUnknown { reason },
    };
    link.notices.send(ProxyNotice::StoreBack);
    link.notices.send(notice);
}

fn away(error: &io::Error) -> ProxyNotice {
    ProxyNotice::StoreAway {
        reason: error.to_string(),
    }
}

/// Serves one client until either side closes or a rule ends the connection.
async fn serve(
    mut client: TcpStream,
    address: SocketAddr,
    upstream: Upstream,
    link: Arc<ProxyState>,
) {
    let ended = async {
        client.set_nodelay(true)?;
        let connected = tokio::select! {
            connected = upstream.connect() => connected,
            () = leaves(&client) => return Err(ConnectionEnd::Closed),
        };
        match connected {
            Err(error) => {
                link.counters.unreachable.note();
                link.notices.send(away(&error));
                Err(ConnectionEnd::Reset)
            }
            Ok(mut store) => {
                let is_to_ask = link.is_to_ask();
                link.notices.send(ProxyNotice::StoreBack);
                if is_to_ask {
                    let link = Arc::clone(&link);
                    tokio::spawn(async move { learn(&upstream, &link).await });
                }
                let ended = match &mut store {
                    Stream::Left(store) => {
                        let (from_store, to_store) = store.split();
                        exchange(&mut client, address, from_store, to_store, &link).await
                    }
                    Stream::Right(store) => {
                        let (from_store, to_store) = tokio::io::split(store);
                        exchange(&mut client, address, from_store, to_store, &link).await
                    }
                };
                if matches!(ended, Err(ConnectionEnd::Reset)) {
                    reset(match &store {
                        Stream::Left(store) => store,
                        Stream::Right(store) => client_tls::below_tls(store),
                    });
                }
                ended
            }
        }
    };
    if matches!(ended.await, Err(ConnectionEnd::Reset)) {
        reset(&client);
    }
}

/// Makes the close of a connection a reset.
fn reset(stream: &TcpStream) {
    // A socket that takes no options is closed already.
    let _ = stream.set_zero_linger();
}

async fn exchange(
    client: &mut TcpStream,
    address: SocketAddr,
    from_store: impl AsyncRead + Unpin,
    to_store: impl AsyncWrite + Unpin,
    link: &Arc<ProxyState>,
) -> Result<(), ConnectionEnd> {
    let (from_client, to_client) = client.split();
    let exchange = ConnectionState::new(Arc::clone(link), address);
    let requests = pin!(RequestStream::new(from_client, to_store, &exchange).run());
    let replies = pin!(ReplyStream::new(from_store, to_client, &exchange).run());
    let by_rule = pin!(ended_by_rule(&exchange));
    let (requests, mut replies) = (OwnWake::new(requests), OwnWake::new(replies));
    let both = async {
        let sent = tokio::select! {
            biased;
            sent = requests => sent,
            replied = &mut replies => return replied,
        };
        match sent {
            // The client has sent its last request, or the store takes no more. The store's last
            // replies may still come.
            Ok(()) | Err(ConnectionEnd::StoreGone) => loop {
                let before = exchange.reads.get();
                tokio::select! {
                    replied = &mut replies => return replied,
                    () = sleep(STUCK) => if exchange.reads.get() == before {
                        return Err(ConnectionEnd::Closed);
                    },
                }
            },
            Err(ended) => Err(ended),
        }
    };
    tokio::select! {
        biased;
        ended = OwnWake::new(by_rule) => Err(ended),
        ended = both => ended,
    }
}

/// Waits for a rule that ends the connection as a whole.
async fn ended_by_rule(exchange: &ConnectionState) -> ConnectionEnd {
    let mut view = exchange.link.view();
    let mut timeout: Option<(Arc<ActiveRule>, Instant)> = None;
    loop {
        if let Some(active) = view.refusal() {
            view.took_effect(&active);
            return ConnectionEnd::Reset;
        }
        let found = exchange.find_fault(&view, |fault| {
            matches!(fault, ConnectionFault::Timeout { .. })
        });
        timeout = found.map(|active| {
            let known = timeout
                .take()
                .filter(|(known, _)| Arc::ptr_eq(known, &active));
            known.unwrap_or_else(|| (active, Instant::now()))
        });
        let doomed = exchange.doomed();
        if timeout.is_none() && doomed.is_none() && exchange.lost_bytes.load(Ordering::Relaxed) {
            return ConnectionEnd::Closed;
        }
        let closes = timeout.as_ref().and_then(|(active, since)| {
            let Some(ConnectionFault::Timeout { after, .. }) = active.of_connections() else {
                return None;
            };
            Some((*since + after?, active))
        });
        tokio::select! {
            () = view.changed() => {}
            () = exchange.fault.notified() => {}
            () = until(doomed.as_ref().map(|(at, _)| *at)) => return ConnectionEnd::Reset,
            () = until(closes.map(|(at, _)| at)) => {
                if let Some((active, _)) = &timeout
                    && exchange.is_first(active)
                {
                    view.took_effect(active);
                }
                return ConnectionEnd::Closed;
            }
        }
    }
}

/// Waits for an instant, or for ever.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
