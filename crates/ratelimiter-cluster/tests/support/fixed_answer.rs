//! Servers on loopback that answer as a test wants.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

/// Gives every request on loopback the same answer; returns the address.
pub(crate) fn fixed_answer_server(answer: &'static str) -> String {
    answer_server(move |_| answer)
}

/// Gives each request on loopback its answer; returns the address.
pub(crate) fn answer_server(
    answer: impl Fn(&str) -> &'static str + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    let request = String::from_utf8_lossy(&buffer[..read]);
                    if stream.write_all(answer(&request).as_bytes()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}
