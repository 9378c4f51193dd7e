//! Servers on loopback whose every text is hostile, and the text.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// Every control character but line breaks and NUL, and sequences that terminals obey: colour,
/// title, clipboard, clear. Then marks that reverse, hide or join text.
pub(crate) fn hostile_text() -> String {
    let controls = ('\u{1}'..='\u{1f}').chain('\u{7f}'..='\u{9f}');
    let marks = "\u{61c}\u{200b}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\
        \u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{feff}\u{e0041}";
    let sequences =
        "\u{1b}[31mred\u{1b}]0;title\u{7}\u{1b}]52;c;aGk=\u{1b}\\\u{9b}2J\u{9d}0;t\u{9c}";
    let controls: String = controls.filter(|c| !"\r\n".contains(*c)).collect();
    format!("ho{controls}{sequences}{marks}tile")
}

/// The text as a string of JSON, in which all controls are escaped, and with line breaks.
pub(crate) fn hostile_json() -> String {
    let text = hostile_text() + "\n[  0.000] ok forged\r";
    let escaped: String = text
        .encode_utf16()
        .map(|unit| format!("\\u{unit:04x}"))
        .collect();
    format!("\"{escaped}\"")
}

/// The manner of a hostile server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Refuses everything, with a reason.
    Refusing,
    /// Answers as a node or a store would, with hostile names.
    Plausible,
    /// Answers with bytes that are no protocol.
    Garbage,
}

pub(crate) const MANNERS: [Manner; 3] = [Manner::Refusing, Manner::Plausible, Manner::Garbage];

/// Serves HTTP and RESP on one port until the test ends.
pub(crate) fn hostile_server(manner: Manner) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || serve(&stream, manner));
        }
    });
    address
}

fn serve(stream: &TcpStream, manner: Manner) -> Option<()> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    loop {
        let first = lines.next()?;
        let answer = match first.strip_prefix('*') {
            Some(words) => {
                let rest = lines.by_ref().take(2 * words.parse::<usize>().ok()?);
                let words: Vec<_> = rest.skip(1).step_by(2).collect();
                resp(manner, &words.join(" ").to_uppercase())
            }
            None => {
                let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                // Bodies are left unread: no answer depends on them.
                lines
                    .by_ref()
                    .take_while(|line| !line.is_empty())
                    .for_each(drop);
                http(manner, &path)
            }
        };
        (&*stream).write_all(&answer).ok()?;
        if manner == Manner::Garbage || first.contains("POST") {
            return None;
        }
    }
}

fn resp(manner: Manner, command: &str) -> Vec<u8> {
    let text = hostile_text();
    let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    match (manner, command) {
        (Manner::Refusing, _) => format!("-ERR {text}\r\n"),
        (Manner::Garbage, _) => return garbage(),
        (_, command) if command.starts_with("INFO") => bulk(&format!(
            "redis_version:7.2.0{text}\r\nrole:master\r\nmaster_host:{text}\r\n"
        )),
        (_, command) if command.starts_with("TIME") => "*2\r\n$2\r\n17\r\n$1\r\n0\r\n".into(),
        (_, command) if command.starts_with("HLEN") => ":1\r\n".into(),
        (_, command) if command.starts_with("HGETALL") => {
            let beat = format!(
                r#"{{"address":{0},"boot":{0},"also_at":{0},"at_us":1}}"#,
                hostile_json()
            );
            format!("*2\r\n{}{}", bulk(&text), bulk(&beat))
        }
        _ => bulk(&text),
    }
    .into_bytes()
}

fn http(manner: Manner, path: &str) -> Vec<u8> {
    let hostile = hostile_json();
    let (status, body) = match (manner, path.split('?').next().unwrap_or_default()) {
        (Manner::Garbage, _) => return garbage(),
        (Manner::Refusing, _) => {
            let problem = format!(
                r#"{{"type":{hostile},"title":{hostile},"status":503,"detail":{hostile}}}"#
            );
            (503, problem)
        }
        (_, "/health") => {
            let health = format!(
                r#"{{"node":{hostile},"redis_connected":true,"store_latency_ms":1.0,
                "last_write_age_ms":1,"check_p99_ms":1.0,"counting":"cached",
                "sync_interval_ms":200,"uptime_ms":1000}}"#
            );
            (200, health)
        }
        (_, "/nodes") => {
            let node = format!(
                r#"{{"id":{hostile},"address":{hostile},"also_at":{hostile},"state":"Up"}}"#
            );
            (200, format!(r#"{{"nodes":[{node}]}}"#))
        }
        (_, "/counters") => {
            let counters = format!(
                r#"{{"node":{hostile},"boot":{hostile},"started_at_us":1,"at_us":17000000,
                "counters":[]}}"#
            );
            (200, counters)
        }
        (_, "/limits" | "/limit") => (400, format!(r#"{{"detail":{hostile}}}"#)),
        _ => (
            418,
            format!(
                r#"{{"allowed":true,"node":{hostile},"text":"{}"}}"#,
                hostile_text()
            ),
        ),
    };
    // Reason and fields may have bytes beyond ASCII, and tabs.
    let odd = "\u{9b}2J\t\u{202e}";
    format!(
        "HTTP/1.1 {status} {odd}\r\ncontent-type: application/json\r\nx-ratelimit-limit: {odd}\r\n\
         retry-after: {odd}\r\nserver: {odd}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// All bytes, as a status line that is none, and as an error.
fn garbage() -> Vec<u8> {
    let all: Vec<u8> = (0..=255).collect();
    [
        b"-\x1b[31m".as_slice(),
        &all,
        hostile_text().as_bytes(),
        b"\r\n",
    ]
    .concat()
}
