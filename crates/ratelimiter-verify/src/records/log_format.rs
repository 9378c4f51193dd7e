//! The formats of access logs as they stand in the configuration of nginx and Apache.

use super::template::TemplateParts;
use super::words::FormatWords;

/// A variable, and its meaning: the word, and the unit of a time.
type Meaning = (&'static str, &'static str, &'static str);

/// Variables of nginx. Of those with one meaning the first counts.
const NGINX: [Meaning; 6] = [
    ("msec", "end", "s"),
    ("time_iso8601", "end", "s"),
    ("time_local", "end", "s"),
    ("request_time", "duration", "s"),
    ("status", "status", ""),
    ("limit_req_status", "outcome", ""),
];

/// Directives of Apache.
const APACHE: [Meaning; 16] = [
    ("{usec}t", "begin", "us"),
    ("{begin:usec}t", "begin", "us"),
    ("{msec}t", "begin", "ms"),
    ("{begin:msec}t", "begin", "ms"),
    ("{end:usec}t", "end", "us"),
    ("{end:msec}t", "end", "ms"),
    ("{sec}t", "begin", "s"),
    ("t", "begin", "s"),
    ("{end:sec}t", "end", "s"),
    ("D", "duration", "us"),
    ("{us}T", "duration", "us"),
    ("{ms}T", "duration", "ms"),
    ("{s}T", "duration", "s"),
    ("T", "duration", "s"),
    ("s", "status", ""),
    (">s", "status", ""),
];

/// The formats that both programs know by name.
const COMBINED: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status \
    $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";
const APACHE_COMMON: &str = "%h %l %u %t \"%r\" %>s %b";
const APACHE_COMBINED: &str = "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\"";

/// nginx's `log_format`: the text alone, the directive, or `combined`.
pub(super) fn nginx_format(text: &str) -> Result<(TemplateParts, FormatWords), String> {
    let line = match text.trim() {
        "combined" => COMBINED.to_owned(),
        text => directive(text, "log_format", 2)?,
    };
    let parts = TemplateParts::with_dollars(&line)?;
    let mut words = meanings_of(&parts, &NGINX)?;
    words.set("header", "http_*")?;
    Ok((parts, words))
}

/// Apache's `LogFormat`: the text alone, the directive, `common` or `combined`.
pub(super) fn apache_format(text: &str) -> Result<(TemplateParts, FormatWords), String> {
    let line = match text.trim() {
        "common" => APACHE_COMMON.to_owned(),
        "combined" => APACHE_COMBINED.to_owned(),
        text => directive(text, "LogFormat", 1)?,
    };
    let mut parts = TemplateParts::default();
    let mut rest = line.as_str();
    while let Some((before, after)) = rest.split_once('%') {
        parts.push_text(before);
        if let Some(after) = after.strip_prefix('%') {
            parts.push_text("%");
            rest = after;
            continue;
        }
        // Conditions such as !200,304 and the request that a directive is about.
        let at = after.find(|c: char| !(c.is_ascii_digit() || "!,<".contains(c)));
        let directive = &after[at.unwrap_or(0)..];
        let inside = directive
            .find('{')
            .filter(|at| directive[..*at].trim_matches('>').is_empty());
        let named = match inside {
            Some(at) => directive[at..].find('}').map(|end| at + end + 1),
            None => Some(directive.len() - directive.trim_start_matches('>').len()),
        };
        let letter = named.and_then(|at| Some(at + directive[at..].chars().next()?.len_utf8()));
        let letter = letter.ok_or_else(|| format!("%{after:?} is no directive of a LogFormat"))?;
        parts.push_field(&directive[..letter])?;
        rest = &directive[letter..];
    }
    parts.push_text(rest);
    let mut words = meanings_of(&parts, &APACHE)?;
    words.set("header", "{*}i")?;
    Ok((parts, words))
}

/// The text of a directive, whose parts in quotes stand one after the other; or the text itself.
fn directive(text: &str, name: &str, before: usize) -> Result<String, String> {
    if !text.starts_with(name) {
        return Ok(text.to_owned());
    }
    let words = shlex::split(text.trim_end_matches(';'))
        .ok_or_else(|| format!("{name} has a quote that is not closed"))?;
    let mut parts = words.into_iter().skip(before);
    if before == 1 {
        return parts.next().ok_or_else(|| format!("{name} has no format"));
    }
    Ok(parts.filter(|part| !part.starts_with("escape=")).collect())
}

fn meanings_of(parts: &TemplateParts, meanings: &[Meaning]) -> Result<FormatWords, String> {
    let mut words = FormatWords::default();
    for (name, word, unit) in meanings {
        let logged = parts.fields.iter().any(|(field, _)| field == name);
        let other_unit = matches!(*word, "begin" | "end")
            && words.get("unit").is_some_and(|known| known != *unit);
        if logged && words.get(word).is_none() && !other_unit {
            words.set(word, name)?;
            match (*word, *unit) {
                (_, "") => {}
                ("duration", unit) => words.set("duration-unit", unit)?,
                (_, unit) => words.set("unit", unit)?,
            }
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(parts: &TemplateParts) -> Vec<&str> {
        parts.fields.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn directives_are_read_as_they_stand() {
        let text = "log_format timed escape=json '$remote_addr [$time_local] '\n  \
                    '\"$request\" $status $msec $request_time';";
        let (parts, words) = nginx_format(text).unwrap();
        let all = [
            "remote_addr",
            "time_local",
            "request",
            "status",
            "msec",
            "request_time",
        ];
        assert_eq!(names(&parts), all);
        assert_eq!(words.get("end"), Some("msec"));
        let text =
            r#"LogFormat "%h %{X-Api-Key}i [%{%d/%b}t] \"%r\" %!200,304>s 100%% %{ms}T" own"#;
        let (parts, words) = apache_format(text).unwrap();
        assert_eq!(
            names(&parts),
            ["h", "{X-Api-Key}i", "{%d/%b}t", "r", ">s", "{ms}T"]
        );
        assert_eq!(words.get("duration-unit"), Some("ms"));
        assert_eq!(words.get("begin"), None);
    }
}
