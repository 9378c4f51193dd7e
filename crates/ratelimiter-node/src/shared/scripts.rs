use redis::Script;

/// The scripts, sent by their hashes; each is loaded again when the store does not know it.
#[derive(Debug)]
pub(crate) struct Scripts {
    /// One check of the atomic mode.
    pub(super) check: Script,
    pub(super) set_limits: Script,
    pub(super) reset_counter: Script,
    pub(super) delete_limit: Script,
    pub(super) restore_limits: Script,
    pub(super) seed_limits: Script,
    /// The copy of a limit in a store cluster.
    pub(super) copy_limit: Script,
    /// Settlements, and a request for a grant.
    pub(super) lease_exchange: Script,
    /// Grants that the store has lost.
    pub(super) lease_recall: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        let script = |text| Script::new(text);
        Self {
            check: script(concat!(
                include_str!("current.lua"),
                include_str!("check.lua")
            )),
            set_limits: script(concat!(
                include_str!("limits.lua"),
                include_str!("set_limits.lua")
            )),
            reset_counter: script(concat!(
                include_str!("limits.lua"),
                include_str!("reset_counter.lua")
            )),
            delete_limit: script(concat!(
                include_str!("limits.lua"),
                include_str!("delete_limit.lua")
            )),
            restore_limits: script(concat!(
                include_str!("limits.lua"),
                include_str!("restore_limits.lua")
            )),
            seed_limits: script(concat!(
                include_str!("limits.lua"),
                include_str!("seed_limits.lua")
            )),
            copy_limit: script(include_str!("copy_limit.lua")),
            lease_exchange: script(concat!(
                include_str!("current.lua"),
                include_str!("leased.lua"),
                include_str!("leased_exchange.lua")
            )),
            lease_recall: script(concat!(
                include_str!("leased.lua"),
                include_str!("leased_recall.lua")
            )),
        }
    }
}
