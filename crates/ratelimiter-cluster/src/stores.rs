//! The processes of the store, in each of its topologies.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ratelimiter_store::{Link, StoreUrl};
use redis::{FromRedisValue, cmd};
use tokio::time::Instant;

use crate::certificate::{CERTIFICATE, KEY};
use crate::guardian::Guardian;
use crate::process::{Environment, Process, QUESTION};
use crate::secret::{Secret, write_private};
use crate::{ClusterError, ClusterPlan, StoreBinary, StoreTopology};

/// The silence that makes a primary dead while stores and sentinels start. A sentinel that comes
/// first tries again after a second only: with a shorter time it would begin a failover, whose end
/// cuts the connections of a cluster that is in use already.
const START_DOWN_AFTER: Duration = Duration::from_secs(60);
/// The service that the sentinels watch.
const SERVICE: &str = "main";
/// Slots of a store cluster.
const SLOTS: usize = 16_384;

/// The stores to start, and their places.
pub(crate) struct StoreLayout<'a> {
    pub(crate) plan: &'a ClusterPlan,
    pub(crate) binary: &'a StoreBinary,
    /// As many as the topology needs.
    pub(crate) ports: &'a [u16],
    /// Its directory has the certificate of stores behind TLS.
    pub(crate) guardian: &'a Guardian,
}

/// The stores that run, and their sentinels.
#[derive(Debug)]
pub(crate) struct StoreGroup {
    topology: StoreTopology,
    pub(crate) stores: Vec<Process>,
    pub(crate) sentinels: Vec<Process>,
    addresses: Vec<SocketAddr>,
    bus: Vec<u16>,
    pub(crate) url: StoreUrl,
    /// Text of the URL, with the password in clear.
    pub(crate) text: Secret,
}

impl StoreGroup {
    /// Starts the processes. They do not answer yet.
    pub(crate) fn start(layout: &StoreLayout<'_>) -> Result<Self, ClusterError> {
        let topology = layout.plan.topology;
        let local = |port: &u16| SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
        let (store_ports, others) = layout.ports.split_at(topology.stores());
        let list = |ports: &[u16]| {
            let addresses: Vec<_> = ports.iter().map(|port| local(port).to_string()).collect();
            addresses.join(",")
        };
        let (kind, places) = match topology {
            StoreTopology::Single => ("", list(store_ports)),
            StoreTopology::Cluster { .. } => ("+cluster", list(store_ports)),
            StoreTopology::Sentinel { .. } => ("+sentinel", format!("{}/{SERVICE}", list(others))),
        };
        let scheme = if layout.plan.tls { "rediss" } else { "redis" };
        let password = layout.plan.password.as_ref();
        let login = password.map(|p| format!(":{p}@")).unwrap_or_default();
        let text = format!("{scheme}{kind}://{login}{places}");
        let mut url: StoreUrl = text.parse()?;
        if layout.plan.tls {
            url = url.trusting(&layout.guardian.directory().join(CERTIFICATE))?;
        }
        let mut group = Self {
            topology,
            stores: Vec::new(),
            sentinels: Vec::new(),
            addresses: store_ports.iter().map(local).collect(),
            bus: match topology {
                StoreTopology::Cluster { .. } => others.to_vec(),
                StoreTopology::Single | StoreTopology::Sentinel { .. } => Vec::new(),
            },
            url,
            text: Secret(text),
        };
        for number in 0..topology.stores() {
            group.stores.push(group.start_store(layout, number)?);
        }
        if let StoreTopology::Sentinel { .. } = topology {
            for number in 0..others.len() {
                let silence = START_DOWN_AFTER.as_millis();
                let sentinel = start_sentinel(layout, store_ports, others, number, silence)?;
                group.sentinels.push(sentinel);
            }
        }
        Ok(group)
    }

