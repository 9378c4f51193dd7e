use std::sync::Arc;

use tokio::sync::watch;

/// A value that one chapter gives and later chapters take. A repeated chapter replaces it.
#[derive(Debug)]
pub(super) struct Handover<T>(watch::Sender<Option<Arc<T>>>);

impl<T> Handover<T> {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(super) fn give(&self, value: T) {
        self.0.send_replace(Some(Arc::new(value)));
    }

    /// The value, if a chapter has given one.
    pub(super) fn latest(&self) -> Option<Arc<T>> {
        self.0.borrow().clone()
    }

    /// The value, once a chapter has given one. Immediate after a chapter that blocks until it has.
    pub(super) async fn take(&self) -> Arc<T> {
        let mut given = self.0.subscribe();
        let value = given
            .wait_for(Option::is_some)
            .await
            .expect("the sender outlives the wait")
            .clone();
        value.expect("the wait was for a value")
    }
}

impl<T> Clone for Handover<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn later_chapters_take_the_latest_value() {
        let handover = Handover::new();
        assert_eq!(handover.latest(), None);
        let taken = tokio::spawn({
            let handover = handover.clone();
            async move { handover.take().await }
        });
        handover.give(1);
        assert_eq!(*taken.await.unwrap(), 1);
        handover.give(2);
        assert_eq!(*handover.take().await, 2);
    }
}
