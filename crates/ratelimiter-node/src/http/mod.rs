//! The node's HTTP side: a server that bounds everything a client can use up, and one handler an
//! endpoint.

mod access;
mod answer;
mod body;
#[cfg(test)]
mod fuzz;
mod patient;
mod places;
mod query;
mod routes;
mod server;

pub(crate) use access::Access;
pub(crate) use routes::Api;
pub(crate) use server::{Bounds, serve};
