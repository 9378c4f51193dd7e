use std::fmt;
use std::time::Duration;

use redis::cmd;

use crate::{Link, StoreError};

/// The oldest store that works, major and minor: `CLIENT PAUSE ... WRITE` came with 6.2.
pub const MIN_VERSION: (u32, u32) = (6, 2);

/// Name and version of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreVersion {
    name: &'static str,
    version: String,
}

impl StoreVersion {
    /// Reads the version of the store behind a link.
    ///
    /// # Errors
    /// When the store does not answer, or is older than [`MIN_VERSION`].
    pub async fn check(link: &Link, deadline: Duration) -> Result<Self, StoreError> {
        let info: String = link.query(cmd("INFO").arg("server"), deadline).await?;
        let version = Self::of_info(&info);
        if version.major_minor() < MIN_VERSION {
            return Err(StoreError::TooOld {
                url: link.url().clone(),
                version,
            });
        }
        Ok(version)
    }

    /// Reads `INFO server`. Valkey also reports the Redis version that it is compatible with, so
    /// its own comes first.
    fn of_info(info: &str) -> Self {
        let field = |name| {
            info.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        };
        let (name, version) = match field("valkey_version") {
            Some(version) => ("Valkey", version),
            None => (
                "Redis",
                field("redis_version").unwrap_or("of an unknown version"),
            ),
        };
        Self {
            name,
            version: version.trim().to_owned(),
        }
    }

    fn major_minor(&self) -> (u32, u32) {
        let mut numbers = self.version.split('.').map(|n| n.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
}

impl fmt::Display for StoreVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_both_stores_are_read() {
        let redis = StoreVersion::of_info("# Server\r\nredis_version:7.0.15\r\nos:Linux\r\n");
        assert_eq!(
            (redis.to_string().as_str(), redis.major_minor()),
            ("Redis 7.0.15", (7, 0))
        );
        let valkey = StoreVersion::of_info("redis_version:7.2.4\r\nvalkey_version:9.1.2\r\n");
        assert_eq!(
            (valkey.to_string().as_str(), valkey.major_minor()),
            ("Valkey 9.1.2", (9, 1))
        );
        assert!(StoreVersion::of_info("").major_minor() < MIN_VERSION);
        assert!(StoreVersion::of_info("redis_version:6.0.16").major_minor() < MIN_VERSION);
        assert!(StoreVersion::of_info("redis_version:6.2.0").major_minor() >= MIN_VERSION);
    }
}
