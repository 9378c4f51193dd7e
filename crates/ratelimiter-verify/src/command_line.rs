//! The command line of a run, for its results: without any text that may be a secret.

const HIDDEN: &str = "***";

/// The arguments, with the values of some flags hidden wholly or in part.
pub(crate) fn without_secrets(arguments: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut flag = String::new();
    let mut shown = Vec::new();
    for argument in arguments {
        shown.push(match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                format!("{name}={}", value_of(name, value))
            }
            _ => value_of(&flag, &argument),
        });
        flag = argument;
    }
    shown
}

fn value_of(flag: &str, value: &str) -> String {
    let after = |name: Option<&str>, between: &str| match name {
        Some(name) => format!("{name}{between}{HIDDEN}"),
        None => HIDDEN.to_owned(),
    };
    match flag {
        "--header" => after(value.split_once(':').map(|(name, _)| name), ": "),
        "--entry" if value.contains('{') => value.to_owned(),
        "--entry" => after(value.split_once('=').map(|(name, _)| name), "="),
        // A word with a sign of equality may set a variable of the environment.
        "--command" | "--during" => {
            let first = value.split_whitespace().next();
            after(first.filter(|word| !word.contains(['=', '@'])), " ")
        }
        "--body" | "--admin-token" => HIDDEN.to_owned(),
        "--url" | "--node" => url(value),
        _ => value.to_owned(),
    }
}

/// A URL without its user, its password and the values of its query, but for templates.
fn url(text: &str) -> String {
    let (place, query) = text.split_once('?').unwrap_or((text, ""));
    let place = match (place.split_once("://"), place.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{HIDDEN}@{host}"),
        _ => place.to_owned(),
    };
    let parameter = |text: &str| match text.split_once('=') {
        Some((name, value)) if !value.starts_with('{') => format!("{name}={HIDDEN}"),
        _ => text.to_owned(),
    };
    let query: Vec<String> = query.split('&').map(parameter).collect();
    match query.join("&").as_str() {
        "" => place,
        query => format!("{place}?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_a_command_line_is_shown() {
        let line = "--limit 10/2s --header Authorization:hunter2 --header=X-Api-Key:hunter2 \
            --url redis://:hunter2@localhost:1/0 --url http://localhost/a?k={key}&token=hunter2 \
            --body hunter2 --admin-token hunter2 --admin-token=hunter2 --thorough \
            --entry user={key} --entry tenant=hunter2 --command PASSWORD=hunter2";
        let words = line.split_whitespace().map(ToOwned::to_owned);
        let during = ["--during", "redis-cli -a hunter2"].map(ToOwned::to_owned);
        let shown = without_secrets(words.chain(during)).join(" ");
        assert_eq!(
            shown,
            "--limit 10/2s --header Authorization: *** --header=X-Api-Key: *** \
             --url redis://***@localhost:1/0 --url http://localhost/a?k={key}&token=*** \
             --body *** --admin-token *** --admin-token=*** --thorough \
             --entry user={key} --entry tenant=*** --command *** --during redis-cli ***"
        );
    }
}
