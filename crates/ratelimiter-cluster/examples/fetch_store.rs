//! Prints the path of a Valkey server that is fetched if it has not been before, even where another
//! store is installed.
//!
//! `cargo run -p ratelimiter-cluster --example fetch_store`

use std::ffi::OsString;

use ratelimiter_cluster::{ClusterError, StoreSearch};

fn main() -> Result<(), ClusterError> {
    let search = StoreSearch {
        explicit: None,
        path: OsString::new(),
        ..StoreSearch::from_env()
    };
    let found = search.find(&|what| eprintln!("{what}"))?;
    println!("{}", found.path().display());
    Ok(())
}
