use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Started;
use super::needs::Missing;

const PATIENCE: Duration = Duration::from_secs(30);

/// nginx on a free port, ended when dropped.
pub(crate) struct Nginx {
    _child: Started,
    pub(crate) port: u16,
    _directory: tempfile::TempDir,
}

impl Nginx {
    /// nginx with a limit of ten a second and this burst.
    pub(crate) fn start(burst: &str) -> Result<Self, Missing> {
        Self::at(tempfile::tempdir().unwrap(), burst, "")
    }

    /// The same behind TLS, with the certificate in `certificate.pem` of the directory.
    pub(crate) fn encrypted(directory: tempfile::TempDir, burst: &str) -> Result<Self, Missing> {
        Self::at(directory, burst, " ssl")
    }

    fn at(directory: tempfile::TempDir, burst: &str, ssl: &str) -> Result<Self, Missing> {
        let root = directory.path();
        std::fs::write(root.join("ok"), "ok\n").unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let certificate = match ssl {
            "" => String::new(),
            _ => format!(
                "ssl_certificate {0}/certificate.pem; ssl_certificate_key {0}/key.pem;",
                root.display()
            ),
        };
        let configuration = format!(
            "daemon off; master_process off; pid {0}/pid; error_log {0}/error.log;\n\
             events {{}}\n\
             http {{\n\
             access_log off;\n\
             client_body_temp_path {0}/body; proxy_temp_path {0}/proxy;\n\
             fastcgi_temp_path {0}/fastcgi; uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;\n\
             limit_req_zone $arg_key zone=one:1m rate=10r/s;\n\
             {certificate}\n\
             server {{ listen 127.0.0.1:{port}{ssl}; root {0};\n\
             location /ok {{ limit_req zone=one {burst}; limit_req_status 429; }} }} }}\n",
            root.display()
        );
        std::fs::File::create(root.join("nginx.conf"))
            .unwrap()
            .write_all(configuration.as_bytes())
            .unwrap();
        let started = Command::new("nginx")
            .args([
                "-p",
                root.to_str().unwrap(),
                "-e",
                "error.log",
                "-c",
                "nginx.conf",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let missing =
            |error: std::io::Error| format!("nginx (apt-get install nginx-light): {error}");
        let child = started.map_err(|error| Missing::outside_ci(missing(error)))?;
        let nginx = Self {
            _child: Started(child),
            port,
            _directory: directory,
        };
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "nginx does not listen");
            std::thread::yield_now();
        }
        Ok(nginx)
    }
}
