//! One proxy of a set, and its toxics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::ControlError;
use super::shadow::shadowed;
use super::toxic::ToxicPlan;
use super::wire::{CountersView, ProxyView, SeenView, ToxicInput, ToxicView};
use crate::active::RuleReport;
use crate::counters::ProxyCounters;
use crate::proxy::RespProxy;
use crate::rule::{ConnectionFault, LinkDirection, Rule};
use crate::rules::{RuleGuard, RuleSet};
use crate::seen::SeenCommands;
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
    pub(super) name: String,
    kind: String,
    stream: LinkDirection,
    attributes: Map<String, Value>,
    warnings: Vec<String>,
    /// Empty when the lease is over.
    slot: Arc<Mutex<Option<RuleGuard>>>,
    lease: Option<ToxicLease>,
}

/// The time after which a toxic ends unless it is renewed.
#[derive(Debug)]
struct ToxicLease {
    ends: Instant,
    _task: AbortOnDropHandle<()>,
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
    pub(super) fn begin(plan: ToxicPlan, proxy: &RespProxy, rules: &RuleSet) -> Self {
        let warnings = proxy.warnings(&plan.rule);
        let slot = Arc::new(Mutex::new(Some(rules.add(plan.rule))));
        let mut toxic = Self {
            name: plan.name,
            kind: plan.kind,
            stream: plan.stream,
            attributes: plan.attributes,
            warnings,
            slot,
            lease: None,
        };
        toxic.renew(plan.lease);
        toxic
    }

    /// A rule that is in force already, as a toxic.
    pub(super) fn in_force(
        name: String,
        guard: RuleGuard,
        proxy: &RespProxy,
        shadow: Option<String>,
    ) -> Self {
        let rule = Value::String(guard.rule().to_string());
        Self {
            name,
            kind: "resp".to_owned(),
            stream: LinkDirection::Downstream,
            attributes: Map::from_iter([("rule".to_owned(), rule)]),
            warnings: (proxy.warnings(guard.rule()).into_iter())
                .chain(shadow)
                .collect(),
            slot: Arc::new(Mutex::new(Some(guard))),
            lease: None,
        }
    }

    /// Its warnings, each behind its rule.
    pub(super) fn warnings(&self) -> Vec<String> {
        let rule = self.rule(|guard| guard.rule().to_string());
        let rule = rule.unwrap_or_default();
        let warning = |text: &String| format!("{rule}: {text}");
        self.warnings.iter().map(warning).collect()
    }

    /// Ends the rule and keeps its counts.
    pub(super) fn end(&self) {
        self.rule(RuleGuard::end);
    }

    /// Begins the lease anew. Nothing but its own task is needed to end it.
    fn renew(&mut self, length: Option<Duration>) {
        self.lease = length.map(|length| {
            let slot = Arc::clone(&self.slot);
            let task = tokio::spawn(async move {
                tokio::time::sleep(length).await;
                drop(slot.lock().take());
            });
            ToxicLease {
                ends: Instant::now() + length,
                _task: AbortOnDropHandle::new(task),
            }
        });
    }

    fn is_over(&self) -> bool {
        self.slot.lock().is_none()
    }

    /// Asks the rule; nothing when the lease is over.
    pub(super) fn rule<T>(&self, ask: impl FnOnce(&RuleGuard) -> T) -> Option<T> {
        self.slot.lock().as_ref().map(ask)
    }

    /// As clients receive it. Nothing when the lease is over.
    pub(super) fn view(&self) -> Option<ToxicView> {
        let (rule, report) = self.rule(|guard| (guard.rule().to_string(), guard.report()))?;
        Some(ToxicView {
            name: self.name.clone(),
            kind: self.kind.clone(),
            stream: self.stream.to_string(),
            toxicity: 1.0,
            attributes: self.attributes.clone(),
            rule,
            in_force: report.healed.is_none(),
            effects: report.effects,
            fitted: report.fitted,
            band_seconds: report.band().map(|band| band.as_secs_f64()),
            lease_seconds: self.lease.as_ref().map(|lease| {
                let left = lease.ends.saturating_duration_since(Instant::now());
                left.as_secs_f64()
            }),
            warnings: self.warnings.clone(),
        })
    }
}

impl ManagedProxy {
    /// Forgets toxics whose lease is over.
    pub(super) fn prune(&mut self) {
        self.toxics.retain(|toxic| !toxic.is_over());
    }

