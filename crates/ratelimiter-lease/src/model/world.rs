use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::bounds::ModelBounds;
use super::event::{GrantId, ModelEvent, WireMessage};
use super::mutant::ProtocolMutant;
use crate::{
    GrantAnswer, GrantHolder, GrantLedger, LeaseTerms, LedgerRequest, NodeTime, SpendResult,
    StoreTime, WaitingChecks,
};

const NODES: usize = 3;
const LIMIT: u32 = 4;
/// The limit after it was lowered.
const LOWERED: u32 = 2;
/// Units by which the store's clock steps.
const STEP: usize = 3;
/// Units of time that a window and a lease last.
const WINDOW: usize = 2;
const LEASE: usize = 2;
const UNIT_US: u64 = 1000;
const DRIFT_PERMILLE: u32 = 500;
/// An invariant that a state breaks.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "the fields are printed with the trace")]
pub(super) enum ModelBreach {
    /// More admissions in the window than the store counts.
    Uncharged { admitted: u32, charged: u64 },
    /// More admissions in the window than the limit.
    OverLimit { admitted: u32 },
    /// More admissions since the acknowledgement in the window than the lowered limit.
    OverLowered { admitted: u32 },
    /// A stamp outside its grant, or after the present.
    Stamp { at: StoreTime, now: StoreTime },
}

#[derive(Clone)]
struct ModelNode {
    holder: GrantHolder,
    rate: u64,
    life: u8,
    next: u8,
}

/// Everything that the future depends on.
#[derive(Clone)]
pub(super) struct ModelWorld {
    bounds: ModelBounds,
    mutant: Option<ProtocolMutant>,
    unit: usize,
    requests: u8,
    crashes: u8,
    losses: u8,
    /// The ledger was lost, and no message has found that out.
    missing: bool,
    /// The store's clock has stepped: it agrees with no node's.
    stepped: bool,
    /// When the limit was lowered.
    lowered: Option<StoreTime>,
    acknowledged: bool,
    ledger: GrantLedger<GrantId>,
    nodes: [ModelNode; NODES],
    wire: BTreeSet<WireMessage>,
    /// Admissions in each of the units of the present window, the present unit first.
    admitted: [u32; WINDOW],
    /// Likewise, of those since the acknowledgement.
    admitted_since: [u32; WINDOW],
}

impl ModelWorld {
    /// One world for each draw of the clocks' rates.
    pub(super) fn beginnings(bounds: ModelBounds, mutant: Option<ProtocolMutant>) -> Vec<Self> {
        let drift = if mutant == Some(ProtocolMutant::NoDrift) {
            0
        } else {
            DRIFT_PERMILLE
        };
        let node = |rate: &u64| ModelNode {
            holder: GrantHolder::new(terms(WINDOW, drift)),
            rate: *rate,
            life: 0,
            next: 0,
        };
        let mut worlds = Vec::new();
        for a in bounds.rates {
            for b in bounds.rates {
                for c in bounds.rates {
                    worlds.push(Self {
                        bounds,
                        mutant,
                        unit: 0,
                        requests: 0,
                        crashes: 0,
                        losses: 0,
                        missing: false,
                        stepped: false,
                        lowered: None,
                        acknowledged: false,
                        ledger: GrantLedger::new(Duration::ZERO),
                        nodes: [node(a), node(b), node(c)],
                        wire: BTreeSet::new(),
                        admitted: [0; WINDOW],
                        admitted_since: [0; WINDOW],
                    });
                }
            }
        }
        worlds
    }

