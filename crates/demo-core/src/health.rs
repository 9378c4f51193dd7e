use std::time::SystemTime;

use serde::Serialize;

/// Watches the subject's health in the background, so that the story can show it at any moment.
///
/// A subject that cannot be reached is a finding, not a failure: polling never ends in an error.
pub trait HealthPoller: Send + Sync + 'static {
    /// Polls until [`stop`](Self::stop) is called.
    fn run(&self) -> impl Future<Output = ()> + Send;

    /// What the last poll found.
    fn health(&self) -> HealthSnapshot;

    /// Ends [`run`](Self::run), now or when it starts.
    fn stop(&self);
}

/// What one poll found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HealthSnapshot {
    /// The subject's nodes; those of an earlier poll where this one found none.
    pub nodes: Vec<NodeHealth>,
    /// What the nodes depend on.
    pub dependencies: Vec<Dependency>,
    /// Something is not as it should be: a node is not up, a dependency is not connected, or the poll failed.
    pub has_issues: bool,
    /// When the last poll ended, absent before the first.
    #[serde(serialize_with = "unix_ms", rename = "last_updated_unix_ms")]
    pub last_updated: Option<SystemTime>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeHealth {
    /// Its name.
    pub id: String,
    /// Where it listens.
    pub address: String,
    /// Whether it is there.
    pub state: NodeState,
}

/// Whether a node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum NodeState {
    /// It is.
    Up,
    /// It has been silent for a while.
    Suspect,
    /// It is not.
    Down,
}

/// Something that all nodes depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// Its name.
    pub name: String,
    /// Whether it answers.
    pub connected: bool,
}

fn unix_ms<S: serde::Serializer>(time: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
    match time.and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok()) {
        Some(since) => to.serialize_some(&u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
        None => to.serialize_none(),
    }
}
