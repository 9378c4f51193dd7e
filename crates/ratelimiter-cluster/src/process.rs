use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};
use tokio::time::{Instant, sleep};

use crate::guardian::Guardian;
use crate::owner_pipe::{OwnerEnd, OwnerPipe};
use crate::secret::Secret;
use crate::{ClusterError, ProgramPlan};

/// Variables of a process: values that other users must not see in its arguments.
pub(crate) type Environment = Vec<(String, Secret)>;

/// Time between two looks at a condition.
const POLL: Duration = Duration::from_millis(10);
/// Deadline of one question to a process that is starting.
pub(crate) const QUESTION: Duration = Duration::from_secs(1);

/// One process of the cluster, the command that started it, and its log.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Environment,
    directory: Option<PathBuf>,
    /// The group that it joins; 0 for one of its own, which it leads.
    group: i32,
    log: PathBuf,
    child: Option<Child>,
    /// Kills it when this process ends.
    owner: Option<OwnerEnd>,
}

impl Process {
    /// Starts a process that dies with the guardian and with this process, and writes to a log in
    /// the guardian's directory.
    pub(crate) fn start(
        name: &str,
        program: impl Into<PathBuf>,
        arguments: Vec<String>,
        environment: Environment,
        guardian: &Guardian,
    ) -> Result<Self, ClusterError> {
        let mut process = Self {
            name: name.to_owned(),
            program: program.into(),
            arguments,
            environment,
            directory: None,
            group: guardian.group(),
            log: guardian.directory().join(format!("{name}.log")),
            child: None,
            owner: None,
        };
        process.restart()?;
        Ok(process)
    }

    /// Starts a program that leads a group, all of which dies with this process.
    pub(crate) fn lead(plan: ProgramPlan, guardian: &Guardian) -> Result<Self, ClusterError> {
        let mut arguments = plan.command;
        if arguments.is_empty() {
            return Err(ClusterError::NoCommand(plan.name));
        }
        let program = arguments.remove(0).into();
        let variables = plan.environment.into_iter();
        let mut process = Self {
            log: guardian.directory().join(format!("{}.log", plan.name)),
            name: plan.name,
            program,
            arguments,
            environment: variables
                .map(|(name, value)| (name, Secret(value)))
                .collect(),
            directory: plan.directory,
            group: 0,
            child: None,
            owner: None,
        };
        process.restart()?;
        Ok(process)
    }

    /// Starts it again with the same command, if it does not run.
    pub(crate) fn restart(&mut self) -> Result<(), ClusterError> {
        if self.ended().is_none() && self.child.is_some() {
            return Ok(());
        }
        let what = format!("start {} ({})", self.name, self.program.display());
        self.spawn().map_err(ClusterError::io(what))
    }

    fn spawn(&mut self) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let owner = OwnerPipe::new()?;
        let variables = self.environment.iter();
        let mut command = Command::new(&self.program);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let child = command
            .args(&self.arguments)
            .envs(variables.map(|(name, value)| (name, &value.0)))
            .stdin(owner.child_end()?)
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(self.group)
            .spawn()?;
        let id = child.id();
        self.child = Some(child);
        self.owner = Some(match self.group {
            0 => owner.bind_group(id)?,
            _ => owner.bind(id)?,
        });
        Ok(())
    }

    /// Starts it without this variable from now on.
    pub(crate) fn forget_variable(&mut self, name: &str) {
        self.environment.retain(|(known, _)| *known != name);
    }

    /// The process id while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Sends a signal, if it runs.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), ClusterError> {
        self.send(signal, kill_process)
    }

    /// Sends a signal to the group that it leads, if it runs.
    pub(crate) fn signal_group(&self, signal: Signal) -> Result<(), ClusterError> {
        self.send(signal, kill_process_group)
    }

    fn send(
        &self,
        signal: Signal,
        send: fn(Pid, Signal) -> rustix::io::Result<()>,
    ) -> Result<(), ClusterError> {
        let Some(pid) = self.id().and_then(|id| Pid::from_raw(id.cast_signed())) else {
            return Ok(());
        };
        send(pid, signal)
            .map_err(io::Error::from)
            .map_err(ClusterError::io(format!(
                "send {signal:?} to {}",
                self.name
            )))
    }

    /// Its exit status, if it has ended. The rest of the group that it led is killed then.
    fn ended(&mut self) -> Option<ExitStatus> {
        let id = self.child.as_ref()?.id();
        let pid = Pid::from_raw(id.cast_signed()).filter(|_| self.group == 0);
        // Only seen, not waited for: until then its id stands for no other group.
        let seen = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if pid.is_some_and(|pid| matches!(waitid(WaitId::Pid(pid), seen), Ok(Some(_)))) {
            let _ = self.signal_group(Signal::KILL);
        }
        let status = self.child.as_mut()?.try_wait().ok().flatten()?;
        self.child = None;
        Some(status)
    }

    /// Kills it, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        if self.group == 0 {
            // Before the child is waited for: until then its id stands for no other group.
            let _ = self.signal_group(Signal::KILL);
        }
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself, which is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to end, and kills it when it has not by the deadline. True when it ended by itself
    /// with success.
    pub(crate) async fn terminate(&mut self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        let asked = self.signal(Signal::TERM).is_ok() && self.child.is_some();
        while asked && Instant::now() < until {
            if let Some(status) = self.ended() {
                return status.success();
            }
            sleep(POLL).await;
        }
        self.kill();
        false
    }

    /// An error if it has ended, with the end of its log.
    pub(crate) fn still_runs(&mut self) -> Result<(), ClusterError> {
        match self.ended() {
            None => Ok(()),
            Some(status) => Err(ClusterError::Exited {
                name: self.name.clone(),
                status: status.to_string(),
                log: self.last_lines(),
            }),
        }
    }

    /// Waits a moment for a condition that this process has to meet; `why` says what is missing.
    ///
    /// # Errors
    /// When the process has ended, or the time is over.
    pub(crate) async fn not_yet(
        &mut self,
        until: Instant,
        why: String,
    ) -> Result<(), ClusterError> {
        self.still_runs()?;
        if Instant::now() >= until {
            return Err(ClusterError::NotReady {
                name: self.name.clone(),
                why,
            });
        }
        sleep(POLL).await;
        Ok(())
    }

    fn last_lines(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .collect();
        match lines.as_slice() {
            [] => "it wrote nothing".into(),
            lines => lines[lines.len().saturating_sub(3)..].join(" / "),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
