//! How close to one instant the last bytes of a burst arrive behind a network: a relay delays
//! each connection by a random time of up to 50 ms, and a server stamps the reads that complete
//! requests.
//!
//! `cargo run --release -p ratelimiter-chaos --example relay_skew`
#![expect(
    clippy::unwrap_used,
    reason = "no thread panics while it holds the stamps"
)]

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ratelimiter_api::Key;
use ratelimiter_chaos::{Release, volley};
use ratelimiter_target::{Authorities, Check, HttpForm, HttpTarget, Reach};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
    ReadBuf,
};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::process::Command;

const ROUNDS: usize = 10;
/// The longest delay of a connection.
const DELAY: Duration = Duration::from_millis(50);

/// Instants of the reads that completed requests.
type Stamps = Arc<Mutex<Vec<Instant>>>;

/// A stream that remembers its last read.
struct Stamped {
    stream: TcpStream,
    read: Arc<Mutex<Instant>>,
}

impl AsyncRead for Stamped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            *self.read.lock().unwrap() = Instant::now();
        }
        read
    }
}

impl AsyncWrite for Stamped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

async fn serve_http1(mut stream: TcpStream, stamps: Stamps) -> io::Result<()> {
    let (mut request, mut filled) = ([0; 1024], 0);
    loop {
        filled += match stream.read(&mut request[filled..]).await? {
            0 => return Ok(()),
            read => read,
        };
        if request[..filled].ends_with(b"\r\n\r\n") {
            stamps.lock().unwrap().push(Instant::now());
            filled = 0;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
        }
    }
}

async fn serve_http2(stream: TcpStream, stamps: Stamps) -> Result<(), h2::Error> {
    let read = Arc::new(Mutex::new(Instant::now()));
    let stream = Stamped {
        stream,
        read: Arc::clone(&read),
    };
    let mut server = h2::server::handshake(stream).await?;
    while let Some(request) = server.accept().await {
        let (_, mut respond) = request?;
        stamps.lock().unwrap().push(*read.lock().unwrap());
        let mut allowed = hyper::Response::new(());
        *allowed.status_mut() = hyper::StatusCode::NO_CONTENT;
        respond.send_response(allowed, true)?;
    }
    poll_fn(|cx| server.poll_closed(cx)).await
}

/// Passes bytes on, each a while after it came.
async fn relay(
    mut from: impl AsyncRead + Unpin + Send + 'static,
    mut to: impl AsyncWrite + Unpin + Send + 'static,
    delay: Duration,
) {
    let (sender, mut parts) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some((due, part)) = parts.recv().await {
            tokio::time::sleep_until(due).await;
            let part: Vec<u8> = part;
            if to.write_all(&part).await.is_err() {
                return;
            }
        }
    });
    let mut part = vec![0; 1 << 18];
    while let Ok(read @ 1..) = from.read(&mut part).await {
        let due = tokio::time::Instant::now() + delay;
        if sender.send((due, part[..read].to_vec())).is_err() {
            return;
        }
    }
}

fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    socket.listen(1024)
}

/// A server and the relay before it. Prints the relay's URL.
fn start(is_http2: bool, stamps: &Stamps) -> io::Result<()> {
    let (server, before) = (listen()?, listen()?);
    println!("http://{}/", before.local_addr()?);
    let (address, stamps) = (server.local_addr()?, Arc::clone(stamps));
    tokio::spawn(async move {
        while let Ok((stream, _)) = server.accept().await {
            let _ = stream.set_nodelay(true);
            let stamps = Arc::clone(&stamps);
            tokio::spawn(async move {
                if is_http2 {
                    let _ = serve_http2(stream, stamps).await;
                } else {
                    let _ = serve_http1(stream, stamps).await;
                }
            });
        }
    });
    tokio::spawn(async move {
        while let Ok((client, _)) = before.accept().await {
            let Ok(server) = TcpStream::connect(address).await else {
                return;
            };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let delay = DELAY.mul_f64(fastrand::f64());
            let ((read, write), (back, forth)) = (client.into_split(), server.into_split());
            tokio::spawn(relay(read, forth, delay));
            tokio::spawn(relay(back, write, delay));
        }
    });
    Ok(())
}

/// Both servers. For each line of input, prints the spread of the stamps since the last one, and
/// their number.
async fn serve() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised)?;
    let stamps = Stamps::default();
    start(false, &stamps)?;
    start(true, &stamps)?;
    let answer = move || {
        for line in io::stdin().lines() {
            line?;
            let stamps = std::mem::take(&mut *stamps.lock().unwrap());
            let (first, last) = (stamps.iter().min(), stamps.iter().max());
            let spread = first.zip(last).map(|(first, last)| *last - *first);
            let spread = spread.unwrap_or_default().as_secs_f64() * 1e3;
            println!("{spread} {}", stamps.len());
        }
        Ok(())
    };
    tokio::task::spawn_blocking(answer).await?
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return Ok(serve().await?);
    }
    let mut child = Command::new(std::env::current_exe()?)
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut ask = child.stdin.take().ok_or("the server has no input")?;
    let mut told = BufReader::new(child.stdout.take().ok_or("the server has no output")?).lines();
    let mut urls = Vec::new();
    for _ in 0..2 {
        urls.push(
            told.next_line()
                .await?
                .ok_or("the server does not listen")?,
        );
    }
    let check = Check::new(Key::new("k")?, 1, Duration::from_secs(30));
    println!("last bytes at the server, spread in ms over {ROUNDS} rounds: min / median / max");
    for requests in [100, 1_000] {
        for (name, url, connections) in [
            ("HTTP/1.1", &urls[0], 1),
            ("HTTP/2, 8 connections", &urls[1], 8),
            ("HTTP/2, 1 connection", &urls[1], 1),
        ] {
            let form = HttpForm {
                http2: name.starts_with("HTTP/2"),
                connections,
                ..HttpForm::default()
            };
            let trust = Authorities::default();
            let target =
                HttpTarget::new(std::slice::from_ref(url), form, Reach::ThisMachine, &trust)?;
            let mut spreads = Vec::new();
            for _ in 0..ROUNDS {
                let checks = vec![check.clone(); requests];
                let origin = tokio::time::Instant::now();
                let report = volley(&target, checks, Release::Cork, origin).await?;
                if report.tally.allowed != requests as u64 {
                    return Err(format!("{name}: {:?}", report.details).into());
                }
                ask.write_all(b"\n").await?;
                let line = told.next_line().await?.ok_or("the server has ended")?;
                let (spread, stamps) = line.split_once(' ').ok_or("no spread")?;
                if stamps.parse() != Ok(requests) {
                    return Err(format!("{name}: {stamps} stamps").into());
                }
                spreads.push(spread.parse::<f64>()?);
            }
            spreads.sort_by(f64::total_cmp);
            let (min, median, max) = (spreads[0], spreads[ROUNDS / 2], spreads[ROUNDS - 1]);
            println!("{requests:>6} {name:<22} {min:>8.2} / {median:>6.2} / {max:>6.2}");
        }
    }
    Ok(())
}
