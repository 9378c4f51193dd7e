//! The proxies of one process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use client_tls::Reach;
use hyper::StatusCode;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::ControlError;
use super::managed::{ManagedProxy, Toxic, ToxicReport};
use super::toxic::ToxicPlan;
use super::wire::ProxyInput;
use crate::notice::ProxyNotice;
use crate::proxy::RespProxy;
use crate::rule::{LinkDirection, Rule};
use crate::rules::{RuleGuard, RuleSet};
use crate::upstream::Upstream;

/// Where a proxy listens that is created without an address.
const ANY_PORT: &str = "127.0.0.1:0";

/// The proxies of one process, by name. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct ProxySet {
    shared: Arc<SetState>,
}

/// Receives notices with the name of the proxy.
type NamedListener = Box<dyn Fn(&str, ProxyNotice) + Send + Sync>;

struct SetState {
    reach: Reach,
    notices: NamedListener,
    proxies: Mutex<BTreeMap<String, ManagedProxy>>,
}

/// A proxy to be started.
#[derive(Clone, Debug)]
pub struct ProxyStart {
    /// The name that paths and rules know it by.
    pub name: String,
    /// Address or name to listen on, with a port; port 0 chooses a free one.
    pub listen: String,
    /// The store.
    pub upstream: Upstream,
    /// Whether it takes connections.
    pub enabled: bool,
    /// Rules that meet the very first connection. Their toxics are `rule-1` and so on.
    pub rules: Vec<Rule>,
}

impl ProxySet {
    /// No proxies. `reach` bounds the machines that they may connect to and listen for; `notices`
    /// receives changes with the name of the proxy.
    pub fn new(reach: Reach, notices: impl Fn(&str, ProxyNotice) + Send + Sync + 'static) -> Self {
        Self {
            shared: Arc::new(SetState {
                reach,
                notices: Box::new(notices),
                proxies: Mutex::default(),
            }),
        }
    }

    pub(super) fn reach(&self) -> Reach {
        self.shared.reach
    }

    /// Starts a proxy, and returns its address.
    ///
    /// # Errors
    /// When the name is taken, an address is out of reach, or it cannot be listened on.
    pub async fn start(&self, start: ProxyStart) -> Result<SocketAddr, ControlError> {
        let (name, shown) = (start.name.clone(), start.upstream.to_string());
        self.open(start, shown, RuleSet::new()).await?;
        self.with(&name, |managed| Ok(managed.proxy.address()))
    }

