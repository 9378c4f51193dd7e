//! A proxy in front of a store, and patience.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use resp_proxy::RespProxy;

use crate::store::Store;

/// Longer than anything here takes on a machine under load.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A proxy in front of the store, on a free port.
pub(crate) async fn proxy(store: &Store) -> RespProxy {
    let upstream = store.url().parse().unwrap();
    RespProxy::builder(upstream)
        .listen((Ipv4Addr::LOCALHOST, 0).into())
        .await
        .unwrap()
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
