//! The rules in force, and the guards that end them.

use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::active::{ActiveRule, RuleReport};
use crate::class::CommandClasses;
use crate::command::Command;
use crate::rule::{ConnectionFault, Rule};

/// The rules in force on one proxy, or on several that share them. Cheap to clone; clones share the
/// rules.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: watch::Sender<Vec<Arc<ActiveRule>>>,
}

/// A rule in force. Dropping it ends the rule.
#[must_use = "dropping the guard ends the rule"]
#[derive(Debug)]
pub struct RuleGuard {
    rules: RuleSet,
    active: Arc<ActiveRule>,
}

impl RuleGuard {
    /// The rule, with the seed of its draws.
    pub fn rule(&self) -> &Rule {
        &self.active.rule
    }

    /// The effects so far.
    pub fn report(&self) -> RuleReport {
        self.active.report()
    }

    /// Waits until the rule has had so many effects, or has ended. A caller that does not want to
    /// wait forever adds a deadline.
    pub fn effects(&self, most: u64) -> impl Future<Output = RuleReport> + use<> {
        let active = Arc::clone(&self.active);
        async move {
            let mut changes = active.report.subscribe();
            let reached = |now: &RuleReport| now.effects >= most || now.healed.is_some();
            // The sender lives in `active`, so that the channel is never closed.
            let _ = changes.wait_for(reached).await;
            active.report()
        }
    }

    /// Ends the rule, whose report goes on to be there.
    #[cfg(feature = "control")]
    pub(crate) fn end(&self) {
        self.rules.remove(&self.active);
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
    /// decides. A seed that it needs and has not is drawn.
    pub fn add(&self, rule: Rule) -> RuleGuard {
        // A seed is there to be read and typed again.
        let rule = rule.seeded(RandomState::new().hash_one(0) % 1_000_000);
        let active = Arc::new(ActiveRule::new(rule));
        self.rules
            .send_modify(|rules| rules.push(Arc::clone(&active)));
        RuleGuard {
            rules: self.clone(),
            active,
        }
    }

    fn remove(&self, active: &Arc<ActiveRule>) {
        self.rules.send_if_modified(|rules| {
            let before = rules.len();
            rules.retain(|other| !Arc::ptr_eq(other, active));
            rules.len() < before
        });
        active.end();
    }

    /// The rules as one connection or listener sees them.
    pub(crate) fn view(&self, link: &str) -> RuleView {
        let changes = self.rules.subscribe();
        let mut view = RuleView {
            set: self.clone(),
            link: link.to_owned(),
            rules: Vec::new(),
            has_command_faults: false,
            withholds: false,
            has_connection_faults: false,
            changes,
        };
        view.rebuild();
        view
    }
}

/// The rules that concern one link.
#[derive(Debug)]
pub(crate) struct RuleView {
    set: RuleSet,
    link: String,
    rules: Vec<Arc<ActiveRule>>,
    pub(crate) has_command_faults: bool,
    /// The fate of a command must be known before the store receives any of it.
    pub(crate) withholds: bool,
    pub(crate) has_connection_faults: bool,
    changes: watch::Receiver<Vec<Arc<ActiveRule>>>,
}

/// The connection and command that rules look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RuleSubject<'a> {
    /// The name that the client set.
    pub(crate) client: &'a str,
    pub(crate) address: SocketAddr,
    pub(crate) command: &'a Command,
    pub(crate) classes: CommandClasses,
    pub(crate) key: Option<&'a [u8]>,
}

impl RuleSubject<'_> {
    fn fits(&self, active: &ActiveRule) -> bool {
        active.of_commands().is_some_and(|(which, _)| {
            active.rule.scope.is_of(self.client, self.address)
                && which.fits(self.command, self.classes, self.key)
        })
    }
}

