//! The nodes of a system: as one target, and as processes.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ratelimiter_api::{Key, NodeId};
use ratelimiter_cluster::LocalProgram;
use ratelimiter_target::{Connection, Target, TargetError};
use rustix::process::{Pid, Signal, kill_process};
use std::sync::RwLock;
use std::time::Duration;

use super::file::NodesTable;

/// Time for a node to end when it is asked to.
const TERMINATE: Duration = Duration::from_secs(3);

/// All nodes of a system. One whose process is a part of its target can be put in anew.
pub(crate) struct SystemTarget {
    names: Vec<NodeId>,
    /// The target of each node, and the node's place in it.
    parts: Vec<(RwLock<Arc<dyn Target>>, usize)>,
}

impl SystemTarget {
    /// The nodes of these targets, one after the other.
    pub(crate) fn new(targets: Vec<Arc<dyn Target>>) -> Self {
        let mut parts = Vec::new();
        for target in targets {
            let places = 0..target.nodes().len();
            parts.extend(places.map(|n| (RwLock::new(Arc::clone(&target)), n)));
        }
        let names = (1..=parts.len()).map(|n| NodeId::new(format!("node-{n}")));
        Self {
            names: names.collect(),
            parts,
        }
    }

    /// The target of a node, as it is now.
    pub(crate) fn part(&self, node: usize) -> Arc<dyn Target> {
        let part = self.parts[node].0.read();
        Arc::clone(&part.unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Puts another target in the place of a node's.
    pub(crate) fn replace(&self, node: usize, target: Arc<dyn Target>) {
        let part = self.parts[node].0.write();
        *part.unwrap_or_else(std::sync::PoisonError::into_inner) = target;
    }

    fn each(&self, of: impl Fn(&dyn Target) -> Option<Box<dyn Target>>) -> Option<Box<dyn Target>> {
        let parts = (0..self.parts.len()).map(|node| {
            let one = of(&*self.part(node))?;
            Some((RwLock::new(Arc::from(one)), self.parts[node].1))
        });
        let parts: Option<Vec<_>> = parts.collect();
        Some(Box::new(Self {
            names: self.names.clone(),
            parts: parts?,
        }))
    }
}

impl Target for SystemTarget {
    fn nodes(&self) -> &[NodeId] {
        &self.names
    }

    fn connect(&self, node: usize) -> BoxFuture<'_, Result<Box<dyn Connection>, TargetError>> {
        async move { self.part(node).connect(self.parts[node].1).await }.boxed()
    }

    fn describe(&self) -> String {
        let first = self.part(0).describe();
        match self.parts.len() {
            1 => first,
            nodes => format!("{nodes} nodes, the first: {first}"),
        }
    }

    fn has_key(&self) -> bool {
        self.part(0).has_key()
    }

    fn has_cost(&self) -> bool {
        self.part(0).has_cost()
    }

    fn of_key(&self, key: &Key) -> Option<Box<dyn Target>> {
        self.each(|target| target.of_key(key))
    }

    fn forged(&self, n: u32) -> Option<Box<dyn Target>> {
        self.each(|target| target.forged(n))
    }

    fn process_id(&self, node: usize) -> Option<u32> {
        self.part(node).process_id(self.parts[node].1)
    }
}

/// An act on the process of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeAct {
    Start,
    Stop,
    Kill,
    Pause,
    Resume,
}

/// The means to act on the process of a node.
#[derive(Debug)]
pub(crate) enum NodeControl {
    /// A program that was started here.
    Program(LocalProgram),
    /// A child process of the target.
    Child,
    /// Command lines of the shell, in the order of [`NodeAct`].
    Shell([Option<String>; 5]),
}

impl NodeControl {
    /// The commands of a file, or docker's for a container.
    pub(crate) fn of_commands(nodes: &NodesTable) -> Self {
        let given = [
            &nodes.start,
            &nodes.stop,
            &nodes.kill,
            &nodes.pause,
            &nodes.resume,
        ];
        let docker = ["start", "stop", "kill", "pause", "unpause"];
        let of = |(given, word): (&Option<String>, &str)| {
            let container = nodes.container.as_ref();
            let docker = container.map(|name| format!("docker {word} {name}"));
            given.clone().or(docker)
        };
        let mut commands = given.into_iter().zip(docker).map(of);
        Self::Shell(std::array::from_fn(|_| commands.next().flatten()))
    }

    /// The same with other texts.
    pub(crate) fn map<E>(self, text: impl Fn(&str) -> Result<String, E>) -> Result<Self, E> {
        let Self::Shell(mut commands) = self else {
            return Ok(self);
        };
        for command in commands.iter_mut().flatten() {
            *command = text(command)?;
        }
        Ok(Self::Shell(commands))
    }

    /// Whether these acts are possible.
    pub(crate) fn permits(&self, acts: &[NodeAct]) -> bool {
        match self {
            Self::Program(_) | Self::Child => true,
            Self::Shell(commands) => acts.iter().all(|act| commands[*act as usize].is_some()),
        }
    }

    /// Acts. A child process that is to start is the target's own affair.
    pub(crate) async fn act(&mut self, act: NodeAct, child: Option<u32>) -> anyhow::Result<()> {
        match self {
            Self::Program(program) => match act {
                NodeAct::Start => program.restart()?,
                NodeAct::Stop => {
                    program.terminate(TERMINATE).await;
                }
                NodeAct::Kill => program.kill(),
                NodeAct::Pause => program.freeze()?,
                NodeAct::Resume => program.thaw()?,
            },
            Self::Child => {
                let signal = match act {
                    NodeAct::Start => return Ok(()),
                    NodeAct::Stop => Signal::TERM,
                    NodeAct::Kill => Signal::KILL,
                    NodeAct::Pause => Signal::STOP,
                    NodeAct::Resume => Signal::CONT,
                };
                let pid = child.and_then(|id| Pid::from_raw(id.cast_signed()));
                kill_process(pid.context("the process has ended already")?, signal)?;
            }
            Self::Shell(commands) => {
                let command = commands[act as usize].clone();
                shell(&command.context("the file has no command for it")?).await?;
            }
        }
        Ok(())
    }
}

/// Runs a command line of the shell to its end.
pub(crate) async fn shell(command: &str) -> anyhow::Result<()> {
    let mut run = tokio::process::Command::new("sh");
    let run = run.args(["-c", command]).stdin(std::process::Stdio::null());
    let output = run.kill_on_drop(true).output().await?;
    if !output.status.success() {
        let first = command.split_whitespace().next().unwrap_or_default();
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.trim().lines().last().unwrap_or_default().to_owned();
        bail!("'{first} ...' ended with {}: {last}", output.status);
    }
    Ok(())
}
