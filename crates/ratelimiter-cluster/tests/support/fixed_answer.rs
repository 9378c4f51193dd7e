//! A server that decides nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

/// Gives every request on loopback the same answer; returns the address.
pub(crate) fn fixed_answer_server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                while matches!(stream.read(&mut [0; 4096]), Ok(1..))
                    && stream.write_all(answer.as_bytes()).is_ok()
                {}
            });
        }
    });
    address
}
