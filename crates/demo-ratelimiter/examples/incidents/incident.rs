//! The incidents, and the faults that a seed makes of them.

use std::fmt;
use std::time::Duration;

use demo_ratelimiter::evidence::{CLIENTS, STORE, key_entity};
use diagnosis::Mechanism;
use ratelimiter_api::{CountingMode, Key, Limit, LimitError};
use ratelimiter_chaos::Multiplier;
use ratelimiter_cluster::Proxies;

use crate::rng::Rng;

/// Nodes of every cluster.
pub(crate) const NODES: usize = 3;

/// An incident of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Incident {
    StorePaused,
    Burst,
    NodeKilled,
    StoreKilled,
    StoreSlowed,
    LinkCut,
    RepliesLost,
    ReadOnly,
    LimitLowered,
    HighLoad,
    Nothing,
}

impl Incident {
    pub(crate) const ALL: [Self; 11] = [
        Self::StorePaused,
        Self::Burst,
        Self::NodeKilled,
        Self::StoreKilled,
        Self::StoreSlowed,
        Self::LinkCut,
        Self::RepliesLost,
        Self::ReadOnly,
        Self::LimitLowered,
        Self::HighLoad,
        Self::Nothing,
    ];

    /// Whether there is a cause to be named.
    pub(crate) fn has_cause(self) -> bool {
        !matches!(self, Self::HighLoad | Self::Nothing)
    }
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::StorePaused => "store takes no writes",
            Self::Burst => "burst over an idle key",
            Self::NodeKilled => "node killed",
            Self::StoreKilled => "store killed",
            Self::StoreSlowed => "store slowed",
            Self::LinkCut => "one node's link to the store cut",
            Self::RepliesLost => "replies to writes lost",
            Self::ReadOnly => "store answers READONLY",
            Self::LimitLowered => "limit lowered",
            Self::HighLoad => "high, legitimate load",
            Self::Nothing => "nothing at all",
        })
    }
}

/// A fault of the cluster.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    None,
    Pause,
    Burst {
        key: Key,
        limit: Limit,
        multiplier: Multiplier,
    },
    KillNode(usize),
    KillStore,
    /// A rule of the proxies between nodes and store, in its text form.
    Rule {
        rule: String,
        proxies: Proxies,
    },
    SetLimit {
        key: Key,
        limit: Limit,
    },
    MoreLoad {
        rate: f64,
    },
}

/// One run, decided by its seed.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) incident: Incident,
    pub(crate) seed: u64,
    pub(crate) counting: CountingMode,
    /// Every key, and its limit.
    pub(crate) limits: Vec<(Key, Limit)>,
    /// The keys of the steady workload, and the checks a second of each.
    pub(crate) busy: Vec<Key>,
    pub(crate) rate: f64,
    pub(crate) fault: Fault,
    /// How long the workload runs before.
    pub(crate) before: Duration,
    /// How long the cluster is observed after.
    pub(crate) after: Duration,
    /// What a right answer names: entity and mechanism. Nothing where nothing is wrong.
    pub(crate) truth: Option<(String, Mechanism)>,
}

