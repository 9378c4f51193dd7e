//! The node's HTTP side: a server that bounds everything a client can use up, and one handler an
//! endpoint.

mod access;
mod message;
mod query;
mod routes;
mod server;
mod slots;
#[cfg(test)]
mod tests;

pub(crate) use access::AccessControl;
pub(crate) use routes::NodeApi;
pub(crate) use server::serve;
pub(crate) use slots::ConnectionBounds;
