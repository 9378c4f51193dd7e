//! A store on a free loopback port.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
/// The executables that are tried, unless `RATELIMITER_STORE_BIN` names one.
const NAMES: [&str; 2] = ["valkey-server", "redis-server"];

/// Ends when dropped.
pub(crate) struct Store {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Store {
    #[allow(dead_code, reason = "not every user starts it without arguments")]
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        // A port that is free now may be taken a moment later: then the store ends, and another
        // port is tried.
        for _ in 0..10 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            let address = free.local_addr().expect("the address of the free port");
            drop(free);
            if let Some(store) = Self::try_at(address, arguments) {
                return store;
            }
        }
        panic!("no store could be started");
    }

    /// On a port that another store has had.
    #[allow(dead_code, reason = "not every test has a use for it")]
    pub(crate) fn start_at(port: u16) -> Self {
        Self::try_at((Ipv4Addr::LOCALHOST, port).into(), &[]).expect("the port is still free")
    }

    fn try_at(address: SocketAddr, arguments: &[&str]) -> Option<Self> {
        let binaries = std::env::var("RATELIMITER_STORE_BIN").map_or_else(
            |_| NAMES.map(ToOwned::to_owned).to_vec(),
            |chosen| vec![chosen],
        );
        let child = binaries
            .iter()
            .find_map(|binary| spawn(binary, address.port(), arguments))
            .expect("valkey-server or redis-server on PATH, or RATELIMITER_STORE_BIN");
        let mut store = Self { child, address };
        let began = Instant::now();
        while began.elapsed() < PATIENCE && matches!(store.child.try_wait(), Ok(None)) {
            if TcpStream::connect(address).is_ok() {
                return Some(store);
            }
            std::thread::yield_now();
        }
        None
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

fn spawn(binary: &str, port: u16, arguments: &[&str]) -> Option<Child> {
    Command::new(binary)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()
        .ok()
}

impl Drop for Store {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