    pub(super) fn view(&self) -> ProxyView {
        let SeenCommands {
            commands,
            keys,
            more_keys,
        } = self.proxy.seen();
        let commands = commands.into_iter().map(|(name, n)| (name, n.into()));
        ProxyView {
            name: self.proxy.name().to_owned(),
            listen: self.proxy.address().to_string(),
            upstream: self.shown.clone(),
            enabled: self.disabled.is_none(),
            toxics: self.toxics.iter().filter_map(Toxic::view).collect(),
            counters: CountersView::of(self.proxy.counters()),
            seen: SeenView {
                commands: commands.collect(),
                keys,
                more_keys,
            },
        }
    }

    /// Takes connections, or refuses them. The future ends when it does.
    pub(super) fn enable(&mut self, enabled: bool) -> impl Future<Output = ()> + use<> {
        if enabled {
            self.disabled = None;
        } else if self.disabled.is_none() {
            let rule = Rule::connections(ConnectionFault::Refuse);
            self.disabled = Some(self.rules.add(rule));
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
        let found = self.toxics.iter_mut().find(|toxic| toxic.name == name);
        found.ok_or_else(|| ControlError::not_found("toxic", name))
    }

    /// Puts a toxic into force. The future ends when it meets every connection.
    pub(super) fn add(
        &mut self,
        plan: ToxicPlan,
    ) -> Result<(ToxicView, impl Future<Output = ()> + use<>), ControlError> {
        self.prune();
        if self.toxics.iter().any(|toxic| toxic.name == plan.name) {
            return Err(ControlError::exists("toxic", &plan.name));
        }
        let before: Vec<Rule> = self
            .toxics
            .iter()
            .filter_map(|toxic| toxic.rule(|guard| guard.rule().clone()))
            .collect();
        let warning = shadowed(&plan.rule, &before.iter().collect::<Vec<_>>());
        let mut toxic = Toxic::begin(plan, &self.proxy, &self.rules);
        toxic.warnings.extend(warning);
        let view = toxic.view();
        let name = toxic.name.clone();
        self.toxics.push(toxic);
        let view = view.ok_or_else(|| ControlError::not_found("toxic", &name))?;
        Ok((view, self.settled()))
    }

    /// Changes attributes of a toxic, whose counts begin anew then, or renews its lease.
    pub(super) fn change(
        &mut self,
        name: &str,
        input: ToxicInput,
        lease: Option<&str>,
    ) -> Result<ToxicView, ControlError> {
        let toxic = self.toxic(name)?;
        let mut attributes = toxic.attributes.clone();
        attributes.extend(input.attributes);
        let plan = ToxicPlan::of(
            ToxicInput {
                name: name.to_owned(),
                kind: toxic.kind.clone(),
                stream: toxic.stream.to_string(),
                toxicity: input.toxicity,
                attributes,
                lease: input.lease,
            },
            lease,
        )?;
        let is_same = plan
            .attributes
            .iter()
            .all(|(name, value)| name == "for" || toxic.attributes.get(name) == Some(value));
        if is_same {
            toxic.attributes = plan.attributes;
            toxic.renew(plan.lease);
        } else {
            let at = self.toxics.iter().position(|toxic| toxic.name == name);
            let toxic = Toxic::begin(plan, &self.proxy, &self.rules);
            match at {
                Some(at) => self.toxics[at] = toxic,
                None => self.toxics.push(toxic),
            }
        }
        let view = self.toxic(name)?.view();
        view.ok_or_else(|| ControlError::not_found("toxic", name))
    }

    pub(super) fn reports(&self) -> impl Iterator<Item = ToxicReport> {
        self.toxics.iter().filter_map(|toxic| {
            let (rule, report) = toxic.rule(|guard| (guard.rule().clone(), guard.report()))?;
            Some(ToxicReport {
                proxy: self.proxy.name().to_owned(),
                toxic: toxic.name.clone(),
                rule,
                report,
            })
        })
    }
}

impl CountersView {
    fn of(counters: ProxyCounters) -> Self {
        let ProxyCounters {
            connections,
            unreachable,
            commands,
            unmatched,
            streams,
            not_resp,
        } = counters;
        Self {
            connections,
            unreachable,
            commands,
            unmatched,
            streams,
            not_resp,
        }
    }
}
