use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use outside_text::{LONGEST_LINE, clean_line, line_too_long};
use parking_lot::Mutex;
use ratelimiter_api::Outcome;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::line;
use crate::{Call, CallEnd, Check, CheckAnswer, TargetError};

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
pub(super) struct ChildProcess {
    stdin: AsyncMutex<ChildStdin>,
    waiting: Arc<Mutex<WaitingChecks>>,
    /// Whether it has written a line.
    has_answered: Arc<AtomicBool>,
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

impl ChildProcess {
    /// Starts the child with this number.
    pub(super) fn start(
        command: &[String],
        number: usize,
        site: &ExecSite,
    ) -> Result<Arc<Self>, TargetError> {
        let number = number.to_string();
        let mut words = command.iter().map(|word| word.replace("{node}", &number));
        let failed = |source| TargetError::Start {
            program: command[0].clone(),
            source,
        };
        let mut start = Command::new(words.next().unwrap_or_default());
        if let Some(directory) = &site.directory {
            start.current_dir(directory);
        }
        let mut child = start
            .args(words)
            .env("RATELIMITER_NODE", &number)
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
        let has_answered = Arc::<AtomicBool>::default();
        let (open, has_line) = (Arc::clone(&waiting), Arc::clone(&has_answered));
        tokio::spawn(async move {
            let end = each_line(stdout, |line| {
                has_line.store(true, Ordering::Relaxed);
                take_answer(&open, line);
            });
            let end = end.await;
            // The end of their channels ends the checks that wait.
            *open.lock() = Err(match end {
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
            has_answered,
            next: AtomicU64::new(1),
            errors: AsyncMutex::new(Some(errors)),
            group: ProcessGroup {
                child,
                leads: site.group.is_none(),
            },
        }))
    }

    /// The reason for which the child answers no more, if it does not.
    pub(super) async fn end(&self) -> Option<String> {
        let reason = self.waiting.lock().as_ref().err().cloned()?;
        if let Some(errors) = self.errors.lock().await.take() {
            // They may say why.
            let _ = timeout(ENDING, errors).await;
        }
        Some(reason)
    }

    pub(super) fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.group.child.id()
    }

    /// Makes a check and, where it is admitted and the child has not done so, its call.
    pub(super) async fn ask(&self, check: &Check) -> CheckAnswer {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut line = json!({"id": id, "key": check.key.as_str(), "cost": check.cost});
        if !check.labels.is_empty() {
            line["labels"] = json!(check.labels);
        }
        let asked = Instant::now();
        let line = match self.exchange(id, &line, check.deadline).await {
            Ok(line) => line,
            Err(none) => return *none,
        };
        let answer = line::read(&line, asked.elapsed()).seen(&without_id(line).to_string());
        match check.call {
            Some(call) if answer.outcome == Outcome::Allowed && answer.used.is_none() => {
                self.make(id, call, check.deadline, answer).await
            }
            _ => answer,
        }
    }

    /// Makes a call, and states its end.
    async fn make(
        &self,
        id: u64,
        call: Call,
        deadline: Duration,
        admission: CheckAnswer,
    ) -> CheckAnswer {
        let admitted = Instant::now();
        sleep(call.lasts).await;
        let held = admitted.elapsed();
        let end = json!({"id": id, "end": call.end, "used": call.used});
        if call.end == CallEnd::Left {
            // A child that is gone cannot be told.
            let _ = timeout(deadline, self.write(&end)).await;
            return CheckAnswer {
                used: Some(call.used),
                ..CheckAnswer::unknown("the caller left")
            };
        }
        match self.exchange(id, &end, deadline).await {
            Ok(line) => CheckAnswer {
                used: Some(line::used(&line).unwrap_or(call.used)),
                held,
                ..admission
            },
            Err(none) => CheckAnswer::unknown(format!("at the end of a call: {}", none.detail)),
        }
    }

    /// Writes a line, and waits for the one that answers it.
    async fn exchange(
        &self,
        id: u64,
        line: &Value,
        deadline: Duration,
    ) -> Result<Value, Box<CheckAnswer>> {
        let (sender, answer) = oneshot::channel();
        match self.waiting.lock().as_mut() {
            Ok(waiting) => waiting.insert(id, sender),
            // Never sent.
            Err(reason) => return Err(CheckAnswer::failed(reason.clone()).into()),
        };
        let answered = async {
            if self.write(line).await.is_err() {
                return Err(CheckAnswer::unknown("the process closed its input").into());
            }
            let ended = |_| CheckAnswer::unknown("the process ended without an answer").into();
            answer.await.map_err(ended)
        };
        timeout(deadline, answered).await.unwrap_or_else(|_| {
            let late = format!("no line within {} ms", deadline.as_millis());
            if !self.has_answered() {
                *self.waiting.lock() = Err(format!(
                    "{late} of its first check; it must flush each line that it writes, and \
                     --deadline gives it more time"
                ));
            }
            Err(CheckAnswer::unknown(late).into())
        })
    }

    async fn write(&self, line: &Value) -> io::Result<()> {
        let line = format!("{line}\n");
        self.stdin.lock().await.write_all(line.as_bytes()).await
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
