use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ratelimiter_api::{Endpoint, NodeClient, NodeId, NodeState};
use ratelimiter_store::StoreUrl;
use resp_proxy::{RespProxy, RuleSet};
use rustix::process::Signal;
use tokio::time::Instant;

use crate::certificate::{CERTIFICATE, make_certificate};
use crate::guardian::Guardian;
use crate::links::Links;
use crate::ports::ReservedPorts;
use crate::process::{Process, QUESTION};
use crate::secret::Secret;
use crate::stores::{StoreGroup, StoreLayout};
use crate::{ClusterError, ClusterPlan, StoreBinary};

/// Longest time in which a node flushes and ends when it is asked to.
const TERMINATE: Duration = Duration::from_secs(3);
/// The variable that names the stores which were made for the cluster.
const NEW_STORE: &str = "RATELIMITER_NEW_STORE";
/// Another program can take a port that was free; then all are chosen again.
const ATTEMPTS: usize = 3;

/// One store and some nodes, running on this machine's loopback interface until dropped.
#[derive(Debug)]
pub struct LocalCluster {
    // Dropped in this order: the processes, then the guardian with the rest of its group, the
    // directory and the ports.
    nodes: Vec<LocalNode>,
    links: Links,
    stores: StoreGroup,
    guardian: Guardian,
    binary: StoreBinary,
    deadline: Duration,
    admin_token: Option<Secret>,
    _ports: ReservedPorts,
}

#[derive(Debug)]
struct LocalNode {
    id: NodeId,
    endpoint: Endpoint,
    store: StoreUrl,
    process: Process,
}

impl LocalCluster {
    pub(crate) async fn start(
        plan: &ClusterPlan,
        binary: &StoreBinary,
        node: &Path,
    ) -> Result<Self, ClusterError> {
        let mut attempt = 1;
        loop {
            match Self::try_start(plan, binary, node).await {
                Err(ClusterError::Exited { log, .. })
                    if attempt < ATTEMPTS && log.contains("in use") =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn try_start(
        plan: &ClusterPlan,
        binary: &StoreBinary,
        node: &Path,
    ) -> Result<Self, ClusterError> {
        let guardian = Guardian::start()?;
        if plan.tls {
            make_certificate(guardian.directory())?;
        }
        let ports = ReservedPorts::choose(plan.nodes + plan.topology.ports());
        let (node_ports, store_ports) = ports.numbers.split_at(plan.nodes);
        let node_ports = node_ports.to_vec();
        let stores = StoreGroup::start(&StoreLayout {
            plan,
            binary,
            ports: store_ports,
            guardian: &guardian,
        })?;
        let mut cluster = Self {
            nodes: Vec::new(),
            links: Links::default(),
            stores,
            guardian,
            binary: binary.clone(),
            deadline: plan.deadline,
            admin_token: plan.admin_token.clone().map(Secret),
            _ports: ports,
        };
        let until = Instant::now() + plan.deadline;
        let ready = cluster.stores.ready(until).await;
        ready.map_err(|error| match error {
            ClusterError::Exited { log, .. } if plan.tls && log.contains("tls") => {
                ClusterError::NoTls(binary.to_string())
            }
            other => other,
        })?;
        let ids: Vec<_> = (1..=plan.nodes).map(|i| format!("node-{i}")).collect();
        let direct = cluster.stores.text.clone();
        cluster.links = Links::start(plan.proxies, &ids, &direct.0).await?;
        let new_store = Secret(cluster.stores.run_ids().await?);
        for (i, (id, port)) in ids.iter().zip(node_ports).enumerate() {
            let store = match cluster.links.address(i) {
                None => direct.clone(),
                Some(proxy) => cluster.stores.by_way_of(proxy),
            };
            cluster.add_node(plan, id, port, store, node, new_store.clone())?;
        }
        cluster.healthy(until).await?;
        Ok(cluster)
    }

    fn add_node(
        &mut self,
        plan: &ClusterPlan,
        id: &str,
        port: u16,
        store: Secret,
        binary: &Path,
        new_store: Secret,
    ) -> Result<(), ClusterError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let ms = |d: Duration| format!("{}ms", d.as_millis());
        let mut arguments = vec![
            format!("--id={id}"),
            format!("--listen={address}"),
            format!("--counting={}", plan.counting),
            format!("--sync-interval={}", ms(plan.sync_interval)),
            format!("--store-timeout={}", ms(plan.store_timeout)),
        ];
        arguments.extend(
            plan.on_store_failure
                .map(|policy| format!("--on-store-failure={policy}")),
        );
        let mut url: StoreUrl = store.0.parse()?;
        if plan.tls {
            let authority = self.guardian.directory().join(CERTIFICATE);
            url = url.trusting(&authority)?;
            arguments.push(format!("--store-ca={}", authority.display()));
        }
        let mut environment = vec![
            ("RATELIMITER_STORE".to_owned(), store),
            (NEW_STORE.to_owned(), new_store),
        ];
        let token = self.admin_token.clone();
        environment.extend(token.map(|token| ("RATELIMITER_ADMIN_TOKEN".to_owned(), token)));
        let mut process = Process::start(id, binary, arguments, environment, &self.guardian)?;
        // A store is new once. When the node is restarted it may have been emptied.
        process.forget_variable(NEW_STORE);
        self.nodes.push(LocalNode {
            id: NodeId::from(id),
            endpoint: Endpoint::from(address),
            store: url,
            process,
        });
        Ok(())
    }

    /// Addresses of the nodes.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.nodes.iter().map(|n| n.endpoint.clone()).collect()
    }

    /// A client of one node, counted from 0.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn client(&self, node: usize, deadline: Duration) -> Result<NodeClient, ClusterError> {
        let token = self.admin_token.clone().map(|token| token.0);
        Ok(NodeClient::new(self.node(node)?.endpoint.clone(), deadline).with_token(token))
    }

