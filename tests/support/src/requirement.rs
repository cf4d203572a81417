//! What a test needs of the machine: it says why it cannot run, and under CI that is a failure.

use std::fmt::Display;

/// Returns from a test that needs root, namespaces and cgroups on a machine that does not have them.
///
/// It prints why. With `CI=true` in the environment it panics instead: there every test runs.
#[macro_export]
macro_rules! require_root {
    () => {
        if let Err(unmet) = $crate::testbed::requirement::check() {
            $crate::requirement::cannot_run(&unmet);
            return;
        }
    };
}

/// Says why a test cannot run here.
///
/// # Panics
/// With `CI=true` in the environment.
pub fn cannot_run(unmet: &dyn Display) {
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    assert!(!in_ci, "this test must run under CI, but {unmet}");
    eprintln!("not run: {unmet}");
}
