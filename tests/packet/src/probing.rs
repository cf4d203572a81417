//! The kernel probe, where it can really try things.

use sheave_agent::probe::{self, Group, Report, Support};

use crate::subject::may_run;

#[test]
fn the_probe_tries_everything_finds_what_these_tests_use_and_leaves_nothing_behind() {
    if !may_run() {
        return;
    }
    let report = probe::run().unwrap();
    for name in ["XDP, generic mode", "per-CPU array", "XDP bpf_xdp_get_buff_len"] {
        assert_eq!(support(&report, name), Support::Yes, "{name}: {report}");
    }
    for group in [Group::System, Group::Hook, Group::Map, Group::Helper, Group::Kfunc] {
        assert!(report.findings.iter().any(|finding| finding.group == group), "{group:?}: {report}");
    }
    let untried = report.findings.iter().filter(|finding| matches!(finding.support, Support::Unknown(_)));
    assert_eq!(untried.count(), 0, "{report}");
    for (folder, name) in
        [("/sys/class/net", "probe"), ("/sys/fs/cgroup", "sheave-probe-"), ("/sys/fs/cgroup/unified", "sheave-probe-")]
    {
        assert_eq!(entries(folder, name), 0, "{folder}");
    }
}

fn support(report: &Report, name: &str) -> Support {
    report.findings.iter().find(|finding| finding.name == name).unwrap().support.clone()
}

/// How many entries of a folder begin with `name`; none if there is no such folder.
fn entries(folder: &str, name: &str) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(name)).count()
}
