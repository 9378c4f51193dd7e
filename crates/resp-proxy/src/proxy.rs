//! The proxy itself: listens, connects, and runs both directions of every connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use client_tls::Stream;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use crate::replies::ReplyStream;
use crate::requests::RequestStream;
use crate::rule::{ConnectionFault, Rule};
use crate::rules::{RuleGuard, RuleSet, RuleView};
use crate::state::{ConnectionEnd, ConnectionState, ProxyCounters, ProxyState};
use crate::upstream::Upstream;

/// How often the address is tried again after new connections were refused.
const REBIND: Duration = Duration::from_millis(10);
/// How long a failing `accept` waits, for instance for file descriptors.
const BREATH: Duration = Duration::from_millis(10);

/// A proxy in front of one store. Dropping it closes its connections.
#[derive(Debug)]
pub struct RespProxy {
    address: SocketAddr,
    link: Arc<ProxyState>,
    task: AbortHandle,
}

/// A proxy that does not listen yet.
#[derive(Debug)]
pub struct RespProxyBuilder {
    upstream: Upstream,
    name: String,
    rules: RuleSet,
}

impl RespProxyBuilder {
    /// The name that rules know this proxy by: their `link=`. `proxy` unless set.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Rules shared with other proxies.
    #[must_use]
    pub fn rules(mut self, rules: RuleSet) -> Self {
        self.rules = rules;
        self
    }

    /// Asks the store for its commands and begins to listen. A store that cannot be reached yet is
    /// no error: the built-in table of commands serves then.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn listen(self, address: SocketAddr) -> io::Result<RespProxy> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let commands = self
            .upstream
            .commands()
            .await
            .unwrap_or_else(|_| crate::class::CommandTable::built_in());
        let Self {
            upstream,
            name,
            rules,
        } = self;
        let link = Arc::new(ProxyState {
            name,
            rules,
            commands,
            counters: Mutex::default(),
        });
        let serving = ProxyServer {
            upstream,
            address,
            link: Arc::clone(&link),
        }
        .run(listener);
        Ok(RespProxy {
            address,
            link,
            task: tokio::spawn(serving).abort_handle(),
        })
    }
}

impl RespProxy {
    /// A proxy in front of `upstream`. Opens nothing.
    pub fn builder(upstream: Upstream) -> RespProxyBuilder {
        RespProxyBuilder {
            upstream,
            name: "proxy".to_owned(),
            rules: RuleSet::new(),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The name that rules know it by.
    pub fn name(&self) -> &str {
        &self.link.name
    }

    /// Puts a rule into force until the guard is dropped.
    pub fn inject(&self, rule: Rule) -> RuleGuard {
        self.link.rules.add(rule)
    }

    /// Counts of connections, commands and replies so far.
    pub fn counters(&self) -> ProxyCounters {
        *self.link.counters.lock()
    }
}

impl Drop for RespProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct ProxyServer {
    upstream: Upstream,
    address: SocketAddr,
    link: Arc<ProxyState>,
}

fn refuses(fault: ConnectionFault) -> bool {
    fault == ConnectionFault::Refuse
}

impl ProxyServer {
    async fn run(self, listener: TcpListener) {
        let mut view = self.link.rules.view(&self.link.name);
        // Connections end with the server, since the set ends its tasks.
        let mut connections = JoinSet::new();
        let mut listening = Some(listener);
        loop {
            if let Some(active) = view.of_connection("", refuses) {
                // Without a listener the system itself refuses.
                listening = None;
                view.took_effect(&active);
                active.ended.cancelled().await;
                view.refresh();
                continue;
            }
            let Some(listener) = &listening else {
                match TcpListener::bind(self.address).await {
                    Ok(listener) => listening = Some(listener),
                    Err(_) => sleep(REBIND).await,
                }
                continue;
            };
            tokio::select! {
                biased;
                () = view.changed() => {}
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((client, _)) => {
                        self.link.counters.lock().connections += 1;
                        let upstream = self.upstream.clone();
                        connections.spawn(serve(client, upstream, Arc::clone(&self.link)));
                    }
                    Err(_) => sleep(BREATH).await,
                }
            }
        }
    }
}

/// Serves one client until either side closes or a rule ends the connection.
async fn serve(mut client: TcpStream, upstream: Upstream, link: Arc<ProxyState>) {
    let view = link.rules.view(&link.name);
    let ended = async {
        client.set_nodelay(true)?;
        match upstream.connect().await {
            Err(_) => {
                link.counters.lock().unreachable += 1;
                Err(ConnectionEnd::Reset)
            }
            Ok(Stream::Left(mut store)) => {
                let (from_store, to_store) = store.split();
                let ended = exchange(&mut client, from_store, to_store, &link, view).await;
                if matches!(ended, Err(ConnectionEnd::Reset)) {
                    reset(&store);
                }
                ended
            }
            Ok(Stream::Right(mut store)) => {
                let (from_store, to_store) = tokio::io::split(&mut store);
                let ended = exchange(&mut client, from_store, to_store, &link, view).await;
                if matches!(ended, Err(ConnectionEnd::Reset)) {
                    reset(client_tls::below_tls(&store));
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
    from_store: impl AsyncRead + Unpin,
    to_store: impl AsyncWrite + Unpin,
    link: &Arc<ProxyState>,
    mut view: RuleView,
) -> Result<(), ConnectionEnd> {
    let (from_client, to_client) = client.split();
    let exchange = ConnectionState::new(Arc::clone(link));
    let requests = RequestStream::new(from_client, to_store, &exchange).run();
    let replies = ReplyStream::new(from_store, to_client, &exchange).run();
    let refused = async {
        loop {
            if let Some(active) = view.of_connection("", refuses) {
                return view.took_effect(&active);
            }
            view.changed().await;
        }
    };
    let both = async {
        tokio::pin!(replies);
        tokio::select! {
            // The client has sent its last request; replies may still come.
            sent = requests => match sent { Ok(()) => replies.await, Err(ended) => Err(ended) },
            replied = &mut replies => replied,
        }
    };
    tokio::select! {
        () = refused => Err(ConnectionEnd::Reset),
        ended = both => ended,
    }
}
