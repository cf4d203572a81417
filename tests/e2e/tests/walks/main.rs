//! The tutorials' walks that need pods but no Services: pods, probes, configuration, volumes, jobs, logs and sessions.

mod configuration;
mod failures;
mod pods;
mod probes;
mod sessions;
mod volumes;
mod workloads;

use std::process::ExitCode;

use e2e_tests::{Bed, run, walks};

const BED: Bed = Bed { label: "walks", nodes: 2, server_arguments: &[], one_at_a_time: false };

fn main() -> ExitCode {
    run(
        BED,
        walks![
            pods::a_pod_runs_and_its_events_tell_how,
            pods::containers_of_a_pod_share_its_network_and_volumes,
            pods::init_containers_come_first_and_in_order,
            pods::a_sidecar_runs_beside_the_containers_and_does_not_keep_a_job_from_ending,
            pods::restart_policies_are_kept,
            pods::a_new_image_restarts_the_container_and_not_the_pod,
            pods::a_pod_is_asked_to_end_before_it_is_killed,
            pods::a_pod_on_the_hosts_network_has_its_address,
            pods::host_names_and_aliases_are_in_the_hosts_file,
            pods::pods_of_two_nodes_reach_each_other,
            pods::security_contexts_hold,
            pods::a_node_selector_is_waited_for,
            failures::an_image_that_nobody_has_is_not_found,
            failures::arguments_without_a_command_fail_as_the_book_says,
            failures::a_container_over_its_memory_limit_is_killed,
            failures::a_container_that_fails_again_and_again_is_backed_off_from,
            failures::a_container_that_must_not_be_root_does_not_start_as_root,
            probes::a_failing_liveness_probe_restarts_the_container,
            probes::a_pod_is_ready_while_its_probe_says_so,
            probes::a_startup_probe_holds_the_others_back,
            probes::a_probe_may_ask_a_port,
            configuration::a_config_map_gives_variables_files_and_arguments,
            configuration::a_missing_key_is_named_and_waited_for,
            configuration::a_secret_gives_variables_and_files,
            configuration::a_pod_knows_itself,
            configuration::variables_tell_of_services_that_came_before,
            configuration::files_follow_their_config_map,
            configuration::a_pod_has_a_token_of_its_service_account,
            volumes::an_empty_folder_outlives_its_containers,
            volumes::a_folder_of_the_host_is_shared_with_it,
            volumes::a_piece_of_a_volume_is_mounted,
            workloads::a_deployment_rolls_forward_and_back,
            workloads::a_stateful_set_starts_in_order,
            workloads::a_daemon_set_has_a_pod_on_every_chosen_node,
            workloads::a_job_runs_to_completion_once,
            workloads::a_job_runs_ten_times_five_at_once,
            workloads::a_cron_jobs_job_can_be_made_by_hand,
            sessions::logs_are_read_in_every_way,
            sessions::logs_of_the_container_before_are_kept,
            sessions::a_command_in_a_container_has_its_input_output_and_exit_code,
            sessions::a_terminal_is_a_terminal,
            sessions::attaching_talks_to_the_containers_own_process,
            sessions::run_with_input_is_gone_when_it_ends,
            sessions::files_are_copied_both_ways,
            sessions::a_port_is_forwarded_to_a_pod_and_to_a_service,
            sessions::the_proxy_reaches_a_pod,
        ],
    )
}
