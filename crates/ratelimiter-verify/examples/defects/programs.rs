//! One limiter of about ten lines a class, with its defect, beside its mended twin.
//! `docs/defects.md` has a section of each.

use crate::played::{Ask, Db, Program};

/// A defect and its remedy.
pub(crate) struct Defect {
    /// The section of `docs/defects.md`.
    pub(crate) class: &'static str,
    /// The promise of both.
    pub(crate) limit: &'static str,
    pub(crate) broken: Program,
    pub(crate) mended: Program,
}

const fn defect(
    class: &'static str,
    limit: &'static str,
    broken: Program,
    mended: Program,
) -> Defect {
    Defect {
        class,
        limit,
        broken,
        mended,
    }
}

pub(crate) const DEFECTS: &[Defect] = &[
    defect(
        "nodes-count-alone",
        "10/1m fixed",
        counts_in_its_memory,
        counts_in_the_store,
    ),
    defect("expiry", "10/1m fixed", sets_no_expiry, counts_in_the_store),
    defect(
        "expiry",
        "10/1m fixed",
        gives_seconds_as_milliseconds,
        counts_in_the_store,
    ),
    defect(
        "reads-then-writes",
        "10/1m fixed",
        reads_then_writes,
        counts_in_the_store,
    ),
    defect(
        "fails-open",
        "10/1m fixed",
        allows_without_its_store,
        denies_without_its_store,
    ),
    defect("window-edge", "10/1m", counts_by_the_minute, keeps_a_log),
    defect(
        "counted-twice",
        "10/1m fixed",
        repeats_a_lost_write,
        names_each_write,
    ),
    defect("state-lost", "10/1m", forgets_at_restart, keeps_a_log),
    defect(
        "denied-are-charged",
        "10/1m",
        logs_denied_calls,
        keeps_a_log,
    ),
    defect(
        "several-limits",
        "10/1m fixed and 4/10s fixed",
        charges_the_outer_first,
        charges_both_or_none,
    ),
    defect(
        "clocks",
        "10/1m fixed",
        asks_its_own_clock,
        counts_in_the_store,
    ),
    defect(
        "late-sync",
        "10/1m fixed",
        hears_of_others_late,
        counts_in_the_store,
    ),
    defect(
        "expires-as-a-whole",
        "10/1m",
        expires_with_the_first,
        keeps_a_log,
    ),
    defect(
        "evaded-key",
        "10/1m fixed",
        believes_an_address,
        counts_in_the_store,
    ),
    defect(
        "wrong-fields",
        "10/1m fixed",
        states_a_date_as_seconds,
        states_the_wait,
    ),
    defect(
        "two-limits-one-key",
        "10/1m fixed and 4/10s fixed",
        shares_a_counter,
        charges_both_or_none,
    ),
    defect(
        "dear-checks",
        "10/1m fixed",
        admits_what_never_fits,
        counts_in_the_store,
    ),
    defect(
        "one-too-many",
        "10/1m",
        compares_before_it_counts,
        keeps_a_log,
    ),
    defect(
        "bucket-at-rest",
        "10/1m token-bucket",
        fills_beyond_its_size,
        fills_to_its_size,
    ),
    defect(
        "window-pushed-on",
        "10/1m fixed",
        renews_the_expiry,
        counts_in_the_store,
    ),
    defect(
        "rate-inverted",
        "10/2s token-bucket",
        inverts_the_rate,
        fills_to_its_size,
    ),
    defect(
        "limit-is-split",
        "30/1m fixed",
        has_a_share,
        counts_in_the_store,
    ),
    defect(
        "keys-share-a-quota",
        "10/1m fixed",
        forgets_the_caller,
        counts_in_the_store,
    ),
    defect(
        "cost-is-ignored",
        "10/1m fixed",
        counts_calls,
        counts_in_the_store,
    ),
];

/// Charges a window that begins with a key's first check.
fn charge(db: &mut Db, key: &str, cost: f64, limit: f64, window: f64) -> bool {
    if db.get(key) + cost > limit {
        return false;
    }
    if db.incr(key, cost) == cost {
        db.expire(key, window);
    }
    true
}

fn counts_in_the_store(db: &mut Db, ask: &Ask) -> bool {
    charge(db, &ask.key, ask.cost, db.limit, db.window)
}

