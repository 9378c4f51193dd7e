//! The commands that nodes and scripts use.

use super::database::{Database, Fields, StoredValue};
use super::reply::{Reply, Text};
use super::scored::{ScoreRange, ScoredSet, float, score_text};

type Done = Result<Reply, String>;

const SYNTAX: &str = "ERR syntax error";
const NOT_WHOLE: &str = "ERR value is not an integer or out of range";

impl Database {
    /// Runs one command. None where the store does not have it, or is asked in a way that nodes
    /// never do.
    pub(super) fn run(&mut self, name: &str, args: &[Text]) -> Option<Reply> {
        let done = match name {
            "TIME" => self.time(),
            "PING" => Ok(Reply::Status("PONG".to_owned())),
            "GET" | "SET" | "INCR" => self.text(name, args),
            "DEL" | "UNLINK" => Ok(self.each(args, Self::remove)),
            "EXISTS" => Ok(self.each(args, |database, name| database.get(name).is_some())),
            "TYPE" => Ok(self.type_of(args.first()?)),
            "INFO" => Ok(Reply::bulk(format!(
                "redis_version:7.0.15\r\nrun_id:{:040x}\r\nmaxmemory_policy:noeviction\r\n",
                self.run_id
            ))),
            "RENAME" => match args {
                [name, other] if self.rename(name, other) => Ok(Reply::ok()),
                _ => Err("ERR no such key".to_owned()),
            },
            "FLUSHALL" | "FLUSHDB" => {
                self.clear();
                Ok(Reply::ok())
            }
            "EXPIRE" | "PEXPIRE" | "PEXPIREAT" | "PTTL" | "PERSIST" => self.expiring(name, args),
            _ if name.starts_with('H') => self.hash(name, args),
            _ if name.starts_with('Z') => self.sorted(name, args),
            _ => return None,
        };
        Some(done.unwrap_or_else(Reply::Error))
    }

    fn time(&self) -> Done {
        let (seconds, micros) = (self.now_us / 1_000_000, self.now_us % 1_000_000);
        let parts = [seconds, micros].map(|part| Reply::bulk(part.to_string()));
        Ok(Reply::List(parts.to_vec()))
    }

    fn each(&mut self, names: &[Text], act: impl Fn(&mut Self, &[u8]) -> bool) -> Reply {
        Reply::count(names.iter().filter(|name| act(self, name)).count())
    }

    fn type_of(&mut self, name: &[u8]) -> Reply {
        let kind = match self.get(name) {
            None => "none",
            Some(StoredValue::Text(_)) => "string",
            Some(StoredValue::Fields(_)) => "hash",
            Some(StoredValue::Scored(_)) => "zset",
        };
        Reply::Status(kind.to_owned())
    }

    fn text(&mut self, command: &str, args: &[Text]) -> Done {
        match (command, args) {
            ("GET", [name]) => self.read::<Text, _>(name, |text| Reply::maybe(text.cloned())),
            ("SET", [name, value, options @ ..]) => {
                let mut expires_ms = None;
                match options {
                    [] => {}
                    [px, life] if px.eq_ignore_ascii_case(b"PX") => {
                        expires_ms = Some(self.now_ms().saturating_add_signed(whole(life)?));
                    }
                    [nx] if nx.eq_ignore_ascii_case(b"NX") => {
                        if self.get(name).is_some() {
                            return Ok(Reply::Nil);
                        }
                    }
                    _ => return Err(SYNTAX.to_owned()),
                }
                self.set(name, value.clone(), expires_ms);
                Ok(Reply::ok())
            }
            ("INCR", [name]) => self.change::<Text, _>(name, |text| {
                let before = if text.is_empty() { 0 } else { whole(text)? };
                *text = (before + 1).to_string().into_bytes();
                Ok(Reply::Whole(before + 1))
            }),
            _ => Err(arity(command)),
        }
    }

