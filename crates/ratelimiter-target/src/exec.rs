use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use ratelimiter_api::{Claims, NodeId, Outcome};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex as AsyncMutex, OnceCell, oneshot};

use crate::answer::within;
use crate::{Check, CheckAnswer, Connection, LastByte, Target, TargetError};

/// A limiter behind child processes that answer one line of JSON a line of JSON: any library of any
/// language.
///
/// A check is `{"id":1,"key":"k","cost":1}`, its answer `{"id":1,"allowed":true}`, with `limit`,
/// `remaining`, `reset_ms` and `retry_after_ms` where the library states them. A check that was not
/// admitted for another reason than quota is `{"id":1,"failed":true}`; without either field it is
/// Unknown. Lines may be answered in any order. Each process is a node; the library decides which
/// state they share.
#[derive(Debug)]
pub struct ExecTarget {
    command: Vec<String>,
    nodes: Vec<NodeId>,
    processes: Vec<OnceCell<Arc<ChildProcess>>>,
    reads_cost: bool,
}

/// A running child. Killed when dropped.
#[derive(Debug)]
struct ChildProcess {
    stdin: AsyncMutex<ChildStdin>,
    waiting: Arc<Mutex<WaitingChecks>>,
    next: AtomicU64,
    _child: Child,
}

/// Checks without an answer yet; `None` once the child has closed its output.
type WaitingChecks = Option<HashMap<u64, oneshot::Sender<Value>>>;

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
            processes: (0..processes).map(|_| OnceCell::new()).collect(),
            reads_cost: false,
        })
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
            let process = self.processes[node]
                .get_or_try_init(|| async { ChildProcess::start(&self.command) })
                .await?;
            Ok(Box::new(ExecConnection(Arc::clone(process))) as Box<dyn Connection>)
        }
        .boxed()
    }

    fn describe(&self) -> String {
        format!("{} processes of {}", self.nodes.len(), self.command[0])
    }

    fn has_cost(&self) -> bool {
        self.reads_cost
    }
}

impl ChildProcess {
    fn start(command: &[String]) -> Result<Arc<Self>, TargetError> {
        let failed = |source| TargetError::Start {
            program: command[0].clone(),
            source,
        };
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(std::io::ErrorKind::BrokenPipe.into()));
        };
        let waiting: Arc<Mutex<WaitingChecks>> = Arc::new(Mutex::new(Some(HashMap::new())));
        let answered = Arc::clone(&waiting);
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(answer) = serde_json::from_str::<Value>(&line) else {
                    continue;
                };
                let check = answer["id"]
                    .as_u64()
                    .and_then(|id| answered.lock().as_mut()?.remove(&id));
                if let Some(check) = check {
                    // A check past its deadline has stopped waiting.
                    let _ = check.send(answer);
                }
            }
            // The end of their channels ends the checks that wait.
            *answered.lock() = None;
        });
        let (stdin, next) = (AsyncMutex::new(stdin), AtomicU64::new(1));
        Ok(Arc::new(Self {
            stdin,
            waiting,
            next,
            _child: child,
        }))
    }

    async fn ask(&self, check: &Check) -> CheckAnswer {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        match self.waiting.lock().as_mut() {
            Some(waiting) => waiting.insert(id, sender),
            // Never sent.
            None => return CheckAnswer::failed("the process has ended"),
        };
        let line = format!(
            "{}\n",
            json!({"id": id, "key": check.key.as_str(), "cost": check.cost})
        );
        if self
            .stdin
            .lock()
            .await
            .write_all(line.as_bytes())
            .await
            .is_err()
        {
            return CheckAnswer::unknown("the process closed its input");
        }
        match answer.await {
            Ok(answer) => {
                let read = read(&answer);
                read.seen(&without_id(answer).to_string())
            }
            Err(_) => CheckAnswer::unknown("the process ended without an answer"),
        }
    }
}

/// An answer without its number, which makes it differ from every other.
fn without_id(mut answer: Value) -> Value {
    if let Some(fields) = answer.as_object_mut() {
        fields.remove("id");
    }
    answer
}

fn read(answer: &Value) -> CheckAnswer {
    let outcome = match (answer["failed"].as_bool(), answer["allowed"].as_bool()) {
        (Some(true), Some(true)) => {
            return CheckAnswer::unknown("the line has both \"failed\" and \"allowed\"");
        }
        (Some(true), _) => return CheckAnswer::failed("the library failed"),
        (_, Some(true)) => Outcome::Allowed,
        (_, Some(false)) => Outcome::Denied,
        (_, None) => {
            return CheckAnswer::unknown("the line has neither \"allowed\" nor \"failed\"");
        }
    };
    // Fields of another type are no claims.
    let claims: Claims = serde_json::from_value(answer.clone()).unwrap_or_default();
    CheckAnswer {
        claims,
        ..CheckAnswer::plain(outcome)
    }
}

struct ExecConnection(Arc<ChildProcess>);

impl Connection for ExecConnection {
    fn check<'a>(&'a mut self, check: &'a Check) -> BoxFuture<'a, CheckAnswer> {
        within(check.deadline, self.0.ask(check)).boxed()
    }

    fn last_byte(&self) -> Option<Arc<LastByte>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_allowed_denied_failed_or_unknown() {
        let outcome = |line: Value| read(&line).outcome;
        assert_eq!(outcome(json!({"allowed": true})), Outcome::Allowed);
        assert_eq!(
            outcome(json!({"allowed": false, "failed": false})),
            Outcome::Denied
        );
        assert_eq!(outcome(json!({"failed": true})), Outcome::Failed);
        assert_eq!(
            outcome(json!({"failed": true, "allowed": false})),
            Outcome::Failed
        );
        assert_eq!(
            outcome(json!({"failed": true, "allowed": true})),
            Outcome::Unknown
        );
        assert_eq!(outcome(json!({"ok": true})), Outcome::Unknown);
    }
}
