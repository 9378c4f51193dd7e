use std::sync::{Arc, OnceLock};
use std::time::Duration;

use redis::RedisResult;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::connection::{OpenConnection, SharedConnection, StoreHandle};
use crate::failure::{AttemptFailure, Retry};
use crate::sentinel;
use crate::url::StoreAddress;
use crate::{StoreError, StoreUrl};

/// One connection to one store, or to the primary that sentinels name; opened when first used and
/// opened again after it broke.
#[derive(Debug)]
pub(crate) struct SingleStore {
    url: StoreUrl,
    slot: Arc<SharedConnection>,
    /// Closes the connection when the sentinels announce another primary.
    watch: OnceLock<AbortHandle>,
    /// Held by the one use that opens a connection.
    opening: tokio::sync::Mutex<()>,
}

/// Whether commands may run twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RepeatPolicy {
    /// They are sent again only when the first attempt sent nothing.
    Never,
    /// Running them twice is as good as once.
    Allowed,
}

impl SingleStore {
    pub(crate) fn new(url: StoreUrl) -> Self {
        Self {
            url,
            slot: Arc::default(),
            watch: OnceLock::new(),
            opening: tokio::sync::Mutex::default(),
        }
    }

    /// Closes the connection, if there is one; the next use opens another.
    pub(crate) fn close(&self) {
        self.slot.clear();
    }

    /// Runs anything that needs a connection, under one deadline that includes opening it. `asked`
    /// leads to the member to which this one has sent on.
    pub(crate) async fn attempt<T, F: Future<Output = RedisResult<T>>>(
        &self,
        deadline: Duration,
        repeat: RepeatPolicy,
        asked: Option<&Self>,
        operation: impl Fn(StoreHandle) -> F,
    ) -> Result<T, AttemptFailure> {
        let (mut used, mut followed) = (None, None);
        let result = timeout(deadline, async {
            let mut repeated = false;
            loop {
                if let Some(store) = asked {
                    followed = Some((store, store.connection().await?));
                }
                let connection = self.connection().await?;
                let sent = connection.sent();
                used = Some(Arc::clone(&connection));
                let target = followed.as_ref().map(|(_, connection)| connection.handle());
                let error = match operation(StoreHandle::new(connection.handle(), target)).await {
                    Ok(value) => return Ok(value),
                    Err(error) => connection.explain(error, &self.url),
                };
                let harmless = repeat == RepeatPolicy::Allowed || connection.sent() == sent;
                let failure = AttemptFailure::new(&self.url, &error, harmless);
                // A replica refuses what its primary would run: the next connection is to another
                // store.
                let demoted = failure.retry == Retry::ReadOnly;
                if error.is_unrecoverable_error() || demoted {
                    self.slot.give_up(&connection);
                    if let Some((store, connection)) = &followed {
                        store.slot.give_up(connection);
                    }
                }
                if repeated || !(demoted || harmless && error.is_connection_dropped()) {
                    return Err(failure);
                }
                repeated = true;
            }
        })
        .await;
        match result {
            Ok(result) => result,
            Err(_) => {
                // Nothing was sent then, so that the commands did not run.
                let unopened = used.is_none() && self.url.trust().is_some();
                if let Some(connection) = used {
                    self.slot.give_up(&connection);
                }
                if let Some((store, connection)) = followed {
                    store.slot.give_up(&connection);
                }
                let url = self.url.clone();
                Err(AttemptFailure::last(if unopened {
                    let ms = deadline.as_millis();
                    let why = format!(
                        "no TLS connection within {ms} ms (a port without TLS is silent: redis:// \
                         is for that)"
                    );
                    StoreError::Unreachable { url, why }
                } else {
                    StoreError::Deadline { url, deadline }
                }))
            }
        }
    }

    async fn connection(&self) -> Result<Arc<OpenConnection>, AttemptFailure> {
        let lost = |error| AttemptFailure {
            error,
            retry: Retry::Lost,
        };
        if let Some(connection) = self.slot.get().map_err(lost)? {
            return Ok(connection);
        }
        let _opening = self.opening.lock().await;
        // Another use may have opened one meanwhile.
        if let Some(connection) = self.slot.get().map_err(lost)? {
            return Ok(connection);
        }
        let opened = match self.url.address() {
            StoreAddress::Sentinel { .. } => {
                self.watch
                    .get_or_init(|| sentinel::watch(self.url.clone(), Arc::downgrade(&self.slot)));
                sentinel::open_primary(&self.url).await
            }
            StoreAddress::One(address) => OpenConnection::open(address, &self.url).await,
            StoreAddress::Cluster(_) => {
                unreachable!("a cluster has one store for each of its members")
            }
        };
        match opened {
            Ok(connection) => {
                let connection = Arc::new(connection);
                self.slot.opened(&connection);
                Ok(connection)
            }
            Err(error) => {
                let failure = AttemptFailure::new(&self.url, &error, true);
                self.slot.failed(failure.error.clone());
                Err(failure)
            }
        }
    }
}

impl Drop for SingleStore {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.get() {
            watch.abort();
        }
    }
}
