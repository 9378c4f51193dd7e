//! The replies that are still to come, in order. Reply k belongs to command k; pushes belong to
//! none.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::rules::ActiveRule;

/// The form of a reply, where the form matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyForm {
    /// One reply.
    One,
    /// One reply that, unless it is an error, switches to this version of RESP.
    Hello(u8),
    /// RESP3: pushes, or one error. RESP2: an array, and no matching after it.
    Subscribe,
    /// One reply, and an endless stream after it: MONITOR, SYNC.
    Stream,
}

/// Fate of a reply.
#[derive(Clone, Debug)]
pub(crate) enum ReplyFate {
    /// Passed on.
    Pass,
    /// Passed on, not before this instant or the end of the rule.
    NotBefore(Instant, Arc<ActiveRule>),
    /// Dropped, with all behind it.
    Swallow(Arc<ActiveRule>),
    /// Resets both connections when it comes.
    Reset(Arc<ActiveRule>),
    /// Never comes from the store: this is the whole reply.
    Local(Arc<[u8]>),
    /// Dropped, and this sent in its place.
    Replaced(Arc<[u8]>),
}

#[derive(Debug)]
struct ReplyRun {
    form: ReplyForm,
    fate: ReplyFate,
    /// How many replies in a row are alike; more than one only of `One` and `Pass`.
    count: u64,
}

/// The queue of one connection.
#[derive(Debug, Default)]
pub(crate) struct ReplyQueue {
    entries: VecDeque<ReplyRun>,
    total: u64,
}

impl ReplyQueue {
    pub(crate) fn push(&mut self, form: ReplyForm, fate: ReplyFate) {
        self.total += 1;
        if form == ReplyForm::One
            && matches!(fate, ReplyFate::Pass)
            && let Some(last) = self.entries.back_mut()
            && last.form == ReplyForm::One
            && matches!(last.fate, ReplyFate::Pass)
        {
            last.count += 1;
            return;
        }
        self.entries.push_back(ReplyRun {
            form,
            fate,
            count: 1,
        });
    }

    /// Form and fate of the next reply.
    pub(crate) fn front(&self) -> Option<(ReplyForm, &ReplyFate)> {
        self.entries.front().map(|entry| (entry.form, &entry.fate))
    }

    pub(crate) fn pop(&mut self) {
        let Some(first) = self.entries.front_mut() else {
            return;
        };
        self.total -= 1;
        first.count -= 1;
        if first.count == 0 {
            self.entries.pop_front();
        }
    }

    /// How many entries are held. Runs of plain commands are one entry.
    pub(crate) fn entries(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_replies_are_counted_not_stored() {
        let mut expected = ReplyQueue::default();
        for _ in 0..1000 {
            expected.push(ReplyForm::One, ReplyFate::Pass);
        }
        expected.push(ReplyForm::Hello(3), ReplyFate::Pass);
        expected.push(ReplyForm::One, ReplyFate::Pass);
        assert_eq!((expected.entries(), expected.total), (3, 1002));
        for _ in 0..1000 {
            assert_eq!(expected.front().map(|(form, _)| form), Some(ReplyForm::One));
            expected.pop();
        }
        assert_eq!(
            expected.front().map(|(form, _)| form),
            Some(ReplyForm::Hello(3))
        );
    }
}
