//! Helper functions, each tried in the type of program that is to call it.

use aya::programs::ProgramType::{self, CgroupSockAddr, SchedClassifier, Xdp};
use aya::sys::{BpfHelper, is_helper_supported};

use super::report::{Finding, Group, Support};

/// Program type, helper, name, first kernel for that type, use.
const HELPERS: [(ProgramType, BpfHelper, &str, &str, &str); 25] = [
    (SchedClassifier, BpfHelper::BPF_FUNC_redirect, "TC bpf_redirect", "4.2", "out of another link"),
    (SchedClassifier, BpfHelper::BPF_FUNC_redirect_neigh, "TC bpf_redirect_neigh", "5.10", "next hop by the kernel"),
    (SchedClassifier, BpfHelper::BPF_FUNC_redirect_peer, "TC bpf_redirect_peer", "5.10", "straight into a pod"),
    (SchedClassifier, BpfHelper::BPF_FUNC_check_mtu, "TC bpf_check_mtu", "5.12", "packets that do not fit"),
    (SchedClassifier, BpfHelper::BPF_FUNC_fib_lookup, "TC bpf_fib_lookup", "4.18", "routes"),
    (SchedClassifier, BpfHelper::BPF_FUNC_l3_csum_replace, "TC bpf_l3_csum_replace", "4.1", "IPv4 header checksums"),
    (SchedClassifier, BpfHelper::BPF_FUNC_l4_csum_replace, "TC bpf_l4_csum_replace", "4.1", "TCP and UDP checksums"),
    (SchedClassifier, BpfHelper::BPF_FUNC_skb_store_bytes, "TC bpf_skb_store_bytes", "4.1", "address translation"),
    (
        SchedClassifier,
        BpfHelper::BPF_FUNC_skb_pull_data,
        "TC bpf_skb_pull_data",
        "4.9",
        "headers beyond the first buffer",
    ),
    (SchedClassifier, BpfHelper::BPF_FUNC_skb_adjust_room, "TC bpf_skb_adjust_room", "4.13", "tunnels"),
    (SchedClassifier, BpfHelper::BPF_FUNC_skb_change_tail, "TC bpf_skb_change_tail", "4.9", "ICMP errors"),
    (SchedClassifier, BpfHelper::BPF_FUNC_timer_init, "TC bpf_timer_init", "5.15", "expiry of flows"),
    (SchedClassifier, BpfHelper::BPF_FUNC_loop, "TC bpf_loop", "5.17", "port allocation"),
    (SchedClassifier, BpfHelper::BPF_FUNC_for_each_map_elem, "TC bpf_for_each_map_elem", "5.13", "collection of flows"),
    (SchedClassifier, BpfHelper::BPF_FUNC_ringbuf_output, "TC bpf_ringbuf_output", "5.8", "flow events"),
    (
        SchedClassifier,
        BpfHelper::BPF_FUNC_ktime_get_coarse_ns,
        "TC bpf_ktime_get_coarse_ns",
        "5.11",
        "cheap time stamps",
    ),
    (Xdp, BpfHelper::BPF_FUNC_redirect, "XDP bpf_redirect", "4.14", "out of another link"),
    (Xdp, BpfHelper::BPF_FUNC_fib_lookup, "XDP bpf_fib_lookup", "4.18", "routes"),
    (Xdp, BpfHelper::BPF_FUNC_check_mtu, "XDP bpf_check_mtu", "5.12", "packets that do not fit"),
    (Xdp, BpfHelper::BPF_FUNC_xdp_adjust_head, "XDP bpf_xdp_adjust_head", "4.10", "tunnels, ICMP errors"),
    (Xdp, BpfHelper::BPF_FUNC_xdp_get_buff_len, "XDP bpf_xdp_get_buff_len", "5.18", "frames of several buffers"),
    (
        CgroupSockAddr,
        BpfHelper::BPF_FUNC_sk_storage_get,
        "socket bpf_sk_storage_get",
        "5.9",
        "what a socket's service was",
    ),
    (
        CgroupSockAddr,
        BpfHelper::BPF_FUNC_get_socket_cookie,
        "socket bpf_get_socket_cookie",
        "4.18",
        "sockets in events",
    ),
    (CgroupSockAddr, BpfHelper::BPF_FUNC_get_netns_cookie, "socket bpf_get_netns_cookie", "5.7", "node or pod"),
    (CgroupSockAddr, BpfHelper::BPF_FUNC_get_prandom_u32, "socket bpf_get_prandom_u32", "4.17", "choice of a backend"),
];

/// Loads a program with a call of each helper; the verifier says whether it knows it.
pub(super) fn findings() -> Vec<Finding> {
    let tried = HELPERS.iter().map(|(program_type, helper, name, since, purpose)| {
        let support = match is_helper_supported(*program_type, *helper) {
            Ok(supported) => Support::when(supported, "not for this type of program"),
            Err(error) => Support::Unknown(error.to_string()),
        };
        Finding::new(Group::Helper, name, since, purpose, support)
    });
    tried.collect()
}
