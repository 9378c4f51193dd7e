//! The node's HTTP side: a server that bounds everything a client can use up, and one handler an endpoint.

mod answer;
mod body;
mod patient;
mod routes;
mod server;

pub(crate) use routes::Api;
pub(crate) use server::serve;
