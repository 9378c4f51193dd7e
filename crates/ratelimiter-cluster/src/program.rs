//! Programs of the user's own, which end with this process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::ClusterError;
use crate::guardian::Guardian;
use crate::ports::ReservedPorts;
use crate::process::Process;

/// A program to start.
#[derive(Clone, Debug)]
pub struct ProgramPlan {
    /// Its name in messages, and of its log.
    pub name: String,
    /// The executable and its arguments.
    pub command: Vec<String>,
    /// Variables beside those of this process.
    pub environment: Vec<(String, String)>,
    /// Its working directory, if it is another than this process's.
    pub directory: Option<PathBuf>,
}

/// A directory, ports and a process group for programs; gone when it is dropped, and when this
/// process ends in any way.
#[derive(Debug)]
pub struct ProgramSite {
    guardian: Guardian,
    ports: ReservedPorts,
}

/// A running program. It leads a process group, which is killed when this is dropped; on Linux also
/// when this process ends in any way.
#[derive(Debug)]
pub struct LocalProgram(Process);

impl ProgramSite {
    /// A site with as many free loopback ports.
    ///
    /// # Errors
    /// When there is no temporary directory.
    pub fn new(ports: usize) -> Result<Self, ClusterError> {
        Ok(Self {
            guardian: Guardian::start()?,
            ports: ReservedPorts::choose(ports),
        })
    }

    /// The ports.
    pub fn ports(&self) -> &[u16] {
        &self.ports.numbers
    }

    /// The directory of the logs.
    pub fn directory(&self) -> &Path {
        self.guardian.directory()
    }

    /// A process group that is killed when the site or this process ends.
    pub fn group(&self) -> i32 {
        self.guardian.group()
    }

    /// Starts a program.
    ///
    /// # Errors
    /// When it has no command, or cannot be started.
    pub fn start(&self, plan: ProgramPlan) -> Result<LocalProgram, ClusterError> {
        Process::lead(plan, &self.guardian).map(LocalProgram)
    }
}

impl LocalProgram {
    /// The process id while it runs.
    pub fn id(&self) -> Option<u32> {
        self.0.id()
    }

    /// Kills it and its group without warning.
    pub fn kill(&mut self) {
        self.0.kill();
    }

    /// Asks it to end and waits until it has; after `deadline` it is killed. True when it ended by
    /// itself with success.
    pub async fn terminate(&mut self, deadline: Duration) -> bool {
        self.0.terminate(deadline).await
    }

    /// Starts it again with the same command, if it does not run.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn restart(&mut self) -> Result<(), ClusterError> {
        self.0.restart()
    }

    /// Starts it without this variable from now on.
    pub fn forget_variable(&mut self, name: &str) {
        self.0.forget_variable(name);
    }

    /// Stops its group (SIGSTOP): connections stay open and nothing is answered.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn freeze(&self) -> Result<(), ClusterError> {
        self.0.signal_group(Signal::STOP)
    }

    /// Lets a frozen group go on.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn thaw(&self) -> Result<(), ClusterError> {
        self.0.signal_group(Signal::CONT)
    }

    /// Waits a moment for a condition that it has to meet; `why` has the missing part.
    ///
    /// # Errors
    /// When it has ended, with the end of its log, or `until` is over.
    pub async fn not_yet(&mut self, until: Instant, why: String) -> Result<(), ClusterError> {
        self.0.not_yet(until, why).await
    }
}
