use std::time::Duration;

use ratelimiter_store::{Link, StoreError, StoreKind, StoreUrl};
use redis::{Value, cmd};
use tokio::time::{Instant, sleep};

use crate::{ChaosError, PauseGuard, Reach, RedisPause};

/// Deadline of one command.
const CONTROL: Duration = Duration::from_secs(1);
/// Longest wait for another primary.
const PROMOTION: Duration = Duration::from_secs(30);
/// Time between two looks at a replica.
const POLL: Duration = Duration::from_millis(10);

/// The fault: a failover that forgets. The primary of a key acknowledges writes that no replica
/// has, and ends.
///
/// ```text
///   primary   o o o o o o o o  ends
///   replica   o o o | held     cut off, let go --- promoted: o o o
///                   hold()     fail_over()
/// ```
///
/// Writes are held back on the replicas by the lease of a [`RedisPause`]. The replicas buffer the
/// writes of the primary meanwhile, and drop the buffer with the connection. The primary is ended
/// by `SHUTDOWN NOSAVE`; its owner has to start it again, and it returns as a replica.
#[derive(Clone, Debug)]
pub struct Failover {
    url: StoreUrl,
    key: String,
    reach: Reach,
}

/// Replicas that fall behind. Dropped, they catch up: nothing is lost.
#[must_use = "dropping it lets the replicas catch up"]
#[derive(Debug)]
pub struct HeldReplicas {
    primary: StoreUrl,
    replicas: Vec<StoreUrl>,
    guards: Vec<PauseGuard>,
    predictor: String,
}

/// The outcome of a failover.
#[derive(Clone, Debug)]
pub struct FailoverReport {
    /// The primary now.
    pub promoted: StoreUrl,
    /// Time from the end of the old primary to the promotion.
    pub took: Duration,
}

impl Failover {
    /// A failover of the primary that holds `key`. Opens nothing.
    ///
    /// # Errors
    /// When the store is outside the reach, or has neither sentinels nor a cluster to promote a
    /// replica.
    pub fn new(url: StoreUrl, key: &str, reach: Reach) -> Result<Self, ChaosError> {
        reach.permit(url.is_loopback(), &url)?;
        if url.kind() == StoreKind::Single {
            return Err(ChaosError::NothingPromotes { url });
        }
        Ok(Self {
            url,
            key: key.to_owned(),
            reach,
        })
    }

    /// Holds writes back on every replica of the primary.
    ///
    /// # Errors
    /// When the primary has no replica, one of them cannot be paused, or the store cannot be
    /// reached.
    pub async fn hold(&self) -> Result<HeldReplicas, ChaosError> {
        let primary = self.primary().await?;
        let replicas = self.replicas(&primary).await?;
        if replicas.is_empty() {
            return Err(ChaosError::NoReplica { url: primary });
        }
        let mut guards = Vec::new();
        for replica in &replicas {
            guards.push(
                RedisPause::new(replica.clone(), self.reach)?
                    .inject()
                    .await?,
            );
        }
        let predictor = format!("ratelimiter:predictor:{{{}}}", self.key);
        Ok(HeldReplicas {
            primary,
            replicas,
            guards,
            predictor,
        })
    }

    async fn primary(&self) -> Result<StoreUrl, ChaosError> {
        let link = Link::new(self.url.clone());
        let primaries = link.primaries(CONTROL).await?;
        if let [only] = primaries.as_slice() {
            return Ok(only.clone());
        }
        let id = async |at: ratelimiter_store::ForKey<'_>| {
            at.query::<String>(cmd("CLUSTER").arg("MYID"), CONTROL)
                .await
        };
        let owner = id(link.at(&self.key)).await?;
        for primary in primaries {
            let link = Link::new(primary.clone());
            if id(link.at(&self.key)).await? == owner {
                return Ok(primary);
            }
        }
        Err(ChaosError::NoReplica {
            url: self.url.clone(),
        })
    }

    async fn replicas(&self, primary: &StoreUrl) -> Result<Vec<StoreUrl>, ChaosError> {
        let role: Vec<Value> = Link::new(primary.clone())
            .query(&cmd("ROLE"), CONTROL)
            .await?;
        let Some(Value::Array(replicas)) = role.get(2) else {
            return Ok(Vec::new());
        };
        let address = |replica: &Value| {
            let (host, port, _): (String, String, String) =
                redis::from_redis_value_ref(replica).ok()?;
            self.url.member(&format!("{host}:{port}")).ok()
        };
        Ok(replicas.iter().filter_map(address).collect())
    }
}

