//! Brings a system up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use cli_support::WrongUsage;
use ratelimiter_api::{Key, Outcome};
use ratelimiter_cluster::{ProgramPlan, ProgramSite};
use ratelimiter_target::{Authorities, Check, ExecSite, HttpForm, HttpTarget, Reach, Target};
use resp_proxy::{RespProxy, RuleSet};
use tokio::time::{Instant, sleep};

use super::file::{Places, SystemSource};
use super::nodes::{NodeAct, NodeControl, SystemTarget};
use super::shell::{LastCommand, shell};
use super::store::SystemStore;
use crate::asked::{AskCommand, words};

/// Time for all nodes to be ready.
const READY: Duration = Duration::from_secs(30);
/// Time between two questions to a node that starts.
const POLL: Duration = Duration::from_millis(20);

/// A way to ask, parsed as the command line is.
#[derive(Debug, Parser)]
struct AskLine {
    #[command(subcommand)]
    asked: AskCommand,
}

/// A system that runs until it is dropped or this process ends.
pub(crate) struct RunningSystem {
    // Dropped in this order.
    pub(crate) target: Arc<SystemTarget>,
    pub(crate) asked: Vec<AskCommand>,
    nodes: Vec<NodeControl>,
    /// One before each node, where the store's address is put somewhere.
    pub(crate) proxies: Vec<RespProxy>,
    pub(crate) rules: RuleSet,
    pub(crate) store: Option<SystemStore>,
    _down: Option<LastCommand>,
    exec_sites: Vec<ExecSite>,
    _site: ProgramSite,
}

impl RunningSystem {
    /// Starts the store, the proxies and the nodes, and waits until all nodes are ready. `more` are
    /// words of the command line behind those of the file.
    pub(crate) async fn start(source: &SystemSource, more: &[String]) -> anyhow::Result<Self> {
        let nodes = &source.file.nodes;
        let (way, table) = source.asks()?;
        let count = nodes.count.unwrap_or(1);
        if !(1..=16).contains(&count) {
            return Err(WrongUsage(format!("count is {count}: a system has 1 to 16 nodes")).into());
        }
        let texts = [&nodes.command, &nodes.up].into_iter().flatten();
        let texts = texts.chain(nodes.env.values());
        let asks = format!("{table:?}");
        let placed = asks.clone() + &texts.cloned().collect::<Vec<_>>().join(" ");
        let by_node = |text: &str| {
            ["{port}", "{node}", "{store"]
                .iter()
                .any(|p| text.contains(p))
        };
        let is_by_node = way == "exec" || by_node(&asks);
        let site = ProgramSite::new(count + 1)?;
        let (ports, store_port) = (site.ports()[..count].to_vec(), site.ports()[count]);
        let store = match &source.file.store {
            Some(table) => Some(SystemStore::start(table, &site, store_port).await?),
            None if placed.contains("{store") => {
                return Err(
                    WrongUsage("{store} stands in the file, and [store] does not".into()).into(),
                );
            }
            None => None,
        };
        let store_id = match &store {
            Some(store) if store.is_single() => store.info("run_id").await?,
            _ => String::new(),
        };
        let rules = RuleSet::new();
        let mut proxies = Vec::new();
        if let Some(store) = store
            .as_ref()
            .filter(|s| s.is_single() && placed.contains("{store"))
        {
            for n in 1..=count {
                let upstream = store.text(None).parse().map_err(WrongUsage::of)?;
                let proxy = RespProxy::builder(upstream).name(format!("node-{n}"));
                let proxy = proxy
                    .rules(rules.clone())
                    .listen(([127, 0, 0, 1], 0).into());
                proxies.push(proxy.await.context("start a proxy")?);
            }
        }
        let places = |n: usize| {
            let mut places = vec![
                ("port", ports[n].to_string()),
                ("node", (n + 1).to_string()),
                ("temp", site.directory().display().to_string()),
            ];
            if let Some(store) = &store {
                let proxy = proxies.get(n).map(RespProxy::address);
                let text = store.text(proxy);
                let address = text.rsplit(['@', '/']).find(|part| part.contains(':'));
                let address = address.unwrap_or_default().to_owned();
                let (host, port) = address.rsplit_once(':').unwrap_or((&address, "6379"));
                let pair = [
                    ("store_host", host.to_owned()),
                    ("store_port", port.to_owned()),
                ];
                places.extend(pair);
                places.push(("store", text));
                places.push(("store_id", store_id.clone()));
            }
            Places(places)
        };
        let environment = |places: &Places| -> Result<Vec<(String, String)>, WrongUsage> {
            let variables: &BTreeMap<String, String> = &nodes.env;
            let filled = variables
                .iter()
                .map(|(n, v)| Ok((n.clone(), places.fill(v)?)));
            filled.collect()
        };
        let directory = source.directory();
        let down = nodes.down.as_deref();
        let down = down.map(|down| LastCommand::new(&places(0).fill(down)?, &directory));
        let down = down.transpose()?;
        if let Some(up) = &nodes.up {
            let up = places(0).fill(up)?;
            shell(&up, &directory).await.context("up")?;
        }
        let (mut controls, mut asked, mut exec_sites) = (Vec::new(), Vec::new(), Vec::new());
        let mut ready = Vec::new();
        for n in 0..count {
            let places = places(n);
            let environment = environment(&places)?;
            if n == 0 || is_by_node {
                let line = AskLine::try_parse_from(source.arguments(&places)?.iter().chain(more));
                asked.push(line.map_err(|error| source.error(&error))?.asked);
            }
            exec_sites.push(ExecSite {
                environment: environment.clone(),
                directory: Some(directory.clone()),
                group: Some(site.group()),
            });
            controls.push(match &nodes.command {
                Some(command) => {
                    let mut program = site.start(ProgramPlan {
                        name: format!("node-{}", n + 1),
                        command: words(&places.fill(command)?)?,
                        environment,
                        directory: Some(directory.clone()),
                    })?;
                    // A store is new once: a node that starts again may meet one that was emptied.
                    let of_store = nodes.env.iter().filter(|(_, v)| v.contains("{store_id}"));
                    of_store.for_each(|(name, _)| program.forget_variable(name));
                    NodeControl::Program(program)
                }
                None if way == "exec" => NodeControl::Child,
                None => NodeControl::of_commands(nodes, &places, &directory)?,
            });
            ready.push(
                nodes
                    .ready
                    .as_deref()
                    .map(|url| places.fill(url))
                    .transpose()?,
            );
        }
        let mut targets = Vec::new();
        for (asked, site) in asked.iter_mut().zip(&exec_sites) {
            if let AskCommand::Exec(args) = asked {
                args.processes = 1;
            }
            targets.push(Arc::from(asked.target(site.clone())?));
        }
        let mut system = Self {
            target: Arc::new(SystemTarget::new(targets)),
            asked,
            nodes: controls,
            proxies,
            rules,
            store,
            _down: down,
            exec_sites,
            _site: site,
        };
        let until = Instant::now() + READY;
        for (n, url) in ready.into_iter().enumerate() {
            system.ready(n, url, until).await?;
        }
        Ok(system)
    }

