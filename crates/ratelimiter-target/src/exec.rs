use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use outside_text::{LONGEST_LINE, clean_line, line_too_long};
use parking_lot::Mutex;
use ratelimiter_api::{Claims, NodeId, Outcome, StatedTime};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex as AsyncMutex, OnceCell, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::{Check, CheckAnswer, Connection, Cork, Target, TargetError};

/// A limiter behind child processes that answer one line of JSON a line of JSON: any library of any
/// language.
///
/// A check is `{"id":1,"key":"k","cost":1}`, its answer `{"id":1,"allowed":true}`, with `limit`,
/// `remaining`, `reset_ms` and `retry_after_ms` where the library states them. A check that was not
/// admitted for another reason than quota is `{"id":1,"failed":true}`; without either field it is
/// Unknown. Lines may be answered in any order. Each process is a node; the library decides which
/// state they share.
///
/// A process has a group of its own, which is killed when the target is dropped: the processes that
/// it starts end with it, but for those that leave the group (`setsid`). Its errors go to standard
/// error, without control characters.
#[derive(Debug)]
pub struct ExecTarget {
    command: Vec<String>,
    nodes: Vec<NodeId>,
    processes: Vec<OnceCell<Arc<ChildProcess>>>,
    reads_cost: bool,
    site: ExecSite,
}

/// The surroundings of a child: by default those of this process, and a group of its own.
#[derive(Clone, Default)]
pub struct ExecSite {
    /// Variables beside those of this process, which no output shows.
    pub environment: Vec<(String, String)>,
    /// The working directory, if it is another.
    pub directory: Option<PathBuf>,
    /// A process group to join, whose owner ends the processes that the child leaves behind.
    pub group: Option<i32>,
}

impl fmt::Debug for ExecSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExecSite({:?}, {:?})", self.directory, self.group)
    }
}

/// A running child.
#[derive(Debug)]
struct ChildProcess {
    stdin: AsyncMutex<ChildStdin>,
    waiting: Arc<Mutex<WaitingChecks>>,
    next: AtomicU64,
    /// The task that passes the child's errors on.
    errors: AsyncMutex<Option<JoinHandle<io::Result<()>>>>,
    group: ProcessGroup,
}

/// Time for the errors of a child that has ended to be passed on.
const ENDING: Duration = Duration::from_secs(1);

/// A child and, where it leads a group, the processes that it has started. Killed when dropped.
#[derive(Debug)]
struct ProcessGroup {
    child: Child,
    leads: bool,
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // The child is not waited for before, so that its id stands for no other process.
        let id = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(group) = id.filter(|_| self.leads) {
            // All of them may have ended by themselves.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Checks without an answer yet; the reason for which there will be none, once the child has closed
/// its output or is not read any more.
type WaitingChecks = Result<HashMap<u64, oneshot::Sender<Value>>, String>;

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
            let process = self.processes[node]
                .get_or_try_init(|| async { ChildProcess::start(&self.command, &self.site) })
                .await?;
            if let Some(how) = process.end().await {
                return Err(TargetError::Ended {
                    node: self.nodes[node].clone(),
                    program: self.command[0].clone(),
                    how,
                });
            }
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

    fn process_id(&self, node: usize) -> Option<u32> {
        self.processes.get(node)?.get()?.group.child.id()
    }
}

impl ChildProcess {
    fn start(command: &[String], site: &ExecSite) -> Result<Arc<Self>, TargetError> {
        let failed = |source| TargetError::Start {
            program: command[0].clone(),
            source,
        };
        let mut start = Command::new(&command[0]);
        if let Some(directory) = &site.directory {
            start.current_dir(directory);
        }
        let mut child = start
            .args(&command[1..])
            .envs(site.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(site.group.unwrap_or(0))
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
            return Err(failed(std::io::ErrorKind::BrokenPipe.into()));
        };
        let waiting: Arc<Mutex<WaitingChecks>> = Arc::new(Mutex::new(Ok(HashMap::new())));
        let answered = Arc::clone(&waiting);
        tokio::spawn(async move {
            let end = each_line(stdout, |line| take_answer(&answered, line)).await;
            // The end of their channels ends the checks that wait.
            *answered.lock() = Err(match end {
                Ok(()) => "the process has ended".into(),
                Err(error) => format!("the process is not read any more: {error}"),
            });
        });
        // Errors are for the user, and their end is no error.
        let errors = tokio::spawn(each_line(stderr, |line| {
            let line = clean_line(String::from_utf8_lossy(line).trim_end());
            let _ = writeln!(io::stderr(), "{line}");
        }));
        Ok(Arc::new(Self {
            stdin: AsyncMutex::new(stdin),
            waiting,
            next: AtomicU64::new(1),
            errors: AsyncMutex::new(Some(errors)),
            group: ProcessGroup {
                child,
                leads: site.group.is_none(),
            },
        }))
    }

