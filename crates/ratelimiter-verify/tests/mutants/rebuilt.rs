//! Twenty defects as they were reported of others, rebuilt from the reports alone.

use crate::played::{Ask, Db};

/// A rebuilt defect.
pub(crate) struct Rebuilt {
    pub(crate) report: &'static str,
    pub(crate) limit: &'static str,
    pub(crate) nodes: usize,
    pub(crate) program: fn(&mut Db, &Ask) -> bool,
    /// The name of its class.
    pub(crate) class: &'static str,
}

const fn rebuilt(
    report: &'static str,
    limit: &'static str,
    nodes: usize,
    program: fn(&mut Db, &Ask) -> bool,
    class: &'static str,
) -> Rebuilt {
    Rebuilt {
        report,
        limit,
        nodes,
        program,
        class,
    }
}

pub(crate) const REBUILT: [Rebuilt; 20] = [
    rebuilt(
        "litellm#27736",
        "30/1m fixed",
        2,
        memory_of_a_worker,
        "nodes-count-alone",
    ),
    rebuilt(
        "traefik#8061",
        "20/10s token-bucket",
        3,
        bucket_of_a_replica,
        "nodes-count-alone",
    ),
    rebuilt(
        "redis#4548",
        "10/30s fixed",
        3,
        incr_without_expire,
        "expiry",
    ),
    rebuilt("walrus", "12/1m fixed", 2, pexpire_in_seconds, "expiry"),
    rebuilt(
        "upstash#95",
        "5/10s fixed",
        1,
        expiry_lost_with_the_first,
        "expiry",
    ),
    rebuilt("aisix#399", "10/1m", 2, minutes_as_hours, "expiry"),
    rebuilt(
        "envoyproxy/ratelimit#185",
        "10/20s",
        3,
        denied_are_logged,
        "denied-are-charged",
    ),
    rebuilt(
        "rate-limiter-flexible#286",
        "8/1m token-bucket",
        2,
        debited_below_zero,
        "denied-are-charged",
    ),
    rebuilt(
        "actix-governor#49",
        "10/2s token-bucket",
        1,
        period_is_the_number,
        "rate-inverted",
    ),
    rebuilt(
        "actix-governor, a burst of one",
        "5/1s token-bucket",
        2,
        one_in_so_many,
        "rate-inverted",
    ),
    rebuilt(
        "nginx/kubernetes-ingress#4894",
        "30/1m fixed",
        3,
        share_of_a_replica,
        "limit-is-split",
    ),
    rebuilt(
        "cadence#6196",
        "12/1m token-bucket",
        4,
        share_of_a_bucket,
        "limit-is-split",
    ),
    rebuilt(
        "one static key",
        "10/1m fixed",
        2,
        one_key_for_all,
        "keys-share-a-quota",
    ),
    rebuilt(
        "a key of the prefix",
        "10/10s token-bucket",
        3,
        a_prefix_of_the_key,
        "keys-share-a-quota",
    ),
    rebuilt(
        "limitador#506",
        "20/1m fixed",
        2,
        calls_instead_of_tokens,
        "cost-is-ignored",
    ),
    rebuilt(
        "limits#112",
        "10/1m",
        1,
        looks_cost_places_back,
        "dear-checks",
    ),
    rebuilt(
        "apisix#12592",
        "10/1m fixed",
        3,
        get_then_incr,
        "reads-then-writes",
    ),
    rebuilt("plausible#6497", "10/1m", 2, clock_minutes, "window-edge"),
    rebuilt(
        "pocketbase#7329",
        "10/1m fixed",
        2,
        every_call_expires_anew,
        "window-pushed-on",
    ),
    rebuilt(
        "a full bucket stands still",
        "10/10s token-bucket",
        1,
        grows_at_rest,
        "bucket-at-rest",
    ),
];

