use std::net::{Ipv4Addr, SocketAddr};

use resp_proxy::{RespProxy, RuleSet};

use crate::ClusterError;

/// The fault proxies between nodes and store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxies {
    /// One in front of each node's link. A rule's `link=` is the node's id: `node-1`, `node-2` and
    /// so on.
    PerNode,
    /// One for all nodes. A rule's `link=` is `store`.
    Shared,
}

/// The proxies of one cluster, and the rules that all of them follow.
#[derive(Debug, Default)]
pub(crate) struct Links {
    pub(crate) rules: RuleSet,
    pub(crate) proxies: Vec<RespProxy>,
}

impl Links {
    /// Starts the proxies in front of a store that answers, each on a free port.
    pub(crate) async fn start(
        which: Option<Proxies>,
        nodes: &[String],
        store: &str,
    ) -> Result<Self, ClusterError> {
        let mut links = Self::default();
        let names = match which {
            None => &[],
            Some(Proxies::PerNode) => nodes,
            Some(Proxies::Shared) => &["store".to_owned()][..],
        };
        for name in names {
            let proxy = RespProxy::builder(store.parse()?)
                .name(name)
                .rules(links.rules.clone());
            let listening = proxy.listen((Ipv4Addr::LOCALHOST, 0).into()).await;
            links
                .proxies
                .push(listening.map_err(ClusterError::io("start a proxy"))?);
        }
        Ok(links)
    }

    /// The address of the proxy in front of a node, counted from 0, if there is one.
    pub(crate) fn address(&self, node: usize) -> Option<SocketAddr> {
        // A shared proxy is the only one, and therefore the last.
        let proxy = self.proxies.get(node).or(self.proxies.last())?;
        Some(proxy.address())
    }
}
