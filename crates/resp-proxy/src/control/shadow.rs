//! Rules that stand behind one that takes all their commands.

use crate::occurrence::Occurrence;
use crate::rule::{Rule, RuleFault};

/// A warning about a rule that stands behind another, which decides first.
pub(super) fn shadowed(first: &Rule, rule: &Rule) -> Option<String> {
    takes_all_of(first, rule)
        .then(|| format!("it never applies: the rule {first} takes every command before it"))
}

/// Whether the first rule applies to whatever the second fits.
fn takes_all_of(first: &Rule, second: &Rule) -> bool {
    let (RuleFault::Command(all, _), RuleFault::Command(some, _)) = (&first.fault, &second.fault)
    else {
        return false;
    };
    let is_limited =
        first.lasts.is_some() || all.percent.is_some() || all.occurrence != Occurrence::default();
    !is_limited
        && (first.scope == Default::default() || first.scope == second.scope)
        && covers(&all.names, &some.names)
        && covers(&all.classes, &some.classes)
        && (all.key.is_none() || all.key == some.key)
        && (all.prefix.is_none() || all.prefix == some.prefix)
}

/// Whether the names of the first rule hold those of the second. An empty list limits nothing.
fn covers<T: PartialEq>(all: &[T], some: &[T]) -> bool {
    all.is_empty() || (!some.is_empty() && some.iter().all(|one| all.contains(one)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_behind_one_that_takes_all_is_told() {
        let shadowed = |first: &str, second: &str| {
            let (first, second): (Rule, Rule) = (first.parse().unwrap(), second.parse().unwrap());
            shadowed(&first, &second).is_some()
        };
        assert!(shadowed("do=hold", "command=INCR do=reset-after"));
        assert!(shadowed(
            "command=INCR,SET do=hold",
            "command=INCR nth=3 do=hold"
        ));
        assert!(!shadowed(
            "command=INCR first=2 do=hold",
            "command=INCR do=hold"
        ));
        assert!(!shadowed("do=hold client=a", "do=reset-after"));
        assert!(!shadowed("do=silence", "do=hold"));
    }
}