    async fn open(
        &self,
        start: ProxyStart,
        shown: String,
        rules: RuleSet,
    ) -> Result<Value, ControlError> {
        let name = start.name;
        if self.shared.proxies.lock().contains_key(&name) {
            return Err(ControlError::exists("proxy", &name));
        }
        let address = self.permitted(&start.listen, &start.upstream).await?;
        let disabled = (!start.enabled).then(|| rules.add(Rule::refusing()));
        let in_force: Vec<_> = start.rules.into_iter().map(|r| rules.add(r)).collect();
        let (shared, of) = (Arc::downgrade(&self.shared), name.clone());
        let proxy = RespProxy::builder(start.upstream.clone())
            .name(&name)
            .rules(rules.clone())
            .notices(move |notice| {
                if let Some(shared) = shared.upgrade() {
                    (shared.notices)(&of, notice);
                }
            })
            .listen(address)
            .await
            .map_err(|error| {
                ControlError::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    format!("listen on {}: {error}", start.listen),
                )
            })?;
        let mut managed = ManagedProxy {
            toxics: Vec::new(),
            proxy,
            upstream: start.upstream,
            shown,
            rules,
            disabled,
        };
        for (at, guard) in in_force.into_iter().enumerate() {
            let rule = guard.rule().clone();
            let plan = ToxicPlan {
                name: format!("rule-{}", at + 1),
                kind: "resp".to_owned(),
                stream: LinkDirection::Downstream,
                attributes: Map::from_iter([("rule".to_owned(), rule.to_string().into())]),
                rule,
                lease: None,
            };
            managed.push(plan, guard);
        }
        let view = managed.view();
        let mut proxies = self.shared.proxies.lock();
        if proxies.contains_key(&name) {
            return Err(ControlError::exists("proxy", &name));
        }
        proxies.insert(name, managed);
        Ok(view)
    }

    /// The address to listen on, if it and the store are within reach. Before a store with a
    /// password, an address that others reach would give the password's rights to all of them.
    async fn permitted(
        &self,
        listen: &str,
        upstream: &Upstream,
    ) -> Result<SocketAddr, ControlError> {
        let forbidden = |error: client_tls::OutOfReach| ControlError::forbidden(error.to_string());
        self.shared
            .reach
            .permit(upstream.is_loopback(), upstream)
            .map_err(forbidden)?;
        let address = resolve(listen).await?;
        let is_open = upstream.has_password() && !address.ip().is_loopback();
        if is_open && self.shared.reach == Reach::ThisMachine {
            return Err(ControlError::forbidden(format!(
                "every machine that reaches {address} would have the rights of the store's \
                 password: --allow-remote permits it"
            )));
        }
        Ok(address)
    }

    /// The measured effects of all toxics.
    pub fn reports(&self) -> Vec<ToxicReport> {
        let proxies = self.shared.proxies.lock();
        proxies.values().flat_map(ManagedProxy::reports).collect()
    }

    /// Warnings about the toxics of all proxies, one line each.
    pub fn warnings(&self) -> Vec<String> {
        let proxies = self.shared.proxies.lock();
        let toxics = proxies.values().flat_map(|managed| &managed.toxics);
        toxics.flat_map(Toxic::warnings).collect()
    }

    /// Ends all rules. Returns their last reports, and for each proxy its name, its counters and
    /// the commands that it saw, one line each.
    pub fn end(&self) -> (Vec<ToxicReport>, Vec<String>) {
        let mut proxies = self.shared.proxies.lock();
        let mut reports = Vec::new();
        let mut lines = Vec::new();
        for managed in proxies.values_mut() {
            for toxic in &managed.toxics {
                toxic.rule(RuleGuard::end);
            }
            reports.extend(managed.reports());
            lines.push(managed.proxy.counters().to_string());
            lines.push(format!("seen: {}", managed.proxy.seen()));
        }
        (reports, lines)
    }

    pub(super) async fn create(&self, input: ProxyInput) -> Result<Value, ControlError> {
        let (start, shown) = planned(input)?;
        self.open(start, shown, RuleSet::new()).await
    }

    /// Creates these proxies, or replaces those that differ.
    pub(super) async fn populate(
        &self,
        inputs: Vec<ProxyInput>,
    ) -> Result<Vec<Value>, ControlError> {
        let planned: Vec<_> = inputs.into_iter().map(planned).collect::<Result<_, _>>()?;
        let mut views = Vec::new();
        for (start, shown) in planned {
            let wanted = resolve(&start.listen).await?;
            let is_same = self.with(&start.name, |managed| {
                let listens = wanted.port() == 0 || wanted == managed.proxy.address();
                Ok(listens && managed.shown == shown)
            });
            views.push(if let Ok(true) = is_same {
                self.show(&start.name)?
            } else {
                // There may be none of this name.
                let _ = self.delete(&start.name);
                self.open(start, shown, RuleSet::new()).await?
            });
        }
        Ok(views)
    }

    pub(super) fn with<T>(
        &self,
        name: &str,
        act: impl FnOnce(&mut ManagedProxy) -> Result<T, ControlError>,
    ) -> Result<T, ControlError> {
        let mut proxies = self.shared.proxies.lock();
        let found = proxies.get_mut(name);
        act(found.ok_or_else(|| ControlError::not_found("proxy", name))?)
    }

    pub(super) fn list(&self) -> Map<String, Value> {
        let proxies = self.shared.proxies.lock();
        let view = |(name, managed): (&String, &ManagedProxy)| (name.clone(), managed.view());
        proxies.iter().map(view).collect()
    }

    pub(super) fn show(&self, name: &str) -> Result<Value, ControlError> {
        self.with(name, |managed| Ok(managed.view()))
    }

    /// Enables or disables a proxy, or opens it elsewhere with the toxics that it has.
    pub(super) async fn update(
        &self,
        name: &str,
        input: ProxyInput,
    ) -> Result<Value, ControlError> {
        let wanted = match &input.listen {
            Some(listen) => Some(resolve(listen).await?),
            None => None,
        };
        let moved = self.with(name, |managed| {
            let listen = managed.proxy.address();
            let new = input.upstream.filter(|new| *new != managed.shown);
            let is_moved = new.is_some() || wanted.is_some_and(|wanted| wanted != listen);
            let (upstream, shown) = match new {
                Some(new) => store(new)?,
                None => (managed.upstream.clone(), managed.shown.clone()),
            };
            let start = ProxyStart {
                name: name.to_owned(),
                listen: wanted.unwrap_or(listen).to_string(),
                upstream,
                enabled: input.enabled.unwrap_or(managed.disabled.is_none()),
                rules: Vec::new(),
            };
            Ok(is_moved.then_some((start, shown)))
        })?;
        if let Some((start, shown)) = moved {
            self.permitted(&start.listen, &start.upstream).await?;
            let old = self.shared.proxies.lock().remove(name);
            let Some(ManagedProxy {
                proxy,
                rules,
                toxics,
                disabled,
                ..
            }) = old
            else {
                return Err(ControlError::not_found("proxy", name));
            };
            // It lets go of its address first; its rules stay in force.
            proxy.close().await;
            drop(disabled);
            self.open(start, shown, rules).await?;
            self.with(name, |managed| {
                managed.toxics = toxics;
                Ok(())
            })?;
        } else if let Some(enabled) = input.enabled {
            let turned = self.with(name, |managed| Ok(managed.enable(enabled)))?;
            turned.await;
        }
        self.show(name)
    }

    pub(super) fn delete(&self, name: &str) -> Result<(), ControlError> {
        let removed = self.shared.proxies.lock().remove(name);
        removed
            .map(drop)
            .ok_or_else(|| ControlError::not_found("proxy", name))
    }

    /// Enables all proxies and ends all toxics.
    pub(super) async fn reset(&self) {
        let turned: Vec<_> = {
            let mut proxies = self.shared.proxies.lock();
            let enable = |managed: &mut ManagedProxy| {
                managed.toxics.clear();
                managed.enable(true)
            };
            proxies.values_mut().map(enable).collect()
        };
        for turned in turned {
            turned.await;
        }
    }

    /// A toxic, once it has had so many effects. When it has not in time, the error says what came
    /// instead.
    pub(super) async fn toxic(
        &self,
        proxy: &str,
        toxic: &str,
        effects: u64,
        patience: Duration,
    ) -> Result<Value, ControlError> {
        let pending = self.with(proxy, |managed| {
            let found = managed.toxic(toxic)?;
            found
                .rule(|guard| guard.effects(effects))
                .ok_or_else(|| ControlError::not_found("toxic", toxic))
        })?;
        let had = timeout(patience, pending).await;
        let (view, seen) = self.with(proxy, |managed| {
            Ok((managed.view_of(toxic)?, managed.proxy.seen()))
        })?;
        let cause = match had {
            Ok(report) if report.effects >= effects => return Ok(view),
            Ok(_) => "when it ended".to_owned(),
            Err(_) => format!("after {}", humantime::format_duration(patience)),
        };
        Err(ControlError::new(
            StatusCode::REQUEST_TIMEOUT,
            format!(
                "{toxic} had {} of {effects} effects {cause}, on {} commands that fit. Seen: \
                 {seen}",
                view["effects"], view["fitted"]
            ),
        ))
    }
}

