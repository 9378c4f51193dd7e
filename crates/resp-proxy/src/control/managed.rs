//! One proxy of a set, and its toxics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::ControlError;
use super::shadow::shadowed;
use super::toxic::ToxicPlan;
use super::wire::ToxicInput;
use crate::active::RuleReport;
use crate::proxy::RespProxy;
use crate::rule::Rule;
use crate::rules::{RuleGuard, RuleSet};
use crate::upstream::Upstream;

/// Time for a proxy to begin or to end listening, which it does as soon as its task runs.
const TURN: Duration = Duration::from_secs(5);

/// A proxy with the toxics that it has.
#[derive(Debug)]
pub(super) struct ManagedProxy {
    pub(super) proxy: RespProxy,
    pub(super) upstream: Upstream,
    /// The upstream as it was given, without its password.
    pub(super) shown: String,
    pub(super) rules: RuleSet,
    /// The rule that refuses connections while the proxy is not enabled.
    pub(super) disabled: Option<RuleGuard>,
    pub(super) toxics: Vec<Toxic>,
}

/// A toxic in force, or one whose rule is over and whose counts are still there.
#[derive(Debug)]
pub(super) struct Toxic {
    pub(super) plan: ToxicPlan,
    warnings: Vec<String>,
    /// Empty when the lease is over.
    slot: Arc<Mutex<Option<RuleGuard>>>,
    /// The end of the lease, unless it is renewed, and the task that waits for it.
    lease: Option<(Instant, AbortOnDropHandle<()>)>,
}

/// The measured effects of one toxic.
#[derive(Clone, Debug)]
pub struct ToxicReport {
    /// The proxy that has it.
    pub proxy: String,
    /// Its name.
    pub toxic: String,
    /// Its rule.
    pub rule: Rule,
    /// The effects so far.
    pub report: RuleReport,
}

impl Toxic {
    fn new(plan: ToxicPlan, guard: RuleGuard, proxy: &RespProxy) -> Self {
        let mut toxic = Self {
            plan,
            warnings: proxy.warnings(guard.rule()),
            slot: Arc::new(Mutex::new(Some(guard))),
            lease: None,
        };
        toxic.renew();
        toxic
    }

    /// Its warnings, each behind its rule.
    pub(super) fn warnings(&self) -> Vec<String> {
        let rule = self.rule(|guard| guard.rule().to_string());
        let rule = rule.unwrap_or_default();
        let warning = |text: &String| format!("{rule}: {text}");
        self.warnings.iter().map(warning).collect()
    }

    /// Begins the lease anew. Nothing but its own task is needed to end it.
    fn renew(&mut self) {
        self.lease = self.plan.lease.map(|length| {
            let slot = Arc::clone(&self.slot);
            let task = tokio::spawn(async move {
                tokio::time::sleep(length).await;
                drop(slot.lock().take());
            });
            (Instant::now() + length, AbortOnDropHandle::new(task))
        });
    }

    /// Asks the rule; nothing when the lease is over.
    pub(super) fn rule<T>(&self, ask: impl FnOnce(&RuleGuard) -> T) -> Option<T> {
        self.slot.lock().as_ref().map(ask)
    }

    /// As clients receive it. Nothing when the lease is over.
    fn view(&self) -> Option<Value> {
        let (rule, report) = self.rule(|guard| (guard.rule().to_string(), guard.report()))?;
        let lease = self.lease.as_ref();
        let left = lease.map(|(ends, _)| ends.saturating_duration_since(Instant::now()));
        Some(json!({
            "name": self.plan.name,
            "type": self.plan.kind,
            "stream": self.plan.stream.to_string(),
            "toxicity": 1.0,
            "attributes": self.plan.attributes,
            // With the seed of its draws.
            "rule": rule,
            // Its own duration may be over.
            "in_force": report.healed.is_none(),
            "effects": report.effects,
            "fitted": report.fitted,
            "band_seconds": report.band().map(|band| band.as_secs_f64()),
            "lease_seconds": left.map(|left| left.as_secs_f64()),
            "warnings": self.warnings,
        }))
    }
}

impl ManagedProxy {
    /// Forgets toxics whose lease is over.
    fn prune(&mut self) {
        self.toxics.retain(|toxic| toxic.slot.lock().is_some());
    }

