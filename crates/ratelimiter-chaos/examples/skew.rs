//! How close to one instant a burst is, by corks and by a barrier, over three loopback
//! servers.
//!
//! `cargo run --release -p ratelimiter-chaos --example skew`

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use ratelimiter_api::Key;
use ratelimiter_chaos::{Release, volley};
use ratelimiter_target::{Authorities, Check, HttpForm, HttpTarget, Reach};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpSocket;
use tokio::process::{Child, Command};
use tokio::time::Instant;

const ROUNDS: usize = 20;

/// A server that allows everything. It prints its URL, and ends with its standard input.
async fn serve() -> std::io::Result<()> {
    let listener = TcpSocket::new_v4()?;
    listener.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let listener = listener.listen(1024)?;
    println!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let mut filled = 0;
                while let Ok(read @ 1..) = stream.read(&mut request[filled..]).await {
                    filled += read;
                    if request[..filled].ends_with(b"\r\n\r\n") {
                        filled = 0;
                        if stream
                            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                            .await
                            .is_err()
                        {
                            break;
                        }
                    }
                }
            });
        }
    });
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
        .await??;
    Ok(())
}

/// This program as a server in a process of its own, since both ends of 10,000 connections are too
/// many files for one.
async fn start() -> Result<(Child, String), Box<dyn std::error::Error>> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().ok_or("the server has no output")?;
    let url = BufReader::new(stdout)
        .lines()
        .next_line()
        .await?
        .ok_or("the server does not listen")?;
    Ok((child, url))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return Ok(serve().await?);
    }
    let (mut servers, mut urls) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (server, url) = start().await?;
        servers.push(server);
        urls.push(url);
    }
    let target = HttpTarget::new(
        &urls,
        HttpForm::default(),
        Reach::ThisMachine,
        &Authorities::default(),
    )?;
    let check = Check::new(Key::new("k")?, 1, Duration::from_secs(30));
    println!("start skew in ms over {ROUNDS} rounds: min / median / max");
    for requests in [100, 1_000, 10_000] {
        for release in [Release::Cork, Release::Barrier] {
            let mut skews = Vec::new();
            for _ in 0..ROUNDS {
                let report = volley(
                    &target,
                    vec![check.clone(); requests],
                    release,
                    Instant::now(),
                )
                .await?;
                skews.push(report.start_skew.as_secs_f64() * 1e3);
            }
            skews.sort_by(f64::total_cmp);
            let (min, median, max) = (skews[0], skews[ROUNDS / 2], skews[ROUNDS - 1]);
            println!("{requests:>6} {release:?}: {min:.2} / {median:.2} / {max:.2}");
        }
    }
    Ok(())
}