impl Plan {
    pub(crate) fn new(incident: Incident, seed: u64) -> Result<Self, LimitError> {
        let mut rng = Rng::new(seed.wrapping_mul(1_000).wrapping_add(incident as u64));
        let names = ["api-users", "api-orders", "api-products", "api-search"];
        let keys = names[..rng.whole(2, 4) as usize].iter().map(Key::new);
        let busy: Vec<Key> = keys.collect::<Result<_, _>>().expect("the names are valid");
        let rate = rng.between(10.0, 22.0).round();
        let window = if incident == Incident::LimitLowered {
            2
        } else {
            rng.whole(2, 4)
        };
        let growth = if incident == Incident::HighLoad {
            rng.between(2.0, 5.0)
        } else {
            1.0
        };
        let demand = rate * f64::from(window) * growth;
        let limit = Limit::new(
            (demand * rng.between(1.3, 2.5)).ceil() as i64,
            window.into(),
        )?;
        let mut limits: Vec<_> = busy.iter().map(|key| (key.clone(), limit)).collect();
        let mut counting = if seed.is_multiple_of(2) {
            CountingMode::Cached
        } else {
            CountingMode::Atomic
        };
        let node = rng.whole(0, NODES as u32 - 1) as usize;
        let before = Duration::from_secs_f64(rng.between(5.0, 7.0));
        let mut after = Duration::from_secs_f64(rng.between(4.0, 5.0));

        let (fault, truth) = match incident {
            Incident::StorePaused => (
                Fault::Pause,
                Some((STORE.to_owned(), Mechanism::StoppedAcceptingChanges)),
            ),
            Incident::Burst => {
                // A store that decides every check itself lets no burst pass.
                counting = CountingMode::Cached;
                let key = Key::new("api-batch").expect("the name is valid");
                let limit = Limit::new(rng.whole(10, 40).into(), rng.whole(10, 60).into())?;
                limits.push((key.clone(), limit));
                let fault = Fault::Burst {
                    key,
                    limit,
                    multiplier: Multiplier::new(rng.whole(2, 6)).expect("within bounds"),
                };
                (
                    fault,
                    Some((CLIENTS.to_owned(), Mechanism::LoadOutranPropagation)),
                )
            }
            Incident::NodeKilled => (
                Fault::KillNode(node),
                Some((node_name(node), Mechanism::StoppedAnswering)),
            ),
            Incident::StoreKilled => (
                Fault::KillStore,
                Some((STORE.to_owned(), Mechanism::StoppedAnswering)),
            ),
            Incident::StoreSlowed => {
                // Who asks the store at every check is who notices; checks have to be slow for 5 s
                // to be called so.
                counting = CountingMode::Atomic;
                after = Duration::from_secs_f64(rng.between(8.0, 9.0));
                let rule = format!("do=delay by={}ms", rng.whole(120, 300));
                let fault = Fault::Rule {
                    rule,
                    proxies: Proxies::Shared,
                };
                (fault, Some((STORE.to_owned(), Mechanism::SlowedDown)))
            }
            Incident::LinkCut => {
                let rule = format!(
                    "link={} do={}",
                    node_name(node),
                    rng.one_of(&["silence", "refuse"])
                );
                let fault = Fault::Rule {
                    rule,
                    proxies: Proxies::PerNode,
                };
                (fault, Some((node_name(node), Mechanism::LostPath)))
            }
            Incident::RepliesLost => {
                let rule = "class=write,script do=swallow-reply".to_owned();
                let fault = Fault::Rule {
                    rule,
                    proxies: Proxies::PerNode,
                };
                (
                    fault,
                    Some((STORE.to_owned(), Mechanism::ConfirmationsLost)),
                )
            }
            Incident::ReadOnly => {
                let text = "READONLY You can't write against a read only replica.";
                let rule = format!("class=write,script do=error text=\"{text}\"");
                let fault = Fault::Rule {
                    rule,
                    proxies: Proxies::PerNode,
                };
                (
                    fault,
                    Some((STORE.to_owned(), Mechanism::StoppedAcceptingChanges)),
                )
            }
            Incident::LimitLowered => {
                // The nodes keep a limit that they share through local copies only roughly, once
                // there is more demand than it permits. What was admitted under the old one has to
                // leave the window first.
                counting = CountingMode::Cached;
                after = Duration::from_secs_f64(rng.between(6.0, 7.0));
                let key = busy[rng.whole(0, busy.len() as u32 - 1) as usize].clone();
                let limit = Limit::new(
                    (demand * rng.between(0.3, 0.6)).ceil() as i64,
                    window.into(),
                )?;
                let truth = (key_entity(&key), Mechanism::ConfigurationChanged);
                (Fault::SetLimit { key, limit }, Some(truth))
            }
            Incident::HighLoad => (
                Fault::MoreLoad {
                    rate: rate * (growth - 1.0),
                },
                None,
            ),
            Incident::Nothing => (Fault::None, None),
        };
        Ok(Self {
            incident,
            seed,
            counting,
            limits,
            busy,
            rate,
            fault,
            before,
            after,
            truth,
        })
    }
}

/// As the cluster names its nodes.
fn node_name(node: usize) -> String {
    format!("node-{}", node + 1)
}