    fn is(&self, mutant: ProtocolMutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn now(&self) -> StoreTime {
        // Far enough from the clock's origin for a window before it.
        StoreTime::from_micros((self.unit + 10) as u64 * UNIT_US)
    }

    fn clock(&self, node: usize) -> NodeTime {
        NodeTime::from_micros(self.unit as u64 * self.nodes[node].rate)
    }

    /// The time of a message in the store: of its arrival, or where the store's clock has stepped,
    /// of its sending.
    fn time_of(&self, message: &WireMessage) -> StoreTime {
        match message {
            WireMessage::Ask { sent, .. } | WireMessage::Settle { sent, .. } if self.stepped => {
                if self.is(ProtocolMutant::StepFollowed) {
                    self.now() + units(STEP)
                } else {
                    *sent
                }
            }
            _ => self.now(),
        }
    }

    /// Whether a grant is out that was given before the limit was lowered.
    fn has_former_grants(&self) -> bool {
        let open = |grant: &crate::Grant| {
            !grant.settled && grant.end > self.now() && Some(grant.given) <= self.lowered
        };
        self.ledger.grants.values().any(open)
    }

    /// The terms by which the store counts.
    fn store_terms(&self) -> LeaseTerms {
        if self.lowered.is_some() && !self.is(ProtocolMutant::NodesLimit) {
            return LeaseTerms::new(LOWERED, units(WINDOW), units(LEASE), DRIFT_PERMILLE)
                .expect("they are positive");
        }
        if self.is(ProtocolMutant::CountedUntilEnd) {
            return LeaseTerms::new(
                LIMIT,
                Duration::from_micros(1),
                units(LEASE),
                DRIFT_PERMILLE,
            )
            .expect("they are positive");
        }
        terms(WINDOW, DRIFT_PERMILLE)
    }

    /// Everything that can happen next.
    pub(super) fn actions(&self) -> Vec<ModelEvent> {
        let mut actions: Vec<_> = self.wire.iter().cloned().map(ModelEvent::Arrive).collect();
        if self.unit < self.bounds.units {
            actions.push(ModelEvent::Tick);
        }
        if self.losses < self.bounds.losses && !self.missing {
            actions.push(ModelEvent::Lose);
        }
        if self.bounds.steps && !self.stepped {
            actions.push(ModelEvent::Step);
        }
        if self.bounds.lowers && self.lowered.is_none() {
            actions.push(ModelEvent::Lower);
        }
        let may_acknowledge =
            self.is(ProtocolMutant::AcknowledgedEarly) || !self.has_former_grants();
        if self.lowered.is_some() && !self.acknowledged && may_acknowledge {
            actions.push(ModelEvent::Acknowledge);
        }
        for node in 0..NODES {
            let holder = &self.nodes[node].holder;
            if holder.unspent() > 0 {
                actions.extend([ModelEvent::Admit { node }, ModelEvent::GiveBack { node }]);
                if self.is(ProtocolMutant::SettlementExtends) {
                    actions.push(ModelEvent::Renew { node });
                }
            }
            if holder.is_asking() {
                actions.push(ModelEvent::GiveUp { node });
            } else if self.requests < self.bounds.requests {
                actions.extend(self.bounds.sizes.iter().map(|queued| ModelEvent::Ask {
                    node,
                    queued: *queued,
                }));
            }
            if self.crashes < self.bounds.crashes && !holder.is_idle() {
                actions.push(ModelEvent::Crash { node });
            }
        }
        actions
    }

    pub(super) fn step(&mut self, action: &ModelEvent) -> Result<(), ModelBreach> {
        match *action {
            ModelEvent::Tick => {
                self.unit += 1;
                for admitted in [&mut self.admitted, &mut self.admitted_since] {
                    admitted.rotate_right(1);
                    admitted[0] = 0;
                }
                let (now, terms) = (self.now(), self.store_terms());
                // A store whose clock has stepped has only the time of its messages.
                if !self.stepped {
                    self.ledger.advance(now, &terms);
                }
            }
            ModelEvent::Lose => {
                self.losses += 1;
                self.missing = true;
                self.ledger = GrantLedger::new(Duration::ZERO);
            }
            ModelEvent::Step => self.stepped = true,
            ModelEvent::Lower => self.lowered = Some(self.now()),
            ModelEvent::Acknowledge => self.acknowledged = true,
            ModelEvent::Ask { node, queued } => {
                self.requests += 1;
                let now = self.clock(node);
                let number = self.nodes[node].next;
                self.nodes[node].next += 1;
                let ask = self.nodes[node].holder.ask(
                    now,
                    number.into(),
                    Some(WaitingChecks::alike(1, queued)),
                );
                self.wire.insert(WireMessage::Ask {
                    id: self.id(node, number),
                    queued: ask.waiting.queued,
                    sent: self.now(),
                });
            }
            ModelEvent::Admit { node } => return self.admit(node),
            ModelEvent::GiveBack { node } => {
                let now = self.clock(node);
                let before = self.nodes[node].holder.clone();
                self.nodes[node].holder.close_all(now);
                self.send_settlements(node);
                if self.is(ProtocolMutant::SpendsAfterSettling) {
                    self.nodes[node].holder = before;
                }
            }
            ModelEvent::GiveUp { node } => {
                let before = self.nodes[node].holder.clone();
                let asked = before.asked_number().expect("only offered while it asks");
                self.nodes[node].holder.give_up(asked);
                self.send_settlements(node);
                if self.is(ProtocolMutant::LateAnswerTaken) {
                    self.nodes[node].holder = before;
                }
            }
            ModelEvent::Crash { node } => {
                self.crashes += 1;
                let crashed = &mut self.nodes[node];
                crashed.holder = GrantHolder::new(crashed.holder.terms());
                crashed.life += 1;
                if self.mutant == Some(ProtocolMutant::NamesReused) {
                    crashed.life = 0;
                    crashed.next = 0;
                }
            }
            ModelEvent::Renew { node } => {
                let now = self.clock(node);
                if let Some(number) = self.nodes[node].holder.renew(now) {
                    let number = u8::try_from(number).expect("a run has few requests");
                    self.wire.insert(WireMessage::Renew {
                        id: self.id(node, number),
                    });
                }
            }
            ModelEvent::Arrive(ref message) => self.arrive(message),
        }
        for node in 0..NODES {
            self.send_settlements(node);
        }
        self.tidy();
        Ok(())
    }

    fn admit(&mut self, node: usize) -> Result<(), ModelBreach> {
        let (clock, now) = (self.clock(node), self.now());
        if let SpendResult::Admitted { at } = self.nodes[node].holder.spend(clock, 1) {
            self.admitted[0] += 1;
            self.admitted_since[0] += u32::from(self.acknowledged);
            if at > now || at + units(LEASE) < now {
                return Err(ModelBreach::Stamp { at, now });
            }
        }
        self.send_settlements(node);
        self.tidy();
        Ok(())
    }

    fn arrive(&mut self, message: &WireMessage) {
        let (time, terms) = (self.time_of(message), self.store_terms());
        let id = message.id();
        let node = usize::from(id.0);
        if self.missing {
            // What was lost has nothing to settle, and a request begins it anew.
            let WireMessage::Ask { .. } = message else {
                return;
            };
            self.missing = false;
            let is_trusted = self.is(ProtocolMutant::LossUnnoticed)
                || self.is(ProtocolMutant::FreshNodeTrusted) && id.1 > 0;
            if !is_trusted {
                self.ledger = GrantLedger::after_loss(time, Duration::ZERO);
            }
        }
        let now = self.ledger.advance(time, &terms);
        match *message {
            WireMessage::Ask { id, queued, .. } => {
                let waiting = WaitingChecks::alike(1, queued);
                let request = LedgerRequest {
                    id,
                    waiting,
                    ahead: 0,
                    nodes: NODES as u32,
                    outside: 0,
                };
                self.wire
                    .insert(match self.ledger.grant(now, &terms, request) {
                        GrantAnswer::Granted { charge, given, .. } => {
                            WireMessage::Reply { id, charge, given }
                        }
                        GrantAnswer::Denied { .. } | GrantAnswer::Closed => {
                            WireMessage::Refusal { id }
                        }
                    });
            }
            WireMessage::Settle { id, spent, .. } => self.ledger.settle(now, &id, spent),
            WireMessage::Renew { id } => {
                if let Some(grant) = self.ledger.grants.get_mut(&id) {
                    grant.end = now + units(LEASE);
                }
            }
            WireMessage::Reply { charge, given, .. } if self.is_alive(id) => {
                let clock = self.clock(node);
                let answer = GrantAnswer::Granted {
                    charge,
                    given,
                    room: 0,
                };
                let holder = &mut self.nodes[node].holder;
                if self.mutant == Some(ProtocolMutant::LeaseFromArrival) {
                    holder.renew(clock);
                }
                holder.answered(clock, id.2.into(), answer);
            }
            WireMessage::Refusal { .. } if self.is_alive(id) => {
                let clock = self.clock(node);
                let answer = GrantAnswer::Denied {
                    hold: Duration::ZERO,
                    frees: Duration::ZERO,
                    room: 0,
                };
                self.nodes[node].holder.answered(clock, id.2.into(), answer);
            }
            WireMessage::Reply { .. } | WireMessage::Refusal { .. } => {}
        }
    }

    fn is_alive(&self, id: GrantId) -> bool {
        self.nodes[usize::from(id.0)].life == id.1
    }

    fn id(&self, node: usize, number: u8) -> GrantId {
        (node as u8, self.nodes[node].life, number)
    }

    fn send_settlements(&mut self, node: usize) {
        let settlements: Vec<_> = self.nodes[node].holder.settlements().collect();
        for (number, spent) in settlements {
            self.nodes[node].holder.settled(number);
            let number = u8::try_from(number).expect("a run has few requests");
            self.wire.insert(WireMessage::Settle {
                id: self.id(node, number),
                spent,
                sent: self.now(),
            });
        }
    }

    /// Drops what no step depends on: old admissions that a node remembers, and answers that no
    /// node awaits.
    fn tidy(&mut self) {
        let Self { nodes, ledger, .. } = self;
        for node in nodes.iter_mut() {
            node.holder.forget_history();
        }
        self.wire.retain(|message| match message {
            WireMessage::Reply { id, .. } | WireMessage::Refusal { id } => {
                let node = &nodes[usize::from(id.0)];
                // A name that is used again may be awaited again.
                self.mutant == Some(ProtocolMutant::NamesReused)
                    || (node.life == id.1 && node.holder.asked_number() == Some(id.2.into()))
            }
            // It changes nothing a second time.
            WireMessage::Settle { id, spent, .. } => !ledger
                .grants
                .get(id)
                .is_some_and(|grant| grant.settled && grant.charge <= *spent),
            WireMessage::Ask { .. } | WireMessage::Renew { .. } => true,
        });
    }

    pub(super) fn holds(&self) -> Result<(), ModelBreach> {
        let admitted = self.admitted.iter().sum();
        let charged = self
            .ledger
            .charged(self.now(), &terms(WINDOW, DRIFT_PERMILLE));
        let since = self.admitted_since.iter().sum();
        if admitted > LIMIT {
            return Err(ModelBreach::OverLimit { admitted });
        }
        if since > LOWERED {
            return Err(ModelBreach::OverLowered { admitted: since });
        }
        if self.losses == 0 && u64::from(admitted) > charged {
            return Err(ModelBreach::Uncharged { admitted, charged });
        }
        Ok(())
    }

    /// Equal for states that differ by the order of nodes only: each node with its grants and its
    /// messages is hashed by itself, and the hashes are sorted.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut parts: Vec<u64> = (0..NODES).map(|node| self.part(node)).collect();
        parts.sort_unstable();
        let mut hasher = DefaultHasher::new();
        (self.unit, self.requests, self.crashes, self.admitted, parts).hash(&mut hasher);
        (self.losses, self.missing, self.ledger.lost).hash(&mut hasher);
        (self.stepped, self.ledger.last).hash(&mut hasher);
        (self.lowered, self.acknowledged, self.admitted_since).hash(&mut hasher);
        hasher.finish()
    }