    /// The store's URL, with its password if it has one.
    pub fn store_url(&self) -> StoreUrl {
        self.stores.url.clone()
    }

    /// The own URL of one process of the store, counted from 0: the primaries come first, then
    /// their replicas in the same order, as they were at the start.
    ///
    /// # Errors
    /// When there is no such store.
    pub fn member_url(&self, store: usize) -> Result<StoreUrl, ClusterError> {
        self.stores.member(store)
    }

    /// Number of processes of the store, without sentinels.
    pub fn members(&self) -> usize {
        self.stores.stores.len()
    }

    /// The URL by which a node, counted from 0, reaches the store: that of its proxy, if there is
    /// one.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn node_store_url(&self, node: usize) -> Result<StoreUrl, ClusterError> {
        Ok(self.node(node)?.store.clone())
    }

    /// The fault proxies: one a node in their order, a single one for all, or none.
    pub fn proxies(&self) -> &[RespProxy] {
        &self.links.proxies
    }

    /// The rules that all proxies follow. A rule with `link=node-1` concerns that node's link
    /// alone.
    pub fn rules(&self) -> &RuleSet {
        &self.links.rules
    }

    /// The executable of the store.
    pub fn store_binary(&self) -> &StoreBinary {
        &self.binary
    }

    /// The ids of the processes that run: the store's first, then its sentinels' and the nodes'.
    pub fn process_ids(&self) -> Vec<u32> {
        let StoreGroup {
            stores, sentinels, ..
        } = &self.stores;
        stores
            .iter()
            .chain(sentinels)
            .chain(self.nodes.iter().map(|n| &n.process))
            .filter_map(Process::id)
            .collect()
    }

    /// The directory of the processes' logs; gone when the cluster is.
    pub fn directory(&self) -> &Path {
        self.guardian.directory()
    }

    /// Kills a node without warning.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn kill_node(&mut self, node: usize) -> Result<(), ClusterError> {
        self.node_process(node)?.kill();
        Ok(())
    }

    /// Asks a node to end and waits until it has; true when it ended by itself.
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn terminate_node(&mut self, node: usize) -> Result<bool, ClusterError> {
        Ok(self.node_process(node)?.terminate(TERMINATE).await)
    }

    /// Starts a node again at its address, and waits until all nodes are healthy.
    ///
    /// # Errors
    /// When there is no such node, or it is not healthy in time.
    pub async fn restart_node(&mut self, node: usize) -> Result<(), ClusterError> {
        self.node_process(node)?.restart()?;
        self.healthy(Instant::now() + self.deadline).await
    }

    fn node(&self, node: usize) -> Result<&LocalNode, ClusterError> {
        self.nodes.get(node).ok_or(ClusterError::NoSuchNode(node))
    }

    fn node_process(&mut self, node: usize) -> Result<&mut Process, ClusterError> {
        let node = self
            .nodes
            .get_mut(node)
            .ok_or(ClusterError::NoSuchNode(node))?;
        Ok(&mut node.process)
    }

    /// Kills the store without warning: the first of its processes. It keeps nothing on disk.
    pub fn kill_store(&mut self) {
        self.stores.stores[0].kill();
    }

    /// Starts the store again at its address, empty, and waits until it answers.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub async fn restart_store(&mut self) -> Result<(), ClusterError> {
        self.restart_member(0).await
    }

    /// Kills one process of the store without warning.
    ///
    /// # Errors
    /// When there is no such store.
    pub fn kill_member(&mut self, store: usize) -> Result<(), ClusterError> {
        self.stores.store_mut(store)?.kill();
        Ok(())
    }

    /// Starts one process of the store again at its address, empty, and waits until it answers.
    ///
    /// # Errors
    /// When there is no such store, or it does not answer in time.
    pub async fn restart_member(&mut self, store: usize) -> Result<(), ClusterError> {
        self.stores.store_mut(store)?.restart()?;
        let until = Instant::now() + self.deadline;
        self.stores.answers(store, until).await
    }

    /// Stops the store's process (SIGSTOP): connections stay open and nothing is answered.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn freeze_store(&self) -> Result<(), ClusterError> {
        self.freeze_member(0)
    }

    /// Lets a frozen store go on.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn thaw_store(&self) -> Result<(), ClusterError> {
        self.thaw_member(0)
    }

    /// Stops one process of the store (SIGSTOP): connections stay open and nothing is answered.
    ///
    /// # Errors
    /// When there is no such store, or the signal cannot be sent.
    pub fn freeze_member(&self, store: usize) -> Result<(), ClusterError> {
        self.stores.store(store)?.signal(Signal::STOP)
    }

    /// Lets a frozen process of the store go on.
    ///
    /// # Errors
    /// When there is no such store, or the signal cannot be sent.
    pub fn thaw_member(&self, store: usize) -> Result<(), ClusterError> {
        self.stores.store(store)?.signal(Signal::CONT)
    }

    /// Ends everything in order: the nodes flush, then the store goes. True when every node ended
    /// by itself.
    pub async fn shutdown(mut self) -> bool {
        for node in &self.nodes {
            // A node that is gone already has nothing to flush.
            let _ = node.process.signal(Signal::TERM);
        }
        let mut orderly = true;
        for node in &mut self.nodes {
            orderly &= node.process.terminate(TERMINATE).await;
        }
        orderly
    }

    /// Waits until every node that runs is healthy, and sees all of them up.
    async fn healthy(&mut self, until: Instant) -> Result<(), ClusterError> {
        let running = self
            .nodes
            .iter()
            .filter(|n| n.process.id().is_some())
            .count();
        for node in self.nodes.iter_mut().filter(|n| n.process.id().is_some()) {
            let client = NodeClient::new(node.endpoint.clone(), QUESTION);
            loop {
                let why = match (client.health().await, client.nodes().await) {
                    (Ok(health), _) if health.node != node.id => {
                        format!("{} answers at its address", health.node)
                    }
                    (Ok(health), Ok(seen)) => {
                        let up = seen
                            .nodes
                            .iter()
                            .filter(|n| n.state == NodeState::Up)
                            .count();
                        if health.redis_connected && up >= running {
                            break;
                        }
                        format!(
                            "store connected: {}, nodes up: {up} of {running}",
                            health.redis_connected
                        )
                    }
                    (Err(error), _) | (_, Err(error)) => error.to_string(),
                };
                node.process.not_yet(until, why).await?;
            }
        }
        Ok(())
    }
}
