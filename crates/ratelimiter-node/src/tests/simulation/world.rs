//! The world of a run: it moves the time, the messages and the faults on, step by step.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, StatusCode};
use parking_lot::Mutex;
use ratelimiter_api::{LimitSpec, Outcome};

use super::clock;
use super::fault::Fault;
use super::host::SimulatedHost;
use super::network::{NetMessage, Network};
use super::noise::Noise;
use super::plan::{PlannedCheck, RunPlan};
use super::records::{LimitEvent, RunRecords};
use super::store::{Database, MemoryStore, Reply, ScriptEngine, Text};
use crate::{Config, NodeSettings};

/// One step of time: long beside the work of a node, short beside every interval and deadline.
const STEP_US: u64 = 5_000;
/// The store's clock at the begin.
const WALL_US: u64 = 1_790_000_000_000_000;
/// Commands that pass while the store takes no writes.
const READS: [&[u8]; 11] = [
    b"TIME",
    b"GET",
    b"HGET",
    b"HMGET",
    b"HGETALL",
    b"ZCOUNT",
    b"ZRANGEBYSCORE",
    b"ZSCORE",
    b"ZMSCORE",
    b"ZRANGE",
    b"INFO",
];

/// Requests to the store, each with its time.
pub(crate) type Traffic = Vec<(u64, Vec<Text>)>;

/// The end of a fault, or a part of it that comes later.
#[derive(Clone, Copy, Debug)]
enum Later {
    Begin(usize),
    LinkHealed(usize),
    NodeStarts(usize),
    StoreBack,
    WritesPass,
    ClockBack(i64),
    Snapshot(usize),
    LimitSet { key: usize, node: usize },
}

pub(crate) struct World<'a> {
    plan: &'a RunPlan,
    now_us: u64,
    hosts: Vec<SimulatedHost>,
    network: Network,
    store: MemoryStore,
    clock_offset_us: i64,
    /// Requests that wait until the store takes writes, if it takes none.
    held: Option<Vec<(u64, Vec<Text>)>>,
    store_is_away: bool,
    snapshots: BTreeMap<usize, Database>,
    later: BTreeMap<(u64, u64), Later>,
    scheduled: u64,
    records: Arc<Mutex<RunRecords>>,
    noise: Noise,
    /// Requests with the store's time, where they are asked for.
    pub(crate) traffic: Option<Traffic>,
}

impl<'a> World<'a> {
    pub(crate) fn new(plan: &'a RunPlan, engine: &Rc<ScriptEngine>) -> Self {
        let noise = Noise(plan.seed);
        let nodes = plan.rates_ppm.len();
        let hosts = plan
            .rates_ppm
            .iter()
            .map(|rate| SimulatedHost::new(*rate))
            .collect();
        let mut world = Self {
            plan,
            now_us: 0,
            hosts,
            network: Network::new(nodes, noise, STEP_US),
            store: MemoryStore::new(Rc::clone(engine), WALL_US),
            clock_offset_us: 0,
            held: None,
            store_is_away: false,
            snapshots: BTreeMap::new(),
            later: BTreeMap::new(),
            scheduled: 0,
            records: Arc::default(),
            noise,
            traffic: None,
        };
        for node in 0..nodes {
            world.after(
                world.noise.of(node as u64, 2) % 100_000,
                Later::NodeStarts(node),
            );
        }
        for key in 0..plan.limits.len() {
            world.after(600_000, Later::LimitSet { key, node: 0 });
        }
        for (place, planned) in plan.faults.iter().enumerate() {
            world.after(planned.at_us, Later::Begin(place));
            if let Fault::Failover { lost_us } = planned.fault {
                world.after(planned.at_us - lost_us, Later::Snapshot(place));
            }
        }
        world
    }

