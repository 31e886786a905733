"""Every thing that was tried on walls before this one was built is a test, and stays one: the index of them.

Each row says in a few words what was seen to happen without care; the tests beside it hold it from happening here.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WALL = "tests/contract/test_every_isolation.py"
CELLS = "tests/hostile/test_cells.py"
MODELS = "tests/hostile/test_models.py"

ROWS: dict[str, dict[str, tuple[str, ...]]] = {
    "a user namespace made by root is still root to the host's files": {
        CELLS: (
            "test_a_cell_that_is_root_to_the_kernel_is_noticed_though_it_says_65534_inside",
            "test_a_root_cell_does_not_even_connect",
        ),
        WALL: ("test_every_live_cell_has_a_kernel_user_id_of_its_own",),
    },
    "the worker's environment is readable through the first process of the cell": {
        WALL: ("test_every_variable_in_all_of_proc_is_one_that_was_named",),
    },
    "a descriptor of the worker goes straight through": {
        CELLS: ("test_an_inherited_descriptor_of_the_worker_would_be_noticed",),
    },
    "a limit of processes does not stop root": {
        WALL: ("test_processes_and_open_files_are_counted", "test_an_attack_leaves_the_neighbour_at_work"),
    },
    "memory files without a size are as large as half of memory": {
        WALL: ("test_scratch_is_as_large_as_stated_and_no_larger",),
        CELLS: ("test_a_part_taken_out_of_the_bubblewrap_wall_is_noticed",),
    },
    "io_uring, keyrings, ptrace and other socket families work without a filter of one's own": {
        WALL: (
            "test_unix_is_the_only_socket_family",
            "test_no_ring_takes_calls_past_the_filter_and_no_keyring_is_opened",
            "test_no_namespace_and_no_dangerous_call_is_given",
            "test_the_numeric_libraries_load_learn_and_answer_behind_the_wall",
        ),
        "tests/sandbox/isolation/test_torch.py": ("test_torch_loads_learns_and_answers_behind_the_wall",),
        "tests/sandbox/isolation/test_seccomp.py": (
            "test_docker_s_profile_allows_exactly_the_rules_and_refuses_by_default",
            "test_what_reaches_the_kernel_or_others_is_not_on_the_list",
        ),
    },
    "resident pages of a shared file carry a message": {
        WALL: ("test_no_namespace_and_no_dangerous_call_is_given", "test_nothing_but_scratch_can_be_written"),
    },
    "standard output fills the host's log": {
        WALL: ("test_standard_output_goes_nowhere",),
        CELLS: ("test_the_engine_keeps_no_log_of_a_cell",),
    },
    "an engine that copies files follows links": {
        CELLS: ("test_the_engine_is_never_asked_to_copy_a_file_and_no_descriptor_is_ever_received",),
        WALL: ("test_a_link_in_a_model_folder_is_not_followed",),
    },
    "a socket takes several connections and passes descriptors": {
        WALL: (
            "test_a_cell_serves_nobody_and_connects_nowhere_else",
            "test_no_descriptor_can_be_passed_over_the_connection",
            "test_a_stranger_on_the_socket_is_not_taken_for_the_cell",
        ),
        CELLS: ("test_the_engine_is_never_asked_to_copy_a_file_and_no_descriptor_is_ever_received",),
    },
    "a cell dies when the thread that started it ends": {
        WALL: ("test_a_cell_outlives_the_thread_that_asked_for_it",),
    },
    "YAML reads NO as false, takes the last of two keys and grows through aliases": {
        "tests/sandbox/intake/test_yaml.py": (
            "test_everything_is_text_until_a_field_says_otherwise",
            "test_what_yaml_has_too_much_of_is_refused",
            "test_three_hundred_bytes_cannot_become_millions",
        ),
    },
    "zip and JSON take the last of two names, bytes before, NaN and deep nesting": {
        "tests/sandbox/intake/test_archive.py": (
            "test_a_hostile_entry_is_refused",
            "test_bytes_before_and_after_are_refused",
        ),
        "tests/hostile/test_uploads.py": ("test_a_scan_cannot_be_deep_doubled_or_not_a_number",),
    },
    "a name of a column is read as a program by the typesetter": {
        "tests/model_cards/test_pdf.py": (
            "test_what_looks_like_a_program_is_shown_as_text",
            "test_a_template_cannot_read_a_file_of_this_machine",
        ),
    },
    "processes that open a fresh store together crash while it is migrated": {
        "tests/sandbox/records/test_database.py": ("test_four_processes_migrate_a_fresh_database_together",),
        "tests/sandbox/records/test_mlflow_log.py": ("test_three_processes_on_a_fresh_store_log_each_assessment_once",),
    },
    "one killed process of a shared pool fails all that waits, and none can be cancelled": {
        "tests/sandbox/test_worker.py": (
            "test_a_killed_process_is_a_failed_submission_with_a_clear_message",
            "test_a_cancelled_submission_is_gone_within_two_seconds",
        ),
    },
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[:40])
def test_every_row_has_its_tests_and_they_are_there(row: str) -> None:
    assert ROWS[row]
    for file, names in ROWS[row].items():
        tree = ast.parse((ROOT / file).read_text())
        found = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        for name in names:
            assert name in found, f"{file} has no {name}"
            asserting = ast.unparse(found[name])
            assert "assert" in asserting or "raises" in asserting, f"{name} asserts nothing"
