use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use anyhow::Context as _;

use xtask::docker::{self, ClusterState, ContainerOptions, ContainerStores, Docker};
use xtask::ending::CommandEnd;

use super::commands::{RunningCommand, succeeds, xtask};
use super::confinement;

const DEMO: [&str; 4] = ["demo", "--docker", "--airgap", "--headless"];
const CHAPTERS: usize = 11;

pub(super) fn whole(_docker: &Docker) -> anyhow::Result<()> {
    all_chapters(&succeeds(&mut xtask(&DEMO)?)?)
}

/// Brought up first, to look at its containers as well.
pub(super) fn whole_on_store_cluster(docker: &Docker) -> anyhow::Result<()> {
    let stores = ["--topology", "cluster"];
    succeeds(xtask(&["up", "--airgap"])?.args(stores))?;
    confinement::confines(
        docker,
        ContainerOptions {
            stores: ContainerStores::Cluster,
            ..ContainerOptions::default()
        },
    )?;
    all_chapters(&succeeds(xtask(&DEMO)?.args(stores).args(["--for", "3s"]))?)?;
    succeeds(&mut xtask(&["down"])?)?;
    Ok(())
}

fn all_chapters(printed: &str) -> anyhow::Result<()> {
    for chapter in 1..=CHAPTERS {
        let title = format!("Chapter {chapter} of {CHAPTERS}: ");
        anyhow::ensure!(
            printed.contains(&title),
            "{title} was not played:\n{printed}"
        );
    }
    Ok(())
}

/// SIGTERM to xtask alone, as from a service manager, while the demo plays on a cluster that was up
/// before.
pub(super) fn on_a_cluster_that_is_up(docker: &Docker) -> anyhow::Result<()> {
    succeeds(&mut xtask(&["up", "--airgap"])?)?;
    let mut demo = DemoProcess::until("Chapter 2 ")?;
    demo.signal("TERM", SignalReach::Itself)?;
    let ended = demo.ended()?;
    anyhow::ensure!(ended.0 == 143, "the demo {ended}");
    let is = docker::state(docker, &ContainerOptions::default().services())?;
    anyhow::ensure!(
        is == ClusterState::Up,
        "the cluster was not left up: {is:?}"
    );
    succeeds(&mut xtask(&["down"])?)?;
    Ok(())
}

/// Ctrl-C in a terminal, in the middle of a fault: every process in the foreground gets it.
pub(super) fn interrupted(_docker: &Docker) -> anyhow::Result<()> {
    let mut demo = DemoProcess::until("store takes no writes: begin")?;
    demo.signal("INT", SignalReach::Group)?;
    let ended = demo.ended()?;
    anyhow::ensure!(ended.0 == 130, "the demo {ended}");
    Ok(())
}

/// A terminal that is closed: nothing can be printed any more, and containers have to be brought
/// down.
pub(super) fn hung_up(_docker: &Docker) -> anyhow::Result<()> {
    let mut demo = DemoProcess::start(xtask(&DEMO)?.stderr(Stdio::piped()), "Chapter 2 ")?;
    (demo.output, demo.process.stderr) = (None, None);
    demo.signal("HUP", SignalReach::Group)?;
    demo.ended()?;
    Ok(())
}

/// A kill, which no program can notice. `down` cleans up.
pub(super) fn killed(docker: &Docker) -> anyhow::Result<()> {
    let mut demo = DemoProcess::until("Chapter 2 ")?;
    demo.signal("KILL", SignalReach::Group)?;
    demo.ended()?;
    anyhow::ensure!(
        !docker::left(docker)?.nothing(),
        "there was nothing to be cleaned up"
    );
    let printed = succeeds(&mut xtask(&["down"])?)?;
    anyhow::ensure!(printed.contains("removed"), "{printed}");
    Ok(())
}

/// A demo that has printed a certain text and goes on.
struct DemoProcess {
    process: Child,
    output: Option<BufReader<ChildStdout>>,
    _running: RunningCommand,
}

#[derive(Clone, Copy)]
enum SignalReach {
    Itself,
    Group,
}

impl DemoProcess {
    fn until(words: &str) -> anyhow::Result<Self> {
        Self::start(&mut xtask(&DEMO)?, words)
    }

    fn start(command: &mut Command, words: &str) -> anyhow::Result<Self> {
        // A process group of its own, as a shell gives to its foreground.
        let mut process = command.process_group(0).stdout(Stdio::piped()).spawn()?;
        let _running = RunningCommand::new(&process);
        let output = process.stdout.take().map(BufReader::new);
        let mut demo = Self {
            process,
            output,
            _running,
        };
        let mut printed = String::new();
        while demo
            .output
            .as_mut()
            .context("the demo has no output")?
            .read_line(&mut printed)?
            > 0
        {
            if printed.contains(words) {
                return Ok(demo);
            }
        }
        anyhow::bail!("the demo ended before {words:?}:\n{printed}")
    }

    /// To xtask alone, or to it and everything that it runs.
    fn signal(&mut self, name: &str, reach: SignalReach) -> anyhow::Result<()> {
        let sign = match reach {
            SignalReach::Itself => "",
            SignalReach::Group => "-",
        };
        let script = format!("kill -s {name} -- {sign}{}", self.process.id());
        let status = Command::new("sh").args(["-c", &script]).status()?;
        anyhow::ensure!(status.success(), "{script}: {status}");
        Ok(())
    }

    fn ended(mut self) -> anyhow::Result<CommandEnd> {
        // The rest of its output, so that it does not wait for a reader.
        if let Some(output) = &mut self.output {
            output.read_to_end(&mut Vec::new())?;
        }
        let status: ExitStatus = self.process.wait()?;
        Ok(CommandEnd::with(status))
    }
}

impl Drop for DemoProcess {
    /// For a check that failed half-way.
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = self.signal("TERM", SignalReach::Itself);
            let _ = self.process.wait();
        }
    }
}
