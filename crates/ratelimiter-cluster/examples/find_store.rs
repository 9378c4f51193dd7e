//! Prints the path of the store that a local cluster starts, and fetches one where none is
//! installed.
//!
//! `cargo run -p ratelimiter-cluster --example find_store`

use std::process::ExitCode;

use ratelimiter_cluster::StoreSearch;

fn main() -> ExitCode {
    match StoreSearch::from_env().find(&|what| eprintln!("{what}")) {
        Ok(store) => {
            println!("{}", store.path().display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
