//! The pages in a browser: nothing is loaded, nothing fails, all texts can be read, on a phone too.
//! Ignored without Chromium. `PAGES=DIR` keeps the pages in a directory, to be looked at.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

#[path = "../../../ratelimiter-cluster/tests/support/needs.rs"]
mod needs;
mod samples;

use std::path::Path;
use std::process::Command;

use needs::{Missing, trial};
use serde_json::Value;

/// Opens a page in a frame of a width, and states in the title of the outer one what it finds.
const HARNESS: &str = include_str!("harness.html");

/// Findings of the browser on a page, at a width in pixels.
fn browse(page: &Path, width: u32, dark: bool) -> Result<Value, Missing> {
    let directory = page.parent().unwrap();
    let name = page.file_name().unwrap().to_str().unwrap();
    let harness = directory.join(format!("{width}-{dark}-{name}"));
    let text = HARNESS
        .replace("WIDTH", &width.to_string())
        .replace("PAGE", name);
    std::fs::write(&harness, text).unwrap();
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--dump-dom",
        ])
        .args(["--allow-file-access-from-files", "--enable-logging=stderr"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!(
            "--blink-settings=preferredColorScheme={}",
            u8::from(!dark)
        ))
        .arg(format!("file://{}", harness.display()))
        .output()
        .map_err(|error| Missing::outside_ci(format!("chromium: {error}")))?;
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(!err.contains("CONSOLE"), "{name}: {err}");
    let from = out.find("<title>").unwrap() + "<title>".len();
    let title = out[from..].split("</title>").next().unwrap();
    let title = title
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    Ok(serde_json::from_str(&title).unwrap_or_else(|error| panic!("{name}: {error}: {title}")))
}

/// Text has a contrast of 4.5 to what is behind it (WCAG AA).
fn holds_in_browser(page: String, name: &str) -> Result<(), Missing> {
    let kept = std::env::var_os("PAGES");
    let directory = tempfile::tempdir().unwrap();
    let directory = kept.as_deref().map_or(directory.path(), Path::new);
    let path = directory.join(name);
    std::fs::write(&path, page).unwrap();
    for (width, dark) in [(390, false), (1440, true)] {
        let found = browse(&path, width, dark)?;
        assert_eq!(found["loaded"], serde_json::json!([]), "{name}");
        assert_eq!(found["hostile"], Value::Null, "{name}: a text became code");
        assert_eq!(found["dark"], dark, "{name}");
        let wide = found["wide"].as_u64().unwrap();
        assert!(wide <= u64::from(width), "{name}: {wide} of {width} pixels");
        let contrast = found["contrast"].as_f64().unwrap();
        assert!(
            contrast >= 4.5,
            "{name}: {contrast} of '{}'",
            found["faintest"]
        );
        assert!(
            found["tip"].as_str().unwrap().contains("allowed"),
            "{found}"
        );
        let rows = [&found["rows"], &found["fewer"]].map(|rows| rows.as_u64().unwrap());
        assert!(
            rows[0] == 0 || rows[1] < rows[0],
            "{name}: the filter leaves {rows:?}"
        );
        assert!(found["texts"].as_u64().unwrap() > 100, "{found}");
    }
    Ok(())
}

fn main() {
    needs::run(vec![
        trial("run_page_is_whole_and_legible", || async {
            holds_in_browser(samples::run_page(), "run.html")
        }),
        trial("scorecard_page_is_whole_and_legible", || async {
            holds_in_browser(samples::scorecard_of(22).0, "scorecard.html")
        }),
        trial("large_scorecard_page_is_small", || async {
            let (page, summary) = samples::scorecard_of(22);
            assert!(page.len() < 2_000_000, "{} bytes", page.len());
            assert!(page.contains("Broken: 5 of 154 cells; promised is 10/1m"));
            assert_eq!(summary.matches("\n| writes-held-").count(), 22, "{summary}");
            assert!(
                summary.contains("- Worse: excess under writes-held-0,"),
                "{summary}"
            );
            assert!(!summary.contains("<script>"), "{summary}");
            Ok(())
        }),
        trial("dense_history_keeps_its_witness", || async {
            samples::dense_history_keeps_its_witness();
            Ok(())
        }),
    ]);
}