/// A dictionary in each worker's memory.
fn memory_of_a_worker(db: &mut Db, ask: &Ask) -> bool {
    let key = format!("worker {}: {}", ask.node, ask.key);
    let count = db.incr(&key, ask.cost);
    if count == ask.cost {
        db.expire(&key, db.window);
    }
    count <= db.limit
}

/// A bucket in each replica's memory.
fn bucket_of_a_replica(db: &mut Db, ask: &Ask) -> bool {
    let name = format!("{}@{}", ask.key, ask.node);
    let rate = db.limit / db.window;
    take(db, &name, ask.cost, rate, 0.0)
}

/// Takes tokens out of a bucket, which may go down to `least`.
fn take(db: &mut Db, name: &str, cost: f64, rate: f64, least: f64) -> bool {
    let last = db.get(&format!("{name}.at"));
    let spent = (db.get(name) - (db.now - last) * rate).max(0.0);
    db.set(&format!("{name}.at"), db.now);
    let passes = spent + cost <= db.limit;
    let charged = if passes || least < 0.0 { cost } else { 0.0 };
    db.set(name, (spent + charged).min(db.limit - least));
    passes
}

/// The connection is cut between INCR and EXPIRE: the key stays for ever.
fn incr_without_expire(db: &mut Db, ask: &Ask) -> bool {
    if db.get(&ask.key) + ask.cost > db.limit {
        return false;
    }
    db.incr(&ask.key, ask.cost);
    true
}

/// The number of seconds is given to a command that takes milliseconds.
fn pexpire_in_seconds(db: &mut Db, ask: &Ask) -> bool {
    if db.get(&ask.key) + ask.cost > db.limit {
        return false;
    }
    if db.incr(&ask.key, ask.cost) == ask.cost {
        let milliseconds = db.limit * 2000.0;
        db.expire(&ask.key, milliseconds / 1000.0);
    }
    true
}

/// The expiry is set when a count is new, and the SET without it removes it again.
fn expiry_lost_with_the_first(db: &mut Db, ask: &Ask) -> bool {
    let count = db.get(&ask.key);
    if count + ask.cost > db.limit {
        return false;
    }
    if count == 0.0 {
        db.expire(&ask.key, db.window);
    }
    db.set(&ask.key, count + ask.cost);
    true
}

/// A minute is taken for an hour.
fn minutes_as_hours(db: &mut Db, ask: &Ask) -> bool {
    let (now, window) = (db.now, db.window * 60.0);
    let limit = db.limit;
    let log = db.log(&ask.key);
    log.retain(|(at, _)| at + window > now);
    let used: f64 = log.iter().map(|(_, cost)| cost).sum();
    if used + ask.cost > limit {
        return false;
    }
    log.push((now, ask.cost));
    true
}

/// ZADD comes before the count: a denied call is in the log as well.
fn denied_are_logged(db: &mut Db, ask: &Ask) -> bool {
    let (now, window, limit) = (db.now, db.window, db.limit);
    let log = db.log(&ask.key);
    log.retain(|(at, _)| at + window > now);
    log.push((now, ask.cost));
    log.iter().map(|(_, cost)| cost).sum::<f64>() <= limit
}

/// A denied call takes tokens that are not there, down to a bucket of debt.
fn debited_below_zero(db: &mut Db, ask: &Ask) -> bool {
    let rate = db.limit / db.window;
    take(db, &ask.key, ask.cost, rate, -10.0)
}

/// One token in so many seconds, instead of so many in one.
fn period_is_the_number(db: &mut Db, ask: &Ask) -> bool {
    let a_second = db.limit / db.window;
    take(db, &ask.key, ask.cost, 1.0 / a_second, 0.0)
}

/// One check in so many seconds, and no burst.
fn one_in_so_many(db: &mut Db, ask: &Ask) -> bool {
    let last = db.get(&ask.key);
    if last > 0.0 && db.now - last < db.limit {
        return false;
    }
    db.set(&ask.key, db.now.max(1e-9));
    true
}

