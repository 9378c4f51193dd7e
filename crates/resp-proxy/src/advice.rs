//! Warnings about rules that cannot have effects.

use crate::class::{CommandClass, CommandKind};
use crate::key::KeyPlace;
use crate::rule::{CommandFilter, Rule, RuleFault};
use crate::table::CommandTable;

/// Warnings about a rule for the proxy `link`, in front of a store with these commands.
pub(crate) fn warnings(rule: &Rule, link: &str, table: &CommandTable) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(other) = rule.scope.link.as_deref().filter(|other| *other != link) {
        warnings.push(format!(
            "link={other} is another proxy: this one is {link:?}"
        ));
    }
    if let RuleFault::Command(which, _) = &rule.fault {
        about_commands(which, table, &mut warnings);
    }
    warnings
}

fn about_commands(which: &CommandFilter, table: &CommandTable, warnings: &mut Vec<String>) {
    let known = |name: &String| {
        let command = table.command(name.as_bytes());
        (!table.is_unknown(command)).then_some(&command.kind)
    };
    for name in which.names.iter().filter(|name| known(name).is_none()) {
        let names = table.all().map(|(known, _)| known);
        let nearest = nearest(name, names.filter(|known| !known.contains('|')));
        let advice = nearest.map_or(String::new(), |near| format!(": did you mean {near}?"));
        warnings.push(format!("the store has no command {name}{advice}"));
    }
    for class in &which.classes {
        if !table.all().any(|(_, known)| known.kind.class == *class) {
            warnings.push(format!("the store has no command of the class {class}"));
        }
    }
    let named: Vec<_> = which
        .names
        .iter()
        .filter_map(|name| Some((name, known(name)?)))
        .collect();
    if named.is_empty() {
        return;
    }
    let has_class = |kind: &CommandKind| {
        which.classes.is_empty()
            || which.classes.contains(&kind.class)
            // A script may say that it does not write.
            || (kind.class == CommandClass::Script && which.classes.contains(&CommandClass::Read))
    };
    let is_container = |kind: &CommandKind| kind.role == crate::class::CommandRole::Container;
    if !named
        .iter()
        .any(|(_, kind)| is_container(kind) || has_class(kind))
    {
        let classes: Vec<_> = named
            .iter()
            .map(|(name, kind)| format!("{name} is of the class {}", kind.class))
            .collect();
        warnings.push(format!("it can never fit: {}", classes.join(", ")));
    }
    let wants_key = which.key.is_some() || which.prefix.is_some();
    let has_key = |kind: &CommandKind| is_container(kind) || kind.key != KeyPlace::Nowhere;
    if wants_key && !named.iter().any(|(_, kind)| has_key(kind)) {
        let names: Vec<_> = named.iter().map(|(name, _)| name.as_str()).collect();
        warnings.push(format!("it can never fit: {} has no key", names.join(", ")));
    }
    if let (Some(key), Some(prefix)) = (&which.key, &which.prefix)
        && !key.starts_with(prefix)
    {
        warnings.push("it can never fit: key= does not begin with prefix=".to_owned());
    }
}

/// The valid word that is most like this one, if one is.
pub(crate) fn nearest<'t>(word: &str, valid: impl Iterator<Item = &'t str>) -> Option<&'t str> {
    valid
        .map(|known| (strsim::damerau_levenshtein(word, known), known))
        .min()
        .filter(|(distance, _)| *distance <= 1 + word.len() / 4)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_cannot_fit_are_told() {
        let table = CommandTable::built_in();
        for (rule, warning) in [
            (
                "command=INCRR do=hold",
                "no command INCRR: did you mean INCR?",
            ),
            ("command=FROBNICATE do=hold", "no command FROBNICATE"),
            (
                "command=GET class=write do=hold",
                "GET is of the class read",
            ),
            ("command=PING prefix=user: do=hold", "PING has no key"),
            ("command=GET key=a prefix=b do=hold", "does not begin with"),
            ("link=node-2 do=hold", "another proxy"),
        ] {
            let warnings = warnings(&rule.parse().unwrap(), "node-1", &table);
            assert_eq!(warnings.len(), 1, "{rule}: {warnings:?}");
            assert!(warnings[0].contains(warning), "{rule}: {warnings:?}");
        }
        for rule in [
            "do=hold",
            "command=INCR key=a do=hold",
            "class=script,other do=hold",
            "command=GET,SET class=write do=hold",
            "command=XGROUP class=write key=a do=hold",
            "command=EVAL class=read do=hold",
        ] {
            let warnings = warnings(&rule.parse().unwrap(), "node-1", &table);
            assert!(warnings.is_empty(), "{rule}: {warnings:?}");
        }
    }
}
