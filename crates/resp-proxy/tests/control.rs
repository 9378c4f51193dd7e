//! Control over HTTP: proxies and toxics come and go, leases end, and browsers are refused.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

#[path = "support/program.rs"]
mod program;
#[path = "support/store.rs"]
mod store;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use program::ControlledProgram;
use serde_json::{Value, json};
use store::Store;

const PATIENCE: Duration = Duration::from_secs(30);
const TOXICS: &str = "/proxies/proxy/toxics";

/// Sends a request without further fields.
fn call(program: &ControlledProgram, method: &str, path: &str, body: &str) -> (u16, Value) {
    program.request(method, path, "", body)
}

/// A toxic that is a rule.
fn resp(name: &str, rule: &str) -> String {
    json!({ "name": name, "type": "resp", "attributes": { "rule": rule } }).to_string()
}

/// Sends one command to the store or a proxy and returns the line of its answer.
fn command(address: std::net::SocketAddr, text: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{text}\r\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line)
}

fn listen(view: &Value) -> std::net::SocketAddr {
    view["listen"].as_str().unwrap().parse().unwrap()
}

#[test]
fn toxics_are_added_awaited_and_removed() {
    let store = Store::start();
    let program = ControlledProgram::start(&store.url());
    let toxic = &resp("lost", "command=INCR first=1 do=reset-after");
    let (status, added) = call(&program, "POST", TOXICS, toxic);
    assert_eq!((status, &added["effects"]), (200, &json!(0)), "{added}");
    assert_eq!(added["rule"], "command=INCR first=1 do=reset-after");
    assert_eq!(call(&program, "POST", TOXICS, toxic).0, 409);

    // Nothing came yet, and the answer says so.
    let wait = format!("{TOXICS}/lost?wait_effects=1&timeout=50ms");
    let (status, late) = call(&program, "GET", &wait, "");
    assert_eq!(status, 408);
    let reason = late["error"].as_str().unwrap();
    assert!(reason.contains("0 of 1 effects"), "{reason}");

    let proxy = program.proxy;
    let losing = std::thread::spawn(move || command(proxy, "INCR k"));
    let wait = format!("{TOXICS}/lost?wait_effects=1&timeout=30s");
    let (status, had) = call(&program, "GET", &wait, "");
    assert_eq!(
        (status, &had["effects"], &had["fitted"]),
        (200, &json!(1), &json!(1)),
        "{had}"
    );
    assert!(losing.join().unwrap().map_or(true, |line| line.is_empty()));
    assert_eq!(command(proxy, "INCR k").unwrap(), ":2\r\n");

    let (_, view) = call(&program, "GET", "/proxies/proxy", "");
    assert_eq!(view["seen"]["commands"]["INCR"], 2, "{view}");
    assert_eq!(view["seen"]["keys"], json!(["k"]));
    assert_eq!(
        call(&program, "DELETE", &format!("{TOXICS}/lost"), "").0,
        204
    );
    assert_eq!(call(&program, "GET", &format!("{TOXICS}/lost"), "").0, 404);
    assert_eq!(call(&program, "GET", TOXICS, ""), (200, json!([])));
}

#[test]
fn a_rule_that_cannot_fit_warns() {
    let store = Store::start();
    let program = ControlledProgram::start(&store.url());
    let toxic = r#"{"type":"resp","attributes":{"rule":"command=INCRR do=hold"}}"#;
    let (_, added) = call(&program, "POST", TOXICS, toxic);
    let warning = added["warnings"][0].as_str().unwrap();
    assert!(warning.contains("did you mean INCR?"), "{warning}");
    let wrong = r#"{"type":"resp","attributes":{"rule":"do=explode"}}"#;
    let (status, refused) = call(&program, "POST", TOXICS, wrong);
    assert_eq!((status, &refused["status"]), (400, &json!(400)));
}