/// Each replica has its share of the limit.
fn share_of_a_replica(db: &mut Db, ask: &Ask) -> bool {
    let key = format!("{}/{}", ask.node, ask.key);
    if db.get(&key) + ask.cost > (db.limit / 3.0).floor() {
        return false;
    }
    if db.incr(&key, ask.cost) == ask.cost {
        db.expire(&key, db.window);
    }
    true
}

/// Each host has a bucket of its share.
fn share_of_a_bucket(db: &mut Db, ask: &Ask) -> bool {
    let name = format!("{}/{}", ask.node, ask.key);
    let (share, rate) = (db.limit / 4.0, db.limit / 4.0 / db.window);
    let spent = (db.get(&name) - (db.now - db.get(&format!("{name}.at"))) * rate).max(0.0);
    db.set(&format!("{name}.at"), db.now);
    let passes = spent + ask.cost <= share;
    db.set(&name, if passes { spent + ask.cost } else { spent });
    passes
}

/// The caller is not in the key.
fn one_key_for_all(db: &mut Db, ask: &Ask) -> bool {
    if db.get("ratelimit") + ask.cost > db.limit {
        return false;
    }
    if db.incr("ratelimit", ask.cost) == ask.cost {
        db.expire("ratelimit", db.window);
    }
    true
}

/// Only the first letters of the caller are in the key.
fn a_prefix_of_the_key(db: &mut Db, ask: &Ask) -> bool {
    let name: String = ask.key.chars().take(3).collect();
    let rate = db.limit / db.window;
    take(db, &name, ask.cost, rate, 0.0)
}

/// Each call counts as one, whatever it costs.
fn calls_instead_of_tokens(db: &mut Db, ask: &Ask) -> bool {
    if db.get(&ask.key) >= db.limit {
        return false;
    }
    if db.incr(&ask.key, 1.0) == 1.0 {
        db.expire(&ask.key, db.window);
    }
    true
}

/// The entry so many places back decides, whatever the entries cost.
fn looks_cost_places_back(db: &mut Db, ask: &Ask) -> bool {
    let (now, window, limit) = (db.now, db.window, db.limit as usize);
    let cost = ask.cost as usize;
    let log = db.log(&ask.key);
    log.retain(|(at, _)| at + window > now);
    if cost <= limit && log.len() + cost > limit {
        return false;
    }
    (0..cost).for_each(|_| log.push((now, 1.0)));
    true
}

/// GET decides, and INCR follows a round trip later.
fn get_then_incr(db: &mut Db, ask: &Ask) -> bool {
    if db.earlier(&ask.key, 0.002) + ask.cost > db.limit {
        return false;
    }
    if db.incr(&ask.key, ask.cost) == ask.cost {
        db.expire(&ask.key, db.window);
    }
    true
}

/// The key has the minute of the clock in it.
fn clock_minutes(db: &mut Db, ask: &Ask) -> bool {
    let key = format!("{}:{}", ask.key, (db.wall() / db.window).floor());
    if db.get(&key) + ask.cost > db.limit {
        return false;
    }
    db.incr(&key, ask.cost);
    true
}

/// Every call, denied or not, begins the window anew.
fn every_call_expires_anew(db: &mut Db, ask: &Ask) -> bool {
    let count = db.incr(&ask.key, ask.cost);
    db.expire(&ask.key, db.window);
    count <= db.limit
}

/// Tokens of the time at rest are added to a full bucket.
fn grows_at_rest(db: &mut Db, ask: &Ask) -> bool {
    let rate = db.limit / db.window;
    let is_new = db.get(&format!("{}.at", ask.key)) == 0.0;
    let last = db.get(&format!("{}.at", ask.key));
    let spent = if is_new {
        0.0
    } else {
        db.get(&ask.key) - (db.now - last) * rate
    };
    db.set(&format!("{}.at", ask.key), db.now.max(1e-9));
    let passes = spent + ask.cost <= db.limit;
    db.set(&ask.key, if passes { spent + ask.cost } else { spent });
    passes
}
