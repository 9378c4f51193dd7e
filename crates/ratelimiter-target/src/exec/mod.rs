mod line;
mod process;

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use ratelimiter_api::NodeId;

use crate::{Check, CheckAnswer, Connection, Cork, Target, TargetError};
use process::ChildProcess;
pub use process::ExecSite;

/// A limiter behind child processes that answer one line of JSON a line of JSON: any library of any
/// language.
///
/// A check is `{"id":1,"key":"k","cost":1}`, its answer `{"id":1,"allowed":true}`, with `limit`,
/// `remaining`, `reset_ms` and `retry_after_ms` where the library states them. A check that was not
/// admitted for another reason than quota is `{"id":1,"failed":true}`; without either field it is
/// Unknown. Lines may be answered in any order. Each process is a node; the library decides which
/// state they share. `{node}` in the command, and the variable `RATELIMITER_NODE`, is its number.
///
/// More fields, for promises that need them:
///
/// - `"labels":{"user":"u"}` of a check: other subjects of it.
/// - `"waited_ms":40` of an answer: the time for which the limiter held the check back, where lines
///   also wait for each other.
/// - `"used":17`, `"held_ms":300` of an answer: the adapter made the call itself, and this is its
///   cost and its time.
/// - Else an admitted call may be made here: `{"id":1,"end":"done","used":17}` gives its place back
///   or settles its cost, and any answer with this id acknowledges it. The other ends are `failed`,
///   and `left`, which needs no answer: the caller is gone.
///
/// A process that ended is started again with the next connection, unless it never answered or its
/// group has another owner. One that leaves its first check without an answer is a defect of the
/// adapter: nothing more is sent to it.
///
/// A process has a group of its own, which is killed when the target is dropped: the processes that
/// it starts end with it, but for those that leave the group (`setsid`). Its errors go to standard
/// error, without control characters.
#[derive(Debug)]
pub struct ExecTarget {
    command: Vec<String>,
    nodes: Vec<NodeId>,
    processes: Vec<Mutex<Option<Arc<ChildProcess>>>>,
    reads_cost: bool,
    site: ExecSite,
}

impl ExecTarget {
    /// A number of processes of a program with its arguments. They start with the first connection
    /// to each.
    ///
    /// # Errors
    /// When there is no program or no process.
    pub fn new(command: Vec<String>, processes: usize) -> Result<Self, TargetError> {
        if command.is_empty() || processes == 0 {
            return Err(TargetError::NoNodes);
        }
        let nodes = (1..=processes)
            .map(|n| NodeId::new(format!("process-{n}")))
            .collect();
        Ok(Self {
            command,
            nodes,
            processes: (0..processes).map(|_| Mutex::default()).collect(),
            reads_cost: false,
            site: ExecSite::default(),
        })
    }

    /// The surroundings of the processes.
    #[must_use]
    pub fn at(self, site: ExecSite) -> Self {
        Self { site, ..self }
    }

    /// Whether the program reads the cost of a check; by default it does not.
    #[must_use]
    pub fn reading_cost(self, reads_cost: bool) -> Self {
        Self { reads_cost, ..self }
    }
}

impl Target for ExecTarget {
    fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    fn connect(&self, node: usize) -> BoxFuture<'_, Result<Box<dyn Connection>, TargetError>> {
        async move {
            let earlier = self.processes[node].lock().clone();
            if let Some(earlier) = &earlier {
                match earlier.end().await {
                    None => return Ok(earlier.connection()),
                    Some(_) if self.site.group.is_none() && earlier.has_answered() => {}
                    Some(how) => {
                        return Err(TargetError::Ended {
                            node: self.nodes[node].clone(),
                            program: self.command[0].clone(),
                            how,
                        });
                    }
                }
            }
            let mut place = self.processes[node].lock();
            let is_earlier = |now: &Arc<_>| earlier.as_ref().is_some_and(|e| Arc::ptr_eq(now, e));
            // Another connection may have started it meanwhile.
            if place.as_ref().is_none_or(is_earlier) {
                *place = Some(ChildProcess::start(&self.command, node + 1, &self.site)?);
            }
            Ok(place.as_ref().expect("it was started").connection())
        }
        .boxed()
    }

    fn describe(&self) -> String {
        format!("{} processes of {}", self.nodes.len(), self.command[0])
    }

    fn has_cost(&self) -> bool {
        self.reads_cost
    }

    fn process_id(&self, node: usize) -> Option<u32> {
        self.processes.get(node)?.lock().as_ref()?.id()
    }

    fn has_calls(&self) -> bool {
        true
    }
}

struct ExecConnection(Arc<ChildProcess>);

impl ChildProcess {
    fn connection(self: &Arc<Self>) -> Box<dyn Connection> {
        Box::new(ExecConnection(Arc::clone(self)))
    }
}

impl Connection for ExecConnection {
    fn check<'a>(&'a mut self, check: &'a Check) -> BoxFuture<'a, CheckAnswer> {
        self.0.ask(check).boxed()
    }

    fn cork(&self) -> Option<Arc<Cork>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use ratelimiter_api::Outcome;

    use super::*;

    /// A target of one process, which the shell runs.
    fn shell(script: &str) -> ExecTarget {
        let command = ["sh", "-c", script].map(ToOwned::to_owned);
        ExecTarget::new(command.into(), 1).unwrap()
    }

    fn check() -> Check {
        Check::new(
            ratelimiter_api::Key::new("k").unwrap(),
            1,
            Duration::from_secs(20),
        )
    }

    #[tokio::test]
    async fn grandchildren_end_with_their_group() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("grandchild");
        let script = format!(
            "sleep 600 & echo $! > {}; read -r _; echo '{{\"id\":1,\"allowed\":true}}'; wait",
            path.display()
        );
        let target = shell(&script);
        let mut connection = target.connect(0).await.unwrap();
        assert_eq!(connection.check(&check()).await.outcome, Outcome::Allowed);
        let id = std::fs::read_to_string(&path).unwrap();
        assert!(runs(id.trim()));
        drop((connection, target));
        let until = Instant::now() + Duration::from_secs(20);
        while runs(id.trim()) {
            assert!(Instant::now() < until, "process {id} goes on");
        }
    }

    /// Whether a process runs; one that has ended and was not collected yet does not.
    fn runs(id: &str) -> bool {
        let ps = ["-o", "stat=", "-p", id];
        let state = std::process::Command::new("ps").args(ps).output().unwrap();
        !matches!(state.stdout.trim_ascii().first(), None | Some(b'Z'))
    }

    #[tokio::test]
    async fn line_without_end_is_not_read() {
        let target = shell("tr '\\0' x < /dev/zero");
        let mut connection = target.connect(0).await.unwrap();
        connection.check(&check()).await;
        let answer = connection.check(&check()).await;
        assert_eq!(answer.outcome, Outcome::Failed);
        assert!(
            answer.detail.contains("at most 16 MiB"),
            "{}",
            answer.detail
        );
    }
}
