use std::sync::{Arc, OnceLock};
use std::time::Duration;

use redis::RedisResult;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::connection::Connection;
use crate::current::Current;
use crate::handle::Handle;
use crate::sentinel;
use crate::trouble::{Hint, Trouble};
use crate::url::Place;
use crate::{StoreError, StoreUrl};

/// One connection to one store, or to the primary that sentinels name; opened when first used and
/// opened again after it broke.
#[derive(Debug)]
pub(crate) struct Line {
    url: StoreUrl,
    current: Arc<Current>,
    /// Closes the connection when the sentinels announce another primary.
    watch: OnceLock<AbortHandle>,
    /// Held by the one use that opens a connection.
    opening: tokio::sync::Mutex<()>,
}

/// Whether commands may run twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// They are sent again only when the first attempt sent nothing.
    Never,
    /// Running them twice is as good as once.
    Allowed,
}

impl Line {
    pub(crate) fn new(url: StoreUrl) -> Self {
        Self {
            url,
            current: Arc::default(),
            watch: OnceLock::new(),
            opening: tokio::sync::Mutex::default(),
        }
    }

    /// Closes the connection, if there is one; the next use opens another.
    pub(crate) fn close(&self) {
        self.current.clear();
    }

    /// Runs anything that needs a connection, under one deadline that includes opening it. `asked`
    /// leads to the member to which this one has sent on.
    pub(crate) async fn attempt<T, F: Future<Output = RedisResult<T>>>(
        &self,
        deadline: Duration,
        repeat: Repeat,
        asked: Option<&Self>,
        operation: impl Fn(Handle) -> F,
    ) -> Result<T, Trouble> {
        let (mut used, mut followed) = (None, None);
        let result = timeout(deadline, async {
            let mut repeated = false;
            loop {
                if let Some(line) = asked {
                    followed = Some((line, line.connection().await?));
                }
                let connection = self.connection().await?;
                let sent = connection.sent();
                used = Some(Arc::clone(&connection));
                let target = followed.as_ref().map(|(_, connection)| connection.handle());
                let error = match operation(Handle::new(connection.handle(), target)).await {
                    Ok(value) => return Ok(value),
                    Err(error) => connection.explain(error, &self.url),
                };
                let harmless = repeat == Repeat::Allowed || connection.sent() == sent;
                let trouble = Trouble::new(&self.url, &error, harmless);
                // A replica refuses what its primary would run: the next connection is to another
                // store.
                let demoted = trouble.hint == Hint::ReadOnly;
                if error.is_unrecoverable_error() || demoted {
                    self.current.give_up(&connection);
                    if let Some((line, connection)) = &followed {
                        line.current.give_up(connection);
                    }
                }
                if repeated || !(demoted || harmless && error.is_connection_dropped()) {
                    return Err(trouble);
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
                    self.current.give_up(&connection);
                }
                if let Some((line, connection)) = followed {
                    line.current.give_up(&connection);
                }
                let url = self.url.clone();
                Err(Trouble::last(if unopened {
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

    async fn connection(&self) -> Result<Arc<Connection>, Trouble> {
        let lost = |error| Trouble {
            error,
            hint: Hint::Lost,
        };
        if let Some(connection) = self.current.get().map_err(lost)? {
            return Ok(connection);
        }
        let _opening = self.opening.lock().await;
        // Another use may have opened one meanwhile.
        if let Some(connection) = self.current.get().map_err(lost)? {
            return Ok(connection);
        }
        let opened = match self.url.place() {
            Place::Sentinel { .. } => {
                self.watch.get_or_init(|| {
                    sentinel::watch(self.url.clone(), Arc::downgrade(&self.current))
                });
                sentinel::open_primary(&self.url).await
            }
            Place::One(address) => Connection::open(address, &self.url).await,
            Place::Cluster(_) => unreachable!("a cluster has one line for each of its members"),
        };
        match opened {
            Ok(connection) => {
                let connection = Arc::new(connection);
                self.current.opened(&connection);
                Ok(connection)
            }
            Err(error) => {
                let trouble = Trouble::new(&self.url, &error, true);
                self.current.failed(trouble.error.clone());
                Err(trouble)
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.get() {
            watch.abort();
        }
    }
}
