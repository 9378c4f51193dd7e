//! How close to one instant a burst is, by last bytes and by a barrier, over three loopback listeners.
//!
//! `cargo run --release -p ratelimiter-chaos --example skew`

use std::time::Duration;

use ratelimiter_api::Key;
use ratelimiter_chaos::{Release, volley};
use ratelimiter_target::{Check, HttpTarget, Scope};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const ROUNDS: usize = 20;

/// A server that allows everything.
async fn serve() -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let mut filled = 0;
                while let Ok(read @ 1..) = stream.read(&mut request[filled..]).await {
                    filled += read;
                    if request[..filled].ends_with(b"\r\n\r\n") {
                        filled = 0;
                        if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.is_err() {
                            break;
                        }
                    }
                }
            });
        }
    });
    Ok(url)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut urls = Vec::new();
    for _ in 0..3 {
        urls.push(serve().await?);
    }
    let target = HttpTarget::new(&urls, Scope::ThisMachine)?;
    let check = Check { key: Key::new("k")?, cost: 1, deadline: Duration::from_secs(30) };
    println!("start skew in ms over {ROUNDS} rounds: min / median / max");
    for requests in [100, 1_000, 5_000] {
        for release in [Release::LastByte, Release::Barrier] {
            let mut skews = Vec::new();
            for _ in 0..ROUNDS {
                let report = volley(&target, vec![check.clone(); requests], release).await?;
                skews.push(report.start_skew.as_secs_f64() * 1e3);
            }
            skews.sort_by(f64::total_cmp);
            let (min, median, max) = (skews[0], skews[ROUNDS / 2], skews[ROUNDS - 1]);
            println!("{requests:>6} {release:?}: {min:.2} / {median:.2} / {max:.2}");
        }
    }
    Ok(())
}
