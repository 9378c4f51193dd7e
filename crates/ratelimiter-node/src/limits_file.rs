use std::collections::HashSet;
use std::path::Path;

use ratelimiter_api::LimitSpec;

use crate::ConfigError;

/// Reads limits from a JSON file: a list of objects as `POST /limit` takes them.
///
/// # Errors
/// When the file cannot be read, is no such list, has a limit out of its range, or has two for one
/// key.
pub fn read_limits(path: &Path) -> Result<Vec<LimitSpec>, ConfigError> {
    let wrong = |why: String| ConfigError::Limits {
        path: path.to_owned(),
        why,
    };
    let text = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    let specs: Vec<LimitSpec> = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
    let mut keys = HashSet::new();
    for spec in &specs {
        spec.validate()
            .map_err(|e| wrong(format!("key {:?}: {e}", spec.key.as_str())))?;
        if !keys.insert(&spec.key) {
            return Err(wrong(format!("key {:?} has two limits", spec.key.as_str())));
        }
    }
    Ok(specs)
}
