//! The access logs of Debian's nginx, Apache and HAProxy, judged like our own record of the same
//! run.

use std::fs::read_to_string;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::gateway::{Gateway, Program};
use crate::needs::Missing;

const PATIENCE: Duration = Duration::from_secs(30);

/// A program that logs what it answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoggedRun {
    program: Program,
    rules: &'static str,
    /// The file of its log.
    log: &'static str,
    /// The limit of the run, without its amount.
    window: &'static str,
    /// How its log is read.
    flags: &'static [&'static str],
    /// Exit codes for 9, 10 and 11: what the run did.
    codes: [i32; 3],
}

/// As it stands in the configuration.
const NGINX_FORMAT: &str = "nginx:log_format timed '$remote_addr [$time_local] \"$request\" '
        '$status $msec $request_time $arg_key';";

pub(crate) const NGINX: LoggedRun = LoggedRun {
    program: Program::Nginx,
    rules: "log_format timed '$remote_addr [$time_local] \"$request\" '
        '$status $msec $request_time $arg_key';
    limit_req_zone $arg_key zone=one:1m rate=10r/m;
    limit_req_status 429;
    server { listen 127.0.0.1:@port@; limit_req zone=one burst=9 nodelay;
        access_log @dir@/access.log timed; }",
    log: "access.log",
    window: "1m token-bucket",
    flags: &["--key", "arg_key", "--format", NGINX_FORMAT],
    codes: [3, 0, 3],
};

pub(crate) const HAPROXY: LoggedRun = LoggedRun {
    program: Program::HaProxy,
    rules: "frontend all
    bind 127.0.0.1:@port@
    log stdout format raw local0
    option httplog
    option dontlognull
    stick-table type string len 99 size 100k expire 2m store http_req_rate(1m)
    http-request track-sc0 url_param(key)
    http-request deny deny_status 429 if { sc_http_req_rate(0) gt 10 }
    http-request return status 200",
    log: "log",
    window: "1m",
    flags: &["--key", "request"],
    codes: [3, 0, 3],
};

/// Debian's Apache has no limiter of requests: it admits the whole burst.
pub(crate) const APACHE: LoggedRun = LoggedRun {
    program: Program::Apache,
    rules: "LoadModule mpm_prefork_module modules/mod_mpm_prefork.so
        LogFormat \"%h %{msec}t %D %>s \\\"%r\\\"\" timed
        CustomLog @dir@/access.log timed
        <Directory @dir@>
        Require all granted
        </Directory>",
    log: "access.log",
    window: "1m",
    flags: &[
        "--key",
        "r",
        "--format",
        "apache:LogFormat \"%h %{msec}t %D %>s \\\"%r\\\"\" timed",
    ],
    codes: [3, 3, 3],
};

impl LoggedRun {
    /// Plays bursts, and judges both records by amounts about the limit.
    pub(crate) fn play(self, program: &str) -> Result<(), Missing> {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join(self.log);
        let gateway = Gateway::start(self.program, self.rules, directory)?;
        let own = tempfile::tempdir().unwrap();
        let verify = |arguments: &[&str]| Command::new(program).args(arguments).output().unwrap();
        let url = format!("http://127.0.0.1:{}/ok?key={{key}}", gateway.port);
        let limit = format!("10/{}", self.window);
        let played = verify(&[
            "http",
            "--url",
            &url,
            "--limit",
            &limit,
            "--phase",
            "burst",
            "--bursts",
            "2",
            "--out",
            own.path().to_str().unwrap(),
        ]);
        let history = own.path().join("history.jsonl");
        let lines = |file: &Path| read_to_string(file).unwrap_or_default().lines().count();
        let checks = lines(&history);
        assert!(checks >= 40, "{played:?}");
        let began = Instant::now();
        while lines(&log) < checks {
            assert!(
                began.elapsed() < PATIENCE,
                "{}",
                read_to_string(&log).unwrap()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        for (amount, code) in [9, 10, 11].into_iter().zip(self.codes) {
            let limit = format!("{amount}/{}", self.window);
            let judged = |file: &Path, flags: &[&str]| {
                let file = file.to_str().unwrap();
                verify(&[&["check", file, "--limit", &limit, "--fresh"], flags].concat())
            };
            let by_us = judged(&history, &[]);
            let by_log = judged(&log, &[self.flags, &["--complete", "true"]].concat());
            assert_eq!(
                [&by_us, &by_log].map(|output| output.status.code()),
                [Some(code); 2],
                "{limit}: {}\n{}\n{}",
                String::from_utf8_lossy(&by_us.stdout),
                String::from_utf8_lossy(&by_log.stdout),
                String::from_utf8_lossy(&by_log.stderr)
            );
        }
        Ok(())
    }
}
