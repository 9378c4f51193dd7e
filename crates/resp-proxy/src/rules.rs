//! The rules in force, the measured effects of each, and the guards that end them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::class::CommandClasses;
use crate::command::Command;
use crate::rule::{CommandFault, CommandFilter, ConnectionFault, Rule, RuleFault};

/// The rules in force on one proxy, or on several that share them. Cheap to clone; clones share the
/// rules.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: watch::Sender<Arc<[Arc<ActiveRule>]>>,
}

/// One rule in force.
#[derive(Debug)]
pub(crate) struct ActiveRule {
    pub(crate) rule: Rule,
    /// Draws made so far: the state of a generator that needs no lock.
    draws: AtomicU64,
    report: Mutex<RuleReport>,
    pub(crate) ended: CancellationToken,
}

/// The measured effects of one rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleReport {
    /// Commands that fitted the rule's names, classes and prefix, before `nth` and `percent`.
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

/// A rule in force. Dropping it ends the rule.
#[must_use = "dropping the guard ends the rule"]
#[derive(Debug)]
pub struct RuleGuard {
    rules: RuleSet,
    active: Arc<ActiveRule>,
}

impl RuleGuard {
    /// The rule.
    pub fn rule(&self) -> &Rule {
        &self.active.rule
    }

    /// The effects so far.
    pub fn report(&self) -> RuleReport {
        self.active.report()
    }

    /// Ends the rule and reports.
    pub fn heal(self) -> RuleReport {
        self.rules.remove(&self.active);
        self.active.report()
    }
}

impl Drop for RuleGuard {
    fn drop(&mut self) {
        self.rules.remove(&self.active);
    }
}

impl RuleSet {
    /// No rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a rule into force behind those that are: the first rule that applies to a command
    /// decides.
    pub fn add(&self, rule: Rule) -> RuleGuard {
        let active = Arc::new(ActiveRule {
            rule,
            draws: AtomicU64::new(0),
            report: Mutex::default(),
            ended: CancellationToken::new(),
        });
        self.rules.send_modify(|rules| {
            *rules = rules.iter().cloned().chain([Arc::clone(&active)]).collect();
        });
        RuleGuard {
            rules: self.clone(),
            active,
        }
    }

    fn remove(&self, active: &Arc<ActiveRule>) {
        self.rules.send_if_modified(|rules| {
            let found = rules.iter().any(|a| Arc::ptr_eq(a, active));
            if found {
                *rules = rules
                    .iter()
                    .filter(|a| !Arc::ptr_eq(a, active))
                    .cloned()
                    .collect();
            }
            found
        });
        active.report.lock().healed.get_or_insert_with(Instant::now);
        active.ended.cancel();
    }

    /// The rules as one connection or listener sees them.
    pub(crate) fn view(&self, link: &str) -> RuleView {
        let changes = self.rules.subscribe();
        let mut view = RuleView {
            set: self.clone(),
            link: link.to_owned(),
            rules: Vec::new(),
            connections: false,
            changes,
        };
        view.rebuild();
        view
    }
}

impl ActiveRule {
    fn report(&self) -> RuleReport {
        *self.report.lock()
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
        let RuleFault::Command(CommandFilter { seed, .. }, _) = &self.rule.fault else {
            return by;
        };
        // A sequence of its own, so that the jitter is not tied to the draw that chose the command.
        (by + jitter.mul_f64(2.0 * self.draw(!*seed))).saturating_sub(jitter)
    }

    fn fits(&self, which: &CommandFilter, command: &Command, subject: CommandClasses) -> bool {
        let name = |name: &String| command.is(name);
        let key = |prefix: &Vec<u8>| {
            subject.key > 0
                && command
                    .argument(subject.key)
                    .is_some_and(|key| key.starts_with(prefix))
        };
        let fits = (which.names.is_empty() || which.names.iter().any(name))
            && (which.classes.is_empty() || which.classes.iter().any(|class| subject.is(*class)))
            && which.prefix.as_ref().is_none_or(key);
        if !fits {
            return false;
        }
        let nth = {
            let mut report = self.report.lock();
            report.fitted += 1;
            report.fitted
        };
        which.nth.is_none_or(|n| n == nth)
            && which
                .percent
                .is_none_or(|percent| self.draw(which.seed) * 100.0 < percent)
    }
}

/// The rules that concern one link.
#[derive(Debug)]
pub(crate) struct RuleView {
    set: RuleSet,
    link: String,
    rules: Vec<Arc<ActiveRule>>,
    connections: bool,
    changes: watch::Receiver<Arc<[Arc<ActiveRule>]>>,
}

impl RuleView {
    fn rebuild(&mut self) {
        let all = self.changes.borrow_and_update();
        let here = |active: &&Arc<ActiveRule>| {
            active
                .rule
                .scope
                .link
                .as_ref()
                .is_none_or(|link| *link == self.link)
        };
        self.rules = all.iter().filter(here).cloned().collect();
        self.connections = self
            .rules
            .iter()
            .any(|active| matches!(active.rule.fault, RuleFault::Connection(_)));
    }

    /// Takes over changes, if there were any.
    pub(crate) fn refresh(&mut self) {
        if self.changes.has_changed().unwrap_or(false) {
            self.rebuild();
        }
    }

