"""One list of system calls makes both filters, and neither lets through what the other refuses."""

from __future__ import annotations

import json

from sandbox.isolation import seccomp
from tests.conftest import skip_or_fail

REFUSED = """
accept accept4 acct add_key bind bpf chroot delete_module finit_module init_module io_uring_enter io_uring_register
io_uring_setup kcmp kexec_file_load kexec_load keyctl listen lookup_dcookie mbind
memfd_create migrate_pages mincore mlock mount mount_setattr move_mount move_pages mq_open msgget name_to_handle_at
nfsservctl open_by_handle_at open_tree perf_event_open personality pidfd_getfd pivot_root preadv2 process_vm_readv
process_vm_writev ptrace quotactl reboot recvmmsg recvmsg request_key semget sendmmsg sendmsg set_mempolicy
setdomainname setgid sethostname setns settimeofday setuid shmat shmget splice swapoff swapon syslog tee umount2
unshare userfaultfd vmsplice
"""


def test_what_reaches_the_kernel_or_others_is_not_on_the_list() -> None:
    allowed = {rule.name for rule in seccomp.rules()}
    assert allowed & set(REFUSED.split()) == set()


def test_docker_s_profile_allows_exactly_the_rules_and_refuses_by_default() -> None:
    profile = json.loads(seccomp.docker_profile())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    allowed = [call for call in profile["syscalls"] if call["action"] == "SCMP_ACT_ALLOW"]
    names = [(name, json.dumps(call.get("args"))) for call in allowed for name in call["names"]]
    assert len(names) == len(seccomp.rules()) == len(set(names))
    sockets = [call for call in allowed if "socket" in call["names"]]
    assert [call["args"] for call in sockets] == [[{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]]
    clone = [call for call in allowed if "clone" in call["names"]]
    assert [call["args"][0]["op"] for call in clone] == ["SCMP_CMP_MASKED_EQ"]
    assert clone[0]["args"][0]["value"] & 0x10000000, "new user namespaces are in the mask"


def test_a_call_is_either_allowed_or_said_to_be_missing() -> None:
    allowed = {rule.name for rule in seccomp.rules()}
    assert allowed & set(seccomp.missing()) == set()
    assert "clone3" in seccomp.missing()


def test_the_compiled_program_is_the_same_every_time_and_of_whole_instructions() -> None:
    if seccomp.unavailable() is not None:
        skip_or_fail("libseccomp is not installed")
    program = seccomp.bpf_program()
    seccomp.bpf_program.cache_clear()
    assert seccomp.bpf_program() == program
    assert len(program) % 8 == 0
    assert len(program) > 8 * 100
    assert seccomp.digest("bubblewrap") != seccomp.digest("docker")
