use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::{Answer, Holder, Ledger, NodeTime, Request, Spend, StoreTime, Terms, Waiting};

const NODES: usize = 3;
const LIMIT: u32 = 4;
/// Units of time that a window and a lease last.
const WINDOW: usize = 2;
const LEASE: usize = 2;
const UNIT_US: u64 = 1000;
const DRIFT_PERMILLE: u32 = 500;
/// Microseconds by which a slow, a true and a fast node's clock advance in one unit of time.
const SLOW: u64 = 500;
const TRUE: u64 = 1000;
const FAST: u64 = 1500;

/// How much may happen in one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    units: usize,
    requests: u8,
    crashes: u8,
    /// Costs of the waiting checks for which a node asks.
    sizes: &'static [u32],
    /// Rates of the nodes' clocks.
    rates: &'static [u64],
}

impl Bounds {
    pub(super) const GATE: &[Self] = &[
        Self {
            units: 5,
            requests: 2,
            crashes: 1,
            sizes: &[4],
            rates: &[SLOW],
        },
        Self {
            units: 4,
            requests: 3,
            crashes: 0,
            sizes: &[2],
            rates: &[SLOW],
        },
    ];
    pub(super) const FULL: &[Self] = &[
        Self {
            units: 5,
            requests: 2,
            crashes: 1,
            sizes: &[1, 4],
            rates: &[SLOW, TRUE, FAST],
        },
        Self {
            units: 5,
            requests: 3,
            crashes: 0,
            sizes: &[2],
            rates: &[SLOW],
        },
        Self {
            units: 4,
            requests: 3,
            crashes: 1,
            sizes: &[2],
            rates: &[SLOW],
        },
    ];
}

/// Node, life of the node, number of the grant.
type Id = (u8, u8, u8);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Message {
    Ask {
        id: Id,
        queued: u32,
    },
    Reply {
        id: Id,
        charge: u32,
        given: StoreTime,
    },
    Refusal {
        id: Id,
    },
    Settle {
        id: Id,
        spent: u32,
    },
    /// Only of a mutant.
    Renew {
        id: Id,
    },
}

impl Message {
    fn id(&self) -> Id {
        match self {
            Self::Ask { id, .. }
            | Self::Reply { id, .. }
            | Self::Refusal { id }
            | Self::Settle { id, .. }
            | Self::Renew { id } => *id,
        }
    }
}

/// One event.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Tick,
    Ask {
        node: usize,
        queued: u32,
    },
    Admit {
        node: usize,
    },
    GiveBack {
        node: usize,
    },
    GiveUp {
        node: usize,
    },
    Crash {
        node: usize,
    },
    Arrive(Message),
    /// Only of a mutant.
    Renew {
        node: usize,
    },
}

/// A protocol with a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutant {
    /// A settlement may extend its grant's end, and the node spends for a lease after sending it.
    SettlementExtends,
    /// The node counts the lease from the arrival of the answer.
    LeaseFromArrival,
    /// The store forgets a grant at its end, not a window later.
    CountedUntilEnd,
    /// The node goes on spending what it has settled.
    SpendsAfterSettling,
    /// The node trusts its clock to run at the store's rate.
    NoDrift,
    /// A node that restarts begins its names anew.
    NamesReused,
    /// The node settles a request that it gave up, and takes the late answer all the same.
    LateAnswerTaken,
}

impl Mutant {
    pub(super) const ALL: &[Self] = &[
        Self::SettlementExtends,
        Self::LeaseFromArrival,
        Self::CountedUntilEnd,
        Self::SpendsAfterSettling,
        Self::NoDrift,
        Self::NamesReused,
        Self::LateAnswerTaken,
    ];
}

/// An invariant that a state breaks.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "the fields are printed with the trace")]
pub(super) enum Broken {
    /// More admissions in the window than the store counts.
    Uncharged { admitted: u32, charged: u64 },
    /// More admissions in the window than the limit.
    OverLimit { admitted: u32 },
    /// A stamp outside its grant, or after the present.
    Stamp { at: StoreTime, now: StoreTime },
}

#[derive(Clone)]
struct Node {
    holder: Holder,
    rate: u64,
    life: u8,
    next: u8,
}

/// Everything that the future depends on.
#[derive(Clone)]
pub(super) struct World {
    bounds: Bounds,
    mutant: Option<Mutant>,
    unit: usize,
    requests: u8,
    crashes: u8,
    ledger: Ledger<Id>,
    nodes: [Node; NODES],
    wire: BTreeSet<Message>,
    /// Admissions in each of the units of the present window, the present unit first.
    admitted: [u32; WINDOW],
}

