//! The program: its output, its refusals, and its end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Output, Stdio};

use crate::store::Store;
use crate::support::{ask, connect_raw, eventually, receives};

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
        command.args(["--listen", "127.0.0.1:0", "--store", &store.url()]);
        rules.iter().for_each(|rule| {
            command.args(["--rule", rule]);
        });
        Self::of(&mut command)
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
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

    /// Sends Ctrl-C, and returns the rest of the output. The first lines behind that with the
    /// address are lost to the buffer that read it.
    async fn interrupted(&mut self) -> String {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status().unwrap();
        assert!(sent.success());
        eventually("the program ends", async || {
            self.child.try_wait().unwrap().is_some()
        })
        .await;
        let mut printed = String::new();
        let mut output = self.child.stdout.take().unwrap();
        output.read_to_string(&mut printed).unwrap();
        printed
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
        (&["--store", "redis://10.1.2.3"], "--allow-remote"),
        // Other users of the machine could read it.
        (
            &["--store", "redis://u:hunter2@127.0.0.1"],
            "RESP_PROXY_STORE",
        ),
        (
            &["--store", "redis://127.0.0.1:1", "--listen", "nowhere"],
            "no address to listen on",
        ),
        (&["--control", "0.0.0.0:0"], "--allow-remote"),
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

/// Runs the program until it has printed so many lines about its state on standard error.
fn notices(command: &mut Command, count: usize) -> (Program, Vec<String>) {
    command.stderr(Stdio::piped());
    let mut program = Program::of(command);
    let reader = BufReader::new(program.child.stderr.take().unwrap());
    let lines = reader.lines().take(count).map(Result::unwrap).collect();
    (program, lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_stays_on_this_machine() {
    let store = Store::start();
    let secret = format!("redis://:hunter2@{}", store.address);
    let open = Command::new(PROGRAM)
        .args(["--listen", "0.0.0.0:0"])
        .env("RESP_PROXY_STORE", &secret)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&open.stderr);
    assert_eq!(open.status.code(), Some(64), "{error}");
    assert!(
        error.contains("--allow-remote") && !error.contains("hunter2"),
        "{error}"
    );

    ask(
        store.address,
        "CONFIG SET requirepass hunter2\r\n",
        "+OK\r\n",
    );
    let mut command = Command::new(PROGRAM);
    command
        .args(["--listen", "0.0.0.0:0", "--allow-remote"])
        .env("RESP_PROXY_STORE", &secret);
    let (program, lines) = notices(&mut command, 1);
    assert!(lines[0].contains("other machines"), "{lines:?}");
    let port = program.address.port();
    ask(([127, 0, 0, 1], port).into(), "PING\r\n", "+PONG\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn troubles_are_one_line_each() {
    let store = Store::start();
    ask(
        store.address,
        "CONFIG SET requirepass hunter2\r\n",
        "+OK\r\n",
    );
    let proxy = |url: &str| {
        let mut command = Command::new(PROGRAM);
        command
            .args(["--listen", "localhost:0", "--name", "redis"])
            .env("RESP_PROXY_STORE", url);
        command
    };
    for (url, reason) in [
        (format!("redis://:wrong@{}", store.address), "WRONGPASS"),
        (store.url(), "NOAUTH"),
        ("redis://127.0.0.1:1".to_owned(), "refused"),
    ] {
        let (mut program, lines) = notices(&mut proxy(&url), 1);
        let line = &lines[0];
        assert!(line.starts_with("resp-proxy: redis: the store"), "{line}");
        assert!(line.contains(reason) && !line.contains("wrong@"), "{line}");
        program.child.kill().unwrap();
    }
    // Beside its own, it can open a few connections.
    let mut command = Command::new("bash");
    let script = format!(
        "ulimit -n 16; exec {PROGRAM} --listen localhost:0 --store {}",
        store.url()
    );
    command.args(["-c", &script]);
    command.stderr(Stdio::piped());
    let mut program = Program::of(&mut command);
    let _clients: Vec<_> = (0..24).map(|_| program.connect()).collect();
    let reader = BufReader::new(program.child.stderr.take().unwrap());
    let full = reader
        .lines()
        .map(Result::unwrap)
        .find(|line| line.contains("open files"));
    assert!(full.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_without_effects_explains_itself() {
    let store = Store::start();
    let mut command = Command::new(PROGRAM);
    command
        .args(["--listen", "127.0.0.1:0", "--store", &store.url()])
        .args(["--rule", "command=INCRR percent=10 do=hold"]);
    let (mut program, lines) = notices(&mut command, 1);
    assert!(lines[0].contains("did you mean INCR?"), "{lines:?}");
    ask(program.address, "INCRBY user:1 1\r\n", ":1\r\n");
    let printed = program.interrupted().await;
    assert!(printed.contains(" seed="), "{printed}");
    assert!(printed.contains("seen: INCRBY 1; keys user:1"), "{printed}");
}
