//! The nodes of a system: as one target, and as processes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use cli_support::WrongUsage;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ratelimiter_api::{Key, NodeId};
use ratelimiter_cluster::LocalProgram;
use ratelimiter_target::{Connection, Target, TargetError};
use rustix::process::{Pid, Signal, kill_process};

use super::file::{NodesTable, Places};
use super::shell::{LastCommand, shell};

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
    /// Command lines of the shell.
    Shell {
        /// In the order of [`NodeAct`].
        commands: [Option<String>; 5],
        directory: PathBuf,
        /// Lets a node go on that is away, should this process end meanwhile.
        undo: Option<LastCommand>,
    },
}

impl NodeControl {
    /// The commands of a file, or docker's for a container.
    pub(crate) fn of_commands(
        nodes: &NodesTable,
        places: &Places,
        directory: &Path,
    ) -> Result<Self, WrongUsage> {
        let given = [
            (&nodes.start, "start"),
            (&nodes.stop, "stop"),
            (&nodes.kill, "kill"),
            (&nodes.pause, "pause"),
            (&nodes.resume, "unpause"),
        ];
        let mut commands = [const { None }; 5];
        for (command, (given, word)) in commands.iter_mut().zip(given) {
            let container = nodes.container.as_ref();
            let docker = container.map(|name| format!("docker {word} {name}"));
            let text = given.clone().or(docker);
            *command = text.map(|text| places.fill(&text)).transpose()?;
        }
        Ok(Self::Shell {
            commands,
            directory: directory.to_owned(),
            undo: None,
        })
    }

    /// Whether these acts are possible.
    pub(crate) fn permits(&self, acts: &[NodeAct]) -> bool {
        match self {
            Self::Program(_) | Self::Child => true,
            Self::Shell { commands, .. } => {
                acts.iter().all(|act| commands[*act as usize].is_some())
            }
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
            Self::Shell {
                commands,
                directory,
                undo,
            } => {
                let command = commands[act as usize].as_deref();
                let command = command.context("the file has no command for it")?;
                let back = match act {
                    NodeAct::Stop | NodeAct::Kill => &commands[NodeAct::Start as usize],
                    NodeAct::Pause => &commands[NodeAct::Resume as usize],
                    NodeAct::Start | NodeAct::Resume => &None,
                };
                let back = back.as_deref();
                let back = back.map(|command| LastCommand::new(command, directory));
                let before = std::mem::replace(undo, back.transpose()?);
                let acted = shell(command, directory).await;
                before.into_iter().for_each(LastCommand::forget);
                acted?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nodes_of_others_go_on_once() {
        let directory = tempfile::tempdir().unwrap();
        let echo = |word: &str| Some(format!("echo {word} >> log"));
        let nodes = NodesTable {
            start: echo("start"),
            kill: echo("kill"),
            pause: echo("pause"),
            resume: echo("resume"),
            ..NodesTable::default()
        };
        let places = Places::default();
        let mut node = NodeControl::of_commands(&nodes, &places, directory.path()).unwrap();
        for act in [NodeAct::Pause, NodeAct::Resume, NodeAct::Kill] {
            node.act(act, None).await.unwrap();
        }
        assert!(
            node.act(NodeAct::Stop, None).await.is_err(),
            "the file has none"
        );
        drop(node);
        let log = std::fs::read_to_string(directory.path().join("log")).unwrap();
        assert_eq!(log, "pause\nresume\nkill\nstart\n");
    }
}
