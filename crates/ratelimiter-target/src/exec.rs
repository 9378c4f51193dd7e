use std::collections::HashMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ratelimiter_api::{Claims, NodeId, Outcome};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex as AsyncMutex, OnceCell, oneshot};
use tokio::time::timeout;

use crate::{Answer, Check, Connection, Hold, Target, TargetError};

/// A limiter behind child processes that answer one line of JSON a line of JSON: any library of any
/// language.
///
/// A check is `{"id":1,"key":"k","cost":1}`, its answer `{"id":1,"allowed":true}`, with `limit`,
/// `remaining`, `reset_ms` and `retry_after_ms` where the library states them. A line without a
/// boolean `allowed` is an answer of its own kind: its check is Unknown. Lines may be answered in
/// any order. Each process is a node; what they share is the library's own matter.
#[derive(Debug)]
pub struct ExecTarget {
    command: Vec<String>,
    nodes: Vec<NodeId>,
    processes: Vec<OnceCell<Arc<Process>>>,
}

/// A running child. Killed when dropped.
#[derive(Debug)]
struct Process {
    stdin: AsyncMutex<ChildStdin>,
    waiting: Arc<Mutex<Waiting>>,
    next: AtomicU64,
    _child: Child,
}

/// Checks without an answer yet; nothing once the child has closed its output.
type Waiting = Option<HashMap<u64, oneshot::Sender<Value>>>;

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ExecTarget {
    /// So many processes of a program with its arguments. They start with the first connection to
    /// each.
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
        })
    }
}

impl Target for ExecTarget {
    fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    fn connect(&self, node: usize) -> BoxFuture<'_, Result<Box<dyn Connection>, TargetError>> {
        async move {
            let process = self.processes[node]
                .get_or_try_init(|| async { Process::start(&self.command) })
                .await?;
            Ok(Box::new(ExecConnection(Arc::clone(process))) as Box<dyn Connection>)
        }
        .boxed()
    }

    fn describe(&self) -> String {
        format!("{} processes of {}", self.nodes.len(), self.command[0])
    }
}

impl Process {
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
        let waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let answered = Arc::clone(&waiting);
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(answer) = serde_json::from_str::<Value>(&line) else {
                    continue;
                };
                let check = answer["id"]
                    .as_u64()
                    .and_then(|id| lock(&answered).as_mut()?.remove(&id));
                if let Some(check) = check {
                    // A check past its deadline has stopped waiting.
                    let _ = check.send(answer);
                }
            }
            // Those that wait are told by the end of their channels.
            *lock(&answered) = None;
        });
        let (stdin, next) = (AsyncMutex::new(stdin), AtomicU64::new(1));
        Ok(Arc::new(Self {
            stdin,
            waiting,
            next,
            _child: child,
        }))
    }

    async fn ask(&self, check: &Check) -> Answer {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        match lock(&self.waiting).as_mut() {
            Some(waiting) => waiting.insert(id, sender),
            // Never sent.
            None => {
                return Answer {
                    detail: "the process has ended".into(),
                    ..Answer::plain(Outcome::Failed)
                };
            }
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
            return Answer::unknown("the process closed its input");
        }
        match answer.await {
            Ok(answer) => read(&answer),
            Err(_) => Answer::unknown("the process ended without an answer"),
        }
    }
}

fn read(answer: &Value) -> Answer {
    let outcome = match answer["allowed"].as_bool() {
        Some(true) => Outcome::Allowed,
        Some(false) => Outcome::Denied,
        None => return Answer::unknown("the line has no boolean \"allowed\""),
    };
    // Fields of another type are no claims.
    let claims: Claims = serde_json::from_value(answer.clone()).unwrap_or_default();
    Answer {
        claims,
        ..Answer::plain(outcome)
    }
}

struct ExecConnection(Arc<Process>);

impl Connection for ExecConnection {
    fn check<'a>(&'a mut self, check: &'a Check) -> BoxFuture<'a, Answer> {
        async move {
            match timeout(check.deadline, self.0.ask(check)).await {
                Ok(answer) => answer,
                Err(_) => {
                    Answer::unknown(format!("no line within {} ms", check.deadline.as_millis()))
                }
            }
        }
        .boxed()
    }

    fn hold(&self) -> Option<Arc<Hold>> {
        None
    }
}