    fn expiring(&mut self, command: &str, args: &[Text]) -> Done {
        let now_ms = self.now_ms();
        let [name, rest @ ..] = args else {
            return Err(arity(command));
        };
        let at_ms = match (command, rest) {
            ("PERSIST", []) => None,
            ("PTTL", []) => {
                return Ok(Reply::Whole(match self.expiry(name) {
                    None => -2,
                    Some(None) => -1,
                    Some(Some(at)) => i64::try_from(*at - now_ms).unwrap(),
                }));
            }
            ("EXPIRE", [life]) => Some(now_ms.saturating_add_signed(1000 * whole(life)?)),
            ("PEXPIRE", [life]) => Some(now_ms.saturating_add_signed(whole(life)?)),
            ("PEXPIREAT", [at]) => Some(u64::try_from(whole(at)?).unwrap_or(0)),
            _ => return Err(arity(command)),
        };
        let Some(expires) = self.expiry(name) else {
            return Ok(Reply::Whole(0));
        };
        let changed = command != "PERSIST" || expires.is_some();
        *expires = at_ms;
        if at_ms.is_some_and(|at| at <= now_ms) {
            self.remove(name);
        }
        Ok(Reply::Whole(changed.into()))
    }

    fn hash(&mut self, command: &str, args: &[Text]) -> Done {
        let (name, rest) = args.split_first().ok_or_else(|| arity(command))?;
        let read = |database: &mut Self, reply: &dyn Fn(&Fields) -> Reply| {
            let none = Fields::new();
            database.read::<Fields, _>(name, |fields| reply(fields.unwrap_or(&none)))
        };
        match (command, rest) {
            ("HGET", [field]) => read(self, &|fields| Reply::maybe(fields.get(field).cloned())),
            ("HEXISTS", [field]) => read(self, &|f| Reply::Whole(f.contains_key(field).into())),
            ("HLEN", []) => read(self, &|fields| Reply::count(fields.len())),
            ("HKEYS", []) => read(self, &|f| {
                Reply::List(f.keys().cloned().map(Reply::Bulk).collect())
            }),
            ("HMGET", [_, ..]) => read(self, &|fields| {
                let values = rest
                    .iter()
                    .map(|field| Reply::maybe(fields.get(field).cloned()));
                Reply::List(values.collect())
            }),
            ("HGETALL", []) => read(self, &|fields| {
                let both = fields.iter().flat_map(|(field, value)| [field, value]);
                Reply::List(both.cloned().map(Reply::Bulk).collect())
            }),
            ("HSET", [_, _, ..]) if rest.len() % 2 == 0 => {
                self.change::<Fields, _>(name, |fields| {
                    let pairs = rest
                        .chunks(2)
                        .map(|pair| (pair[0].clone(), pair[1].clone()));
                    let new = pairs.filter(|(field, value)| {
                        fields.insert(field.clone(), value.clone()).is_none()
                    });
                    Ok(Reply::count(new.count()))
                })
            }
            ("HSETNX", [field, value]) => self.change::<Fields, _>(name, |fields| {
                let new = !fields.contains_key(field);
                fields.entry(field.clone()).or_insert_with(|| value.clone());
                Ok(Reply::Whole(new.into()))
            }),
            ("HINCRBY", [field, by]) => {
                let by = whole(by)?;
                self.change::<Fields, _>(name, |fields| {
                    let before = fields.get(field).map_or(Ok(0), |text| {
                        whole(text).map_err(|_| "ERR hash value is not an integer".to_owned())
                    })?;
                    fields.insert(field.clone(), (before + by).to_string().into_bytes());
                    Ok(Reply::Whole(before + by))
                })
            }
            ("HDEL", [_, ..]) => self.change::<Fields, _>(name, |fields| {
                let gone = rest.iter().filter(|field| fields.remove(*field).is_some());
                Ok(Reply::count(gone.count()))
            }),
            _ => Err(arity(command)),
        }
    }