    /// Runs to the end.
    pub(crate) fn run(mut self) -> (RunRecords, Option<Traffic>) {
        let mut checks = self.plan.checks.iter().peekable();
        while self.now_us < self.plan.end_us + 500_000 {
            while let Some(entry) = self.later.first_entry()
                && entry.key().0 <= self.now_us
            {
                let later = entry.remove();
                self.happen(later);
            }
            self.exchange();
            while let Some(check) = checks.next_if(|check| check.at_us <= self.now_us) {
                self.check(*check);
            }
            let until_us = self.now_us + STEP_US;
            for host in &mut self.hosts {
                host.run_until(self.now_us, until_us);
            }
            self.now_us = until_us;
            self.network.collect(self.now_us);
        }
        for host in &mut self.hosts {
            host.kill();
        }
        let records = std::mem::take(&mut *self.records.lock());
        (records, self.traffic)
    }

    fn after(&mut self, at_us: u64, later: Later) {
        self.scheduled += 1;
        self.later.insert((at_us, self.scheduled), later);
    }

    /// Moves messages on.
    fn exchange(&mut self) {
        while let Some((at_us, message)) = self.network.arrived(self.now_us) {
            match message {
                NetMessage::Reply { connection, bytes } => self.network.deliver(connection, &bytes),
                NetMessage::Request {
                    connection,
                    request,
                } => {
                    self.receive(at_us, connection, request);
                }
            }
        }
    }

    fn receive(&mut self, at_us: u64, connection: u64, request: Vec<Text>) {
        if self.store_is_away {
            return;
        }
        if let Some(held) = &mut self.held {
            let waits = held.iter().any(|(other, _)| *other == connection);
            if waits || !READS.contains(&request[0].to_ascii_uppercase().as_slice()) {
                held.push((connection, request));
                return;
            }
        }
        let wall_us = (WALL_US + at_us).saturating_add_signed(self.clock_offset_us);
        self.store.database.now_us = wall_us;
        let reply = self.store.answer(&request);
        if let Reply::Error(text) = &reply {
            let untaught = [
                "wrong number of arguments",
                "syntax error",
                "Unknown command",
            ];
            let untaught = untaught.iter().any(|part| text.contains(part));
            assert!(!untaught, "the simulated store cannot {request:?}: {text}");
        }
        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        if let Some(traffic) = &mut self.traffic {
            traffic.push((wall_us, request));
        }
        self.network.reply(at_us, connection, bytes);
    }

    fn start(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        if host.is_running() {
            return;
        }
        let url: ratelimiter_store::StoreUrl = "redis://store:6379".parse().unwrap();
        let url = url.dialed_by(self.network.dialer(node));
        let listen = "127.0.0.1:0".parse().unwrap();
        clock::set_system(WALL_US + self.now_us);
        let limits = if self.plan.files[node] {
            self.plan.limits.clone()
        } else {
            Vec::new()
        };
        // It is given at the first start alone.
        let new_store = (host.lives == 0).then(|| format!("{:040x}", 1));
        let new_store = new_store.into_iter().collect();
        let settings = NodeSettings {
            advertise: Some(format!("node-{node}:80")),
            sync_interval: std::time::Duration::from_millis(self.plan.sync_ms),
            limits,
            new_store,
            ..NodeSettings::new(format!("node-{node}"), listen, url)
        };
        let mut config = Config::new(settings).unwrap();
        config.random = self.noise.of(node as u64, 1000 + host.lives);
        host.start(self.now_us, config);
        let mut records = self.records.lock();
        records.begin_life(self.now_us);
        if self.plan.files[node] {
            for (key, spec) in self.plan.limits.iter().enumerate() {
                let limit = u32::try_from(spec.limit).unwrap();
                records.in_file(key, limit, self.now_us);
            }
        }
    }

