use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Watches the subject's health in the background, so that the story can show it at any moment.
///
/// A subject that cannot be reached is a finding, not a failure: polling never ends in an error.
pub trait HealthPoller: Send + Sync + 'static {
    /// Polls until [`stop`](Self::stop) is called.
    fn run(&self) -> impl Future<Output = ()> + Send;

    /// The result of the last poll.
    fn health(&self) -> HealthSnapshot;

    /// Ends [`run`](Self::run), now or when it starts.
    fn stop(&self);
}

/// No health at all, for a story whose subject has no nodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHealth;

impl HealthPoller for NoHealth {
    async fn run(&self) {}

    fn health(&self) -> HealthSnapshot {
        HealthSnapshot::default()
    }

    fn stop(&self) {}
}

/// The result of one poll.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct HealthSnapshot {
    /// The subject's nodes; those of an earlier poll where this one found none.
    pub nodes: Vec<SubjectNode>,
    /// The dependencies of the nodes.
    pub dependencies: Vec<Dependency>,
    /// A node is not up, a dependency is not connected, or the poll failed.
    pub has_issues: bool,
    /// End of the last poll; absent before the first.
    #[serde(with = "unix_ms", rename = "last_updated_unix_ms")]
    pub last_updated: Option<SystemTime>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct SubjectNode {
    /// Name of the node.
    pub id: String,
    /// Listen address.
    pub address: String,
    /// Reachability.
    pub state: Reachability,
}

/// The reachability of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Reachability {
    /// Reachable, with a fresh heartbeat.
    Up,
    /// Without an answer or a heartbeat for a short time.
    Suspect,
    /// Not reachable.
    Down,
}

/// A dependency of all nodes, for example a store.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Dependency {
    /// Name of the dependency.
    pub name: String,
    /// Whether it answers requests.
    pub connected: bool,
}

mod unix_ms {
    use super::{Deserialize, Deserializer, Duration, Serializer, SystemTime};

    pub(super) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match time.and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok()) {
            Some(since) => to.serialize_some(&u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        let ms = Option::<u64>::deserialize(from)?;
        Ok(ms.and_then(|ms| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms))))
    }
}