    /// As clients receive it.
    pub(super) fn view(&self) -> Value {
        let seen = self.proxy.seen();
        let commands = seen.commands.into_iter().map(|(name, n)| (name, n.into()));
        json!({
            "name": self.proxy.name(),
            "listen": self.proxy.address().to_string(),
            "upstream": self.shown,
            "enabled": self.disabled.is_none(),
            "toxics": self.toxics.iter().filter_map(Toxic::view).collect::<Vec<_>>(),
            "counters": self.proxy.counters(),
            // So that a toxic without effects explains itself.
            "seen": {
                "commands": commands.collect::<Map<_, _>>(),
                "keys": seen.keys,
                "more_keys": seen.more_keys,
            },
        })
    }

    /// Takes connections, or refuses them. The future ends when it does.
    pub(super) fn enable(&mut self, enabled: bool) -> impl Future<Output = ()> + use<> {
        if enabled {
            self.disabled = None;
        } else if self.disabled.is_none() {
            self.disabled = Some(self.rules.add(Rule::refusing()));
        }
        self.settled()
    }

    /// Ends when the proxy listens as its rules say.
    pub(super) fn settled(&self) -> impl Future<Output = ()> + use<> {
        let turned = self.proxy.turned();
        async move {
            // An address that another process took meanwhile is tried for longer.
            let _ = timeout(TURN, turned).await;
        }
    }

    pub(super) fn toxic(&mut self, name: &str) -> Result<&mut Toxic, ControlError> {
        self.prune();
        let found = self.toxics.iter_mut().find(|toxic| toxic.plan.name == name);
        found.ok_or_else(|| ControlError::not_found("toxic", name))
    }

    pub(super) fn view_of(&mut self, name: &str) -> Result<Value, ControlError> {
        let view = self.toxic(name)?.view();
        view.ok_or_else(|| ControlError::not_found("toxic", name))
    }

    /// Puts a toxic into force. The future ends when it meets every connection.
    pub(super) fn add(
        &mut self,
        plan: ToxicPlan,
    ) -> Result<(Value, impl Future<Output = ()> + use<>), ControlError> {
        self.prune();
        if self.toxics.iter().any(|toxic| toxic.plan.name == plan.name) {
            return Err(ControlError::exists("toxic", &plan.name));
        }
        let (name, guard) = (plan.name.clone(), self.rules.add(plan.rule.clone()));
        self.push(plan, guard);
        Ok((self.view_of(&name)?, self.settled()))
    }

    /// Takes a rule in force as a toxic. Those before it decide first.
    pub(super) fn push(&mut self, plan: ToxicPlan, guard: RuleGuard) {
        let mut before = self.toxics.iter();
        let shadow =
            before.find_map(|toxic| toxic.rule(|one| shadowed(one.rule(), guard.rule()))?);
        let mut toxic = Toxic::new(plan, guard, &self.proxy);
        toxic.warnings.extend(shadow);
        self.toxics.push(toxic);
    }

    /// Ends a toxic. The future ends when no connection meets it.
    pub(super) fn remove(
        &mut self,
        name: &str,
    ) -> Result<impl Future<Output = ()> + use<>, ControlError> {
        self.toxic(name)?;
        self.toxics.retain(|toxic| toxic.plan.name != name);
        Ok(self.settled())
    }

    /// Changes attributes of a toxic, whose counts begin anew then, or renews its lease.
    pub(super) fn change(
        &mut self,
        name: &str,
        input: ToxicInput,
        lease: Option<&str>,
    ) -> Result<Value, ControlError> {
        let toxic = self.toxic(name)?;
        let mut attributes = toxic.plan.attributes.clone();
        attributes.extend(input.attributes);
        let plan = ToxicPlan::of(
            ToxicInput {
                name: name.to_owned(),
                kind: toxic.plan.kind.clone(),
                stream: toxic.plan.stream.to_string(),
                toxicity: input.toxicity,
                attributes,
                lease: input.lease,
            },
            lease,
        )?;
        let before = &toxic.plan.attributes;
        let is_same = (plan.attributes.iter())
            .all(|(name, value)| name == "for" || before.get(name) == Some(value));
        if is_same {
            toxic.plan = plan;
            toxic.renew();
        } else {
            let guard = self.rules.add(plan.rule.clone());
            *self.toxic(name)? = Toxic::new(plan, guard, &self.proxy);
        }
        self.view_of(name)
    }

    pub(super) fn reports(&self) -> impl Iterator<Item = ToxicReport> {
        self.toxics.iter().filter_map(|toxic| {
            let (rule, report) = toxic.rule(|guard| (guard.rule().clone(), guard.report()))?;
            Some(ToxicReport {
                proxy: self.proxy.name().to_owned(),
                toxic: toxic.plan.name.clone(),
                rule,
                report,
            })
        })
    }
}
