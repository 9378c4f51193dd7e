//! A future that is polled when it was woken itself.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

/// One of several futures of a task. A task that is woken polls all that it waits for, and so the
/// one direction of a connection for every byte of the other; this one waits for its own waker.
#[derive(Debug)]
pub(crate) struct OwnWake<F> {
    future: F,
    flag: Arc<WakeFlag>,
    /// Raises the flag and wakes the task.
    own: Waker,
    /// The task that the flag has.
    task: Option<Waker>,
}

#[derive(Debug)]
struct WakeFlag {
    is_up: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl<F> OwnWake<F> {
    pub(crate) fn new(future: F) -> Self {
        let flag = Arc::new(WakeFlag {
            is_up: AtomicBool::new(true),
            task: Mutex::default(),
        });
        Self {
            future,
            own: Arc::clone(&flag).into(),
            flag,
            task: None,
        }
    }
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_up.store(true, Ordering::Release);
        if let Some(task) = &*self.task.lock() {
            task.wake_by_ref();
        }
    }
}

impl<F: Future + Unpin> Future for OwnWake<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let task = context.waker();
        if this
            .task
            .as_ref()
            .is_none_or(|known| !known.will_wake(task))
        {
            *this.flag.task.lock() = Some(task.clone());
            this.task = Some(task.clone());
        }
        // Behind the task's waker, so that a flag that is raised now wakes the right one.
        if !this.flag.is_up.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        this.flag.is_up.swap(false, Ordering::AcqRel);
        Pin::new(&mut this.future).poll(&mut Context::from_waker(&this.own))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn only_the_one_that_was_woken_is_polled() {
        let (first, second) = (Notify::new(), Notify::new());
        let polls = Cell::new(0);
        let mut waits = std::pin::pin!(second.notified());
        let counted = poll_fn(|context| {
            polls.set(polls.get() + 1);
            waits.as_mut().poll(context)
        });
        let mut counted = OwnWake::new(counted);
        for _ in 0..3 {
            first.notify_one();
            tokio::select! {
                biased;
                () = &mut counted => unreachable!("it was not woken"),
                () = first.notified() => {}
            }
        }
        assert_eq!(polls.get(), 1);
        second.notify_one();
        counted.await;
        assert_eq!(polls.get(), 2);
    }
}
