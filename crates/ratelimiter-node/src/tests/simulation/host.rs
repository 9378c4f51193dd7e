//! A machine that runs nodes, one after the other, each in a runtime of its own: it is driven step
//! by step, and so it can stand still, lose its state at any moment, and have a clock of its own
//! rate.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, advance, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::http::NodeApi;
use crate::{Config, NodeServer};

pub(crate) struct SimulatedHost {
    running: Option<RunningNode>,
    /// Parts per million by which its clock is fast.
    rate_ppm: i64,
    /// Time of the world until which it stands still.
    pub(crate) still_until_us: u64,
    /// Processes that have begun.
    pub(crate) lives: u64,
}

struct RunningNode {
    runtime: Runtime,
    api: Arc<OnceLock<Arc<NodeApi>>>,
    stop: CancellationToken,
    time: HostTime,
    ended: Arc<OnceLock<()>>,
}

/// The relation of a process's clock to the world's time.
#[derive(Clone, Copy)]
pub(crate) struct HostTime {
    began: Instant,
    began_us: u64,
    rate_ppm: i64,
}

impl HostTime {
    const MILLION: i64 = 1_000_000;

    fn at(self, world_us: u64) -> Instant {
        let elapsed = i128::from(world_us - self.began_us);
        let own = elapsed * i128::from(Self::MILLION + self.rate_ppm) / i128::from(Self::MILLION);
        self.began + Duration::from_micros(u64::try_from(own).unwrap())
    }

    /// The world's time, microseconds.
    pub(crate) fn now_us(self) -> u64 {
        let own = self.began.elapsed().as_micros().cast_signed();
        let elapsed = own * i128::from(Self::MILLION) / i128::from(Self::MILLION + self.rate_ppm);
        self.began_us + u64::try_from(elapsed).unwrap()
    }
}

impl SimulatedHost {
    pub(crate) fn new(rate_ppm: i64) -> Self {
        Self {
            running: None,
            rate_ppm,
            still_until_us: 0,
            lives: 0,
        }
    }

    /// Starts a node.
    pub(crate) fn start(&mut self, now_us: u64, config: Config) {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let (api, stop) = (Arc::<OnceLock<_>>::default(), CancellationToken::new());
        let ended = Arc::<OnceLock<()>>::default();
        let (own_api, own_stop, own_end) = (Arc::clone(&api), stop.clone(), Arc::clone(&ended));
        let began = runtime.block_on(async { Instant::now() });
        runtime.spawn(async move {
            // One that is refused, by a store that is just away, ends as a process would.
            if let Ok(server) = NodeServer::bind(config).await {
                assert!(own_api.set(server.api()).is_ok(), "it starts once");
                server.run(own_stop).await;
            }
            assert!(own_end.set(()).is_ok(), "it ends once");
        });
        let time = HostTime {
            began,
            began_us: now_us,
            rate_ppm: self.rate_ppm,
        };
        self.running = Some(RunningNode {
            runtime,
            api,
            stop,
            time,
            ended,
        });
        self.lives += 1;
    }

    /// Ends the process at once.
    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    /// Asks the process to end, which takes its time.
    pub(crate) fn stop(&mut self) {
        if let Some(node) = &self.running {
            node.stop.cancel();
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// The node's interface and its time, once it serves.
    pub(crate) fn serving(&self, now_us: u64) -> Option<(&Arc<NodeApi>, HostTime, &Runtime)> {
        let node = self
            .running
            .as_ref()
            .filter(|_| now_us >= self.still_until_us)?;
        Some((node.api.get()?, node.time, &node.runtime))
    }

    /// Runs until a time of the world. A host that stood still has missed what was due.
    pub(crate) fn run_until(&mut self, before_us: u64, until_us: u64) {
        if until_us <= self.still_until_us {
            return;
        }
        let Some(node) = &self.running else { return };
        let (from, until) = (node.time.at(before_us), node.time.at(until_us));
        node.runtime.block_on(async {
            let missed = from.saturating_duration_since(Instant::now());
            if !missed.is_zero() {
                advance(missed).await;
            }
            sleep_until(until).await;
        });
        if node.ended.get().is_some() {
            self.running = None;
        }
    }
}
