use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::Value;

use xtask::child::output;
use xtask::docker::{ContainerOptions, Docker, NODE_IMAGE};

use super::commands::{container_of, succeeds, xtask};

/// Bytes.
const LARGEST: u64 = 20_000_000;

/// The engine's description of images and containers, and the kernel's of their processes.
pub(super) fn check(docker: &Docker) -> anyhow::Result<()> {
    let printed = succeeds(&mut xtask(&["up", "--airgap"])?)?;
    anyhow::ensure!(printed.contains("http://127.0.0.1:8003"), "{printed}");
    let again = succeeds(&mut xtask(&["up", "--airgap"])?)?;
    anyhow::ensure!(again.contains("was up already"), "{again}");

    let image = inspect(docker, &["image", "inspect", NODE_IMAGE])?;
    let size = image["Size"].as_u64().context("the image has no size")?;
    println!("          {NODE_IMAGE} has {:.2} MB", size as f64 / 1e6);
    anyhow::ensure!(
        size < LARGEST,
        "{NODE_IMAGE} has {size} bytes, at most {LARGEST}"
    );
    let user = image["Config"]["User"].as_str().unwrap_or_default();
    anyhow::ensure!(
        !["", "0", "root"].contains(&user) && !user.starts_with("0:"),
        "it runs as {user:?}"
    );
    anyhow::ensure!(
        image["Config"]["Healthcheck"].is_object(),
        "it has no health check"
    );

    confines(docker, ContainerOptions::default())?;
    succeeds(&mut xtask(&["down"])?)?;
    Ok(())
}

/// No container of a cluster that is up can do more than it needs.
pub(super) fn confines(docker: &Docker, options: ContainerOptions) -> anyhow::Result<()> {
    for service in options.services() {
        let container = inspect(docker, &["inspect", &container_of(docker, service)?])?;
        let host = &container["HostConfig"];
        anyhow::ensure!(
            host["ReadonlyRootfs"] == true,
            "{service} may write to its root"
        );
        anyhow::ensure!(
            host["CapDrop"] == serde_json::json!(["ALL"]),
            "{service} has capabilities"
        );
        anyhow::ensure!(
            container["Mounts"] == serde_json::json!([]),
            "{service} has volumes"
        );
        let id = container["State"]["Pid"]
            .as_u64()
            .with_context(|| format!("{service} does not run"))?;
        // An engine in a machine of its own has its processes there, too.
        let process = PathBuf::from(format!("/proc/{id}"));
        if process.join("status").exists() {
            let read = |name| std::fs::read_to_string(process.join(name));
            confined(&read("status")?, &read("mountinfo")?)
                .with_context(|| format!("process of {service}"))?;
        }
    }
    Ok(())
}

/// Reads `/proc/PID/status` and `/proc/PID/mountinfo`.
fn confined(status: &str, mounts: &str) -> anyhow::Result<()> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.strip_prefix(':'))
            .map(str::trim)
            .with_context(|| format!("{name} is missing"))
    };
    let users: Vec<&str> = field("Uid")?.split_whitespace().collect();
    anyhow::ensure!(!users.contains(&"0"), "it runs as root: {users:?}");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let capabilities = field(set)?;
        anyhow::ensure!(
            capabilities.bytes().all(|digit| digit == b'0'),
            "{set} is {capabilities}"
        );
    }
    anyhow::ensure!(field("NoNewPrivs")? == "1", "it may gain privileges");
    // Fields of a mount: id, parent, device, root, mount point, options.
    let root = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|fields| fields.get(4) == Some(&"/"));
    let options = root
        .and_then(|fields| fields.get(5).copied())
        .context("its root is missing")?;
    anyhow::ensure!(
        options.split(',').any(|option| option == "ro"),
        "its root is mounted {options}"
    );
    Ok(())
}

fn inspect(docker: &Docker, command: &[&str]) -> anyhow::Result<Value> {
    let mut all: Value = serde_json::from_str(&output(docker.docker().args(command))?)?;
    Ok(all[0].take())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tratelimiter-nod\nUid:\t65532\t65532\t65532\t65532\n\
        CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
        CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n";
    const MOUNTS: &str = "601 500 0:45 / / ro,relatime - overlay overlay rw\n602 601 0:46 / /proc \
        rw - proc proc rw\n";

    #[test]
    fn unconfined_processes_are_refused_with_a_reason() {
        confined(STATUS, MOUNTS).unwrap();
        let why = |status: &str, mounts: &str| confined(status, mounts).unwrap_err().to_string();
        assert!(why(&STATUS.replace("65532\n", "0\n"), MOUNTS).contains("root"));
        assert!(why(&STATUS.replace("CapEff:\t0", "CapEff:\t4"), MOUNTS).contains("CapEff is 4"));
        assert!(
            why(&STATUS.replace("NoNewPrivs:\t1", "NoNewPrivs:\t0"), MOUNTS).contains("privileges")
        );
        assert!(why(STATUS, &MOUNTS.replace("/ / ro", "/ / rw")).contains("rw,relatime"));
        assert!(why("", "").contains("Uid"));
    }
}
