//! The replies that are still to come, in order. Reply k belongs to command k; pushes belong to
//! none.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::active::ActiveRule;
use crate::class::ChannelKind;

/// The form of a reply, where the form matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyForm {
    /// One reply.
    One,
    /// One reply that accepts or refuses a change of the dialogue: MULTI, CLIENT SETNAME.
    Outcome,
    /// As [`Outcome`](Self::Outcome); unless it is an error, it switches to this version of RESP.
    Hello(Option<u8>),
    /// As [`Outcome`](Self::Outcome); unless it is an error, it ends all subscriptions and
    /// switches to RESP2.
    Reset,
    /// The refusal of CLIENT REPLY OFF or SKIP, which have no reply otherwise.
    Refusal,
    /// A confirmation of each of so many channels, or of all there are when none is named; or one
    /// error. Pushes in RESP3, replies in RESP2.
    Confirmations(ChannelKind, u32),
    /// One reply, and an endless stream after it: MONITOR, SYNC.
    Stream,
}

impl ReplyForm {
    /// Whether the dialogue learns from the reply if its command was accepted.
    pub(crate) fn has_outcome(self) -> bool {
        matches!(
            self,
            Self::Outcome | Self::Hello(_) | Self::Reset | Self::Refusal
        )
    }
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
    /// They come only if the CLIENT REPLY before them is refused.
    silenced: bool,
}

impl ReplyRun {
    fn is_plain(&self) -> bool {
        self.form == ReplyForm::One && matches!(self.fate, ReplyFate::Pass)
    }
}

/// The knowledge about the latest CLIENT REPLY OFF or SKIP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Silence {
    /// Its commands have no replies.
    #[default]
    Accepted,
    /// Nothing came since.
    Open,
    /// Its commands have replies after all.
    Refused,
}

/// The queue of one connection.
#[derive(Debug, Default)]
pub(crate) struct ReplyQueue {
    entries: VecDeque<ReplyRun>,
    silence: Silence,
}

impl ReplyQueue {
    /// Notes the reply of a command.
    pub(crate) fn push(&mut self, form: ReplyForm, fate: ReplyFate) {
        if form == ReplyForm::Refusal {
            self.silence = Silence::Open;
        }
        self.push_run(form, fate, false);
    }

    /// Notes a command whose reply is switched off.
    pub(crate) fn push_silenced(&mut self) {
        match self.silence {
            Silence::Accepted => {}
            Silence::Open => self.push_run(ReplyForm::One, ReplyFate::Pass, true),
            Silence::Refused => self.push_run(ReplyForm::One, ReplyFate::Pass, false),
        }
    }

    fn push_run(&mut self, form: ReplyForm, fate: ReplyFate, silenced: bool) {
        let run = ReplyRun {
            form,
            fate,
            count: 1,
            silenced,
        };
        match self.entries.back_mut() {
            Some(last) if run.is_plain() && last.is_plain() && last.silenced == silenced => {
                last.count += 1;
            }
            _ => self.entries.push_back(run),
        }
    }

    /// Form and fate of the next reply.
    pub(crate) fn front(&self) -> Option<(ReplyForm, &ReplyFate)> {
        self.entries.front().map(|entry| (entry.form, &entry.fate))
    }

    /// Takes all plain replies that come next, and returns their number.
    pub(crate) fn take_plain(&mut self) -> u64 {
        let is_plain = self.entries.front().is_some_and(ReplyRun::is_plain);
        let run = is_plain.then(|| self.entries.pop_front()).flatten();
        run.map_or(0, |run| run.count)
    }

    /// Takes the next reply.
    pub(crate) fn pop(&mut self) {
        if let Some(first) = self.entries.front_mut() {
            first.count -= 1;
            if first.count == 0 {
                self.entries.pop_front();
            }
        }
    }

    /// Takes the CLIENT REPLY that comes next, which was refused or not.
    pub(crate) fn settle(&mut self, refused: bool) {
        self.entries.pop_front();
        while let Some(run) = self.entries.front_mut()
            && run.silenced
        {
            if refused {
                run.silenced = false;
                break;
            }
            self.entries.pop_front();
        }
        let is_latest = self.entries.iter().all(|r| r.form != ReplyForm::Refusal);
        if is_latest {
            self.silence = if refused {
                Silence::Refused
            } else {
                Silence::Accepted
            };
        }
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
        expected.push(ReplyForm::Reset, ReplyFate::Pass);
        expected.push(ReplyForm::One, ReplyFate::Pass);
        assert_eq!(expected.entries.len(), 3);
        assert_eq!(expected.take_plain(), 1000);
        assert_eq!(expected.take_plain(), 0);
        assert_eq!(
            expected.front().map(|(form, _)| form),
            Some(ReplyForm::Reset)
        );
    }

    #[test]
    fn a_refused_silence_brings_the_replies_back() {
        for (refused, replies) in [(true, 4), (false, 1)] {
            let mut expected = ReplyQueue::default();
            expected.push(ReplyForm::Refusal, ReplyFate::Pass);
            expected.push_silenced();
            expected.push_silenced();
            expected.settle(refused);
            expected.push_silenced();
            expected.push(ReplyForm::One, ReplyFate::Pass);
            assert_eq!(expected.take_plain(), replies, "refused: {refused}");
        }
    }
}