    fn start_store(
        &self,
        layout: &StoreLayout<'_>,
        number: usize,
    ) -> Result<Process, ClusterError> {
        let name = match number {
            0 => "store".to_owned(),
            _ => format!("store-{}", number + 1),
        };
        // A replica writes the state of its primary there, under a name that is always the same.
        let place = layout.guardian.directory().join(format!("{name}.data"));
        let what = format!("create {}", place.display());
        std::fs::create_dir(&place).map_err(ClusterError::io(what))?;
        let mut arguments = Vec::new();
        if let Some(password) = &layout.plan.password {
            let password = quoted(password);
            let lines = [
                format!("requirepass {password}"),
                format!("masterauth {password}"),
            ];
            arguments.push(configuration(layout, &name, &lines)?);
        }
        let mut options = listening(layout, self.addresses[number].port());
        options.extend([
            ("bind", "127.0.0.1".to_owned()),
            ("save", String::new()),
            ("appendonly", "no".into()),
            ("daemonize", "no".into()),
            ("repl-diskless-sync-delay", "0".into()),
            ("dir", place.display().to_string()),
        ]);
        match self.topology {
            StoreTopology::Cluster { .. } => options.extend([
                ("cluster-enabled", "yes".to_owned()),
                ("cluster-config-file", "members.conf".into()),
                ("cluster-node-timeout", "1000".into()),
                // A primary that is away takes its own slots along, and not those of the others.
                ("cluster-require-full-coverage", "no".into()),
                ("cluster-port", self.bus[number].to_string()),
            ]),
            StoreTopology::Sentinel { .. } if number > 0 => {
                let primary = format!("127.0.0.1 {}", self.addresses[0].port());
                options.push(("replicaof", primary));
            }
            StoreTopology::Single | StoreTopology::Sentinel { .. } => {}
        }
        let flags = options.into_iter();
        arguments.extend(flags.flat_map(|(name, value)| [format!("--{name}"), value]));
        let (program, environment) = (layout.binary.path(), Environment::new());
        Process::start(&name, program, arguments, environment, layout.guardian)
    }

    pub(crate) fn store(&self, number: usize) -> Result<&Process, ClusterError> {
        self.stores
            .get(number)
            .ok_or(ClusterError::NoSuchStore(number))
    }

    pub(crate) fn store_mut(&mut self, number: usize) -> Result<&mut Process, ClusterError> {
        self.stores
            .get_mut(number)
            .ok_or(ClusterError::NoSuchStore(number))
    }

    /// The own URL of one store, by its number: the primaries come first.
    pub(crate) fn member(&self, number: usize) -> Result<StoreUrl, ClusterError> {
        let address = self.addresses.get(number);
        let address = address.ok_or(ClusterError::NoSuchStore(number))?;
        Ok(self.url.member(&address.to_string())?)
    }

    /// The text of the URL of a single store behind a proxy.
    pub(crate) fn by_way_of(&self, proxy: SocketAddr) -> Secret {
        let direct = format!("{}", self.addresses[0]);
        Secret(self.text.0.replace(&direct, &proxy.to_string()))
    }

    /// Makes a cluster of the stores where they should be one, and waits until all of them are
    /// ready.
    pub(crate) async fn ready(&mut self, until: Instant) -> Result<(), ClusterError> {
        for number in 0..self.stores.len() {
            self.answers(number, until).await?;
        }
        match self.topology {
            StoreTopology::Single => Ok(()),
            StoreTopology::Cluster { .. } => {
                self.join().await?;
                self.attach(until).await?;
                self.serves(until).await
            }
            StoreTopology::Sentinel { down_after } => self.sentinels_agree(down_after, until).await,
        }
    }

    /// The run ids of the primaries, separated by commas.
    pub(crate) async fn run_ids(&self) -> Result<String, ClusterError> {
        let mut ids = Vec::new();
        for number in 0..self.topology.primaries() {
            let info: String = self.ask(number, &["INFO", "server"]).await?;
            let id = info.lines().find_map(|line| line.strip_prefix("run_id:"));
            ids.extend(id.map(|id| id.trim().to_owned()));
        }
        Ok(ids.join(","))
    }

