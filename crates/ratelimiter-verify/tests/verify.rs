//! The program against limiters that are right and limiters that are wrong, ours and others'.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its subject has failed")]

mod support;

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ratelimiter_cluster::LocalCluster;
use support::{stderr, stdout, verdict, verify};

const PATIENCE: Duration = Duration::from_secs(30);

async fn cluster() -> LocalCluster {
    LocalCluster::builder().start().await.unwrap()
}

#[tokio::test]
async fn our_modes_are_told_apart() {
    let cluster = cluster().await;
    let results = tempfile::tempdir().unwrap();
    for (mode, code, word) in [("atomic", 0, "Passed"), ("leased", 0, "Passed"), ("cached", 3, "Violated")] {
        let directory = results.path().join(mode);
        let endpoints: Vec<String> = cluster.endpoints().iter().map(ToString::to_string).collect();
        let mut arguments = vec!["node", "--limit", "10", "--window", "60s", "--counting", mode];
        endpoints.iter().for_each(|endpoint| arguments.extend(["--url", endpoint]));
        arguments.extend(["--out", directory.to_str().unwrap()]);
        let output = verify(&arguments);
        assert_eq!(output.status.code(), Some(code), "{mode}: {}{}", stdout(&output), stderr(&output));
        assert!(stdout(&output).contains(word), "{mode}: {}", stdout(&output));

        let json = verdict(&directory);
        assert_eq!(json["version"], 1);
        assert_eq!(json["skipped"].as_array().unwrap().len(), 5, "phases that wait for a window of 60 s");
        let junit = std::fs::read_to_string(directory.join("junit.xml")).unwrap();
        assert_eq!(junit.contains("<failure"), code == 3, "{junit}");
        // The recorded history gives the same verdict.
        let history = directory.join("history.jsonl");
        let again = verify(&["check", history.to_str().unwrap(), "--limit", "10", "--window", "60s"]);
        assert_eq!(again.status.code(), Some(code), "{}", stdout(&again));
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_library_is_judged_through_its_adapter() {
    let cluster = LocalCluster::builder().nodes(1).start().await.unwrap();
    let url = cluster.store_url().to_string();
    let (host, port) = url.trim_start_matches("redis://").rsplit_once(':').unwrap();
    let adapter = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/adapter.py");
    for (mode, code) in [("correct", 0), ("racy", 3)] {
        let command = format!("python3 {} {host} {port} {mode} 10 60000", adapter.display());
        let arguments =
            ["exec", "--command", &command, "--limit", "10", "--window", "60s", "--multiplier", "6"];
        let output =
            verify(&[&arguments[..], &["--phase", "burst", "--bursts", "8", "--processes", "6"]].concat());
        assert_eq!(output.status.code(), Some(code), "{mode}: {}{}", stdout(&output), stderr(&output));
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_script_is_judged_over_resp() {
    let cluster = LocalCluster::builder().nodes(1).start().await.unwrap();
    let url = cluster.store_url().to_string();
    let count = "local n = redis.call('INCR', KEYS[1]); redis.call('EXPIRE', KEYS[1], 60); return n <= LIMIT and 1 or 0";
    for (limit, code) in [("10", 0), ("11", 3)] {
        let command = format!("EVAL \"{}\" 1 {{key}}", count.replace("LIMIT", limit));
        let output = verify(&[
            "resp",
            "--url",
            &url,
            "--command",
            &command,
            "--allowed-reply",
            "=1",
            "--limit",
            "10",
            "--window",
            "60s",
        ]);
        assert_eq!(output.status.code(), Some(code), "{limit}: {}{}", stdout(&output), stderr(&output));
    }
    cluster.shutdown().await;
}

/// nginx on a free port, ended when dropped.
struct Nginx {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Nginx {
    /// Nothing where there is no nginx and this is not the gate, which must have one.
    fn start(burst: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::write(root.join("ok"), "ok\n").unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let configuration = format!(
            "daemon off; master_process off; pid {0}/pid; error_log {0}/error.log;\n\
             events {{}}\n\
             http {{\n access_log off; client_body_temp_path {0}/body; proxy_temp_path {0}/proxy;\n \
             fastcgi_temp_path {0}/fastcgi; uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;\n \
             limit_req_zone $arg_key zone=one:1m rate=10r/s;\n \
             server {{ listen 127.0.0.1:{port}; root {0};\n  location /ok {{ limit_req zone=one {burst}; \
             limit_req_status 429; }} }} }}\n",
            root.display()
        );
        std::fs::File::create(root.join("nginx.conf")).unwrap().write_all(configuration.as_bytes()).unwrap();
        let started = Command::new("nginx")
            .args(["-p", root.to_str().unwrap(), "-e", "error.log", "-c", "nginx.conf"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match started {
            Ok(child) => child,
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "nginx cannot be started: {error}");
                eprintln!("not checked: nginx is missing (apt-get install nginx-light)");
                return None;
            }
        };
        let nginx = Self { child, port, _directory: directory };
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "nginx does not listen");
            std::thread::yield_now();
        }
        Some(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn nginx_is_judged_with_three_flags() {
    // A bucket of 10 (the burst of 9 and one in service), refilled in a second; and one of 15 that claims to be of 10.
    for (burst, code) in [("burst=9 nodelay", 0), ("burst=14 nodelay", 3)] {
        let Some(nginx) = Nginx::start(burst) else { return };
        let url = format!("http://127.0.0.1:{}/ok?key={{key}}", nginx.port);
        let arguments =
            ["http", "--url", &url, "--limit", "10", "--window", "1s", "--contract", "token-bucket"];
        let output = verify(&arguments);
        assert_eq!(output.status.code(), Some(code), "{burst}: {}{}", stdout(&output), stderr(&output));
    }
}

#[test]
fn wrong_usage_is_one_line_without_secrets() {
    let http = ["http", "--limit", "10", "--window", "60s"];
    for (more, reason) in [
        (&["--url", "http://10.1.2.3/"][..], "--allow-remote"),
        (&["--url", "http://user:hunter2@localhost/"], "credentials belong into --header"),
        (&["--url", "http://localhost/", "--header", "hunter2"], "NAME: VALUE"),
        (&["--url", "http://localhost/", "--phase", "overlord"], "overload"),
        (&["--url", "http://localhost/", "--phase", "overload"], "no phase is left"),
    ] {
        let output = verify(&[&http[..], more].concat());
        assert_eq!(output.status.code(), Some(64), "{more:?}: {}", stderr(&output));
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
    }
    let dry = verify(&[&http[..], &["--url", "http://localhost:1/{key}", "--dry-run"]].concat());
    assert!(dry.status.success() && stdout(&dry).contains("skipped: overload"), "{}", stdout(&dry));
}

#[test]
fn an_endpoint_that_decides_nothing_never_passes() {
    // A server that answers everything with 500.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/{{key}}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        use std::io::Read as _;
        while let Ok((mut stream, _)) = listener.accept() {
            std::thread::spawn(move || {
                while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                    let answer = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n";
                    if stream.write_all(answer).is_err() {
                        break;
                    }
                }
            });
        }
    });
    let output = verify(&["http", "--url", &url, "--limit", "10", "--window", "60s"]);
    assert_eq!(output.status.code(), Some(4), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("status 500"), "{}", stdout(&output));
}
