use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisResult};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::{StoreError, StoreUrl};

/// After a failed attempt to connect, uses fail at once for this long instead of each trying anew.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// One connection to the store, opened when first used and opened again after it broke.
///
/// A use that misses its deadline gives the connection up. What was postponed on it is then never run by the store,
/// whoever uses the link next does not wait behind it, and a connection whose other end silently vanished does
/// not outlive one deadline.
#[derive(Debug)]
pub struct Link {
    url: StoreUrl,
    client: Client,
    slot: Mutex<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    connection: Option<MultiplexedConnection>,
    /// Tells connections apart, so that a late failure of an old one does not close its successor.
    generation: u64,
    failed: Option<(Instant, StoreError)>,
}

impl Link {
    /// A link to a store. Opens nothing.
    ///
    /// # Errors
    /// When the URL's parts contradict each other.
    pub fn new(url: StoreUrl) -> Result<Self, StoreError> {
        let client = Client::open(url.info()).map_err(|e| StoreError::new(&url, &e))?;
        Ok(Self { url, client, slot: Mutex::default() })
    }

    /// The store this link leads to.
    pub fn url(&self) -> &StoreUrl {
        &self.url
    }

    /// Runs one command.
    ///
    /// # Errors
    /// When the store cannot be reached, does not answer within `deadline`, or answers with an error.
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd, deadline: Duration) -> Result<T, StoreError> {
        self.run(deadline, async |mut connection| command.query_async(&mut connection).await).await
    }

    /// Runs a pipeline.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn pipeline<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
        deadline: Duration,
    ) -> Result<T, StoreError> {
        self.run(deadline, async |mut connection| pipeline.query_async(&mut connection).await).await
    }

    /// Runs anything that needs a connection, under one deadline that includes opening it.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn run<T>(
        &self,
        deadline: Duration,
        operation: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        let mut used = None;
        let result = timeout(deadline, async {
            let (connection, generation) = self.connection(deadline).await?;
            used = Some(generation);
            operation(connection)
                .await
                .map_err(|e| (StoreError::new(&self.url, &e), e.is_unrecoverable_error()))
        })
        .await;
        let (error, broken) = match result {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err((error, broken))) => (error, broken),
            Err(_) => (StoreError::Deadline { url: self.url.clone(), deadline }, true),
        };
        if let Some(generation) = used.filter(|_| broken) {
            self.give_up(generation).await;
        }
        Err(error)
    }

    /// Closes the connection, if there is one; the next use opens another.
    pub async fn close(&self) {
        self.slot.lock().await.connection = None;
    }

    async fn connection(
        &self,
        deadline: Duration,
    ) -> Result<(MultiplexedConnection, u64), (StoreError, bool)> {
        let mut slot = self.slot.lock().await;
        if let Some(connection) = &slot.connection {
            return Ok((connection.clone(), slot.generation));
        }
        if let Some((at, error)) = &slot.failed
            && at.elapsed() < RETRY_AFTER
        {
            return Err((error.clone(), false));
        }
        // Deadlines are kept here, around everything; the library's own would cut a use short without saying so.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(deadline)).set_response_timeout(None);
        match self.client.get_multiplexed_async_connection_with_config(&config).await {
            Ok(connection) => {
                slot.generation += 1;
                slot.failed = None;
                slot.connection = Some(connection.clone());
                Ok((connection, slot.generation))
            }
            Err(e) => {
                let error = StoreError::new(&self.url, &e);
                slot.failed = Some((Instant::now(), error.clone()));
                Err((error, false))
            }
        }
    }

    async fn give_up(&self, generation: u64) {
        let mut slot = self.slot.lock().await;
        if slot.generation == generation {
            slot.connection = None;
        }
    }
}
