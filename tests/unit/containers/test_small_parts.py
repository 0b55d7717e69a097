"""Ports, signals, times, limits, security options, host files, merging with an image, and the words of a list."""

from __future__ import annotations

import signal

import pytest

from wherry.containers import failures, host_files, listing, merge, ports, security_options, signals, times
from wherry.containers.environment import process_environment
from wherry.containers.log_options import size
from wherry.containers.model import ContainerConfig, HostConfig, HostPort, RestartPolicy, Ulimit
from wherry.containers.spec.process import check_ulimits
from wherry.containers.spec.resources import check_limits
from wherry.containers.validate import check_restart_policy
from wherry.errors import InvalidParameter
from wherry.images.model import ImageConfig


@pytest.mark.parametrize(
    ("text", "expected"), [("80", ["80/tcp"]), ("53/UDP", ["53/udp"]), ("1-3/tcp", ["1/tcp", "2/tcp", "3/tcp"])]
)
def test_ports_have_one_form(text: str, expected: list[str]) -> None:
    assert ports.canonical(text, "x") == expected


@pytest.mark.parametrize("text", ["0", "65536", "80/icmp", "3-1", "", "a", "80/tcp/x", "-1", "٨٠"])
def test_ports_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameter):
        ports.canonical(text, "x")


@pytest.mark.parametrize(
    "host", [HostPort("", "99999"), HostPort("", "x"), HostPort("nowhere", "80"), HostPort("", "9-1")]
)
def test_host_side_of_a_binding_is_checked(host: HostPort) -> None:
    with pytest.raises(InvalidParameter, match=r"PortBindings.80/tcp"):
        ports.check(ContainerConfig(), HostConfig(port_bindings={"80/tcp": (host,)}))


@pytest.mark.parametrize(
    ("text", "number"), [("SIGTERM", 15), ("term", 15), ("9", 9), ("SIGRTMIN+3", signal.SIGRTMIN + 3), ("RTMAX", 64)]
)
def test_signals_by_name_and_number(text: str, number: int) -> None:
    assert signals.parse(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "-9", "SIGNOT", "SIGRTMIN+99", "SIGRTMIN+x", "9999999", "²"])
def test_signals_that_are_none(text: str) -> None:
    with pytest.raises(InvalidParameter, match="Invalid signal"):
        signals.parse(text)


def test_times_come_back() -> None:
    assert times.parse(times.render(1_700_000_000_123_456_789)) == 1_700_000_000_123_456_789
    assert times.parse("2023-11-14T22:13:20+01:00") == (1_700_000_000 - 3600) * times.NANOSECONDS
    assert times.parse("0001-01-01T00:00:00Z") == 0
    assert times.parse_boundary("1700000000.5", "since") == 1_700_000_000_500_000_000
    with pytest.raises(InvalidParameter, match="since"):
        times.parse_boundary("yesterday", "since")


