//! The news of a proxy: the state of its store and of its listener.

use std::fmt;

use parking_lot::Mutex;

/// A change that a user of the proxy should know of. One line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyNotice {
    /// The store cannot be reached, or refuses the proxy's password.
    StoreAway {
        /// The reason, as the system or the store gives it.
        reason: String,
    },
    /// The store can be reached again.
    StoreBack,
    /// The store does not list its commands.
    CommandsUnknown {
        /// The reason, as the system or the store gives it.
        reason: String,
    },
    /// The store has listed its commands after all.
    CommandsKnown,
    /// New connections cannot be taken, for instance since no file descriptor is left.
    NotAccepting {
        /// The reason, as the system gives it.
        reason: String,
    },
}

impl ProxyNotice {
    /// The matter that it is about. A later notice about it replaces an earlier one.
    fn matter(&self) -> u8 {
        match self {
            Self::StoreAway { .. } | Self::StoreBack => 0,
            Self::CommandsUnknown { .. } | Self::CommandsKnown => 1,
            Self::NotAccepting { .. } => 2,
        }
    }
}

impl fmt::Display for ProxyNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StoreAway { reason } => write!(
                f,
                "the store takes no connection ({reason}): clients are reset until it does"
            ),
            Self::StoreBack => f.write_str("the store takes connections"),
            Self::CommandsUnknown { reason } => write!(
                f,
                "the store does not list its commands ({reason}): classes and keys are those of a \
                 built-in table"
            ),
            Self::CommandsKnown => {
                f.write_str("the store has listed its commands: classes and keys are its own")
            }
            Self::NotAccepting { reason } => write!(
                f,
                "no new connection can be taken ({reason}): close some, or raise the limit of open \
                 files (ulimit -n)"
            ),
        }
    }
}

/// Sends each change once.
#[derive(Default)]
pub(crate) struct Notices {
    listener: Option<Box<dyn Fn(ProxyNotice) + Send + Sync>>,
    latest: Mutex<Vec<ProxyNotice>>,
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Notices")
            .field(&*self.latest.lock())
            .finish()
    }
}

impl Notices {
    pub(crate) fn to(listener: impl Fn(ProxyNotice) + Send + Sync + 'static) -> Self {
        Self {
            listener: Some(Box::new(listener)),
            latest: Mutex::default(),
        }
    }

    /// Whether the store could not be reached when it was last needed.
    pub(crate) fn is_store_away(&self) -> bool {
        let latest = self.latest.lock();
        latest
            .iter()
            .any(|notice| matches!(notice, ProxyNotice::StoreAway { .. }))
    }

    pub(crate) fn send(&self, notice: ProxyNotice) {
        let mut latest = self.latest.lock();
        let before = latest.iter().position(|n| n.matter() == notice.matter());
        let is_news = match before {
            Some(before) => latest[before] != notice,
            // A store that was away has not been asked before.
            None if notice == ProxyNotice::CommandsKnown => !latest.is_empty(),
            None => notice != ProxyNotice::StoreBack,
        };
        if !is_news {
            return;
        }
        if let Some(before) = before {
            latest.remove(before);
        }
        latest.push(notice.clone());
        drop(latest);
        if let Some(listener) = &self.listener {
            listener(notice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_sent_once() {
        let (sender, received) = std::sync::mpsc::channel();
        let listener = move |notice| sender.send(notice).unwrap();
        let notices = Notices::to(listener);
        let away = || ProxyNotice::StoreAway {
            reason: "refused".to_owned(),
        };
        for notice in [
            ProxyNotice::StoreBack,
            away(),
            away(),
            ProxyNotice::StoreBack,
            ProxyNotice::StoreBack,
        ] {
            notices.send(notice);
        }
        let sent: Vec<_> = received.try_iter().collect();
        assert_eq!(sent, [away(), ProxyNotice::StoreBack]);
    }
}
