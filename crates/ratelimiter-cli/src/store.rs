use std::fmt;
use std::path::PathBuf;

use clap::Args;
use ratelimiter_store::{StoreError, StoreUrl};

use crate::Usage;

/// A store's URL as it was typed. Parsed after the command line, whose errors repeat the argument:
/// it may hold a password.
#[derive(Clone)]
pub struct StoreText(String);

impl From<&str> for StoreText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for StoreText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreText(...)")
    }
}

/// The authorities for a store behind TLS.
#[derive(Clone, Debug, Default, Args)]
pub struct StoreCa {
    /// File of certificates in PEM form to trust beside the system's, for a rediss:// store with a
    /// private authority
    #[arg(long, value_name = "FILE", env = "RATELIMITER_STORE_CA")]
    store_ca: Option<PathBuf>,
}

impl StoreText {
    /// The text as it was typed, secrets included.
    pub fn as_typed(&self) -> &str {
        &self.0
    }

    /// The URL, if it is one, of a store that has to prove itself to these authorities where it is
    /// behind TLS.
    ///
    /// # Errors
    /// When it is none, or the file of authorities is of no use. The error repeats no secret of the
    /// URL.
    pub fn url(&self, ca: &StoreCa) -> Result<StoreUrl, Usage> {
        let parse = || -> Result<StoreUrl, StoreError> {
            let url: StoreUrl = self.0.parse()?;
            match &ca.store_ca {
                Some(file) => url.trusting(file),
                None => Ok(url),
            }
        };
        parse().map_err(Usage::of)
    }
}