@pytest.mark.parametrize(
    ("host_config", "words"),
    [
        (HostConfig(memory=1 << 20), "Minimum memory limit allowed is 6MB"),
        (HostConfig(memory_swap=1 << 30), "You should always set the Memory limit"),
        (HostConfig(memory=1 << 30, memory_swap=1 << 29), "Minimum memoryswap limit should be larger"),
        (HostConfig(memory=1 << 25, memory_reservation=1 << 26), "can not be less than memory reservation"),
        (HostConfig(nano_cpus=10**15), "range of CPUs is from 0.01"),
        (HostConfig(nano_cpus=10**9, cpu_period=1000), "Nano CPUs and CPU Period cannot both be set"),
        (HostConfig(cpu_period=5), "CPU cfs period"),
        (HostConfig(cpuset_cpus="0-99"), "Requested CPUs are not available"),
        (HostConfig(cpuset_cpus="a"), "Invalid value a for cpuset cpus"),
        (HostConfig(blkio_weight=5), "Range of blkio weight"),
        (HostConfig(memory_swappiness=101), "valid memory swappiness range is 0-100"),
    ],
)
def test_limits_out_of_range_are_refused_in_dockers_words(host_config: HostConfig, words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        check_limits(host_config)


@pytest.mark.parametrize(
    "limit", [Ulimit("nofiles", 1, 1), Ulimit("nofile", 2, 1), Ulimit("nofile", -1, 5), Ulimit("core", 1, -2)]
)
def test_ulimits_that_cannot_be(limit: Ulimit) -> None:
    with pytest.raises(InvalidParameter):
        check_ulimits((limit,))


def test_security_options() -> None:
    assert security_options.parse(("no-new-privileges", "seccomp=unconfined")).no_new_privileges
    assert not security_options.parse(("no-new-privileges:false",)).no_new_privileges
    assert security_options.parse(("seccomp={}",)).seccomp == "{}"
    assert security_options.parse(("label=disable", "apparmor=unconfined")) == security_options.SecurityOptions()
    for option in ("label=type:x", "apparmor=mine", "nonsense", "no-new-privileges=maybe", "systempaths=half"):
        with pytest.raises(InvalidParameter):
            security_options.parse((option,))


def test_restart_policies() -> None:
    check_restart_policy(RestartPolicy("on-failure", 3), auto_remove=False)
    for policy, auto_remove in (
        (RestartPolicy("sometimes"), False), (RestartPolicy("always", 3), False), (RestartPolicy("always"), True),
        (RestartPolicy("on-failure", -1), False),
    ):  # fmt: skip
        with pytest.raises(InvalidParameter):
            check_restart_policy(policy, auto_remove=auto_remove)


def test_log_sizes() -> None:
    assert [size(text) for text in ("10m", "1K", "5", "2gb", "-1")] == [10 << 20, 1 << 10, 5, 2 << 30, 0]
    for text in ("", "0", "m", "1t2", "-2"):
        with pytest.raises(InvalidParameter):
            size(text)


def test_extra_hosts() -> None:
    assert host_files.split_extra_host("db:10.0.0.1", "x") == ("db", "10.0.0.1")
    assert host_files.split_extra_host("db:::1", "x") == ("db", "::1")
    assert host_files.split_extra_host("up=host-gateway", "x") == ("up", "host-gateway")
    for text in ("db", "db:", ":10.0.0.1", "db:nowhere", "a b:10.0.0.1", "db:10.0.0.1\n6.6.6.6 evil"):
        with pytest.raises(InvalidParameter):
            host_files.split_extra_host(text, "x")


def test_hosts_file_names_the_container_last() -> None:
    content = host_files.hosts([("db", "10.0.0.9")], ["10.0.0.2"], "web", "example.org")
    assert content.splitlines()[-2:] == ["10.0.0.9\tdb", "10.0.0.2\tweb.example.org web"]


def test_loopback_resolvers_do_not_go_into_a_container(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 127.0.0.53\nnameserver 192.0.2.1\nsearch example.org\noptions edns0\n")
    monkeypatch.setattr(host_files, "RESOLV_CONF", file)
    inside = host_files.resolv_conf((), (), (), host_network=False)
    assert inside == "nameserver 192.0.2.1\nsearch example.org\noptions edns0\n"
    assert "127.0.0.53" in host_files.resolv_conf((), (), (), host_network=True)
    given = host_files.resolv_conf(("192.0.2.9",), (".",), ("ndots:2",), host_network=False)
    assert given == "nameserver 192.0.2.9\noptions ndots:2\n"


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "expected"),
    [
        (None, None, ("/entry", ("image-cmd",))),
        (None, ("mine",), ("/entry", ("mine",))),
        (("/own",), None, ("/own", ())),
        (("/own",), ("x",), ("/own", ("x",))),
        (("",), ("x", "y"), ("x", ("y",))),
        ((), ("x",), ("x", ())),
    ],
)
def test_command_line_is_merged_by_dockers_rules(entrypoint, cmd, expected) -> None:  # type: ignore[no-untyped-def]
    image = ImageConfig(entrypoint=("/entry",), cmd=("image-cmd",))
    assert (
        merge.command_line(merge.with_image_defaults(ContainerConfig(entrypoint=entrypoint, cmd=cmd), image))
        == expected
    )


def test_nothing_to_run_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="no command specified"):
        merge.command_line(merge.with_image_defaults(ContainerConfig(), ImageConfig()))


def test_environment_of_image_and_request() -> None:
    merged = merge.with_image_defaults(ContainerConfig(env=("A=2", "GONE")), ImageConfig(env=("A=1", "B=1", "GONE=1")))
    assert merged.env == ("A=2", "GONE", "B=1")
    variables = process_environment(merged, "box", "/root", extra=("C=3",))
    assert variables[2:] == ["A=2", "B=1", "C=3", "HOME=/root"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.5, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"), (150, "2 minutes"),
     (3600, "About an hour"), (3 * 3600, "3 hours"), (50 * 3600, "2 days"),
     (15 * 86400, "2 weeks"), (90 * 86400, "3 months")],
)  # fmt: skip
def test_ages_in_words(seconds: float, words: str) -> None:
    assert listing.age(seconds) == words


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('exec: "x": executable file not found in $PATH', 127),
        ("exec /x: no such file or directory", 127),
        ("exec /x: Permission denied", 126),
        ("cannot set memory.limit_in_bytes: device or resource busy", 128),
    ],
)
def test_exit_code_tells_why_a_start_failed(message: str, code: int) -> None:
    assert failures.exit_code_of(message) == code
    assert message in str(failures.start_error(message))
