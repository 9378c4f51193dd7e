//! The store of a system: started here, a program of the user's, or one that runs already.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use cli_support::{WrongUsage, remark};
use ratelimiter_cluster::StoreTopology;
use ratelimiter_cluster::{ClusterPlan, LocalCluster, LocalProgram, ProgramPlan, ProgramSite};
use ratelimiter_store::{Link, StoreUrl};
use redis::{Cmd, FromRedisValue, cmd};
use tokio::time::Instant;

use super::file::{Places, StoreKindWord, StoreTable};
use crate::asked::words;

/// Deadline of one command.
const CONTROL: Duration = Duration::from_secs(1);
/// Time for a store to answer after its start.
const READY: Duration = Duration::from_secs(20);

/// A store and the right to break it.
pub(crate) struct SystemStore {
    /// The text of its URL, which may have a password.
    text: String,
    pub(crate) url: StoreUrl,
    link: Link,
    owned: OwnedStore,
    /// The words of the command that counts a key.
    count: Option<Vec<String>>,
}

/// The processes of a store.
enum OwnedStore {
    Local(Box<LocalCluster>),
    Program(LocalProgram),
    /// It was not started here.
    No,
}

impl SystemStore {
    pub(crate) async fn start(
        table: &StoreTable,
        site: &ProgramSite,
        port: u16,
    ) -> anyhow::Result<Self> {
        let places = Places(vec![("port", port.to_string())]);
        let given = (table.start, &table.command, &table.url);
        let (text, owned) = match given {
            (Some(kind), None, None) => {
                let plan = ClusterPlan {
                    topology: match kind {
                        StoreKindWord::Redis => StoreTopology::Single,
                        StoreKindWord::Sentinel => StoreTopology::SENTINEL,
                        StoreKindWord::Cluster => StoreTopology::Cluster { replicas: true },
                    },
                    progress: |what| remark(what),
                    ..ClusterPlan::default()
                };
                let local = plan.start_store().await?;
                (
                    local.store_url().to_string(),
                    OwnedStore::Local(Box::new(local)),
                )
            }
            (None, Some(command), url) => {
                let program = site.start(ProgramPlan {
                    name: "store".into(),
                    command: words(&places.fill(command)?)?,
                    environment: Vec::new(),
                    directory: Some(site.directory().to_owned()),
                })?;
                let url = url.as_deref().unwrap_or("redis://127.0.0.1:{port}");
                (places.fill(url)?, OwnedStore::Program(program))
            }
            (None, None, Some(url)) => (places.fill(url)?, OwnedStore::No),
            _ => {
                let why = "[store] needs one of start, command (perhaps with its url) and url";
                return Err(WrongUsage(why.into()).into());
            }
        };
        let url: StoreUrl = text.parse().map_err(WrongUsage::of)?;
        let count = table.count.as_deref().map(words).transpose()?;
        let mut store = Self {
            link: Link::new(url.clone()),
            text,
            url,
            owned,
            count,
        };
        store.answers().await?;
        Ok(store)
    }

    /// Whether one store is behind one address, so that a proxy can stand before it.
    pub(crate) fn is_single(&self) -> bool {
        self.url.kind() == ratelimiter_store::StoreKind::Single
    }

    /// The text of its URL, by way of a proxy if there is one.
    pub(crate) fn text(&self, proxy: Option<SocketAddr>) -> String {
        let Some(proxy) = proxy else {
            return self.text.clone();
        };
        let rest = self.text.split_once("://").map_or("", |(_, rest)| rest);
        let (login, place) = rest.rsplit_once('@').map_or(("", rest), |(l, p)| (l, p));
        let at = if login.is_empty() { "" } else { "@" };
        let database = place.find('/').map_or("", |slash| &place[slash..]);
        format!("redis://{login}{at}{proxy}{database}")
    }

    /// The reason why it may not be broken, if it may not.
    pub(crate) fn obstacle(&self) -> Option<&'static str> {
        matches!(self.owned, OwnedStore::No).then_some("the store was not started here")
    }

    /// Kills it without warning.
    pub(crate) fn kill(&mut self) {
        match &mut self.owned {
            OwnedStore::Local(local) => local.kill_store(),
            OwnedStore::Program(program) => program.kill(),
            OwnedStore::No => {}
        }
    }

    /// Starts every process again that does not run, and waits until all answer.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        match &mut self.owned {
            OwnedStore::Local(local) => {
                for member in 0..local.members() {
                    local.restart_member(member).await?;
                }
            }
            OwnedStore::Program(program) => {
                program.restart()?;
                self.answers().await?;
            }
            OwnedStore::No => {}
        }
        Ok(())
    }

    async fn answers(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + READY;
        loop {
            let error = match self.ask::<String>(&cmd("PING")).await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            match &mut self.owned {
                OwnedStore::Program(program) => program.not_yet(until, error.to_string()).await?,
                _ => return Err(error),
            }
        }
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> anyhow::Result<T> {
        let answer = self.link.query(command, CONTROL).await;
        answer.context("ask the store")
    }

    /// A line of `INFO server`, such as its run id.
    pub(crate) async fn info(&self, name: &str) -> anyhow::Result<String> {
        let info: String = self.ask(cmd("INFO").arg("server")).await?;
        let mut lines = info.lines().filter_map(|line| line.split_once(':'));
        let line = lines.find(|(n, _)| *n == name);
        Ok(line
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default())
    }

    /// The program and its version.
    pub(crate) async fn version(&self) -> anyhow::Result<String> {
        let valkey = self.info("valkey_version").await?;
        Ok(match valkey.as_str() {
            "" => format!("Redis {}", self.info("redis_version").await?),
            version => format!("Valkey {version}"),
        })
    }

    /// Deletes the keys whose names hold a text, or all; the number of keys that are gone.
    pub(crate) async fn delete(&self, text: Option<&str>) -> anyhow::Result<u64> {
        let Some(text) = text else {
            let before: u64 = self.ask(&cmd("DBSIZE")).await?;
            let _: String = self.ask(&cmd("FLUSHALL")).await?;
            return Ok(before);
        };
        let keys: Vec<Vec<u8>> = self.ask(cmd("KEYS").arg(format!("*{text}*"))).await?;
        if keys.is_empty() {
            return Ok(0);
        }
        self.ask(cmd("DEL").arg(keys)).await
    }

    /// Whether the file says how a key is counted.
    pub(crate) fn counts(&self) -> bool {
        self.count.is_some()
    }

    /// The count of a key; `None` when the store has none, or does not answer.
    pub(crate) async fn count_of(&self, key: &str) -> Option<i64> {
        let words = self.count.as_ref()?;
        let words: Vec<_> = words
            .iter()
            .map(|word| word.replace("{key}", key))
            .collect();
        let (first, rest) = words.split_first()?;
        let mut command = cmd(first);
        command.arg(rest);
        let answer: Option<i64> = self.link.at(key).query(&command, CONTROL).await.ok()?;
        answer
    }
}
