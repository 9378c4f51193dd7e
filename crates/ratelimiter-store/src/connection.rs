//! One connection to one store: opened, shared by its uses, and the handle that they send commands
//! with.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use client_tls::{Stream, TlsError};
use parking_lot::Mutex;
use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ErrorKind, Pipeline, RedisError, RedisFuture,
    RedisResult, ServerErrorKind, Value,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::either::Either;
use tokio_util::io::{InspectReader, InspectWriter};

use crate::url::StoreAddress;
use crate::{StoreError, StoreUrl};

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

/// One open connection, closed when the last use lets go of it.
///
/// Its driver reads all the time, so that a connection which the store closes is known to be closed
/// before the next use.
pub(crate) struct OpenConnection {
    handle: MultiplexedConnection,
    driver: AbortHandle,
    traffic: Arc<ByteCounts>,
}

impl OpenConnection {
    /// Connects to an address of this store, and logs in.
    pub(crate) async fn open(address: &ConnectionAddr, url: &StoreUrl) -> RedisResult<Self> {
        let traffic = Arc::<ByteCounts>::default();
        let opened = async {
            let stream = reach(address, url, &traffic).await?;
            // A link keeps one deadline around everything; a second one in here would end a use
            // without its error.
            let config = AsyncConnectionConfig::new().set_response_timeout(None);
            MultiplexedConnection::new_with_config(url.settings(), stream, config).await
        };
        match opened.await {
            Ok((handle, driver)) => Ok(Self {
                handle,
                driver: tokio::spawn(driver).abort_handle(),
                traffic,
            }),
            Err(error) => Err(traffic.explain(error, url)),
        }
    }

    /// The handle that commands are sent with.
    pub(crate) fn handle(&self) -> MultiplexedConnection {
        self.handle.clone()
    }

    /// Whether the other end has closed it, or it broke.
    pub(crate) fn is_closed(&self) -> bool {
        self.driver.is_finished()
    }

    /// Closes it, and ends every use that is on its way.
    pub(crate) fn abort(&self) {
        self.driver.abort();
    }

    /// Bytes handed to the network so far, by all uses.
    pub(crate) fn sent(&self) -> u64 {
        self.traffic.sent.load(Ordering::Acquire)
    }

    /// An error of a use, with its likely cause.
    pub(crate) fn explain(&self, error: RedisError, url: &StoreUrl) -> RedisError {
        self.traffic.explain(error, url)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for OpenConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("closed", &self.is_closed())
            .field("sent", &self.sent())
            .finish()
    }
}

/// A stream to an address, encrypted where the store is behind TLS. Below TLS, which takes bytes
/// before they leave, it counts them, and notes whether any came back.
async fn reach(
    address: &ConnectionAddr,
    url: &StoreUrl,
    traffic: &Arc<ByteCounts>,
) -> RedisResult<Stream<impl AsyncRead + AsyncWrite + Send + Unpin + use<>>> {
    let (stream, host) = match (address, url.dialer()) {
        (ConnectionAddr::Tcp(host, _), Some(dial)) => {
            let stream = dial(&address.to_string())?;
            (Either::Left(Either::Right(stream)), host.as_str())
        }
        (ConnectionAddr::Tcp(host, port), None) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            // A command is one small packet: waiting to fill it would only delay the answer.
            stream.set_nodelay(true)?;
            (Either::Left(Either::Left(stream)), host.as_str())
        }
        (ConnectionAddr::Unix(path), _) => (Either::Right(UnixStream::connect(path).await?), ""),
        _ => return Err(refused(format!("{address} is no HOST:PORT"))),
    };
    let (sending, receiving) = (Arc::clone(traffic), Arc::clone(traffic));
    let stream = InspectWriter::new(stream, move |bytes| {
        sending.sent.fetch_add(bytes.len() as u64, Ordering::AcqRel);
    });
    let stream = InspectReader::new(stream, move |bytes| {
        receiving
            .answered
            .fetch_or(!bytes.is_empty(), Ordering::AcqRel);
    });
    let Some(trust) = url.trust() else {
        return Ok(Stream::Left(stream));
    };
    let encrypted = trust.connect(host, stream, &[]).await;
    encrypted.map(Stream::Right).map_err(|error| match error {
        TlsError::Io(error) => error.into(),
        TlsError::UnknownAuthority => refused(format!("{error} (--store-ca)")),
        TlsError::NotTls => refused(format!("{error}; redis:// is for a port without TLS")),
        error => refused(error.to_string()),
    })
}

/// Another attempt would end in the same way.
fn refused(why: String) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, "refused", why))
}

/// A connection to one store with host and port, for subscriptions.
pub(crate) async fn subscriber(address: &ConnectionAddr, url: &StoreUrl) -> RedisResult<PubSub> {
    PubSub::new(url.settings(), reach(address, url, &Arc::default()).await?).await
}

/// Bytes of one connection so far.
#[derive(Debug, Default)]
struct ByteCounts {
    sent: AtomicU64,
    answered: AtomicBool,
}

impl ByteCounts {
    /// An error, and what the end of a connection before its first answer hints at.
    fn explain(&self, error: RedisError, url: &StoreUrl) -> RedisError {
        let is_file = matches!(url.address(), StoreAddress::One(ConnectionAddr::Unix(_)));
        let explained = url.trust().is_some() || is_file || self.answered.load(Ordering::Acquire);
        if explained || !error.is_connection_dropped() {
            return error;
        }
        let why = format!(
            "{error}, before the first answer (a port for TLS ends so: rediss:// is for that)"
        );
        RedisError::from((ErrorKind::Io, "no answer", why))
    }
}

/// The handle that commands are sent with.
#[derive(Clone, Debug)]
pub struct StoreHandle {
    connection: MultiplexedConnection,
    /// The member that a key is on its way to, after its owner answered `ASK`.
    asked: Option<MultiplexedConnection>,
}

impl StoreHandle {
    pub(crate) fn new(
        connection: MultiplexedConnection,
        asked: Option<MultiplexedConnection>,
    ) -> Self {
        Self { connection, asked }
    }
}

impl ConnectionLike for StoreHandle {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let Some(target) = &mut self.asked else {
            return self.connection.req_packed_command(command);
        };
        let mut pipeline = redis::pipe();
        pipeline.cmd("ASKING").add_command(command.clone());
        Box::pin(async move {
            let answers = target.req_packed_commands(&pipeline, 1, 1).await?;
            answers
                .into_iter()
                .next()
                .unwrap_or(Value::Nil)
                .extract_error()
        })
    }

    /// Of a pipeline, only the commands whose keys have left go to the other member. It would
    /// answer about the others as if their keys were empty.
    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let Some(target) = &mut self.asked else {
            return self.connection.req_packed_commands(pipeline, offset, count);
        };
        let owner = &mut self.connection;
        Box::pin(async move {
            let mut answers = owner.req_packed_commands(pipeline, offset, count).await?;
            let mut follow = redis::pipe();
            let mut places = Vec::new();
            for (place, (answer, command)) in answers.iter().zip(pipeline.cmd_iter()).enumerate() {
                if is_ask(answer) {
                    follow.cmd("ASKING").add_command(command.clone());
                    places.push(place);
                }
            }
            if !places.is_empty() {
                let followed = target
                    .req_packed_commands(&follow, 0, 2 * places.len())
                    .await?;
                for (place, answer) in places
                    .into_iter()
                    .zip(followed.into_iter().skip(1).step_by(2))
                {
                    answers[place] = answer;
                }
            }
            Ok(answers)
        })
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}

fn is_ask(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::Ask))
}