/// The proxy that a client wants, and its upstream to be shown.
fn planned(input: ProxyInput) -> Result<(ProxyStart, String), ControlError> {
    if input.name.is_empty() {
        return Err(ControlError::missing("name"));
    }
    let (upstream, shown) = store(input.upstream.unwrap_or_default())?;
    let listen = input.listen.filter(|listen| !listen.is_empty());
    let start = ProxyStart {
        name: input.name,
        listen: listen.unwrap_or_else(|| ANY_PORT.to_owned()),
        upstream,
        enabled: input.enabled.unwrap_or(true),
        rules: Vec::new(),
    };
    Ok((start, shown))
}

/// The store that a client names, and its text as it is shown.
fn store(given: String) -> Result<(Upstream, String), ControlError> {
    if given.is_empty() {
        return Err(ControlError::missing("upstream"));
    }
    let url = if given.contains("://") {
        given.clone()
    } else {
        format!("redis://{given}")
    };
    let upstream: Upstream = url
        .parse()
        .map_err(|error: crate::UpstreamError| ControlError::bad(error.to_string()))?;
    // Clients compare it with their own.
    let shown = if upstream.has_password() {
        upstream.to_string()
    } else {
        given
    };
    Ok((upstream, shown))
}

/// The first address of `HOST:PORT`; no host means all addresses.
pub(crate) async fn resolve(listen: &str) -> Result<SocketAddr, ControlError> {
    let named = match listen.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => listen.to_owned(),
    };
    let found = lookup_host(&named)
        .await
        .ok()
        .and_then(|mut found| found.next());
    found.ok_or_else(|| {
        ControlError::bad(format!(
            "{listen:?} is no address to listen on, such as 127.0.0.1:6380 or localhost:0"
        ))
    })
}
