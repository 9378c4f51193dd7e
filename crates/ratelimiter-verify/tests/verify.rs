//! The program against limiters that are right and limiters that are wrong, ours and others'.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use ratelimiter_cluster::{ClusterPlan, LocalCluster, make_certificate};
use support::{Nginx, Started, program, stderr, stdout, verdict, verify};

async fn cluster() -> LocalCluster {
    ClusterPlan::default().start().await.unwrap()
}

#[tokio::test]
async fn our_modes_are_told_apart() {
    let cluster = cluster().await;
    let results = tempfile::tempdir().unwrap();
    for (mode, code, word) in [
        ("atomic", 0, "Passed"),
        ("leased", 0, "Passed"),
        ("cached", 3, "Violated"),
    ] {
        let directory = results.path().join(mode);
        let endpoints: Vec<String> = cluster
            .endpoints()
            .iter()
            .map(ToString::to_string)
            .collect();
        let mut arguments = vec![
            "node",
            "--limit",
            "10",
            "--window",
            "60s",
            "--counting",
            mode,
        ];
        endpoints
            .iter()
            .for_each(|endpoint| arguments.extend(["--node", endpoint]));
        arguments.extend(["--out", directory.to_str().unwrap()]);
        let output = verify(&arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{mode}: {}{}",
            stdout(&output),
            stderr(&output)
        );
        assert!(
            stdout(&output).contains(word),
            "{mode}: {}",
            stdout(&output)
        );

        let json = verdict(&directory);
        assert_eq!(json["version"], 1);
        assert_eq!(
            json["skipped"].as_array().unwrap().len(),
            5,
            "phases that wait for a window of 60 s"
        );
        let junit = std::fs::read_to_string(directory.join("junit.xml")).unwrap();
        assert_eq!(junit.contains("<failure"), code == 3, "{junit}");
        // The recorded history gives the same verdict.
        let history = directory.join("history.jsonl");
        let again = verify(&[
            "check",
            history.to_str().unwrap(),
            "--limit",
            "10",
            "--window",
            "60s",
        ]);
        assert_eq!(again.status.code(), Some(code), "{}", stdout(&again));
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_library_is_judged_through_its_adapter() {
    // The pause between GET and INCR makes the race certain on any machine.
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let url = cluster.store_url().to_string();
    let (host, port) = url.trim_start_matches("redis://").rsplit_once(':').unwrap();
    let adapter = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/adapter.py");
    for (mode, code) in [("correct", 0), ("racy", 3)] {
        let command = format!(
            "python3 {} {host} {port} {mode} 10 60000 100",
            adapter.display()
        );
        let arguments = [
            "exec",
            "--command",
            &command,
            "--limit",
            "10",
            "--window",
            "60s",
            "--multiplier",
            "6",
        ];
        let output = verify(
            &[
                &arguments[..],
                &["--phase", "burst", "--bursts", "8", "--processes", "6"],
            ]
            .concat(),
        );
        assert_eq!(
            output.status.code(),
            Some(code),
            "{mode}: {}{}",
            stdout(&output),
            stderr(&output)
        );
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_script_is_judged_over_resp() {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let url = cluster.store_url().to_string();
    let count = "local n = redis.call('INCR', KEYS[1]); redis.call('EXPIRE', KEYS[1], 60); return \
        n <= LIMIT and 1 or 0";
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
        assert_eq!(
            output.status.code(),
            Some(code),
            "{limit}: {}{}",
            stdout(&output),
            stderr(&output)
        );
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn get_then_incr_is_told_from_incr() {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let url = cluster.store_url().to_string();
    let (host, port) = url.trim_start_matches("redis://").rsplit_once(':').unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/get_then_incr.py");
    for (mode, code) in [("correct", 0), ("racy", 3)] {
        let mut limiter = Started(
            Command::new("python3")
                .args([script.to_str().unwrap(), host, port, mode, "10", "200"])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let mut listening = String::new();
        BufReader::new(limiter.0.stdout.take().unwrap())
            .read_line(&mut listening)
            .unwrap();
        let target = format!("redis://127.0.0.1:{}", listening.trim());
        let arguments = [
            "resp",
            "--url",
            &target,
            "--command",
            "CHECK {key}",
            "--allowed-reply",
            "=1",
        ];
        let more = [
            "--limit",
            "10",
            "--window",
            "60s",
            "--phase",
            "burst",
            "--multiplier",
            "6",
            // The counters of both modes are in one store.
            "--key-part",
            mode,
        ];
        let output = verify(&[&arguments[..], &more].concat());
        assert_eq!(
            output.status.code(),
            Some(code),
            "{mode}: {}{}",
            stdout(&output),
            stderr(&output)
        );
    }
    cluster.shutdown().await;
}

#[test]
fn nginx_is_judged_with_three_flags() {
    // A bucket of 10 (the burst of 9 and one in service), refilled in a second; and one of 15 that
    // claims to be of 10.
    for (burst, code) in [("burst=9 nodelay", 0), ("burst=14 nodelay", 3)] {
        let Some(nginx) = Nginx::start(burst) else {
            return;
        };
        let url = format!("http://127.0.0.1:{}/ok?key={{key}}", nginx.port);
        let arguments = [
            "http",
            "--url",
            &url,
            "--limit",
            "10",
            "--window",
            "1s",
            "--contract",
            "token-bucket",
        ];
        let output = verify(&arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{burst}: {}{}",
            stdout(&output),
            stderr(&output)
        );
    }
}

/// A certificate of an authority that no system knows, for localhost: `certificate.pem` and
/// `key.pem`. Nothing where there is no openssl and this is not the gate, which must have one.
fn certificate() -> Option<tempfile::TempDir> {
    let directory = tempfile::tempdir().unwrap();
    let Err(error) = make_certificate(directory.path()) else {
        return Some(directory);
    };
    assert!(std::env::var_os("CI").is_none(), "{error}");
    eprintln!("not checked: {error}");
    None
}

/// The arguments judge a limiter behind TLS once they name its authority, and refuse its
/// certificate before.
fn trusts_only_a_known_authority(arguments: &[&str], authority: &Path) {
    let named = verify(&[arguments, &["--ca", authority.to_str().unwrap()]].concat());
    assert_eq!(
        named.status.code(),
        Some(0),
        "{}{}",
        stdout(&named),
        stderr(&named)
    );
    let refusing = verify(arguments);
    assert_eq!(
        refusing.status.code(),
        Some(1),
        "{}{}",
        stdout(&refusing),
        stderr(&refusing)
    );
    assert!(
        stderr(&refusing).contains("certificate"),
        "{}",
        stderr(&refusing)
    );
}

#[test]
fn a_limiter_behind_tls_is_judged() {
    let Some(directory) = certificate() else {
        return;
    };
    let authority = directory.path().join("certificate.pem");
    let Some(nginx) = Nginx::encrypted(directory, "burst=9 nodelay") else {
        return;
    };
    let url = format!("https://localhost:{}/ok?key={{key}}", nginx.port);
    let arguments = [
        "http",
        "--url",
        &url,
        "--limit",
        "10",
        "--window",
        "1s",
        "--contract",
        "token-bucket",
    ];
    let arguments = [&arguments[..], &["--phase", "burst", "--bursts", "2"]].concat();
    trusts_only_a_known_authority(&arguments, &authority);
    let by_system = program(&arguments)
        .env("SSL_CERT_FILE", authority)
        .output()
        .unwrap();
    assert_eq!(
        by_system.status.code(),
        Some(0),
        "{}{}",
        stdout(&by_system),
        stderr(&by_system)
    );
}

#[test]
fn a_store_behind_tls_is_judged() {
    let Some(directory) = certificate() else {
        return;
    };
    let authority = directory.path().join("certificate.pem");
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let started = Command::new("redis-server")
        .args([
            "--port",
            "0",
            "--tls-port",
            &port.to_string(),
            "--tls-auth-clients",
            "no",
        ])
        .args([
            "--tls-cert-file",
            "certificate.pem",
            "--tls-key-file",
            "key.pem",
        ])
        .args([
            "--tls-ca-cert-file",
            "certificate.pem",
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ])
        .current_dir(&directory)
        .stdout(Stdio::null())
        .spawn();
    let Ok(store) = started else {
        assert!(
            std::env::var_os("CI").is_none(),
            "redis-server cannot be started"
        );
        return eprintln!("not checked: redis-server is missing (apt-get install redis-server)");
    };
    let _store = Started(store);
    let began = std::time::Instant::now();
    while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(
            began.elapsed().as_secs() < 30,
            "redis-server does not listen for TLS"
        );
        std::thread::yield_now();
    }
    let url = format!("rediss://localhost:{port}");
    let count = "EVAL \"return redis.call('INCR', KEYS[1]) <= 10 and 1 or 0\" 1 {key}";
    let arguments = [
        "resp",
        "--url",
        &url,
        "--command",
        count,
        "--allowed-reply",
        "=1",
        "--phase",
        "burst",
    ];
    trusts_only_a_known_authority(
        &[&arguments[..], &["--limit", "10", "--window", "60s"]].concat(),
        &authority,
    );
    let pause = ["inject", "redis-pause", "--store", &url, "--for", "1s"];
    let named = verify(&[&pause[..], &["--store-ca", authority.to_str().unwrap()]].concat());
    assert_eq!(
        named.status.code(),
        Some(0),
        "{}{}",
        stdout(&named),
        stderr(&named)
    );
    let refusing = verify(&pause);
    assert_eq!(
        refusing.status.code(),
        Some(1),
        "{}{}",
        stdout(&refusing),
        stderr(&refusing)
    );
    assert!(
        stderr(&refusing).contains("not trusted here"),
        "{}",
        stderr(&refusing)
    );
    assert_eq!(
        stderr(&refusing).lines().count(),
        1,
        "{}",
        stderr(&refusing)
    );
}

#[test]
fn wrong_usage_is_one_line_without_secrets() {
    let http = ["http", "--limit", "10", "--window", "60s"];
    for (more, reason) in [
        (&["--url", "http://10.1.2.3/"][..], "--allow-remote"),
        (
            &["--url", "http://user:hunter2@localhost/"],
            "credentials belong into --header",
        ),
        (
            &["--url", "http://localhost/", "--header", "hunter2"],
            "NAME: VALUE",
        ),
        (
            &["--url", "http://localhost/", "--phase", "overlord"],
            "overload",
        ),
        (
            &["--url", "http://localhost/", "--phase", "overload"],
            "no phase is left",
        ),
    ] {
        let output = verify(&[&http[..], more].concat());
        assert_eq!(
            output.status.code(),
            Some(64),
            "{more:?}: {}",
            stderr(&output)
        );
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
    }
    let dry = verify(
        &[
            &http[..],
            &["--url", "http://localhost:1/{key}", "--dry-run"],
        ]
        .concat(),
    );
    assert!(
        dry.status.success() && stdout(&dry).contains("skipped: overload"),
        "{}",
        stdout(&dry)
    );
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
    assert_eq!(
        output.status.code(),
        Some(4),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    assert!(
        stdout(&output).contains("status 500"),
        "{}",
        stdout(&output)
    );
}