impl RuleView {
    fn rebuild(&mut self) {
        let all = self.changes.borrow_and_update();
        let here = |active: &&Arc<ActiveRule>| {
            let link = active.rule.scope.link.as_ref();
            link.is_none_or(|link| *link == self.link)
        };
        self.rules = all.iter().filter(here).cloned().collect();
        let of_commands = || self.rules.iter().filter_map(|active| active.of_commands());
        self.has_command_faults = of_commands().next().is_some();
        self.withholds = of_commands().any(|(_, fault)| fault.withholds());
        let mut rules = self.rules.iter();
        self.has_connection_faults = rules.any(|active| active.of_connections().is_some());
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

    /// The first rule that applies to a command. `queued` are rules that fit it for another reason.
    /// Every rule counts the commands that fit it, whatever the others do.
    pub(crate) fn of_command(
        &self,
        subject: RuleSubject<'_>,
        queued: &[Arc<ActiveRule>],
    ) -> Option<Arc<ActiveRule>> {
        let mut decisive = None;
        for active in &self.rules {
            let fits = subject.fits(active) || holds(queued, active);
            if let Some((which, _)) = active.of_commands()
                && fits
                && active.applies(which)
                && decisive.is_none()
            {
                decisive = Some(Arc::clone(active));
            }
        }
        decisive
    }

    /// Adds the rules that fit a command of a transaction, whose EXEC fits them for it.
    pub(crate) fn note_queued(&self, subject: RuleSubject<'_>, queued: &mut Vec<Arc<ActiveRule>>) {
        for active in &self.rules {
            if subject.fits(active) && !holds(queued, active) {
                queued.push(Arc::clone(active));
            }
        }
    }

    /// The first fault of this connection that is `wanted`.
    pub(crate) fn of_connection(
        &self,
        client: &str,
        address: SocketAddr,
        wanted: impl Fn(ConnectionFault) -> bool,
    ) -> Option<Arc<ActiveRule>> {
        let found = self.rules.iter().find(|active| {
            active.of_connections().is_some_and(&wanted) && active.rule.scope.is_of(client, address)
        })?;
        Some(Arc::clone(found))
    }

    /// The rule that refuses all connections.
    pub(crate) fn refusal(&self) -> Option<Arc<ActiveRule>> {
        let refuses =
            |active: &&Arc<ActiveRule>| active.of_connections() == Some(ConnectionFault::Refuse);
        self.rules.iter().find(refuses).cloned()
    }

    /// Notes an effect of a rule. The first starts its duration.
    pub(crate) fn took_effect(&self, active: &Arc<ActiveRule>) {
        if active.has_first_effect()
            && let Some(lasts) = active.rule.lasts
        {
            let (set, active) = (self.set.clone(), Arc::clone(active));
            tokio::spawn(async move {
                if timeout(lasts, active.ended.cancelled()).await.is_err() {
                    set.remove(&active);
                }
            });
        }
    }
}

/// Whether this very rule is among these.
pub(crate) fn holds(rules: &[Arc<ActiveRule>], one: &Arc<ActiveRule>) -> bool {
    rules.iter().any(|other| Arc::ptr_eq(other, one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::ElementCapture as _;
    use crate::table::CommandTable;

    fn command(name: &str, key: &str) -> Command {
        let mut command = Command::default();
        command.clear(false);
        command.piece(0, name.as_bytes());
        command.piece(1, key.as_bytes());
        command
    }

    fn applied(rule: &str, commands: &[(&str, &str)]) -> Vec<bool> {
        let set = RuleSet::new();
        let _guard = set.add(rule.parse().unwrap());
        applied_by(&set, commands)
            .iter()
            .map(Option::is_some)
            .collect()
    }

    /// The text of the rule that decides about each command.
    fn applied_by(set: &RuleSet, commands: &[(&str, &str)]) -> Vec<Option<String>> {
        let (view, table) = (set.view("node-1"), CommandTable::built_in());
        let applies = |(name, key): &(&str, &str)| {
            let kind = &table.command(name.as_bytes()).kind;
            let subject = RuleSubject {
                client: "worker",
                address: ([127, 0, 0, 1], 5000).into(),
                command: &command(name, key),
                classes: CommandClasses::one(kind.class),
                key: (!key.is_empty()).then_some(key.as_bytes()),
            };
            Some(view.of_command(subject, &[])?.rule.to_string())
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
            ("do=hold key=user:1", [true, true, false, false]),
            ("do=hold key=user:", [false; 4]),
            ("do=hold first=2", [true, true, false, false]),
            ("do=hold skip=1 every=2", [false, false, true, false]),
            ("do=hold client-address=127.0.0.1", [true; 4]),
            ("do=hold client-address=127.0.0.1:5000", [true; 4]),
            ("do=hold client-address=127.0.0.1:5001", [false; 4]),
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

    #[test]
    fn every_rule_counts_for_itself() {
        let set = RuleSet::new();
        let first = set.add("command=INCR nth=1 do=hold".parse().unwrap());
        let second = set.add("class=write nth=3 do=reset-after".parse().unwrap());
        let taken = applied_by(
            &set,
            &[("INCR", "a"), ("SET", "a"), ("INCR", "a"), ("GET", "a")],
        );
        let expected = [Some(first.rule()), None, Some(second.rule()), None];
        assert_eq!(taken, expected.map(|rule| rule.map(ToString::to_string)));
        assert_eq!((first.report().fitted, second.report().fitted), (2, 3));
    }

    #[test]
    fn a_missing_seed_is_drawn_and_shown() {
        let rule = |text: &str| RuleSet::new().add(text.parse().unwrap()).rule().to_string();
        let shown = rule("percent=50 do=hold");
        assert!(shown.contains(" seed="), "{shown}");
        assert_eq!(rule(&shown), shown);
        assert_eq!(rule("nth=2 do=hold"), "nth=2 do=hold");
    }
}