    /// Waits until one store answers.
    pub(crate) async fn answers(
        &mut self,
        number: usize,
        until: Instant,
    ) -> Result<(), ClusterError> {
        while let Err(error) = self.ask::<String>(number, &["PING"]).await {
            self.stores[number]
                .not_yet(until, error.to_string())
                .await?;
        }
        self.stores[number].still_runs()
    }

    async fn ask<T: FromRedisValue>(
        &self,
        number: usize,
        words: &[&str],
    ) -> Result<T, ClusterError> {
        ask(&self.member(number)?, words).await
    }

    /// Gives each primary its slots, and introduces all stores to the first.
    async fn join(&self) -> Result<(), ClusterError> {
        let primaries = self.topology.primaries();
        let first_slot = |number: usize| number * SLOTS / primaries;
        for number in 0..primaries {
            let epoch = (number + 1).to_string();
            let from = first_slot(number).to_string();
            let to = (first_slot(number + 1) - 1).to_string();
            for words in [
                &["CLUSTER", "SET-CONFIG-EPOCH", &epoch][..],
                &["CLUSTER", "ADDSLOTSRANGE", &from, &to],
            ] {
                self.ask::<()>(number, words).await?;
            }
        }
        for (address, bus) in self.addresses.iter().zip(&self.bus).skip(1) {
            let (port, bus) = (address.port().to_string(), bus.to_string());
            let words = ["CLUSTER", "MEET", "127.0.0.1", &port, &bus];
            self.ask::<()>(0, &words).await?;
        }
        Ok(())
    }

    /// Makes the other stores replicas, each of its primary.
    async fn attach(&mut self, until: Instant) -> Result<(), ClusterError> {
        let primaries = self.topology.primaries();
        for number in primaries..self.addresses.len() {
            let id: String = self.ask(number - primaries, &["CLUSTER", "MYID"]).await?;
            while let Err(error) = self.ask::<()>(number, &["CLUSTER", "REPLICATE", &id]).await {
                self.stores[number]
                    .not_yet(until, error.to_string())
                    .await?;
            }
        }
        Ok(())
    }

    /// Waits until every store knows all others and serves, and every replica follows its primary.
    async fn serves(&mut self, until: Instant) -> Result<(), ClusterError> {
        let all_known = format!("cluster_known_nodes:{}", self.addresses.len());
        for number in 0..self.addresses.len() {
            loop {
                let info: String = self.ask(number, &["CLUSTER", "INFO"]).await?;
                let follows = number < self.topology.primaries() || self.follows(number).await?;
                if info.contains("cluster_state:ok") && info.contains(&all_known) && follows {
                    break;
                }
                let why = info.lines().next().unwrap_or_default().trim().to_owned();
                self.stores[number].not_yet(until, why).await?;
            }
        }
        Ok(())
    }

    async fn follows(&self, number: usize) -> Result<bool, ClusterError> {
        let info: String = self.ask(number, &["INFO", "replication"]).await?;
        Ok(info.contains("master_link_status:up"))
    }

    /// Waits until the replica follows, and each sentinel knows it and the other sentinels. From
    /// then on they take a primary that is silent for `down_after` for dead.
    async fn sentinels_agree(
        &mut self,
        down_after: Duration,
        until: Instant,
    ) -> Result<(), ClusterError> {
        while !self.follows(1).await? {
            let why = "it does not follow its primary yet".into();
            self.stores[1].not_yet(until, why).await?;
        }
        for (sentinel, url) in self.sentinels.iter_mut().zip(self.url.sentinels()) {
            loop {
                let why = match ask(&url, &["SENTINEL", "MASTER", SERVICE]).await {
                    Ok::<HashMap<String, String>, _>(master) => {
                        let count = |name: &str| master.get(name)?.parse::<usize>().ok();
                        let (replicas, others) =
                            (count("num-slaves"), count("num-other-sentinels"));
                        let flags = master.get("flags").map_or("", String::as_str);
                        if (replicas, others, flags) == (Some(1), Some(2), "master") {
                            break;
                        }
                        format!(
                            "it has {replicas:?} replicas and {others:?} other sentinels, and its \
                             primary is {flags}"
                        )
                    }
                    Err(error) => error.to_string(),
                };
                sentinel.not_yet(until, why).await?;
            }
            let millis = down_after.as_millis().to_string();
            let set = [
                "SENTINEL",
                "SET",
                SERVICE,
                "down-after-milliseconds",
                &millis,
            ];
            ask::<()>(&url, &set).await?;
        }
        Ok(())
    }
}

