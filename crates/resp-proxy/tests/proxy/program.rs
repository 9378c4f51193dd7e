//! The program: its output, its refusals, and its end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Output, Stdio};

use crate::store::Store;
use crate::support::{connect_raw, eventually, receives};

const PROGRAM: &str = env!("CARGO_BIN_EXE_resp-proxy");

/// The running program and the address that it listens on.
struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    fn start(store: &Store, rules: &[&str]) -> Self {
        // The tests themselves may run under nohup, which their children inherit.
        let mut command = Command::new("env");
        command.args(["--default-signal=HUP", PROGRAM]);
        command
            .args(["--listen", "127.0.0.1:0", "--store", &store.url()])
            .stdout(Stdio::piped());
        rules.iter().for_each(|rule| {
            command.args(["--rule", rule]);
        });
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap_or_else(|_| panic!("{line:?}"));
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        connect_raw(self.address)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn refused(arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(arguments)
        .env_remove("RESP_PROXY_STORE")
        .output()
        .unwrap()
}

#[test]
fn wrong_usage_is_64_with_one_reason() {
    for (arguments, reason) in [
        (
            &[
                "--store",
                "redis://127.0.0.1:1",
                "--rule",
                "do=hold class=wirte",
            ][..],
            "column 15",
        ),
        (
            &["--store", "http://u:hunter2@127.0.0.1:1"],
            "expected redis://",
        ),
        (&["--store", "redis://u:hunter2@10.1.2.3"], "--allow-remote"),
        (&[], "--store"),
    ] {
        let output = refused(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {error}");
        assert!(
            error.contains(reason) && !error.contains("hunter2"),
            "{arguments:?}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_end_with_a_killed_process() {
    let store = Store::start();
    let mut program = Program::start(&store, &["class=write do=hold"]);
    let mut held = program.connect();
    held.write_all(b"INCR k\r\n").unwrap();
    let mut reader = program.connect();
    reader.write_all(b"GET k\r\n").unwrap();
    // The write is held, and reads pass.
    receives(&mut reader, "$-1\r\n");
    let killed = std::time::Instant::now();
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    // The client learns at once that its connection is gone, and reaches the store directly.
    assert!(matches!(held.read(&mut [0; 1]), Ok(0) | Err(_)));
    let mut direct = connect_raw(store.address);
    direct.write_all(b"INCR k\r\n").unwrap();
    // The held write never ran.
    receives(&mut direct, ":1\r\n");
    println!(
        "a write passed directly {:.1} ms after the kill",
        killed.elapsed().as_secs_f64() * 1e3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_terminal_reports_each_rule() {
    let store = Store::start();
    let mut program = Program::start(&store, &["command=INCR do=error text=\"ERR no\""]);
    let mut stream = program.connect();
    stream.write_all(b"INCR k\r\n").unwrap();
    receives(&mut stream, "-ERR no\r\n");
    let pid = program.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-HUP", &pid])
            .status()
            .unwrap()
            .success()
    );
    let mut status = None;
    eventually("the program ends", async || {
        status = program.child.try_wait().unwrap();
        status.is_some()
    })
    .await;
    assert_eq!(status.unwrap().code(), Some(129));
    let mut printed = String::new();
    program
        .child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut printed)
        .unwrap();
    assert!(printed.contains("1 effects on 1 commands"), "{printed}");
    assert!(printed.contains("ended"), "{printed}");
}
