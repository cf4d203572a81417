//! The real kubectl at a terminal: each installed version, run by a shell as a person would type.

#![expect(clippy::panic, reason = "a failed expectation of a test is a panic with its message")]

mod kubectl;
mod server;
mod terminal;

pub use kubectl::Kubectl;
pub use server::Server;
pub use terminal::{Outcome, Terminal};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_versions_are_told_apart_and_each_runs_in_a_home_of_its_own() {
        let mut versions = Vec::new();
        for kubectl in Kubectl::all() {
            let terminal = Terminal::open(&kubectl, "");
            let outcome = terminal.run("kubectl version --client -o json && echo $HOME");
            outcome.succeeds().prints(&terminal.folder().display().to_string());
            versions.push(kubectl.version);
        }
        let mut sorted = versions.clone();
        sorted.dedup();
        assert_eq!(sorted, versions);
    }

    #[test]
    fn an_outcome_reads_columns_whatever_their_width() {
        let terminal = Terminal::open(&Kubectl::newest(), "");
        terminal.run("printf 'NAME    READY\\nweb     1/1\\n'").succeeds().prints("NAME READY\nweb 1/1");
        terminal.run("echo no >&2; exit 3").fails().complains("no");
    }
}