fn start_sentinel(
    layout: &StoreLayout<'_>,
    stores: &[u16],
    sentinels: &[u16],
    number: usize,
    silence_ms: u128,
) -> Result<Process, ClusterError> {
    let name = format!("sentinel-{}", number + 1);
    let own = sentinels[number];
    let mut options = listening(layout, own);
    options.extend([
        ("bind", "127.0.0.1".into()),
        ("dir", layout.guardian.directory().display().to_string()),
    ]);
    let mut lines: Vec<String> = options
        .into_iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    lines.extend([
        format!("sentinel monitor {SERVICE} 127.0.0.1 {} 2", stores[0]),
        format!("sentinel down-after-milliseconds {SERVICE} {silence_ms}"),
        format!("sentinel failover-timeout {SERVICE} 3000"),
        // A replica that is discovered takes up to ten seconds, and other sentinels take two.
        format!("sentinel known-replica {SERVICE} 127.0.0.1 {}", stores[1]),
        format!("sentinel myid {}", sentinel_id(own)),
    ]);
    lines.extend(
        sentinels
            .iter()
            .filter(|other| **other != own)
            .map(|other| {
                let id = sentinel_id(*other);
                format!("sentinel known-sentinel {SERVICE} 127.0.0.1 {other} {id}")
            }),
    );
    let password = layout.plan.password.as_deref();
    lines.extend(password.map(|p| format!("sentinel auth-pass {SERVICE} {}", quoted(p))));
    let file = configuration(layout, &name, &lines)?;
    let (program, environment) = (layout.binary.path(), Environment::new());
    let arguments = vec![file, "--sentinel".into()];
    Process::start(&name, program, arguments, environment, layout.guardian)
}

async fn ask<T: FromRedisValue>(url: &StoreUrl, words: &[&str]) -> Result<T, ClusterError> {
    let mut command = cmd(words[0]);
    command.arg(&words[1..]);
    Ok(Link::new(url.clone()).query(&command, QUESTION).await?)
}

/// Writes the configuration of a process, and returns the path of the file.
fn configuration(
    layout: &StoreLayout<'_>,
    name: &str,
    lines: &[String],
) -> Result<String, ClusterError> {
    let file = layout.guardian.directory().join(format!("{name}.conf"));
    let path = file.display().to_string();
    write_private(&file, &(lines.join("\n") + "\n"))
        .map_err(ClusterError::io(format!("write {path}")))?;
    Ok(path)
}

/// The options of a store or sentinel that listens on `port`, with TLS to the others where it is
/// behind TLS itself.
fn listening(layout: &StoreLayout<'_>, port: u16) -> Vec<(&'static str, String)> {
    if !layout.plan.tls {
        return vec![("port", port.to_string())];
    }
    let file = |name: &str| layout.guardian.directory().join(name).display().to_string();
    vec![
        ("port", "0".into()),
        ("tls-port", port.to_string()),
        ("tls-cert-file", file(CERTIFICATE)),
        ("tls-key-file", file(KEY)),
        ("tls-ca-cert-file", file(CERTIFICATE)),
        ("tls-auth-clients", "no".into()),
        ("tls-replication", "yes".into()),
        ("tls-cluster", "yes".into()),
    ]
}

/// The id of the sentinel that listens on `port`: 40 hexadecimal digits.
fn sentinel_id(port: u16) -> String {
    format!("{port:040x}")
}

/// The password with every byte escaped: no character of it has a meaning.
fn quoted(password: &str) -> String {
    let escaped: String = password
        .bytes()
        .map(|byte| format!("\\x{byte:02x}"))
        .collect();
    format!("\"{escaped}\"")
}
