use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Pipeline, RedisResult};
use tokio::time::{Instant, timeout};

use crate::connection::Connection;
use crate::{StoreError, StoreUrl};

/// After a failed attempt to connect, uses fail at once for this long instead of each trying anew.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// One connection to the store, opened when first used and opened again after it broke.
///
/// A use that misses its deadline gives the connection up. A command postponed on it is then never run by the store,
/// the next use does not wait behind it, and a connection whose other end silently vanished does not outlive one deadline.
///
/// A connection that the store closed while it was idle costs nothing: it is opened again before the use. One that turns
/// out to be closed during a use is opened again once, within the deadline, when that cannot run a command twice: nothing
/// of the use was sent, or the caller states that the commands are idempotent.
#[derive(Debug)]
pub struct Link {
    url: StoreUrl,
    /// Never held while anything is waited for: a use that has missed its deadline must not wait for another one.
    slot: Mutex<Slot>,
    /// Held by the one use that opens a connection.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Slot {
    connection: Option<Arc<Connection>>,
    failed: Option<(Instant, StoreError)>,
}

/// Whether commands may run twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    /// They are sent again only when the first attempt sent nothing.
    Never,
    /// Running them twice is as good as once.
    Allowed,
}

impl Link {
    /// A link to a store. Opens nothing.
    ///
    /// # Errors
    /// When the store's address is of a kind that is not supported.
    pub fn new(url: StoreUrl) -> Result<Self, StoreError> {
        url.supported()?;
        Ok(Self { url, slot: Mutex::default(), opening: tokio::sync::Mutex::default() })
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
        self.run(deadline, |mut connection| async move { command.query_async(&mut connection).await }).await
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
        self.run(deadline, |mut connection| async move { pipeline.query_async(&mut connection).await }).await
    }

    /// Runs anything that needs a connection, under one deadline that includes opening it.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn run<T, F: Future<Output = RedisResult<T>>>(
        &self,
        deadline: Duration,
        operation: impl Fn(MultiplexedConnection) -> F,
    ) -> Result<T, StoreError> {
        self.attempt(deadline, Repeat::Never, operation).await
    }

    /// As [`run`](Self::run), for commands that may run twice: after the connection broke during the first attempt, they are
    /// sent once more.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn run_idempotent<T, F: Future<Output = RedisResult<T>>>(
        &self,
        deadline: Duration,
        operation: impl Fn(MultiplexedConnection) -> F,
    ) -> Result<T, StoreError> {
        self.attempt(deadline, Repeat::Allowed, operation).await
    }

    /// Closes the connection, if there is one; the next use opens another.
    pub fn close(&self) {
        self.slot().connection = None;
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn attempt<T, F: Future<Output = RedisResult<T>>>(
        &self,
        deadline: Duration,
        repeat: Repeat,
        operation: impl Fn(MultiplexedConnection) -> F,
    ) -> Result<T, StoreError> {
        let mut used = None;
        let result = timeout(deadline, async {
            let mut repeated = false;
            loop {
                let connection = self.connection().await?;
                let sent = connection.sent();
                used = Some(Arc::clone(&connection));
                let error = match operation(connection.handle()).await {
                    Ok(value) => return Ok(value),
                    Err(error) => error,
                };
                if error.is_unrecoverable_error() {
                    self.give_up(&connection);
                }
                let harmless = repeat == Repeat::Allowed || connection.sent() == sent;
                if repeated || !harmless || !error.is_connection_dropped() {
                    return Err(StoreError::new(&self.url, &error));
                }
                repeated = true;
            }
        })
        .await;
        match result {
            Ok(result) => result,
            Err(_) => {
                if let Some(connection) = used {
                    self.give_up(&connection);
                }
                Err(StoreError::Deadline { url: self.url.clone(), deadline })
            }
        }
    }

    async fn connection(&self) -> Result<Arc<Connection>, StoreError> {
        if let Some(connection) = self.slot().current()? {
            return Ok(connection);
        }
        let _opening = self.opening.lock().await;
        // Another use may have opened one meanwhile.
        if let Some(connection) = self.slot().current()? {
            return Ok(connection);
        }
        match Connection::open(&self.url).await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                *self.slot() = Slot { connection: Some(Arc::clone(&connection)), failed: None };
                Ok(connection)
            }
            Err(error) => {
                let error = StoreError::new(&self.url, &error);
                self.slot().failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Closes this connection, unless another has taken its place: a late failure does not close a successor.
    fn give_up(&self, broken: &Arc<Connection>) {
        self.slot().connection.take_if(|current| Arc::ptr_eq(current, broken));
    }
}

impl Slot {
    /// The open connection, if there is one; the error of an attempt to open one that has just failed.
    fn current(&mut self) -> Result<Option<Arc<Connection>>, StoreError> {
        self.connection.take_if(|connection| connection.is_closed());
        match (&self.connection, &self.failed) {
            (Some(connection), _) => Ok(Some(Arc::clone(connection))),
            (None, Some((at, error))) if at.elapsed() < RETRY_AFTER => Err(error.clone()),
            (None, _) => Ok(None),
        }
    }
}
