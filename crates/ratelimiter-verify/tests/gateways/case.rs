//! One case of the gateways: a configuration, a statement and the verdict that it deserves.

use std::ffi::OsStr;
use std::process::{Command, Output};

use ratelimiter_cluster::make_certificate;

use crate::gateway::{Gateway, Program};
use crate::needs::Missing;

/// The verdict that a case deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deserved {
    /// The limit is kept: passed, or undecided with advice.
    Kept,
    /// The limit is not kept, or there is none: violated, or an error. Never passed.
    Broken,
    /// The limit is kept but for a known race, which a burst may show.
    Racy,
    /// Neither passed nor only a number: these words are in the verdict or the error.
    Says(&'static str),
}

/// A gateway, and the command line that judges it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    pub(crate) rules: &'static str,
    pub(crate) instances: usize,
    pub(crate) limit: &'static str,
    pub(crate) path: &'static str,
    pub(crate) flags: &'static [&'static str],
    pub(crate) deserved: Deserved,
    /// The run takes several minutes.
    pub(crate) long: bool,
}

pub(crate) const KEYED: Case = Case {
    name: "",
    program: Program::Nginx,
    rules: "",
    instances: 1,
    limit: "10/2s token-bucket",
    path: "/ok?key={key}",
    flags: &[],
    deserved: Deserved::Kept,
    long: false,
};
/// Every check counts: the requests name no key.
pub(crate) const BY_ADDRESS: Case = Case {
    path: "/ok",
    ..KEYED
};
pub(crate) const BY_FIELD: Case = Case {
    path: "/",
    flags: &["--header", "X-Key: {key}"],
    ..KEYED
};

impl Case {
    /// Starts the gateways and judges them by the program.
    pub(crate) fn play(&self, verify: impl AsRef<OsStr>) -> Result<Output, Missing> {
        let mut command = Command::new(verify);
        if let Some(lines) = self.program.lines(self.rules) {
            command
                .args(["exec", "--limit", self.limit, "--processes", "1"])
                .args(["--command", &lines?])
                .args(self.flags);
            return Ok(command.output().unwrap());
        }
        let is_tls = self.rules.contains("ssl_certificate");
        let started = (0..self.instances).map(|_| {
            let directory = tempfile::tempdir().unwrap();
            if is_tls {
                make_certificate(directory.path()).unwrap();
            }
            Gateway::start(self.program, self.rules, directory)
        });
        let gateways = started.collect::<Result<Vec<_>, _>>()?;
        let directory = gateways[0].directory.path().to_str().unwrap();
        let flags = self
            .flags
            .iter()
            .map(|flag| flag.replace("@dir@", directory));
        command.args(["http", "--limit", self.limit]).args(flags);
        for gateway in &gateways {
            let server = if is_tls {
                "https://localhost"
            } else {
                "http://127.0.0.1"
            };
            let url = format!("{server}:{}{}", gateway.port, self.path);
            command.args(["--url", &url]);
        }
        Ok(command.output().unwrap())
    }

    /// Whether the verdict is the deserved one.
    pub(crate) fn is_deserved(&self, output: &Output) -> bool {
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        let says = |words: &str| String::from_utf8_lossy(&text).contains(words);
        match (self.deserved, output.status.code()) {
            (Deserved::Racy, Some(3)) => says("burst"),
            (Deserved::Kept | Deserved::Racy, code) => {
                code == Some(0) || code == Some(4) && says("--")
            }
            (Deserved::Broken, code) => matches!(code, Some(1 | 3)),
            (Deserved::Says(words), code) => matches!(code, Some(1 | 3 | 4)) && says(words),
        }
    }
}
