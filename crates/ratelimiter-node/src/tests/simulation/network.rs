//! Connections between nodes and the store, and the messages on their way.
//!
//! A request takes at least a step to the store, and so does a reply: within a step, no node
//! depends on another. Messages of one connection keep their order; those of two do not.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::noise::Noise;
use super::store::{Text, take_request};

/// Bytes that a connection takes before its reader has to read.
const ROOM: usize = 1 << 22;

/// The state of the way between one node and the store.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LinkState {
    /// Connections are refused.
    pub(crate) refused: bool,
    /// Bytes vanish, both ways.
    pub(crate) silent: bool,
    /// Requests arrive, and their replies are lost with the connection.
    pub(crate) mute: bool,
    /// The longest extra delay of a message, microseconds.
    pub(crate) delay_us: u64,
}

/// One connection, from the store's side.
struct OpenedConnection {
    node: usize,
    stream: DuplexStream,
    buffer: Vec<u8>,
    /// When the last message each way arrives.
    request_us: u64,
    reply_us: u64,
    /// Bytes vanish for ever.
    silent: bool,
}

/// A message on its way.
pub(crate) enum NetMessage {
    Request { connection: u64, request: Vec<Text> },
    Reply { connection: u64, bytes: Vec<u8> },
}

#[derive(Default)]
struct Opened {
    links: Vec<LinkState>,
    connections: BTreeMap<u64, OpenedConnection>,
    next: u64,
}

/// All connections, and the messages by the time of their arrival.
pub(crate) struct Network {
    opened: Arc<Mutex<Opened>>,
    messages: BTreeMap<(u64, u64), NetMessage>,
    sent: u64,
    noise: Noise,
    step_us: u64,
}

impl Network {
    pub(crate) fn new(nodes: usize, noise: Noise, step_us: u64) -> Self {
        let opened = Opened {
            links: vec![LinkState::default(); nodes],
            ..Opened::default()
        };
        Self {
            opened: Arc::new(Mutex::new(opened)),
            messages: BTreeMap::new(),
            sent: 0,
            noise,
            step_us,
        }
    }

    /// Opens connections of a node.
    pub(crate) fn dialer(&self, node: usize) -> Arc<ratelimiter_store::StoreDialer> {
        let opened = Arc::clone(&self.opened);
        Arc::new(move |_| {
            let mut opened = opened.lock();
            let link = opened.links[node];
            if link.refused {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (ours, theirs) = tokio::io::duplex(ROOM);
            let number = opened.next;
            opened.next += 1;
            let connection = OpenedConnection {
                node,
                stream: ours,
                buffer: Vec::new(),
                request_us: 0,
                reply_us: 0,
                silent: link.silent,
            };
            opened.connections.insert(number, connection);
            Ok(theirs)
        })
    }

    /// Changes the way between a node and the store.
    pub(crate) fn link(&mut self, node: usize, change: impl FnOnce(&mut LinkState)) {
        let mut opened = self.opened.lock();
        change(&mut opened.links[node]);
        if opened.links[node].silent {
            let own = opened.connections.values_mut().filter(|c| c.node == node);
            own.for_each(|connection| connection.silent = true);
        }
    }

    /// Closes the connections of a node. Some requests on their way arrive all the same.
    pub(crate) fn cut(&mut self, node: usize) {
        let mut opened = self.opened.lock();
        opened
            .connections
            .retain(|_, connection| connection.node != node);
        drop(opened);
        let opened = self.opened.lock();
        let noise = self.noise;
        self.messages.retain(|(at, number), message| match message {
            NetMessage::Request { connection, .. } => {
                opened.connections.contains_key(connection)
                    || noise.of(*at, *number).is_multiple_of(2)
            }
            NetMessage::Reply { connection, .. } => opened.connections.contains_key(connection),
        });
    }

    /// Drops every request on its way, as a store that ends does.
    pub(crate) fn drop_requests(&mut self) {
        self.messages
            .retain(|_, message| matches!(message, NetMessage::Reply { .. }));
    }

    /// Takes the requests that nodes have written by `now_us`.
    pub(crate) fn collect(&mut self, now_us: u64) {
        let opened = Arc::clone(&self.opened);
        let mut opened = opened.lock();
        let links = opened.links.clone();
        opened.connections.retain(|number, connection| {
            let open = connection.read();
            let link = links[connection.node];
            let mut arrives_us = None;
            while let Some(request) = take_request(&mut connection.buffer) {
                if connection.silent {
                    continue;
                }
                // What is written at once arrives at once.
                let at_us = *arrives_us.get_or_insert_with(|| {
                    let delay = self.noise.delay(self.sent, self.step_us, link.delay_us);
                    connection.request_us.max(now_us + delay)
                });
                connection.request_us = at_us;
                let connection = *number;
                self.sent += 1;
                let message = NetMessage::Request {
                    connection,
                    request,
                };
                self.messages.insert((at_us, self.sent), message);
            }
            open
        });
    }

    /// Sends a reply.
    pub(crate) fn reply(&mut self, now_us: u64, number: u64, bytes: Vec<u8>) {
        let opened = Arc::clone(&self.opened);
        let mut opened = opened.lock();
        let links = opened.links.clone();
        let Some(connection) = opened.connections.get_mut(&number) else {
            return;
        };
        let link = links[connection.node];
        if connection.silent {
            return;
        }
        if link.mute {
            opened.connections.remove(&number);
            return;
        }
        self.sent += 1;
        let delay = self.noise.delay(self.sent, self.step_us, link.delay_us);
        connection.reply_us = connection.reply_us.max(now_us + delay);
        let message = NetMessage::Reply {
            connection: number,
            bytes,
        };
        self.messages
            .insert((connection.reply_us, self.sent), message);
    }

    /// The next message that has arrived by `now_us`.
    pub(crate) fn arrived(&mut self, now_us: u64) -> Option<(u64, NetMessage)> {
        let first = self.messages.first_entry()?;
        let at_us = first.key().0;
        (at_us <= now_us).then(|| (at_us, first.remove()))
    }

    /// Hands a reply over to its node.
    pub(crate) fn deliver(&mut self, connection: u64, bytes: &[u8]) {
        let mut opened = self.opened.lock();
        if let Some(connection) = opened.connections.get_mut(&connection) {
            connection.write(bytes);
        }
    }
}

impl OpenedConnection {
    /// Reads all that is there. False when the node has closed it.
    fn read(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let mut space = [0; 4096];
        loop {
            let mut read = ReadBuf::new(&mut space);
            match Pin::new(&mut self.stream).poll_read(&mut context, &mut read) {
                Poll::Pending => return true,
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    self.buffer.extend(read.filled());
                }
                Poll::Ready(_) => return false,
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut self.stream).poll_write(&mut context, bytes) {
            Poll::Ready(Ok(written)) => assert_eq!(written, bytes.len(), "there is room"),
            // The node has closed it.
            Poll::Ready(Err(_)) => {}
            Poll::Pending => panic!("a node does not read its replies"),
        }
    }
}
