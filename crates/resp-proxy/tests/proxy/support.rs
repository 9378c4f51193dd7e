//! A store of the test's own, and a proxy in front of it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ratelimiter_cluster::StoreSearch;
use resp_proxy::RespProxy;
use tempfile::TempDir;

/// Longer than anything here takes on a machine under load.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A store on a free loopback port. Ends when dropped.
pub(crate) struct Store {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Store {
    pub(crate) fn start() -> Self {
        let binary = StoreSearch::from_env()
            .find(&|_| ())
            .expect("a store is found or fetched");
        // A port that is free now may be taken a moment later: then the store ends, and another
        // port is tried.
        for _ in 0..10 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let child = Command::new(binary.path())
                .args([
                    "--port",
                    &port.to_string(),
                    "--bind",
                    "127.0.0.1",
                    "--save",
                    "",
                    "--appendonly",
                    "no",
                ])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut store = Self {
                child,
                address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            };
            let began = Instant::now();
            while began.elapsed() < PATIENCE && store.child.try_wait().unwrap().is_none() {
                if TcpStream::connect(store.address).is_ok() {
                    return store;
                }
                std::thread::yield_now();
            }
        }
        panic!("no store could be started");
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// A proxy in front of it, on a free port.
    pub(crate) async fn proxy(&self) -> RespProxy {
        let upstream = self.url().parse().unwrap();
        RespProxy::builder(upstream)
            .listen((Ipv4Addr::LOCALHOST, 0).into())
            .await
            .unwrap()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory with redis-py, for `PYTHONPATH`. `None` where it cannot be installed; in CI that is
/// a failure.
pub(crate) fn redis_py() -> Option<TempDir> {
    let packages = tempfile::tempdir().unwrap();
    let installed = Command::new("python3")
        .args([
            "-I",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--target",
        ])
        .arg(packages.path())
        .arg("redis==5.2.1")
        .output();
    match installed {
        Ok(output) if output.status.success() => Some(packages),
        reason => {
            assert!(
                std::env::var_os("CI").is_none(),
                "redis-py cannot be had: {reason:?}"
            );
            eprintln!("not checked: redis-py cannot be had");
            None
        }
    }
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
