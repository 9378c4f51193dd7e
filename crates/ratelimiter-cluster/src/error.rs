use std::io;
use std::path::PathBuf;

use ratelimiter_store::StoreError;

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No store to start. Lists the attempts and the ways out.
    #[error("{0}")]
    NoStore(String),
    /// No node to start.
    #[error(
        "no ratelimiter-node executable: {0}; build it with `cargo build -p ratelimiter-node`, or \
         set RATELIMITER_NODE_BIN to its path"
    )]
    NoNode(String),
    /// A cluster of no nodes, or of more than a machine should run.
    #[error("nodes is {0}: a local cluster has 1 to 16")]
    Nodes(usize),
    /// A program without a command.
    #[error("{0} has no command to start")]
    NoCommand(String),
    /// There is no such node.
    #[error("there is no node {0}: nodes are counted from 0")]
    NoSuchNode(usize),
    /// There is no such process of the store.
    #[error("there is no store {0}: stores are counted from 0, primaries first")]
    NoSuchStore(usize),
    /// Proxies in front of more than one store.
    #[error(
        "fault proxies stand in front of one store: leave them out, or choose the topology of a \
         single store"
    )]
    ProxiedTopology,
    /// Proxies in front of a store behind TLS.
    #[error("fault proxies stand in front of a store without TLS: leave one of the two out")]
    ProxiedTls,
    /// The store's executable was built without TLS.
    #[error(
        "{0} has no TLS: choose one that has, such as Debian's redis-server, with \
         RATELIMITER_STORE_BIN"
    )]
    NoTls(String),
    /// A process was not ready in time.
    #[error("{name} is not ready: {why}")]
    NotReady {
        /// The process.
        name: String,
        /// The missing part.
        why: String,
    },
    /// Something on this machine failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// The operation.
        what: String,
        /// The cause.
        source: io::Error,
    },
    /// A process ended before it was ready.
    #[error("{name} ended at once ({status}): {log}")]
    Exited {
        /// The process.
        name: String,
        /// Its exit status.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// The store that was started refuses a command.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The proxies cannot pass on to the store.
    #[error(transparent)]
    Proxy(#[from] resp_proxy::UpstreamError),
    /// A file has the wrong checksum.
    #[error(
        "{path} has the sha256 {found}, and should have {expected}: it was not used",
        path = .path.display()
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Its checksum.
        found: String,
        /// The expected checksum.
        expected: &'static str,
    },
}

impl ClusterError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