fn keeps_a_log(db: &mut Db, ask: &Ask) -> bool {
    let (now, window, limit) = (db.now, db.window, db.limit);
    let log = db.log(&ask.key);
    log.retain(|(at, _)| at + window > now);
    if log.iter().map(|(_, cost)| cost).sum::<f64>() + ask.cost > limit {
        return false;
    }
    log.push((now, ask.cost));
    true
}

fn counts_in_its_memory(db: &mut Db, ask: &Ask) -> bool {
    let key = format!("{}: {}", ask.node, ask.key);
    charge(db, &key, ask.cost, db.limit, db.window)
}

fn sets_no_expiry(db: &mut Db, ask: &Ask) -> bool {
    if db.get(&ask.key) + ask.cost > db.limit {
        return false;
    }
    db.incr(&ask.key, ask.cost);
    true
}

fn gives_seconds_as_milliseconds(db: &mut Db, ask: &Ask) -> bool {
    charge(db, &ask.key, ask.cost, db.limit, db.window / 1000.0)
}

fn reads_then_writes(db: &mut Db, ask: &Ask) -> bool {
    // The answer to a GET; meanwhile others have read the same.
    if db.earlier(&ask.key, 0.002) + ask.cost > db.limit {
        return false;
    }
    if db.incr(&ask.key, ask.cost) == ask.cost {
        db.expire(&ask.key, db.window);
    }
    true
}

/// The store is away for 10 s of every 100 s.
fn is_away(db: &Db) -> bool {
    db.now % 100.0 > 90.0
}

fn allows_without_its_store(db: &mut Db, ask: &Ask) -> bool {
    is_away(db) || counts_in_the_store(db, ask)
}

fn denies_without_its_store(db: &mut Db, ask: &Ask) -> bool {
    !is_away(db) && counts_in_the_store(db, ask)
}

fn counts_by_the_minute(db: &mut Db, ask: &Ask) -> bool {
    let minute = (db.wall() / db.window).floor();
    charge(
        db,
        &format!("{}:{minute}", ask.key),
        ask.cost,
        db.limit,
        db.window,
    )
}

fn repeats_a_lost_write(db: &mut Db, ask: &Ask) -> bool {
    let allowed = counts_in_the_store(db, ask);
    // Every fourth answer of the store is lost, and its write is sent again.
    if allowed && db.incr("writes", 1.0) % 4.0 == 0.0 {
        db.incr(&ask.key, ask.cost);
    }
    allowed
}

fn names_each_write(db: &mut Db, ask: &Ask) -> bool {
    let name = format!("write {}", db.incr("writes", 1.0));
    let allowed = counts_in_the_store(db, ask);
    // The write that is sent again has a name that the store knows already.
    if allowed && db.incr(&name, 1.0) > 1.0 {
        db.incr(&ask.key, ask.cost);
    }
    allowed
}

fn forgets_at_restart(db: &mut Db, ask: &Ask) -> bool {
    // A deployment every 45 s.
    let life = (db.now / 45.0).floor();
    if db.get("life") != life {
        db.flush();
        db.set("life", life);
    }
    keeps_a_log(db, ask)
}

fn logs_denied_calls(db: &mut Db, ask: &Ask) -> bool {
    let (now, window, limit) = (db.now, db.window, db.limit);
    let log = db.log(&ask.key);
    log.retain(|(at, _)| at + window > now);
    log.push((now, ask.cost));
    log.iter().map(|(_, cost)| cost).sum::<f64>() <= limit
}

fn charges_the_outer_first(db: &mut Db, ask: &Ask) -> bool {
    let outer = format!("{}: outer", ask.key);
    charge(db, &outer, ask.cost, db.limit, db.window) && charge(db, &ask.key, ask.cost, 4.0, 10.0)
}

fn charges_both_or_none(db: &mut Db, ask: &Ask) -> bool {
    let outer = format!("{}: outer", ask.key);
    db.get(&outer) + ask.cost <= db.limit
        && charge(db, &ask.key, ask.cost, 4.0, 10.0)
        && charge(db, &outer, ask.cost, db.limit, db.window)
}

