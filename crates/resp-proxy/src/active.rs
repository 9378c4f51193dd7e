//! One rule in force, and its measured effects.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::rule::{CommandFault, CommandFilter, ConnectionFault, Rule, RuleFault};

/// One rule in force.
#[derive(Debug)]
pub(crate) struct ActiveRule {
    pub(crate) rule: Rule,
    /// Draws made so far: the state of a generator that needs no lock.
    draws: AtomicU64,
    pub(crate) report: watch::Sender<RuleReport>,
    pub(crate) ended: CancellationToken,
}

/// The measured effects of one rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleReport {
    /// Commands that fitted the rule's names, classes and key, before their number and `percent`.
    pub fitted: u64,
    /// Commands that the fault was applied to. For a fault of connections: the connections, and for
    /// `refuse` also the address that stopped listening.
    pub effects: u64,
    /// First effect.
    pub began: Option<Instant>,
    /// Latest effect so far.
    pub last: Option<Instant>,
    /// Removal of the rule, by its guard or because its duration was over.
    pub healed: Option<Instant>,
}

impl RuleReport {
    /// The measured band: from the first effect to the end of the rule, or to the latest effect
    /// while it is in force.
    pub fn band(&self) -> Option<Duration> {
        Some(
            self.healed
                .or(self.last)?
                .saturating_duration_since(self.began?),
        )
    }
}

impl ActiveRule {
    /// A rule that has had no effect yet.
    pub(crate) fn new(rule: Rule) -> Self {
        Self {
            rule,
            draws: AtomicU64::new(0),
            report: watch::Sender::default(),
            ended: CancellationToken::new(),
        }
    }

    pub(crate) fn report(&self) -> RuleReport {
        *self.report.borrow()
    }

    /// Notes an effect. True when it is the first, and the rule still in force.
    pub(crate) fn has_first_effect(&self) -> bool {
        let now = Instant::now();
        let mut is_first = false;
        self.report.send_modify(|report| {
            report.effects += 1;
            report.last = Some(now);
            is_first = report.healed.is_none() && report.began.is_none();
            if is_first {
                report.began = Some(now);
            }
        });
        is_first
    }

    /// Notes that an effect that was counted before goes on.
    pub(crate) fn goes_on(&self) {
        self.report
            .send_modify(|report| report.last = Some(Instant::now()));
    }

    /// Ends the rule.
    pub(crate) fn end(&self) {
        self.report.send_modify(|report| {
            report.healed.get_or_insert_with(Instant::now);
        });
        self.ended.cancel();
    }

    /// Counts a command that fits, and decides whether the rule applies to it.
    pub(crate) fn applies(&self, which: &CommandFilter) -> bool {
        let mut number = 0;
        self.report.send_modify(|report| {
            report.fitted += 1;
            number = report.fitted;
        });
        which.occurrence.takes(number)
            && which
                .percent
                .is_none_or(|percent| self.draw(which.seed.unwrap_or(0)) * 100.0 < percent)
    }

    /// A number between 0 and 1 (SplitMix64, Steele 2014: the n-th draw of a seed needs no state
    /// but n).
    fn draw(&self, seed: u64) -> f64 {
        let n = self.draws.fetch_add(1, Ordering::Relaxed);
        let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A delay of `by`, give or take up to `jitter`.
    pub(crate) fn drawn_delay(&self, by: Duration, jitter: Duration) -> Duration {
        let seed = match &self.rule.fault {
            RuleFault::Command(which, _) => which.seed.unwrap_or(0),
            RuleFault::Connection(_) => 0,
        };
        // A sequence of its own, so that the jitter is not tied to the draw that chose the command.
        (by + jitter.mul_f64(2.0 * self.draw(!seed))).saturating_sub(jitter)
    }

    /// The filter and fault of a rule about commands.
    pub(crate) fn of_commands(&self) -> Option<(&CommandFilter, &CommandFault)> {
        match &self.rule.fault {
            RuleFault::Command(which, fault) => Some((which, fault)),
            RuleFault::Connection(_) => None,
        }
    }

    /// The fault of a rule about connections.
    pub(crate) fn of_connections(&self) -> Option<ConnectionFault> {
        match self.rule.fault {
            RuleFault::Connection(fault) => Some(fault),
            RuleFault::Command(..) => None,
        }
    }
}
