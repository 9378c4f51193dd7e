//! Tests whose needs may be missing on this machine. They are reported as ignored then, with the
//! reason. For targets with `harness = false`, by `#[path]`.

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::runtime::Builder;

/// The reason why a test cannot take place here.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

impl Missing {
    /// A need that CI has installed: without it, the test fails there.
    pub(crate) fn outside_ci(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        assert!(std::env::var_os("CI").is_none(), "{reason}");
        Self(reason)
    }
}

/// One test.
pub(crate) fn trial<F: Future<Output = Result<(), Missing>>>(
    name: &str,
    test: impl FnOnce() -> F + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || {
        let runtime = Builder::new_multi_thread().enable_all().build();
        match runtime.map_err(Failed::from)?.block_on(test()) {
            Ok(()) => Ok(Completion::Completed),
            Err(Missing(reason)) => Ok(Completion::ignored_with(reason)),
        }
    })
}

/// Runs the tests as the command line of this process and `RUST_TEST_THREADS` ask, and ends it.
pub(crate) fn run(tests: Vec<Trial>) -> ! {
    let mut arguments = Arguments::from_args();
    let threads = std::env::var("RUST_TEST_THREADS").ok();
    let threads = threads.and_then(|threads| threads.parse().ok());
    arguments.test_threads = arguments.test_threads.or(threads);
    libtest_mimic::run(&arguments, tests).exit()
}