impl HeldReplicas {
    /// The primary that would be ended.
    pub fn primary(&self) -> &StoreUrl {
        &self.primary
    }

    /// Whether all replicas are held back still.
    pub fn is_held(&self) -> bool {
        self.guards.iter().all(PauseGuard::is_held)
    }

    /// Number of replicas that have every write up to now, as `WAIT 1 200` answers; 0 predicts a
    /// loss. Writes one key that lives for a second, since `WAIT` is about the writes of its own
    /// connection.
    ///
    /// # Errors
    /// When the primary does not answer in time.
    pub async fn acknowledged(&self) -> Result<u64, ChaosError> {
        let link = Link::new(self.primary.clone());
        // Together, or a connection that is opened again in between would ask about no write.
        let mut both = redis::pipe();
        both.cmd("SET")
            .arg(&self.predictor)
            .arg(1)
            .arg("PX")
            .arg(1000)
            .ignore();
        both.cmd("WAIT").arg(1).arg(200);
        let [acknowledged] = link.at(&self.predictor).pipeline(&both, CONTROL).await?;
        Ok(acknowledged)
    }

    /// Ends the primary, and waits until a replica without its last writes is the primary.
    ///
    /// # Errors
    /// When the primary may not be ended, or no replica is promoted within 30 s.
    pub async fn fail_over(self) -> Result<FailoverReport, ChaosError> {
        let ended = Instant::now();
        shut_down(&self.primary).await?;
        // A replica that is released earlier still applies the writes in its connection's buffer.
        let mut guards = Some(self.guards);
        while ended.elapsed() < PROMOTION {
            let mut apart = 0;
            for replica in &self.replicas {
                let info = replication(replica).await.unwrap_or_default();
                let is_primary = info.contains("role:master");
                if is_primary && guards.is_none() {
                    return Ok(FailoverReport {
                        promoted: replica.clone(),
                        took: ended.elapsed(),
                    });
                }
                apart += usize::from(is_primary || info.contains("master_link_status:down"));
            }
            if apart == self.replicas.len() {
                drop(guards.take());
            }
            sleep(POLL).await;
        }
        Err(ChaosError::NotPromoted {
            url: self.primary,
            after: PROMOTION,
        })
    }
}

async fn replication(replica: &StoreUrl) -> Result<String, StoreError> {
    Link::new(replica.clone())
        .query(cmd("INFO").arg("replication"), CONTROL)
        .await
}

/// Ends a store without saving and without waiting for its replicas. One older than 7.0 does not
/// know of the waiting.
async fn shut_down(primary: &StoreUrl) -> Result<(), ChaosError> {
    let link = Link::new(primary.clone());
    for words in [&["NOSAVE", "NOW"][..], &["NOSAVE"]] {
        match link
            .query::<Value>(cmd("SHUTDOWN").arg(words), CONTROL)
            .await
        {
            // It closes the connection instead of answering.
            Err(StoreError::Unreachable { .. }) => return Ok(()),
            Err(StoreError::Answer { .. }) if words.len() > 1 => {}
            Err(error) => return Err(error.into()),
            Ok(_) => break,
        }
    }
    Err(ChaosError::NotEnded {
        url: primary.clone(),
    })
}
