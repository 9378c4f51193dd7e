//! The proxy itself: listens, connects, and runs both directions of every connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::advice;
use crate::counters::ProxyCounters;
use crate::listener::ProxyListener;
use crate::notice::{Notices, ProxyNotice};
use crate::rule::Rule;
use crate::rules::{RuleGuard, RuleSet};
use crate::seen::SeenCommands;
use crate::server;
use crate::state::ProxyState;
use crate::upstream::Upstream;

/// A proxy in front of one store. Dropping it closes its connections.
#[derive(Debug)]
pub struct RespProxy {
    address: SocketAddr,
    link: Arc<ProxyState>,
    task: JoinHandle<()>,
}

/// A proxy that does not listen yet.
pub struct RespProxyBuilder {
    upstream: Upstream,
    name: String,
    rules: RuleSet,
    notices: Notices,
}

impl RespProxyBuilder {
    /// The name that rules know this proxy by: their `link=`. `proxy` unless set.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Rules shared with other proxies. Those that are in force already meet the very first
    /// connection.
    #[must_use]
    pub fn rules(mut self, rules: RuleSet) -> Self {
        self.rules = rules;
        self
    }

    /// Called with changes: a store that is away, one that does not list its commands, a
    /// listener without file descriptors.
    #[must_use]
    pub fn notices(mut self, listener: impl Fn(ProxyNotice) + Send + Sync + 'static) -> Self {
        self.notices = Notices::to(listener);
        self
    }

    /// Begins to listen, and asks the store for its commands. A store that cannot be reached yet is
    /// no error: a built-in table of commands serves until it answers.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn listen(self, address: SocketAddr) -> io::Result<RespProxy> {
        let upstream = self.upstream;
        let link = Arc::new(ProxyState::new(self.name, self.rules, self.notices));
        // Under a rule that refuses connections, none may come in even now.
        let is_refusing = link.view().refusal().is_some();
        let listener = ProxyListener::bind(address, is_refusing)?;
        link.listening.send_replace(!is_refusing);
        let address = listener.address;
        link.is_to_ask();
        server::learn(&upstream, &link).await;
        let task = tokio::spawn(server::run(upstream, Arc::clone(&link), listener));
        Ok(RespProxy {
            address,
            link,
            task,
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
            notices: Notices::default(),
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

    /// Warnings about a rule that cannot have effects here, such as an unknown name of a command,
    /// by the store's own commands. One line each.
    pub fn warnings(&self, rule: &Rule) -> Vec<String> {
        advice::warnings(rule, &self.link.name, self.link.commands())
    }

    /// Ends when the proxy listens, or refuses connections, as its rules say.
    #[cfg(feature = "control")]
    pub(crate) fn turned(&self) -> impl Future<Output = ()> + use<> {
        let link = Arc::clone(&self.link);
        async move {
            let mut listening = link.listening.subscribe();
            let is_wanted = |listens: &bool| *listens == link.view().refusal().is_none();
            // The sender lives in `link`, so that the channel is never closed.
            let _ = listening.wait_for(is_wanted).await;
        }
    }

    /// Lets go of the address and of all connections.
    #[cfg(feature = "control")]
    pub(crate) async fn close(mut self) {
        self.task.abort();
        // The end of an aborted task is an error, and what was asked for.
        let _ = (&mut self.task).await;
    }

    /// Counts of connections, commands and replies so far.
    pub fn counters(&self) -> ProxyCounters {
        self.link.counters.read()
    }

    /// The commands that came so far, and the first of their keys.
    pub fn seen(&self) -> SeenCommands {
        self.link.seen()
    }
}

impl Drop for RespProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
