//! Progress on a terminal, with the time that is left.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use std::{fmt, fs};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use parking_lot::Mutex;
use ratelimiter_verify::{Plan, PlanStep, RecordSettings};

/// A bar of the steps of a run. The time that is left is that of the plan, since its steps are of
/// very different lengths.
pub(crate) struct RunProgress {
    bar: ProgressBar,
    end: Arc<Mutex<Instant>>,
}

impl RunProgress {
    pub(crate) fn of(plan: &Plan) -> Self {
        let end = Arc::new(Mutex::new(Instant::now() + plan.left(0)));
        let shown = Arc::clone(&end);
        let left = move |_: &ProgressState, text: &mut dyn fmt::Write| {
            write_left(shown.lock().saturating_duration_since(Instant::now()), text);
        };
        let bar = bar(Some(plan.steps.len() as u64));
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {time}  {msg}");
        if let Ok(style) = style {
            bar.set_style(style.with_key("time", left));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, end }
    }

    /// Before the nth step; after the last there is none.
    pub(crate) fn before(&self, plan: &Plan, n: usize, step: Option<&PlanStep>) {
        *self.end.lock() = Instant::now() + plan.left(n);
        self.bar.set_position(n as u64);
        let phase = step.map(|step| step.phase.to_string());
        self.bar.set_message(phase.unwrap_or_default());
    }

    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// A line about the reading of records and their judgement.
pub(crate) struct RecordProgress(ProgressBar);

impl RecordProgress {
    pub(crate) fn of(files: &[PathBuf], settings: &RecordSettings) -> Self {
        let sizes = files
            .iter()
            .map(|file| fs::metadata(file).map(|of| of.len()));
        let all: u64 = sizes.sum::<io::Result<u64>>().unwrap_or_default();
        let (read, began) = (Arc::clone(&settings.bytes_read), Instant::now());
        let took = Arc::new(OnceLock::new());
        let left = move |_: &ProgressState, text: &mut dyn fmt::Write| {
            let (read, elapsed) = (read.load(Ordering::Relaxed), began.elapsed());
            if read > 0 && all > 0 {
                let reading = match read < all {
                    true => elapsed.mul_f64(all as f64 / read as f64),
                    false => *took.get_or_init(|| elapsed),
                };
                // The judgement takes about as long.
                write_left((2 * reading).saturating_sub(elapsed), text);
            }
        };
        let bar = bar(None);
        if let Ok(style) = ProgressStyle::with_template("{spinner} reading and judging {time}") {
            bar.set_style(style.with_key("time", left));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Prints, beside the line.
    pub(crate) fn beside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }

    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

fn write_left(left: Duration, text: &mut dyn fmt::Write) {
    let left = humantime::format_duration(Duration::from_secs(left.as_secs() + 1));
    let _ = write!(text, "{left} left");
}

fn bar(length: Option<u64>) -> ProgressBar {
    let target = match io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    ProgressBar::with_draw_target(length, target)
}