    /// The reason for which the child answers no more, if it does not.
    async fn end(&self) -> Option<String> {
        let reason = self.waiting.lock().as_ref().err().cloned()?;
        if let Some(errors) = self.errors.lock().await.take() {
            // They may say why.
            let _ = timeout(ENDING, errors).await;
        }
        Some(reason)
    }

    async fn ask(&self, check: &Check) -> CheckAnswer {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        match self.waiting.lock().as_mut() {
            Ok(waiting) => waiting.insert(id, sender),
            // Never sent.
            Err(reason) => return CheckAnswer::failed(reason.clone()),
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

/// Hands a line to the check that it answers.
fn take_answer(waiting: &Mutex<WaitingChecks>, line: &[u8]) {
    let Ok(answer) = serde_json::from_slice::<Value>(line) else {
        return;
    };
    let check = answer["id"]
        .as_u64()
        .and_then(|id| waiting.lock().as_mut().ok()?.remove(&id));
    if let Some(check) = check {
        // A check past its deadline has stopped waiting.
        let _ = check.send(answer);
    }
}

/// Reads lines until the end of the stream.
///
/// # Errors
/// When reading fails, or a line is longer than [`LONGEST_LINE`].
async fn each_line(stream: impl AsyncRead + Unpin, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let (mut stream, mut line) = (BufReader::new(stream), Vec::new());
    loop {
        line.clear();
        let mut rest = (&mut stream).take(LONGEST_LINE + 1);
        match rest.read_until(b'\n', &mut line).await? as u64 {
            0 => return Ok(()),
            1..=LONGEST_LINE => take(&line),
            _ => return Err(line_too_long()),
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
    let (claims, detail) = claims(answer);
    CheckAnswer {
        claims,
        detail,
        ..CheckAnswer::plain(outcome)
    }
}

/// The statements of a line, and the names of its fields about quota that were not understood.
fn claims(answer: &Value) -> (Claims, String) {
    let (mut claims, mut remarks) = (Claims::default(), Vec::new());
    for (name, value) in answer.as_object().into_iter().flatten() {
        let time = || StatedTime::seconds(value.as_f64()? / 1e3);
        let understood = match name.as_str() {
            _ if value.is_null() => true,
            "limit" => is_set(&mut claims.limit, value.as_u64()),
            "remaining" => is_set(&mut claims.remaining, value.as_i64()),
            "reset_ms" => is_set(&mut claims.reset, time()),
            "retry_after_ms" => is_set(&mut claims.retry_after, time()),
            other => !["retry", "reset", "remaining"]
                .iter()
                .any(|word| other.contains(word)),
        };
        if !understood {
            remarks.push(format!("{name} was not understood"));
        }
    }
    (claims, remarks.join(", "))
}

/// Sets a field to a value, if there is one.
fn is_set<T>(field: &mut Option<T>, value: Option<T>) -> bool {
    *field = value;
    field.is_some()
}

struct ExecConnection(Arc<ChildProcess>);

impl Connection for ExecConnection {
    fn check<'a>(&'a mut self, check: &'a Check) -> BoxFuture<'a, CheckAnswer> {
        let late = || {
            let deadline = check.deadline.as_millis();
            CheckAnswer::unknown(format!("no line within {deadline} ms"))
        };
        async move {
            let answer = timeout(check.deadline, self.0.ask(check)).await;
            answer.unwrap_or_else(|_| late())
        }
        .boxed()
    }

    fn cork(&self) -> Option<Arc<Cork>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

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

    /// A target of one process, which the shell runs.
    fn shell(script: &str) -> ExecTarget {
        let command = ["sh", "-c", script].map(ToOwned::to_owned);
        ExecTarget::new(command.into(), 1).unwrap()
    }

    fn check() -> Check {
        Check {
            key: ratelimiter_api::Key::new("k").unwrap(),
            cost: 1,
            deadline: Duration::from_secs(20),
        }
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

    #[test]
    fn statements_of_a_line_are_read_or_named() {
        let stated = |line: Value| {
            let answer = read(&line);
            (answer.claims, answer.detail)
        };
        let whole = json!({"allowed": false, "limit": 10, "remaining": -1, "reset_ms": null,
            "retry_after_ms": -1500.5, "elapsed": 3});
        let claims = Claims {
            limit: Some(10),
            remaining: Some(-1),
            reset: None,
            retry_after: StatedTime::seconds(-1.5005),
        };
        assert_eq!(stated(whole), (claims, String::new()));
        // One field of another type takes no other away.
        let partly = json!({"allowed": true, "remaining": 4, "limit": "ten", "retry_after": 1});
        let (claims, detail) = stated(partly);
        assert_eq!(claims.remaining, Some(4));
        assert_eq!(
            detail,
            "limit was not understood, retry_after was not understood"
        );
    }
}