    /// Number of nodes whose processes can be acted on.
    pub(crate) fn controlled(&self) -> usize {
        self.nodes.len()
    }

    /// Whether a node of the target is a process of the file, by its number.
    pub(crate) fn is_by_node(&self) -> bool {
        self.nodes.len() == self.target.nodes().len()
    }

    /// The process id of a node that was started here.
    pub(crate) fn process_id(&self, node: usize) -> Option<u32> {
        match &self.nodes[node] {
            NodeControl::Program(program) => program.id(),
            NodeControl::Child => self.target.process_id(node),
            NodeControl::Shell { .. } => None,
        }
    }

    /// Lets the nodes go on that were not started here, whatever a trial left undone.
    pub(crate) async fn mend(&mut self) {
        let shells = self.nodes.iter_mut();
        for node in shells.filter(|node| matches!(node, NodeControl::Shell { .. })) {
            for act in [NodeAct::Resume, NodeAct::Start] {
                // One that runs refuses, which is as good.
                let _ = node.act(act, None).await;
            }
        }
    }

    /// Whether a node's process can be acted on so.
    pub(crate) fn permits(&self, node: usize, acts: &[NodeAct]) -> bool {
        self.nodes[node].permits(acts)
    }

    /// Acts on the process of a node.
    pub(crate) async fn act(&mut self, node: usize, act: NodeAct) -> anyhow::Result<()> {
        let child = matches!(self.nodes[node], NodeControl::Child);
        let process = self.process_id(node);
        self.nodes[node].act(act, process).await?;
        if child && act == NodeAct::Start {
            let again = self.asked[node].target(self.exec_sites[node].clone())?;
            self.target.replace(node, Arc::from(again));
        }
        Ok(())
    }

    /// Waits until a node is ready: by its URL, or until it decides a check.
    async fn ready(&mut self, n: usize, url: Option<String>, until: Instant) -> anyhow::Result<()> {
        let health: Box<dyn Target> = match url {
            Some(url) => Box::new(HttpTarget::new(
                &[url],
                HttpForm::default(),
                Reach::new(false),
                &Authorities::default(),
            )?),
            None if n < self.target.nodes().len() => {
                Box::new(SystemTarget::new(vec![self.target.part(n)]))
            }
            None => return Ok(()),
        };
        let check = Check::new(
            Key::new("ready").context("a short text is a key")?,
            1,
            Duration::from_secs(1),
        );
        loop {
            let why = match health.connect(0).await {
                Ok(mut connection) => {
                    let answer = connection.check(&check).await;
                    if matches!(answer.outcome, Outcome::Allowed | Outcome::Denied) {
                        return Ok(());
                    }
                    answer.detail
                }
                Err(error) => error.to_string(),
            };
            match &mut self.nodes[n] {
                NodeControl::Program(program) => program.not_yet(until, why).await?,
                _ if Instant::now() > until => bail!("node {} is not ready: {why}", n + 1),
                _ => sleep(POLL).await,
            }
        }
    }
}