    /// Waits for a change, and takes it over.
    pub(crate) async fn changed(&mut self) {
        // The sender lives in `set`, so that the channel is never closed.
        let _ = self.changes.changed().await;
        self.rebuild();
    }

    /// The first rule that applies to a command.
    pub(crate) fn of_command(
        &self,
        client: &str,
        command: &Command,
        subject: CommandClasses,
    ) -> Option<Arc<ActiveRule>> {
        let found = self.rules.iter().find(|active| match &active.rule.fault {
            RuleFault::Command(which, _) => {
                active.is_of(client) && active.fits(which, command, subject)
            }
            RuleFault::Connection(_) => false,
        })?;
        Some(Arc::clone(found))
    }

    /// Whether any rule concerns connections as a whole.
    pub(crate) fn has_connection_faults(&self) -> bool {
        self.connections
    }

    /// The first fault of this connection that is `wanted`.
    pub(crate) fn of_connection(
        &self,
        client: &str,
        wanted: impl Fn(ConnectionFault) -> bool,
    ) -> Option<Arc<ActiveRule>> {
        let found = self.rules.iter().find(|active| match active.rule.fault {
            RuleFault::Connection(fault) => wanted(fault) && active.is_of(client),
            RuleFault::Command(..) => false,
        })?;
        Some(Arc::clone(found))
    }

    /// Notes an effect of a rule. The first starts its duration.
    pub(crate) fn took_effect(&self, active: &Arc<ActiveRule>) {
        let now = Instant::now();
        let mut report = active.report.lock();
        report.effects += 1;
        report.last = Some(now);
        if report.healed.is_some() {
            return;
        }
        if report.began.is_none() {
            report.began = Some(now);
            if let Some(lasts) = active.rule.lasts {
                let (set, active) = (self.set.clone(), Arc::clone(active));
                tokio::spawn(async move {
                    tokio::select! {
                        () = tokio::time::sleep(lasts) => set.remove(&active),
                        () = active.ended.cancelled() => {}
                    }
                });
            }
        }
    }
}

impl ActiveRule {
    /// Notes that an effect that was counted before goes on.
    pub(crate) fn goes_on(&self) {
        self.report.lock().last = Some(Instant::now());
    }

    fn is_of(&self, client: &str) -> bool {
        self.rule
            .scope
            .client
            .as_deref()
            .is_none_or(|name| name == client)
    }

    /// The fault of a rule about commands.
    pub(crate) fn command_fault(&self) -> Option<&CommandFault> {
        match &self.rule.fault {
            RuleFault::Command(_, fault) => Some(fault),
            RuleFault::Connection(_) => None,
        }
    }

    /// The rate of a rule about bandwidth, bytes a second.
    pub(crate) fn rate(&self) -> Option<u32> {
        match self.rule.fault {
            RuleFault::Connection(ConnectionFault::Bandwidth { rate }) => Some(rate.get()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class;
    use crate::frame::ElementCapture as _;

    fn command(name: &str, key: &str) -> Command {
        let mut command = Command::new();
        command.clear(false);
        command.piece(0, name.as_bytes());
        command.piece(1, key.as_bytes());
        command
    }

    fn applied(rule: &str, commands: &[(&str, &str)]) -> Vec<bool> {
        let (set, table) = (RuleSet::new(), class::CommandTable::built_in());
        let _guard = set.add(rule.parse().unwrap());
        let view = set.view("node-1");
        let applies = |(name, key): &(&str, &str)| {
            let subject = CommandClasses::one(table.kind(name.as_bytes()));
            view.of_command("worker", &command(name, key), subject)
                .is_some()
        };
        commands.iter().map(applies).collect()
    }

    #[test]
    fn a_rule_names_its_commands() {
        let commands = [
            ("incr", "user:1"),
            ("GET", "user:1"),
            ("SET", "other"),
            ("PING", ""),
        ];
        for (rule, expected) in [
            ("do=hold", [true, true, true, true]),
            ("do=hold command=INCR,ping", [true, false, false, true]),
            ("do=hold class=write", [true, false, true, false]),
            ("do=hold prefix=user:", [true, true, false, false]),
            (
                "do=hold class=read,write nth=2",
                [false, true, false, false],
            ),
            ("do=hold link=node-2", [false; 4]),
            ("do=hold link=node-1 client=worker", [true; 4]),
            ("do=hold client=other", [false; 4]),
        ] {
            assert_eq!(applied(rule, &commands), expected, "{rule}");
        }
    }

    #[test]
    fn a_share_is_drawn_from_its_seed() {
        let commands = [("INCR", "k"); 1000];
        let drawn = applied("do=hold percent=10 seed=7", &commands);
        let count = drawn.iter().filter(|hit| **hit).count();
        assert!((70..=130).contains(&count), "{count} of 1000 at 10 %");
        assert_eq!(drawn, applied("do=hold percent=10 seed=7", &commands));
        assert_ne!(drawn, applied("do=hold percent=10 seed=8", &commands));
    }

    #[test]
    fn a_dropped_guard_ends_the_rule() {
        let set = RuleSet::new();
        let mut view = set.view("a");
        let guard = set.add("do=hold".parse().unwrap());
        view.refresh();
        assert_eq!(view.rules.len(), 1);
        drop(guard);
        view.refresh();
        assert!(view.rules.is_empty());
    }
}
