//! Counts of one proxy.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counts of one proxy.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[cfg_attr(feature = "control", derive(serde::Serialize))]
        pub struct ProxyCounters {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The same, while they change.
        #[derive(Debug, Default)]
        pub(crate) struct LiveCounters {
            $(pub(crate) $name: LiveCounter,)*
        }

        impl LiveCounters {
            pub(crate) fn read(&self) -> ProxyCounters {
                ProxyCounters { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Connections accepted.
    connections,
    /// Connections that could not be opened to the store.
    unreachable,
    /// Commands passed on, held, or answered by a rule.
    commands,
    /// Replies that answered no command known, such as a store's answer to half a command.
    unmatched,
    /// Connections that pass untouched since some point: MONITOR, replication, transactions that
    /// subscribe or switch replies.
    streams,
    /// Connections that pass untouched since bytes came that are not RESP.
    not_resp,
}

/// A count that changes.
#[derive(Debug, Default)]
pub(crate) struct LiveCounter(AtomicU64);

impl LiveCounter {
    pub(crate) fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl fmt::Display for ProxyCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            connections,
            unreachable,
            commands,
            unmatched,
            streams,
            not_resp,
        } = self;
        write!(
            f,
            "{connections} connections ({unreachable} without a store), {commands} commands, "
        )?;
        write!(
            f,
            "{unmatched} unmatched replies, {streams} streams, {not_resp} not RESP"
        )
    }
}