    fn sorted(&mut self, command: &str, args: &[Text]) -> Done {
        let (name, rest) = args.split_first().ok_or_else(|| arity(command))?;
        let read = |database: &mut Self, reply: &dyn Fn(&ScoredSet) -> Reply| {
            let none = ScoredSet::default();
            database.read::<ScoredSet, _>(name, |set| reply(set.unwrap_or(&none)))
        };
        let score =
            |set: &ScoredSet, member: &Text| Reply::maybe(set.score(member).map(score_text));
        match (command, rest) {
            ("ZCARD", []) => read(self, &|set| Reply::count(set.len())),
            ("ZSCORE", [member]) => read(self, &|set| score(set, member)),
            ("ZMSCORE", [_, ..]) => read(self, &|set| {
                Reply::List(rest.iter().map(|member| score(set, member)).collect())
            }),
            ("ZCOUNT", [least, greatest]) => {
                let range = ScoreRange::parse(least, greatest)?;
                read(self, &|set| Reply::count(set.between(&range).len()))
            }
            ("ZRANGE", [first, last, options @ ..]) => {
                let scores = match options {
                    [] => false,
                    [word] if word.eq_ignore_ascii_case(b"WITHSCORES") => true,
                    _ => return Err(SYNTAX.to_owned()),
                };
                let (first, last) = (whole(first)?, whole(last)?);
                read(self, &|set| members(set.places(first, last), scores))
            }
            ("ZRANGEBYSCORE", [least, greatest, options @ ..]) => {
                let range = ScoreRange::parse(least, greatest)?;
                let options = RangeOptions::parse(options)?;
                read(self, &|set| {
                    let some = set.between(&range).into_iter().skip(options.skipped);
                    members(some.take(options.most).collect(), options.scores)
                })
            }
            ("ZREMRANGEBYRANK", [first, last]) => {
                let (first, last) = (whole(first)?, whole(last)?);
                self.drop_members(name, |set| set.places(first, last))
            }
            ("ZREMRANGEBYSCORE", [least, greatest]) => {
                let range = ScoreRange::parse(least, greatest)?;
                self.drop_members(name, |set| set.between(&range))
            }
            ("ZPOPMIN", []) => self.change::<ScoredSet, _>(name, |set| {
                let first = set.places(0, 0);
                set.remove_all(&first);
                Ok(members(first, true))
            }),
            ("ZADD", [_, _, ..]) if rest.len() % 2 == 0 => {
                let mut pairs = Vec::new();
                for pair in rest.chunks(2) {
                    let score = float(&pair[0]).ok_or("ERR value is not a valid float")?;
                    pairs.push((score, &pair[1]));
                }
                self.change::<ScoredSet, _>(name, |set| {
                    let new = pairs
                        .iter()
                        .filter(|(score, member)| set.add(member, *score));
                    Ok(Reply::count(new.count()))
                })
            }
            ("ZADD", [_, _, _, ..]) => Err(SYNTAX.to_owned()),
            ("ZREM", [_, ..]) => self.change::<ScoredSet, _>(name, |set| {
                Ok(Reply::count(
                    rest.iter().filter(|member| set.remove(member)).count(),
                ))
            }),
            _ => Err(arity(command)),
        }
    }

    fn drop_members(
        &mut self,
        name: &[u8],
        choose: impl Fn(&ScoredSet) -> Vec<(Text, f64)>,
    ) -> Done {
        self.change::<ScoredSet, _>(name, |set| {
            let chosen = choose(set);
            set.remove_all(&chosen);
            Ok(Reply::count(chosen.len()))
        })
    }
}

/// The options of a range by score.
struct RangeOptions {
    scores: bool,
    skipped: usize,
    most: usize,
}

impl RangeOptions {
    fn parse(mut rest: &[Text]) -> Result<Self, String> {
        let mut options = Self {
            scores: false,
            skipped: 0,
            most: usize::MAX,
        };
        loop {
            rest = match rest {
                [] => return Ok(options),
                [word, rest @ ..] if word.eq_ignore_ascii_case(b"WITHSCORES") => {
                    options.scores = true;
                    rest
                }
                [word, skipped, most, rest @ ..] if word.eq_ignore_ascii_case(b"LIMIT") => {
                    options.skipped = usize::try_from(whole(skipped)?).unwrap_or(usize::MAX);
                    options.most = usize::try_from(whole(most)?).unwrap_or(usize::MAX);
                    rest
                }
                _ => return Err(SYNTAX.to_owned()),
            };
        }
    }
}

fn members(some: Vec<(Text, f64)>, scores: bool) -> Reply {
    let texts = some.into_iter().flat_map(|(member, score)| {
        let score = scores.then(|| Reply::bulk(score_text(score)));
        [Some(Reply::Bulk(member)), score].into_iter().flatten()
    });
    Reply::List(texts.collect())
}

fn whole(text: &[u8]) -> Result<i64, String> {
    let text = std::str::from_utf8(text).ok();
    let number = text
        .filter(|text| !text.starts_with('+'))
        .and_then(|text| text.parse().ok());
    number.ok_or_else(|| NOT_WHOLE.to_owned())
}

fn arity(command: &str) -> String {
    let name = command.to_lowercase();
    format!("ERR wrong number of arguments for '{name}' command")
}