fn asks_its_own_clock(db: &mut Db, ask: &Ask) -> bool {
    // The clocks of the nodes are 20 s apart, and each clears what is old by its own.
    let now = db.now + 20.0 * ask.node as f64;
    let begun = format!("{}: begun", ask.key);
    if now - db.get(&begun) >= db.window {
        db.set(&begun, now);
        db.set(&ask.key, 0.0);
    }
    db.get(&ask.key) + ask.cost <= db.limit && db.incr(&ask.key, ask.cost) > 0.0
}

fn hears_of_others_late(db: &mut Db, ask: &Ask) -> bool {
    let own = format!("{}: {}", ask.node, ask.key);
    let others = db.earlier(&ask.key, 0.5) - db.earlier(&own, 0.5);
    if db.get(&own) + others + ask.cost > db.limit {
        return false;
    }
    charge(db, &own, ask.cost, db.limit, db.window);
    charge(db, &ask.key, ask.cost, f64::INFINITY, db.window)
}

fn expires_with_the_first(db: &mut Db, ask: &Ask) -> bool {
    charge(db, &ask.key, ask.cost, db.limit, db.window)
}

fn believes_an_address(db: &mut Db, ask: &Ask) -> bool {
    let key = format!("{:?}/{}", ask.address, ask.key);
    charge(db, &key, ask.cost, db.limit, db.window)
}

fn states_a_date_as_seconds(db: &mut Db, ask: &Ask) -> bool {
    db.retry_after = Some(db.wall() + db.ttl(&ask.key));
    counts_in_the_store(db, ask)
}

fn states_the_wait(db: &mut Db, ask: &Ask) -> bool {
    db.retry_after = Some(db.ttl(&ask.key) + 0.001);
    counts_in_the_store(db, ask)
}

fn shares_a_counter(db: &mut Db, ask: &Ask) -> bool {
    // Both limits count in one key, whose expiry is the shorter one.
    db.get(&ask.key) + ask.cost <= db.limit && charge(db, &ask.key, ask.cost, 4.0, 10.0)
}

fn admits_what_never_fits(db: &mut Db, ask: &Ask) -> bool {
    ask.cost > db.limit || counts_in_the_store(db, ask)
}

fn compares_before_it_counts(db: &mut Db, ask: &Ask) -> bool {
    let (now, window, limit) = (db.now, db.window, db.limit);
    let log = db.log(&ask.key);
    log.retain(|(at, _)| at + window > now);
    if log.iter().map(|(_, cost)| cost).sum::<f64>() > limit {
        return false;
    }
    log.push((now, ask.cost));
    true
}

/// A bucket that has given `spent` tokens, and the time of its last check.
fn bucket(db: &mut Db, ask: &Ask, rate: f64, least: f64) -> bool {
    let at = format!("{}: at", ask.key);
    let rested = if db.get(&at) == 0.0 {
        0.0
    } else {
        db.now - db.get(&at)
    };
    let spent = (db.get(&ask.key) - rested * rate).max(least);
    let passes = spent + ask.cost <= db.limit;
    db.set(&at, db.now.max(1e-9));
    db.set(&ask.key, if passes { spent + ask.cost } else { spent });
    passes
}

fn fills_to_its_size(db: &mut Db, ask: &Ask) -> bool {
    bucket(db, ask, db.limit / db.window, 0.0)
}

fn fills_beyond_its_size(db: &mut Db, ask: &Ask) -> bool {
    bucket(db, ask, db.limit / db.window, f64::NEG_INFINITY)
}

fn inverts_the_rate(db: &mut Db, ask: &Ask) -> bool {
    // One token in so many seconds, for so many tokens in one.
    let seconds_a_token = db.limit / db.window;
    bucket(db, ask, 1.0 / seconds_a_token, 0.0)
}

fn renews_the_expiry(db: &mut Db, ask: &Ask) -> bool {
    let count = db.incr(&ask.key, ask.cost);
    db.expire(&ask.key, db.window);
    count <= db.limit
}

fn has_a_share(db: &mut Db, ask: &Ask) -> bool {
    let key = format!("{}: {}", ask.node, ask.key);
    charge(db, &key, ask.cost, db.limit / 3.0, db.window)
}

fn forgets_the_caller(db: &mut Db, ask: &Ask) -> bool {
    charge(db, "all callers", ask.cost, db.limit, db.window)
}

fn counts_calls(db: &mut Db, ask: &Ask) -> bool {
    charge(db, &ask.key, 1.0, db.limit, db.window)
}
