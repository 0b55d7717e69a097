"""Network namespaces of containers: kept at a path, used from outside, and nothing else touched by it."""

from __future__ import annotations

from pathlib import Path

from tests.integration.core.conftest import Confined


def test_a_namespace_lives_without_processes_until_it_is_removed(confined: Confined, tmp_path: Path) -> None:
    script = """
        import os, subprocess, sys
        from wherry import native
        path = sys.argv[1]
        own = os.readlink("/proc/self/ns/net")
        native.netns_create(path)
        command = ["nsenter", f"--net={path}", "ip", "-o", "link"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True)
        assert shown.stdout.count("\\n") == 1 and "LOOPBACK,UP" in shown.stdout, shown.stdout
        assert os.readlink("/proc/self/ns/net") == own
        assert len(os.listdir("/proc/self/task")) == 1
        native.netns_remove(path)
        native.netns_remove(path)
        print(os.path.exists(path), path in open("/proc/self/mountinfo").read())
    """
    assert confined(script, tmp_path / "ns") == "False False"


def test_a_path_that_is_taken_is_refused_and_kept(confined: Confined, tmp_path: Path) -> None:
    (tmp_path / "ns").write_text("mine")
    script = """
        import sys
        from wherry import native
        try:
            native.netns_create(sys.argv[1])
        except native.NativeError as error:
            print(error.errno, open(sys.argv[1]).read())
    """
    assert confined(script, tmp_path / "ns") == "17 mine"


def test_a_socket_belongs_to_the_namespace_it_was_made_in(confined: Confined, tmp_path: Path) -> None:
    script = """
        import socket, sys
        from wherry import native
        native.netns_create(sys.argv[1])
        inside = socket.socket(fileno=native.netns_socket(sys.argv[1], socket.AF_INET, socket.SOCK_STREAM))
        assert not inside.get_inheritable()
        inside.bind(("127.0.0.1", 80))  # up there, down here
        outside = socket.socket()
        try:
            outside.connect(("127.0.0.1", 80))
        except OSError as error:
            print(error.errno)
    """
    assert confined(script, tmp_path / "ns") in ("101", "99", "111")


def test_a_sysctl_is_written_inside_alone(confined: Confined, tmp_path: Path) -> None:
    script = """
        import subprocess, sys
        from wherry import native
        name, path = "/proc/sys/net/ipv4/ip_default_ttl", sys.argv[1]
        native.netns_create(path)
        native.netns_sysctl(path, "net.ipv4.ip_default_ttl", "77")
        native.netns_sysctl(path, "net/ipv4/conf/lo/forwarding", "1")
        inside = subprocess.run(["nsenter", f"--net={path}", "cat", name], capture_output=True, text=True, check=True)
        print(inside.stdout.strip(), open(name).read().strip())
    """
    assert confined(script, tmp_path / "ns") == "77 64"


def test_no_name_of_a_sysctl_reaches_a_setting_of_the_host(confined: Confined, tmp_path: Path) -> None:
    script = """
        import socket, sys
        from wherry import native
        native.netns_create(sys.argv[1])
        before = socket.gethostname()
        for name in ("kernel.hostname", "net/../kernel/hostname", "net/ipv4/../../kernel/hostname", "/kernel/hostname",
                     "net//../kernel/hostname", "net", "net.", "", "net/" + "x" * 300, "net.ipv4.no_such"):
            try:
                native.netns_sysctl(sys.argv[1], name, "taken")
            except native.NativeError:
                continue
            print("written:", name)
        print(socket.gethostname() == before)
    """
    assert confined(script, tmp_path / "ns") == "True"
