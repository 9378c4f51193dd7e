use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::{Contract, ContractKind, ContractTime};

/// All limits that a limiter states, which hold at once. It is broken if any of them is, and a
/// denial is justified if any of them may be full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Promise {
    limits: Vec<Contract>,
}

impl Promise {
    /// The first limit, and the others.
    pub fn new(first: impl Into<Contract>, others: impl IntoIterator<Item = Contract>) -> Self {
        let mut limits = vec![first.into()];
        limits.extend(others);
        Self { limits }
    }

    /// The limits in the order in which they were given, at least one.
    pub fn limits(&self) -> &[Contract] {
        &self.limits
    }

    /// The limit given first.
    pub fn first(&self) -> &Contract {
        &self.limits[0]
    }

    /// The time after which nothing of an answered check can count any more.
    pub fn memory(&self) -> Duration {
        let of_limit = |limit: &Contract| {
            let windows = if limit.kind() == ContractKind::TwoPeriod {
                2
            } else {
                1
            };
            let times = ContractTime::ALL.map(|which| limit.time(which).unwrap_or_default());
            limit.window() * windows + times.into_iter().max().unwrap_or_default()
        };
        self.limits.iter().map(of_limit).max().unwrap_or_default()
    }

    /// Whether each key has its counters for itself, so that its history can be judged alone.
    pub fn is_by_key(&self) -> bool {
        self.limits.iter().all(|limit| limit.by().is_empty())
    }
}

impl<C: Into<Contract>> From<C> for Promise {
    fn from(limit: C) -> Self {
        Self::new(limit, [])
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = Vec::from_iter(self.limits.iter().map(ToString::to_string));
        f.write_str(&limits.join(" and "))
    }
}