    /// The time of sending, where anything depends on it.
    fn dated(&self, sent: StoreTime) -> Option<StoreTime> {
        self.bounds.steps.then_some(sent)
    }

    fn part(&self, node: usize) -> u64 {
        let mut hasher = DefaultHasher::new();
        let ModelNode {
            holder,
            rate,
            life,
            next,
        } = &self.nodes[node];
        (holder, rate, life, next).hash(&mut hasher);
        let own = |id: &GrantId| usize::from(id.0) == node;
        for (id, grant) in self.ledger.grants.iter().filter(|(id, _)| own(id)) {
            (id.1, id.2, grant).hash(&mut hasher);
        }
        for message in self.wire.iter().filter(|message| own(&message.id())) {
            let id = message.id();
            std::mem::discriminant(message).hash(&mut hasher);
            (id.1, id.2).hash(&mut hasher);
            match message {
                WireMessage::Ask { queued, sent, .. } => {
                    (queued, self.dated(*sent)).hash(&mut hasher);
                }
                WireMessage::Reply { charge, given, .. } => (charge, given).hash(&mut hasher),
                WireMessage::Settle { spent, sent, .. } => {
                    (spent, self.dated(*sent)).hash(&mut hasher);
                }
                WireMessage::Refusal { .. } | WireMessage::Renew { .. } => {}
            }
        }
        hasher.finish()
    }
}

fn units(count: usize) -> Duration {
    Duration::from_micros(count as u64 * UNIT_US)
}

fn terms(window: usize, drift_permille: u32) -> LeaseTerms {
    LeaseTerms::new(LIMIT, units(window), units(LEASE), drift_permille).expect("they are positive")
}
