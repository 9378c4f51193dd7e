//! The program `resp-proxy`, under control over HTTP.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_resp-proxy");

/// The program, with the address of its proxy and that of its control.
pub(crate) struct ControlledProgram {
    pub(crate) child: Child,
    pub(crate) proxy: SocketAddr,
    pub(crate) control: SocketAddr,
}

impl ControlledProgram {
    pub(crate) fn start(store: &str) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"])
            .args(["--store", store])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut address = |before: &str| -> SocketAddr {
            let line = lines.next().and_then(Result::ok).unwrap_or_default();
            let rest = line.strip_prefix(before).unwrap_or_default();
            let word = rest.split(' ').next().unwrap_or_default();
            word.parse().unwrap_or_else(|_| panic!("{line:?}"))
        };
        let (proxy, control) = (address(""), address("control: http://"));
        // Its later reports are read by no test.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            proxy,
            control,
        }
    }

    /// Sends a request with these further fields. Returns the status and the body.
    #[allow(dead_code, reason = "not every test has a use for it")]
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        fields: &str,
        body: &str,
    ) -> (u16, serde_json::Value) {
        let mut stream = TcpStream::connect(self.control).expect("a connection");
        let length = body.len();
        let host = if fields.contains("Host:") {
            String::new()
        } else {
            format!("Host: {}\r\n", self.control)
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\n{host}{fields}Connection: close\r\nContent-Length: \
             {length}\r\n\r\n"
        );
        stream
            .write_all((head + body).as_bytes())
            .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let body = serde_json::from_str(body).unwrap_or_default();
        (status.expect("a status"), body)
    }
}

impl Drop for ControlledProgram {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
