//! The processes of the store, in each of its topologies.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use ratelimiter_store::{Link, StoreUrl};
use redis::{FromRedisValue, cmd};
use tokio::time::{Instant, sleep};

use crate::certificate::{CERTIFICATE, KEY};
use crate::process::{Environment, POLL, Process, QUESTION};
use crate::secret::write_private;
use crate::{ClusterError, StoreBinary, StoreTopology};

/// The service that the sentinels watch.
const SERVICE: &str = "main";
/// Slots of a store cluster.
const SLOTS: usize = 16_384;

/// What is to be started, and where.
pub(crate) struct StoreLayout<'a> {
    pub(crate) topology: StoreTopology,
    pub(crate) binary: &'a StoreBinary,
    pub(crate) password: Option<&'a str>,
    /// Whether all of them are behind TLS, with the certificate in `directory`.
    pub(crate) tls: bool,
    /// As many as the topology needs.
    pub(crate) ports: &'a [u16],
    pub(crate) group: i32,
    pub(crate) directory: &'a Path,
}

/// The stores that run, and their sentinels.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) topology: StoreTopology,
    pub(crate) stores: Vec<Process>,
    pub(crate) sentinels: Vec<Process>,
    addresses: Vec<SocketAddr>,
    bus: Vec<u16>,
    pub(crate) url: StoreUrl,
}

impl Stores {
    /// Starts the processes. They do not answer yet.
    pub(crate) fn start(layout: &StoreLayout<'_>) -> Result<Self, ClusterError> {
        let StoreLayout {
            topology,
            password,
            ports,
            ..
        } = *layout;
        let local = |port: &u16| SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
        let (store_ports, others) = ports.split_at(topology.stores());
        let addresses: Vec<_> = store_ports.iter().map(local).collect();
        let list = |ports: &[u16]| {
            ports
                .iter()
                .map(|port| local(port).to_string())
                .collect::<Vec<_>>()
                .join(",")
        };
        let login = password.map(|p| format!(":{p}@")).unwrap_or_default();
        let scheme = if layout.tls { "rediss" } else { "redis" };
        let url = match topology {
            StoreTopology::Single => format!("{scheme}://{login}{}", list(store_ports)),
            StoreTopology::Cluster { .. } => {
                format!("{scheme}+cluster://{login}{}", list(store_ports))
            }
            StoreTopology::Sentinel { .. } => {
                format!("{scheme}+sentinel://{login}{}/{SERVICE}", list(others))
            }
        };
        let mut url: StoreUrl = url.parse()?;
        if layout.tls {
            url = url.trusting(&layout.directory.join(CERTIFICATE))?;
        }
        let bus = if matches!(topology, StoreTopology::Cluster { .. }) {
            others.to_vec()
        } else {
            Vec::new()
        };
        let mut all = Self {
            topology,
            stores: Vec::new(),
            sentinels: Vec::new(),
            addresses,
            bus,
            url,
        };
        for number in 0..topology.stores() {
            all.stores.push(all.start_store(layout, number)?);
        }
        if let StoreTopology::Sentinel { down_after } = topology {
            for (number, port) in others.iter().enumerate() {
                let name = format!("sentinel-{}", number + 1);
                let file = layout.directory.join(format!("{name}.conf"));
                let mut lines: Vec<String> = listening(layout, *port)
                    .into_iter()
                    .map(|(name, value)| format!("{name} {value}"))
                    .collect();
                lines.extend([
                    "bind 127.0.0.1".into(),
                    format!("dir {}", layout.directory.display()),
                    format!("sentinel monitor {SERVICE} 127.0.0.1 {} 2", store_ports[0]),
                    format!(
                        "sentinel down-after-milliseconds {SERVICE} {}",
                        down_after.as_millis()
                    ),
                    format!("sentinel failover-timeout {SERVICE} 3000"),
                    // Found by themselves, the replica takes up to ten seconds and the other
                    // sentinels two.
                    format!(
                        "sentinel known-replica {SERVICE} 127.0.0.1 {}",
                        store_ports[1]
                    ),
                    format!("sentinel myid {}", sentinel_id(*port)),
                ]);
                lines.extend(others.iter().filter(|other| *other != port).map(|other| {
                    format!(
                        "sentinel known-sentinel {SERVICE} 127.0.0.1 {other} {}",
                        sentinel_id(*other)
                    )
                }));
                lines.extend(
                    password.map(|p| format!("sentinel auth-pass {SERVICE} {}", quoted(p))),
                );
                write_private(&file, &lines)?;
                let arguments = vec![file.display().to_string(), "--sentinel".into()];
                let program = layout.binary.path();
                let environment = Environment::new();
                all.sentinels.push(Process::start(
                    &name,
                    program,
                    arguments,
                    environment,
                    layout.group,
                    layout.directory,
                )?);
            }
        }
        Ok(all)
    }

