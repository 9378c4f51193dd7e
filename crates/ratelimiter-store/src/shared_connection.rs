//! The connection that a store has now.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::StoreError;
use crate::connection::OpenConnection;

/// After a failed attempt to connect, uses fail at once for this long instead of each trying anew.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// A connection that uses share, and that a watch may close.
#[derive(Debug, Default)]
pub(crate) struct SharedConnection {
    /// Never held while anything is waited for: a use that has missed its deadline must not wait
    /// for another one.
    slot: Mutex<SlotState>,
}

#[derive(Debug, Default)]
struct SlotState {
    connection: Option<Arc<OpenConnection>>,
    failed: Option<(Instant, StoreError)>,
}

impl SharedConnection {
    /// The open connection, if there is one; the error of an attempt to open one that has just
    /// failed.
    pub(crate) fn get(&self) -> Result<Option<Arc<OpenConnection>>, StoreError> {
        let mut slot = self.slot.lock();
        slot.connection.take_if(|connection| connection.is_closed());
        match (&slot.connection, &slot.failed) {
            (Some(connection), _) => Ok(Some(Arc::clone(connection))),
            (None, Some((at, error))) if at.elapsed() < RETRY_AFTER => Err(error.clone()),
            (None, _) => Ok(None),
        }
    }

    /// Uses share this connection from now on.
    pub(crate) fn opened(&self, connection: &Arc<OpenConnection>) {
        *self.slot.lock() = SlotState {
            connection: Some(Arc::clone(connection)),
            failed: None,
        };
    }

    /// No connection could be opened.
    pub(crate) fn failed(&self, error: StoreError) {
        self.slot.lock().failed = Some((Instant::now(), error));
    }

    /// Lets go of the connection, which closes after the uses on their way.
    pub(crate) fn clear(&self) {
        self.slot.lock().connection = None;
    }

    /// Lets go of this connection, unless another has taken its place: a late failure does not
    /// close a successor.
    pub(crate) fn give_up(&self, broken: &Arc<OpenConnection>) {
        self.slot
            .lock()
            .connection
            .take_if(|current| Arc::ptr_eq(current, broken));
    }

    /// Closes the connection, for the uses on their way as well: another store is the primary now.
    pub(crate) fn leave(&self) {
        let mut slot = self.slot.lock();
        slot.failed = None;
        if let Some(connection) = slot.connection.take() {
            connection.abort();
        }
    }
}