impl World {
    /// One world for each draw of the clocks' rates.
    pub(super) fn beginnings(bounds: Bounds, mutant: Option<Mutant>) -> Vec<Self> {
        let drift = if mutant == Some(Mutant::NoDrift) {
            0
        } else {
            DRIFT_PERMILLE
        };
        let node = |rate: &u64| Node {
            holder: Holder::new(terms(WINDOW, drift)),
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
                        ledger: Ledger::new(Duration::ZERO),
                        nodes: [node(a), node(b), node(c)],
                        wire: BTreeSet::new(),
                        admitted: [0; WINDOW],
                    });
                }
            }
        }
        worlds
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn now(&self) -> StoreTime {
        // Far enough from the clock's origin for a window before it.
        StoreTime::from_micros((self.unit + 10) as u64 * UNIT_US)
    }

    fn clock(&self, node: usize) -> NodeTime {
        NodeTime::from_micros(self.unit as u64 * self.nodes[node].rate)
    }

    /// The terms by which the store counts.
    fn store_terms(&self) -> Terms {
        if self.is(Mutant::CountedUntilEnd) {
            return Terms::new(
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
    pub(super) fn actions(&self) -> Vec<Action> {
        let mut actions: Vec<_> = self.wire.iter().cloned().map(Action::Arrive).collect();
        if self.unit < self.bounds.units {
            actions.push(Action::Tick);
        }
        for node in 0..NODES {
            let holder = &self.nodes[node].holder;
            if holder.unspent() > 0 {
                actions.extend([Action::Admit { node }, Action::GiveBack { node }]);
                if self.is(Mutant::SettlementExtends) {
                    actions.push(Action::Renew { node });
                }
            }
            if holder.is_asking() {
                actions.push(Action::GiveUp { node });
            } else if self.requests < self.bounds.requests {
                actions.extend(self.bounds.sizes.iter().map(|queued| Action::Ask {
                    node,
                    queued: *queued,
                }));
            }
            if self.crashes < self.bounds.crashes && !holder.is_idle() {
                actions.push(Action::Crash { node });
            }
        }
        actions
    }

    pub(super) fn step(&mut self, action: &Action) -> Result<(), Broken> {
        match *action {
            Action::Tick => {
                self.unit += 1;
                self.admitted.rotate_right(1);
                self.admitted[0] = 0;
                let (now, terms) = (self.now(), self.store_terms());
                self.ledger.advance(now, &terms);
            }
            Action::Ask { node, queued } => {
                self.requests += 1;
                let now = self.clock(node);
                let number = self.nodes[node].next;
                self.nodes[node].next += 1;
                let ask = self.nodes[node].holder.ask(
                    now,
                    number.into(),
                    Some(Waiting::alike(1, queued)),
                );
                self.wire.insert(Message::Ask {
                    id: self.id(node, number),
                    queued: ask.waiting.queued,
                });
            }
            Action::Admit { node } => return self.admit(node),
            Action::GiveBack { node } => {
                let now = self.clock(node);
                let before = self.nodes[node].holder.clone();
                self.nodes[node].holder.close_all(now);
                self.send_settlements(node);
                if self.is(Mutant::SpendsAfterSettling) {
                    self.nodes[node].holder = before;
                }
            }
            Action::GiveUp { node } => {
                let before = self.nodes[node].holder.clone();
                let asked = before.asked_number().expect("only offered while it asks");
                self.nodes[node].holder.give_up(asked);
                self.send_settlements(node);
                if self.is(Mutant::LateAnswerTaken) {
                    self.nodes[node].holder = before;
                }
            }
            Action::Crash { node } => {
                self.crashes += 1;
                let crashed = &mut self.nodes[node];
                crashed.holder = Holder::new(crashed.holder.terms());
                crashed.life += 1;
                if self.mutant == Some(Mutant::NamesReused) {
                    crashed.life = 0;
                    crashed.next = 0;
                }
            }
            Action::Renew { node } => {
                let now = self.clock(node);
                if let Some(number) = self.nodes[node].holder.renew(now) {
                    let number = u8::try_from(number).expect("a run has few requests");
                    self.wire.insert(Message::Renew {
                        id: self.id(node, number),
                    });
                }
            }
            Action::Arrive(ref message) => self.arrive(message),
        }
        for node in 0..NODES {
            self.send_settlements(node);
        }
        self.tidy();
        Ok(())
    }

    fn admit(&mut self, node: usize) -> Result<(), Broken> {
        let (clock, now) = (self.clock(node), self.now());
        if let Spend::Admitted { at } = self.nodes[node].holder.spend(clock, 1) {
            self.admitted[0] += 1;
            if at > now || at + units(LEASE) < now {
                return Err(Broken::Stamp { at, now });
            }
        }
        self.send_settlements(node);
        self.tidy();
        Ok(())
    }

    fn arrive(&mut self, message: &Message) {
        let (now, terms) = (self.now(), self.store_terms());
        let id = message.id();
        let node = usize::from(id.0);
        match *message {
            Message::Ask { id, queued } => {
                let waiting = Waiting::alike(1, queued);
                let request = Request {
                    id,
                    waiting,
                    ahead: 0,
                    nodes: NODES as u32,
                    outside: 0,
                };
                self.wire
                    .insert(match self.ledger.grant(now, &terms, request) {
                        Answer::Granted { charge, given, .. } => {
                            Message::Reply { id, charge, given }
                        }
                        Answer::Denied { .. } | Answer::Closed => Message::Refusal { id },
                    });
            }
            Message::Settle { id, spent } => self.ledger.settle(now, &id, spent),
            Message::Renew { id } => {
                if let Some(grant) = self.ledger.grants.get_mut(&id) {
                    grant.end = now + units(LEASE);
                }
            }
            Message::Reply { charge, given, .. } if self.is_alive(id) => {
                let clock = self.clock(node);
                let answer = Answer::Granted {
                    charge,
                    given,
                    room: 0,
                };
                let holder = &mut self.nodes[node].holder;
                if self.mutant == Some(Mutant::LeaseFromArrival) {
                    holder.renew(clock);
                }
                holder.answered(clock, id.2.into(), answer);
            }
            Message::Refusal { .. } if self.is_alive(id) => {
                let clock = self.clock(node);
                let answer = Answer::Denied {
                    hold: Duration::ZERO,
                    frees: Duration::ZERO,
                    room: 0,
                };
                self.nodes[node].holder.answered(clock, id.2.into(), answer);
            }
            Message::Reply { .. } | Message::Refusal { .. } => {}
        }
    }

    fn is_alive(&self, id: Id) -> bool {
        self.nodes[usize::from(id.0)].life == id.1
    }

    fn id(&self, node: usize, number: u8) -> Id {
        (node as u8, self.nodes[node].life, number)
    }

    fn send_settlements(&mut self, node: usize) {
        let settlements: Vec<_> = self.nodes[node].holder.settlements().collect();
        for (number, spent) in settlements {
            self.nodes[node].holder.settled(number);
            let number = u8::try_from(number).expect("a run has few requests");
            self.wire.insert(Message::Settle {
                id: self.id(node, number),
                spent,
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
            Message::Reply { id, .. } | Message::Refusal { id } => {
                let node = &nodes[usize::from(id.0)];
                // A name that is used again may be awaited again.
                self.mutant == Some(Mutant::NamesReused)
                    || (node.life == id.1 && node.holder.asked_number() == Some(id.2.into()))
            }
            // It changes nothing a second time.
            Message::Settle { id, spent } => !ledger
                .grants
                .get(id)
                .is_some_and(|grant| grant.settled && grant.charge <= *spent),
            Message::Ask { .. } | Message::Renew { .. } => true,
        });
    }

    pub(super) fn holds(&self) -> Result<(), Broken> {
        let admitted = self.admitted.iter().sum();
        let charged = self
            .ledger
            .charged(self.now(), &terms(WINDOW, DRIFT_PERMILLE));
        if admitted > LIMIT {
            return Err(Broken::OverLimit { admitted });
        }
        if u64::from(admitted) > charged {
            return Err(Broken::Uncharged { admitted, charged });
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
        hasher.finish()
    }

    fn part(&self, node: usize) -> u64 {
        let mut hasher = DefaultHasher::new();
        let Node {
            holder,
            rate,
            life,
            next,
        } = &self.nodes[node];
        (holder, rate, life, next).hash(&mut hasher);
        let own = |id: &Id| usize::from(id.0) == node;
        for (id, grant) in self.ledger.grants.iter().filter(|(id, _)| own(id)) {
            (id.1, id.2, grant).hash(&mut hasher);
        }
        for message in self.wire.iter().filter(|message| own(&message.id())) {
            let id = message.id();
            std::mem::discriminant(message).hash(&mut hasher);
            (id.1, id.2).hash(&mut hasher);
            match message {
                Message::Ask { queued, .. } => queued.hash(&mut hasher),
                Message::Reply { charge, given, .. } => (charge, given).hash(&mut hasher),
                Message::Settle { spent, .. } => spent.hash(&mut hasher),
                Message::Refusal { .. } | Message::Renew { .. } => {}
            }
        }
        hasher.finish()
    }
}

fn units(count: usize) -> Duration {
    Duration::from_micros(count as u64 * UNIT_US)
}

fn terms(window: usize, drift_permille: u32) -> Terms {
    Terms::new(LIMIT, units(window), units(LEASE), drift_permille).expect("they are positive")
}
