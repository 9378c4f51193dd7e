//! A store that is allowed to drop entries when its memory is full.

use ratelimiter_api::layout;
use ratelimiter_store::{Link, StoreError, StoreKind};
use redis::cmd;

use super::store::{BACKGROUND_DEADLINE, SharedStore};

impl SharedStore {
    /// Reads what the store may drop, and warns when that is new.
    pub(crate) async fn read_eviction(&self) -> Result<(), StoreError> {
        let mut found = None;
        if self.reads.url().kind() == StoreKind::Cluster {
            for member in self.reads.primaries(BACKGROUND_DEADLINE).await? {
                found = found.or(eviction(&Link::new(member)).await?);
            }
        } else {
            found = eviction(&self.reads).await?;
        }
        let before = std::mem::replace(&mut *self.eviction.lock(), found.clone());
        if let Some(risk) = found.filter(|found| before.as_ref() != Some(found)) {
            tracing::warn!("{risk}");
        }
        Ok(())
    }

    /// What the store may drop, for people; none when it drops nothing.
    pub(crate) fn eviction(&self) -> Option<String> {
        self.eviction.lock().clone()
    }
}

async fn eviction(link: &Link) -> Result<Option<String>, StoreError> {
    let memory = link.at(layout::LIMITS);
    let info: String = memory
        .query(cmd("INFO").arg("memory"), BACKGROUND_DEADLINE)
        .await?;
    let policy = info
        .lines()
        .find_map(|line| line.strip_prefix("maxmemory_policy:"))
        .map_or("noeviction", str::trim);
    Ok(risk(policy))
}

/// What is at risk under a `maxmemory-policy`.
fn risk(policy: &str) -> Option<String> {
    let drops = if policy == "noeviction" {
        return None;
    } else if policy.starts_with("volatile") {
        "the admissions of atomic, cached and read-then-write keys"
    } else {
        "limits, admissions and grants"
    };
    Some(format!(
        "maxmemory-policy is {policy}: a store that is full drops {drops}, and limits are exceeded \
         or denied until the nodes have found that out; set it to noeviction"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn risk_names_policy_and_entries() {
        assert_eq!(risk("noeviction"), None);
        assert!(
            risk("allkeys-lru")
                .unwrap()
                .contains("allkeys-lru: a store that is full drops limits")
        );
        assert!(!risk("volatile-ttl").unwrap().contains("grants"));
    }
}