    fn check(&mut self, check: PlannedCheck) {
        let Some((api, time, runtime)) = self.hosts[check.node].serving(self.now_us) else {
            return;
        };
        let key = &self.plan.limits[check.key].key;
        let body = format!(r#"{{"key":"{key}","cost":{}}}"#, check.cost);
        let (api, records) = (Arc::clone(api), Arc::clone(&self.records));
        runtime.spawn(async move {
            let operation = records.lock().invoke(check, time.now_us());
            let status = api
                .handle(request(Method::POST, "/check", body))
                .await
                .status();
            let outcome = match status {
                StatusCode::OK => Outcome::Allowed,
                StatusCode::TOO_MANY_REQUESTS => Outcome::Denied,
                _ => Outcome::Failed,
            };
            records.lock().complete(operation, time.now_us(), outcome);
        });
    }

    /// Asks a node for a change of a limit.
    fn change(&mut self, node: usize, key: usize, event: LimitEvent) {
        let Some((api, time, runtime)) = self.hosts[node].serving(self.now_us) else {
            // Nobody is there to be asked: another node is.
            return;
        };
        let spec = &self.plan.limits[key];
        let name = &spec.key;
        let (method, path, body) = match event {
            LimitEvent::Set(limit) => {
                let spec = LimitSpec {
                    limit: limit.into(),
                    ..spec.clone()
                };
                (
                    Method::POST,
                    "/limit".to_owned(),
                    serde_json::to_string(&spec).unwrap(),
                )
            }
            LimitEvent::Deleted => (Method::DELETE, format!("/limits/{name}"), String::new()),
            LimitEvent::Reset => (
                Method::POST,
                format!("/counters/{name}/reset"),
                String::new(),
            ),
        };
        let (api, records) = (Arc::clone(api), Arc::clone(&self.records));
        runtime.spawn(async move {
            let change = records.lock().request(key, event, time.now_us());
            let status = api.handle(request(method, &path, body)).await.status();
            if status.is_success() {
                records.lock().acknowledge(change, time.now_us());
            }
        });
    }

    fn cut_all(&mut self) {
        (0..self.hosts.len()).for_each(|node| self.network.cut(node));
    }

    fn store_leaves(&mut self, for_us: u64) {
        self.store_is_away = true;
        self.network.drop_requests();
        for node in 0..self.hosts.len() {
            self.network.link(node, |link| link.refused = true);
        }
        self.cut_all();
        self.held = self.held.take().map(|_| Vec::new());
        self.store.restart();
        self.after(self.now_us + for_us, Later::StoreBack);
    }

    /// Entries of a key, or those of the limits.
    fn entries(&mut self, part: &str) -> Vec<Text> {
        self.store.database.now_us =
            (WALL_US + self.now_us).saturating_add_signed(self.clock_offset_us);
        let names = self.store.database.names();
        let named = |name: &Text| String::from_utf8_lossy(name).contains(part);
        names.into_iter().filter(named).collect()
    }

    fn entry(&mut self, part: &str, place: usize) -> Option<Text> {
        let names = self.entries(part);
        let count = names.len().max(1);
        names.into_iter().nth(place % count)
    }

    fn tag(&self, key: usize) -> String {
        format!("{{{}}}", self.plan.limits[key].key)
    }

    fn happen(&mut self, later: Later) {
        match later {
            Later::Begin(place) => {
                let fault = self.plan.faults[place].fault.clone();
                self.begin(place, &fault);
            }
            Later::LinkHealed(node) => self.network.link(node, |link| {
                (link.silent, link.mute, link.delay_us) = (false, false, 0);
            }),
            Later::NodeStarts(node) => self.start(node),
            Later::StoreBack => {
                self.store_is_away = false;
                for node in 0..self.hosts.len() {
                    self.network.link(node, |link| link.refused = false);
                }
            }
            Later::WritesPass => {
                for (connection, request) in self.held.take().unwrap_or_default() {
                    self.receive(self.now_us, connection, request);
                }
            }
            Later::ClockBack(by_us) => self.clock_offset_us -= by_us,
            Later::Snapshot(place) => {
                self.snapshots.insert(place, self.store.database.clone());
            }
            Later::LimitSet { key, node } => {
                let limit = u32::try_from(self.plan.limits[key].limit).unwrap();
                self.change(node, key, LimitEvent::Set(limit));
            }
        }
    }

    fn begin(&mut self, place: usize, fault: &Fault) {
        let now_us = self.now_us;
        match *fault {
            Fault::Delay {
                node,
                extra_us,
                for_us,
            } => {
                self.network.link(node, |link| link.delay_us = extra_us);
                self.after(now_us + for_us, Later::LinkHealed(node));
            }
            Fault::Cut { node } => self.network.cut(node),
            Fault::Partition { node, for_us } => {
                self.network.link(node, |link| link.silent = true);
                self.after(now_us + for_us, Later::LinkHealed(node));
            }
            Fault::RepliesLost { node, for_us } => {
                self.network.link(node, |link| link.mute = true);
                self.after(now_us + for_us, Later::LinkHealed(node));
            }
            Fault::Kill { node, away_us } => {
                self.hosts[node].kill();
                self.after(now_us + away_us, Later::NodeStarts(node));
            }
            Fault::Stop { node, away_us } => {
                self.hosts[node].stop();
                // It takes less than two seconds.
                self.after(now_us + 2_000_000 + away_us, Later::NodeStarts(node));
            }
            Fault::Freeze { node, for_us } => {
                self.hosts[node].still_until_us = now_us + for_us;
            }
            Fault::WritesPaused { for_us } => {
                self.held.get_or_insert_default();
                self.after(now_us + for_us, Later::WritesPass);
            }
            Fault::StoreAway { for_us } => self.store_leaves(for_us),
            Fault::ScriptsFlushed => self.store.flush_scripts(),
            Fault::StoreEmptied { away_us } => {
                self.store.database.clear();
                self.store_leaves(away_us);
            }
            Fault::HostLost { node, away_us } => {
                self.store.database.clear();
                self.store_leaves(away_us);
                self.hosts[node].kill();
                self.after(now_us + away_us, Later::NodeStarts(node));
            }
            Fault::Failover { .. } => {
                self.store.database = self.snapshots.remove(&place).unwrap();
                self.store_leaves(100_000);
            }
            Fault::PartLost { key, part } => {
                if let Some(name) = self.entry(&self.tag(key), part) {
                    self.store.database.remove(&name);
                }
            }
            Fault::KeyLost { key } => {
                for name in self.entries(&self.tag(key)) {
                    self.store.database.remove(&name);
                }
            }
            Fault::Evicted { share } => {
                for (number, name) in self.entries("").into_iter().enumerate() {
                    if self.noise.of(place as u64, 5000 + number as u64) % 100 < share {
                        self.store.database.remove(&name);
                    }
                }
            }
            Fault::LimitsLost { part } => {
                if let Some(name) = self.entry("{ratelimiter}:limits", part) {
                    self.store.database.remove(&name);
                }
            }
            Fault::WrongType { key, part } => {
                if let Some(name) = self.entry(&self.tag(key), part) {
                    self.store.database.set(&name, b"other".to_vec(), None);
                }
            }
            Fault::ClockStep { by_us, for_us } => {
                self.clock_offset_us += by_us;
                if let Some(for_us) = for_us {
                    self.after(now_us + for_us, Later::ClockBack(by_us));
                }
            }
            Fault::LimitChanged { key, node, percent } => {
                let limit = u32::try_from(self.plan.limits[key].limit).unwrap();
                self.change(node, key, LimitEvent::Set((limit * percent / 100).max(1)));
            }
            Fault::CounterReset { key, node } => self.change(node, key, LimitEvent::Reset),
            Fault::LimitDeleted {
                key,
                node,
                after_us,
            } => {
                self.change(node, key, LimitEvent::Deleted);
                self.after(now_us + after_us, Later::LimitSet { key, node });
            }
        }
    }
}

fn request(method: Method, path: &str, body: String) -> Request<Full<Bytes>> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost");
    let request = request.header("content-type", "application/json");
    request.body(Full::new(Bytes::from(body))).unwrap()
}
