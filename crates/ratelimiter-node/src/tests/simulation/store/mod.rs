//! A store within the process: commands, scripts and expiry as the nodes use them. `compare`
//! has a real one beside it.

mod commands;
mod database;
mod json;
mod reply;
mod scored;
mod script;

use std::collections::BTreeMap;
use std::rc::Rc;

pub(crate) use database::Database;
pub(crate) use json::normal;
pub(crate) use reply::{Reply, Text, take_request};
pub(crate) use script::ScriptEngine;

/// The store: its entries, and the scripts that it has been given.
pub(crate) struct MemoryStore {
    pub(crate) database: Database,
    scripts: BTreeMap<Text, Text>,
    engine: Rc<ScriptEngine>,
    restarts: u64,
}

impl MemoryStore {
    pub(crate) fn new(engine: Rc<ScriptEngine>, now_us: u64) -> Self {
        Self {
            database: Database::at(now_us),
            scripts: BTreeMap::new(),
            engine,
            restarts: 0,
        }
    }

    /// Another process with the same entries.
    pub(crate) fn restart(&mut self) {
        self.restarts += 1;
        self.database.run_id = 1 + self.restarts;
        self.scripts.clear();
    }

    pub(crate) fn flush_scripts(&mut self) {
        self.scripts.clear();
    }

    /// Answers one request.
    ///
    /// # Panics
    /// On a command that it does not have: the simulation has to be taught.
    pub(crate) fn answer(&mut self, request: &[Text]) -> Reply {
        let (name, args) = request.split_first().unwrap();
        let name = String::from_utf8_lossy(name).to_uppercase();
        match (name.as_str(), args) {
            ("EVALSHA", [hash, count, rest @ ..]) => match self.scripts.get(hash) {
                Some(script) => self.eval(&script.clone(), count, rest),
                None => Reply::Error("NOSCRIPT No matching script.".to_owned()),
            },
            ("EVAL", [script, count, rest @ ..]) => {
                self.load(script);
                self.eval(script, count, rest)
            }
            ("SCRIPT", [verb, rest @ ..]) => match (verb.to_ascii_uppercase().as_slice(), rest) {
                (b"LOAD", [script]) => Reply::Bulk(self.load(script)),
                (b"FLUSH", _) => {
                    self.flush_scripts();
                    Reply::ok()
                }
                _ => panic!("SCRIPT {}", String::from_utf8_lossy(verb)),
            },
            ("CLIENT" | "SELECT", _) => Reply::ok(),
            (name, args) => {
                let reply = self.database.run(name, args);
                reply.unwrap_or_else(|| panic!("the simulated store has no {name}"))
            }
        }
    }

    fn load(&mut self, script: &[u8]) -> Text {
        let hash = redis::Script::new(&String::from_utf8_lossy(script));
        let hash = hash.get_hash().as_bytes().to_vec();
        self.scripts.insert(hash.clone(), script.to_vec());
        hash
    }

    fn eval(&mut self, script: &[u8], count: &[u8], rest: &[Text]) -> Reply {
        let count: usize = String::from_utf8_lossy(count).parse().unwrap();
        let (keys, args) = rest.split_at(count);
        self.engine.eval(&mut self.database, script, keys, args)
    }
}
