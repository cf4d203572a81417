//! The cluster that the walks of a program share, and running them on it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use api_tests::Kubectl;
use cluster::{Cluster, Lifetime, Options, Programs};
use libtest_mimic::{Arguments, Trial};

use crate::Stage;

/// How many walks are under way at once: they wait more than they work.
const AT_ONCE: usize = 4;

/// One walk.
#[derive(Clone, Copy)]
pub struct Walk {
    /// A sentence, with underscores.
    pub name: &'static str,
    /// What is done and expected; a failed expectation panics.
    pub run: fn(&Stage),
}

/// What a program's cluster is like.
#[derive(Clone, Copy, Debug)]
pub struct Bed {
    /// Part of the cluster's name.
    pub label: &'static str,
    /// How many nodes.
    pub nodes: usize,
    /// More arguments for `sheave server`.
    pub server_arguments: &'static [&'static str],
    /// Whether walks must not be under way together, because they break the cluster for each other.
    pub one_at_a_time: bool,
}

/// The cluster, started by the first walk that needs it.
type Shared = Arc<Mutex<Option<Arc<Cluster>>>>;

/// Runs a program's walks; its `main`.
pub fn run(bed: Bed, walks: Vec<Walk>) -> ExitCode {
    if let Err(unmet) = testbed::requirement::check() {
        test_support::requirement::cannot_run(&unmet);
        return ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    let threads = if bed.one_at_a_time { 1 } else { AT_ONCE };
    arguments.test_threads.get_or_insert(threads);
    let shared = Shared::default();
    let trials = walks.into_iter().map(|walk| {
        let shared = Arc::clone(&shared);
        Trial::test(walk.name, move || {
            let cluster = bed.cluster(&shared);
            let stage = Stage::open(&cluster, walk.name);
            (walk.run)(&stage);
            Ok(())
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    // The cluster ends here; the program would end without it.
    let cluster = shared.lock().unwrap_or_else(PoisonError::into_inner).take();
    drop(cluster);
    conclusion.exit_code()
}

// === impl Bed ===

impl Bed {
    fn cluster(&self, shared: &Shared) -> Arc<Cluster> {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let started = shared.get_or_insert_with(|| {
            let started = Cluster::start(self.options(), &mut |step| println!("{}: {step}", self.label));
            Arc::new(started.unwrap_or_else(|error| panic!("{error}")))
        });
        Arc::clone(started)
    }

    fn options(&self) -> Options {
        Options {
            name: self.label.to_owned(),
            lifetime: Lifetime::ThisProcess,
            nodes: self.nodes,
            port: 0,
            programs: programs(),
            server_arguments: self.server_arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            node_arguments: Vec::new(),
        }
    }
}

/// The programs of the build that this test program is from: it lies in `<target>/<host>/<profile>/deps`.
///
/// # Panics
/// When they are not built.
pub fn programs() -> Programs {
    let program = std::env::current_exe().expect("the path of this test program");
    let above = |levels: usize| program.ancestors().nth(levels).map(PathBuf::from).expect("a target folder");
    let (sheave, images) = (above(2).join("sheave"), above(4).join("images"));
    for path in [&sheave, &images] {
        assert!(path.exists(), "{} is not there: run `cargo xtask test e2e`, which builds it", path.display());
    }
    Programs { sheave, images, kubectl: Kubectl::newest().binary }
}
