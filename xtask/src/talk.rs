use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(5);

fn connect(port: u16) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).with_context(|| format!("port {port}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// One request on loopback, which must be answered with a 2xx and JSON.
pub(crate) fn http(port: u16, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
    let mut stream = connect(port)?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    // 1.0, so that the answer comes in one piece that ends with the connection.
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all((head + &body).as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("{method} {path}"))?;
    let (head, body) =
        answer.split_once("\r\n\r\n").with_context(|| format!("{method} {path}: {answer:?}"))?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    anyhow::ensure!(status.starts_with('2'), "{method} {path}: {head}\n{body}");
    serde_json::from_str(body).with_context(|| format!("{method} {path}: {body:?}"))
}

/// One command to the store, and the first line of its answer.
pub(crate) fn store(port: u16, command: &str) -> anyhow::Result<String> {
    let mut stream = connect(port)?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    anyhow::ensure!(!answer.starts_with('-'), "{command}: {answer}");
    Ok(answer.trim_end().to_owned())
}

/// What goes into a URL's query.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server that gives this answer once.
    fn answers(answer: &'static str) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        port
    }

    #[test]
    fn an_answer_is_json_or_an_error_that_shows_it() {
        let port = answers("HTTP/1.0 200 OK\r\nx: y\r\n\r\n{\"a\":1}");
        assert_eq!(http(port, "GET", "/", None).unwrap()["a"], 1);
        let port = answers("HTTP/1.1 404 Not Found\r\n\r\n{\"title\":\"no such key\"}");
        let error = http(port, "GET", "/x", None).unwrap_err().to_string();
        assert!(error.contains("GET /x") && error.contains("no such key"), "{error}");
    }

    #[test]
    fn the_store_answers_with_a_line_or_an_error() {
        assert_eq!(store(answers(":5\r\n"), "ZCARD a").unwrap(), ":5");
        let error = store(answers("-ERR unknown command\r\n"), "X").unwrap_err().to_string();
        assert!(error.contains("unknown command"), "{error}");
    }

    #[test]
    fn a_query_is_encoded() {
        assert_eq!(encoded("up{a=\"b\"}"), "up%7Ba%3D%22b%22%7D");
    }
}