    fn start_store(
        &self,
        layout: &StoreLayout<'_>,
        number: usize,
    ) -> Result<Process, ClusterError> {
        let name = if number == 0 {
            "store".to_owned()
        } else {
            format!("store-{}", number + 1)
        };
        // A replica writes the state of its primary there, under a name that is always the same.
        let place = layout.directory.join(format!("{name}.data"));
        std::fs::create_dir(&place)
            .map_err(ClusterError::io(format!("create {}", place.display())))?;
        let mut arguments: Vec<String> = Vec::new();
        if let Some(password) = layout.password {
            let file = layout.directory.join(format!("{name}.conf"));
            let password = quoted(password);
            write_private(
                &file,
                &[
                    format!("requirepass {password}"),
                    format!("masterauth {password}"),
                ],
            )?;
            arguments.push(file.display().to_string());
        }
        let listening = listening(layout, self.addresses[number].port());
        arguments.extend(
            listening
                .into_iter()
                .flat_map(|(name, value)| [format!("--{name}"), value]),
        );
        let place = place.display().to_string();
        let mut options = vec![
            ("--bind", "127.0.0.1".to_owned()),
            ("--save", String::new()),
            ("--appendonly", "no".into()),
            ("--daemonize", "no".into()),
            ("--repl-diskless-sync-delay", "0".into()),
            ("--dir", place),
        ];
        match self.topology {
            StoreTopology::Single => {}
            StoreTopology::Cluster { .. } => options.extend([
                ("--cluster-enabled", "yes".to_owned()),
                ("--cluster-config-file", "members.conf".into()),
                ("--cluster-node-timeout", "1000".into()),
                // One primary that is away takes its own slots along, and not those of the others.
                ("--cluster-require-full-coverage", "no".into()),
                ("--cluster-port", self.bus[number].to_string()),
            ]),
            StoreTopology::Sentinel { .. } if number > 0 => {
                options.push((
                    "--replicaof",
                    format!("127.0.0.1 {}", self.addresses[0].port()),
                ));
            }
            StoreTopology::Sentinel { .. } => {}
        }
        arguments.extend(
            options
                .into_iter()
                .flat_map(|(flag, value)| [flag.to_owned(), value]),
        );
        let (program, environment) = (layout.binary.path(), Environment::new());
        Process::start(
            &name,
            program,
            arguments,
            environment,
            layout.group,
            layout.directory,
        )
    }

    /// One store, by its number: the primaries come first.
    pub(crate) fn member(&self, number: usize) -> Result<StoreUrl, ClusterError> {
        let address = self
            .addresses
            .get(number)
            .ok_or(ClusterError::NoSuchStore(number))?;
        Ok(self.url.member(&address.to_string())?)
    }

    /// The URL for a node, with the password in clear.
    pub(crate) fn node_url(&self, login: &str) -> String {
        self.url
            .to_string()
            .replacen("//:***@", &format!("//{login}"), 1)
    }

