//! A relay between nodes and their store, to be slowed and cut.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

/// What the relay does with what it is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Condition {
    /// Passes it on.
    Open,
    /// Passes questions on at once, and answers so much later.
    Slow(Duration),
    /// Passes nothing on, and leaves connections open: a cable that was pulled.
    Silent,
    /// Closes every connection, and takes no new one: a firewall that refuses.
    Refusing,
}

/// A relay on a loopback port of its own. Stops when dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    target: Target,
    condition: watch::Sender<Condition>,
    task: AbortHandle,
}

/// Where the store listens, which is known later than where the relay does.
type Target = Arc<Mutex<Option<SocketAddr>>>;

impl Relay {
    /// Starts to listen. Without a target, connections are closed at once.
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (condition, now) = watch::channel(Condition::Open);
        let target = Target::default();
        let task = tokio::spawn(accept(listener, Arc::clone(&target), now)).abort_handle();
        Ok(Self { address, target, condition, task })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers with its own address to whoever asks for the way to `target`.
    pub(crate) fn route(&self) -> impl Fn(SocketAddr) -> SocketAddr + Send + Sync + 'static {
        let (slot, address) = (Arc::clone(&self.target), self.address);
        move |target| {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(target);
            address
        }
    }

    /// Changes what it does, for connections that are there as well.
    pub(crate) fn set(&self, condition: Condition) {
        self.condition.send_replace(condition);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: Target, now: watch::Receiver<Condition>) {
    // Owned here, so that what is relayed ends with this task.
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let target = *target.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(target) = target.filter(|_| *now.borrow() != Condition::Refusing) else { continue };
        connections.spawn(relay(near, target, now.clone()));
    }
}

async fn relay(near: TcpStream, target: SocketAddr, mut now: watch::Receiver<Condition>) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let (questions, answers) = (now.clone(), now.clone());
    tokio::select! {
        () = pass(near_read, far_write, questions, false) => {}
        () = pass(far_read, near_write, answers, true) => {}
        _ = now.wait_for(|c| *c == Condition::Refusing) => {}
    }
}

/// Reads on while what was read waits for its time, so that a slow way is not a narrow one.
async fn pass(mut from: OwnedReadHalf, to: OwnedWriteHalf, now: watch::Receiver<Condition>, is_answer: bool) {
    let (late, waiting) = mpsc::channel(1024);
    let condition = now.clone();
    let reading = async move {
        let mut piece = vec![0; 16 * 1024];
        while let Ok(n @ 1..) = from.read(&mut piece).await {
            let delay = match *condition.borrow() {
                Condition::Slow(delay) if is_answer => delay,
                _ => Duration::ZERO,
            };
            if late.send((Instant::now() + delay, piece[..n].to_vec())).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(reading, write(waiting, to, now));
}

async fn write(
    mut waiting: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: OwnedWriteHalf,
    mut now: watch::Receiver<Condition>,
) {
    while let Some((due, piece)) = waiting.recv().await {
        sleep_until(due).await;
        if now.wait_for(|c| *c != Condition::Silent).await.is_err() || to.write_all(&piece).await.is_err() {
            break;
        }
    }
}