#[test]
fn proxies_come_and_go() {
    let store = Store::start();
    let program = ControlledProgram::start(&store.url());
    let created = json!({ "name": "second", "upstream": store.address.to_string() }).to_string();
    let (status, view) = call(&program, "POST", "/proxies", &created);
    assert_eq!((status, &view["enabled"]), (201, &json!(true)), "{view}");
    let second = listen(&view);
    assert_eq!(command(second, "PING").unwrap(), "+PONG\r\n");
    assert_eq!(call(&program, "POST", "/proxies", &created).0, 409);
    assert_eq!(call(&program, "POST", "/proxies", r#"{"name":"x"}"#).0, 400);
    let (_, all) = call(&program, "GET", "/proxies", "");
    assert_eq!(
        all.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["proxy", "second"]
    );

    for round in 0..5 {
        let down = call(&program, "POST", "/proxies/second", r#"{"enabled":false}"#);
        assert_eq!(
            (down.0, &down.1["enabled"]),
            (200, &json!(false)),
            "round {round}"
        );
        assert!(command(second, "PING").is_err(), "round {round}");
        // Reset takes it up again, at the same address.
        assert_eq!(call(&program, "POST", "/reset", "").0, 204);
        assert_eq!(
            command(second, "PING").unwrap(),
            "+PONG\r\n",
            "round {round}"
        );
    }

    // Toxics stay when a proxy moves.
    let toxic = &resp("t", "command=PING do=error text=\"ERR no\"");
    assert_eq!(
        call(&program, "POST", "/proxies/second/toxics", toxic).0,
        200
    );
    let moved = r#"{"listen":"localhost:0"}"#;
    let (status, view) = call(&program, "PATCH", "/proxies/second", moved);
    assert_eq!(status, 200, "{view}");
    assert_eq!(command(listen(&view), "PING").unwrap(), "-ERR no\r\n");

    let populated = json!([
        { "name": "second", "upstream": store.address.to_string(), "listen": view["listen"] },
        { "name": "third", "upstream": store.url(), "listen": "127.0.0.1:0" },
    ])
    .to_string();
    let (status, answer) = call(&program, "POST", "/populate", &populated);
    assert_eq!(status, 201, "{answer}");
    assert_eq!(
        answer["proxies"][0]["toxics"][0]["name"], "t",
        "it is as it was"
    );
    assert_eq!(
        command(listen(&answer["proxies"][1]), "PING").unwrap(),
        "+PONG\r\n"
    );
    assert_eq!(call(&program, "DELETE", "/proxies/third", "").0, 204);
    assert_eq!(call(&program, "GET", "/proxies/third", "").0, 404);
}

#[test]
fn a_lease_outlives_no_killed_test() {
    let store = Store::start();
    let program = ControlledProgram::start(&store.url());
    // A test in a process of its own, which sets a fault and is killed.
    let body =
        r#"{"name":"held","type":"resp","attributes":{"rule":"command=INCR do=hold","for":"3s"}}"#;
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{}; printf 'POST {TOXICS} HTTP/1.1\\r\\nHost: localhost\\r\\n\
         Content-Length: {}\\r\\n\\r\\n%s' '{body}' >&3; read -r line <&3; echo \"$line\"; \
         sleep 1000",
        program.control.port(),
        body.len()
    );
    let mut test = Command::new("bash")
        .args(["-c", &script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(test.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let set = Instant::now();
    assert!(line.contains("200"), "{line}");
    test.kill().unwrap();
    test.wait().unwrap();
    assert_eq!(call(&program, "GET", &format!("{TOXICS}/held"), "").0, 200);
    // Held until the lease ends.
    assert_eq!(command(program.proxy, "INCR k").unwrap(), ":1\r\n");
    let passed = set.elapsed();
    assert!(passed >= Duration::from_millis(2900), "{passed:?}");
    assert_eq!(call(&program, "GET", TOXICS, ""), (200, json!([])));
    println!("a write passed {passed:?} after a fault with a lease of 3 s");
}

#[test]
fn a_lease_can_be_renewed() {
    let store = Store::start();
    let program = ControlledProgram::start(&store.url());
    let body = &resp("t", "command=PING do=error text=\"ERR no\"");
    let path = format!("{TOXICS}?for=1h");
    let (_, added) = call(&program, "POST", &path, body);
    assert!(added["lease_seconds"].as_f64().unwrap() > 3000.0, "{added}");
    assert_eq!(command(program.proxy, "PING").unwrap(), "-ERR no\r\n");
    let (_, renewed) = call(
        &program,
        "POST",
        &format!("{TOXICS}/t"),
        r#"{"for":"20ms"}"#,
    );
    // Its counts go on.
    assert_eq!(renewed["effects"], 1, "{renewed}");
    let began = Instant::now();
    while call(&program, "GET", &format!("{TOXICS}/t"), "").0 == 200 {
        assert!(began.elapsed() < PATIENCE, "the lease never ended");
    }
    assert_eq!(command(program.proxy, "PING").unwrap(), "+PONG\r\n");
}

#[test]
fn a_killed_proxy_ends_its_faults() {
    let store = Store::start();
    let mut program = ControlledProgram::start(&store.url());
    let body = r#"{"type":"resp","attributes":{"rule":"do=silence"}}"#;
    assert_eq!(call(&program, "POST", TOXICS, body).0, 200);
    let mut stream = TcpStream::connect(program.proxy).unwrap();
    stream.write_all(b"INCR k\r\n").unwrap();
    let wait = format!("{TOXICS}/resp_downstream?wait_effects=1&timeout=30s");
    assert_eq!(call(&program, "GET", &wait, "").0, 200);
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    let killed = Instant::now();
    assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
    println!("a connection ended {:?} after the kill", killed.elapsed());
    assert_eq!(command(store.address, "INCR k").unwrap(), ":1\r\n");
}

#[test]
fn pages_and_other_machines_are_refused() {
    let store = Store::start();
    let program = ControlledProgram::start(&store.url());
    for fields in [
        "Origin: http://localhost\r\n",
        "User-Agent: Mozilla/5.0\r\n",
        "Sec-Fetch-Site: none\r\n",
        "Host: evil.example\r\n",
    ] {
        let (status, refused) = program.request("POST", "/reset", fields, "");
        assert_eq!(status, 403, "{fields:?}: {refused}");
    }
    for proxy in [
        json!({ "name": "far", "upstream": "10.1.2.3:6379" }),
        json!({ "name": "open", "upstream": "redis://:hunter2@127.0.0.1", "listen": "0.0.0.0:0" }),
    ] {
        let (status, refused) = call(&program, "POST", "/proxies", &proxy.to_string());
        let reason = refused["error"].as_str().unwrap();
        assert_eq!(status, 403, "{reason}");
        assert!(
            reason.contains("--allow-remote") && !reason.contains("hunter2"),
            "{reason}"
        );
    }
    let secret = json!({ "name": "secret", "upstream": "redis://:hunter2@127.0.0.1:1" });
    let (_, view) = call(&program, "POST", "/proxies", &secret.to_string());
    assert!(!view.to_string().contains("hunter2"), "{view}");
}