    /// The place where a single store listens.
    pub(crate) fn first(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Makes a cluster of the stores where they should be one, and waits until all of them are of
    /// use.
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
            StoreTopology::Sentinel { .. } => self.watched(until).await,
        }
    }

    /// Waits until one store answers.
    pub(crate) async fn answers(
        &mut self,
        number: usize,
        until: Instant,
    ) -> Result<(), ClusterError> {
        let link = Link::new(self.member(number)?);
        loop {
            let why = match link.query::<String>(&cmd("PING"), QUESTION).await {
                Ok(_) => return self.stores[number].still_runs(),
                Err(error) => error.to_string(),
            };
            self.stores[number].still_runs()?;
            wait(until, self.stores[number].name(), why).await?;
        }
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
        for number in 0..primaries {
            let (from, to) = (
                number * SLOTS / primaries,
                (number + 1) * SLOTS / primaries - 1,
            );
            let epoch = (number + 1).to_string();
            self.ask::<()>(number, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch])
                .await?;
            self.ask::<()>(
                number,
                &[
                    "CLUSTER",
                    "ADDSLOTSRANGE",
                    &from.to_string(),
                    &to.to_string(),
                ],
            )
            .await?;
        }
        for (address, bus) in self.addresses.iter().zip(&self.bus).skip(1) {
            let (port, bus) = (address.port().to_string(), bus.to_string());
            self.ask::<()>(0, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus])
                .await?;
        }
        Ok(())
    }

    /// Makes the other stores replicas, each of its primary.
    async fn attach(&self, until: Instant) -> Result<(), ClusterError> {
        let primaries = self.topology.primaries();
        for number in primaries..self.addresses.len() {
            let id: String = self.ask(number - primaries, &["CLUSTER", "MYID"]).await?;
            while let Err(error) = self.ask::<()>(number, &["CLUSTER", "REPLICATE", &id]).await {
                wait(until, self.stores[number].name(), error.to_string()).await?;
            }
        }
        Ok(())
    }

    /// Every store knows all others and serves, and every replica follows its primary.
    async fn serves(&self, until: Instant) -> Result<(), ClusterError> {
        let known = format!("cluster_known_nodes:{}", self.addresses.len());
        for number in 0..self.addresses.len() {
            loop {
                let info: String = self.ask(number, &["CLUSTER", "INFO"]).await?;
                let follows = number < self.topology.primaries() || self.follows(number).await?;
                if info.contains("cluster_state:ok") && info.contains(&known) && follows {
                    break;
                }
                let why = info.lines().next().unwrap_or_default().trim().to_owned();
                wait(until, self.stores[number].name(), why).await?;
            }
        }
        Ok(())
    }

    async fn follows(&self, number: usize) -> Result<bool, ClusterError> {
        let info: String = self.ask(number, &["INFO", "replication"]).await?;
        Ok(info.contains("master_link_status:up"))
    }

    /// The replica follows, and each sentinel knows it and the other sentinels.
    async fn watched(&mut self, until: Instant) -> Result<(), ClusterError> {
        while !self.follows(1).await? {
            wait(
                until,
                self.stores[1].name(),
                "it does not follow its primary yet".into(),
            )
            .await?;
        }
        for (sentinel, url) in self.sentinels.iter_mut().zip(self.url.sentinels()) {
            loop {
                let master: Result<HashMap<String, String>, _> =
                    ask(&url, &["SENTINEL", "MASTER", SERVICE]).await;
                let why = match master {
                    Ok(master) => {
                        let count =
                            |name: &str| master.get(name).and_then(|n| n.parse::<usize>().ok());
                        let (replicas, others) =
                            (count("num-slaves"), count("num-other-sentinels"));
                        if (replicas, others) == (Some(1), Some(2)) {
                            break;
                        }
                        format!("it knows of {replicas:?} replicas and {others:?} other sentinels")
                    }
                    Err(error) => error.to_string(),
                };
                sentinel.still_runs()?;
                wait(until, sentinel.name(), why).await?;
            }
        }
        Ok(())
    }
}

async fn ask<T: FromRedisValue>(url: &StoreUrl, words: &[&str]) -> Result<T, ClusterError> {
    let mut command = cmd(words[0]);
    command.arg(&words[1..]);
    Ok(Link::new(url.clone()).query(&command, QUESTION).await?)
}

async fn wait(until: Instant, name: &str, why: String) -> Result<(), ClusterError> {
    if Instant::now() >= until {
        return Err(ClusterError::StoreNotReady {
            name: name.to_owned(),
            why,
        });
    }
    sleep(POLL).await;
    Ok(())
}

/// The options of a store or sentinel that listens on `port`, and reaches the others as it is
/// reached.
fn listening(layout: &StoreLayout<'_>, port: u16) -> Vec<(&'static str, String)> {
    if !layout.tls {
        return vec![("port", port.to_string())];
    }
    let file = |name: &str| layout.directory.join(name).display().to_string();
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

/// The name by which sentinels know one that listens on `port`: 40 hexadecimal digits.
fn sentinel_id(port: u16) -> String {
    format!("{port:040x}")
}

/// Escaped as a whole, so that no character of it has a meaning.
fn quoted(password: &str) -> String {
    let escaped: String = password
        .bytes()
        .map(|byte| format!("\\x{byte:02x}"))
        .collect();
    format!("\"{escaped}\"")
}
