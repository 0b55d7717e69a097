"""Images whose paths, links and volumes point at the host or stand in for the kernel's own file systems.

Through the agent, as the owner of a hostile image would have them run. The numbers are those of the attacks.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.support.private_agent import PrivateAgent

Make = Callable[..., str]

MASKED_FILES = ("interrupts", "kcore", "keys", "latency_stats", "sched_debug", "timer_list", "timer_stats")
MASKED_DIRECTORIES = ("/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/devices/virtual/powercap", "/sys/firmware")

RULING_FILES = (
    "/proc/sysrq-trigger",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/vm/drop_caches",
    "/proc/irq/default_smp_affinity",
    "/sys/power/state",
    "/sys/kernel/uevent_helper",
    "/sys/kernel/mm/transparent_hugepage/enabled",
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys")


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A directory of the host."""
    path = tmp_path / "canary"
    path.mkdir()
    (path / "secret").write_text("of the host")
    return path


@pytest.fixture
def make(agent: PrivateAgent, rootfs_archive: Path, tmp_path: Path) -> Iterator[Make]:
    """``make(links, changes)`` makes an image of busybox in which paths are symbolic links; its name."""
    name = f"hostile-{tmp_path.name[-20:].lower()}".replace("-_", "-").replace("__", "_")

    def image(links: dict[str, str], *changes: str) -> str:
        replaced = tmp_path / "image.tar"
        with tarfile.open(rootfs_archive) as given, tarfile.open(replaced, "w") as made:
            for entry in given:
                if entry.name not in links:
                    made.addfile(entry, given.extractfile(entry) if entry.isreg() else None)
            for path, target in links.items():
                link = tarfile.TarInfo(path)
                link.type, link.linkname = tarfile.SYMTYPE, target
                made.addfile(link)
        words = [word for change in changes for word in ("-c", change)]
        agent.docker("import", *words, str(replaced), name)
        return name

    yield image
    agent.docker("rmi", "--force", name, check=False)


def test_a_volume_that_climbs_out_of_the_image_has_nothing_of_the_host(
    agent: PrivateAgent, make: Make, canary: Path
) -> None:  # CVE-2022-23648
    up = "../" * 20
    climb = up + str(canary).lstrip("/")
    volumes = [f"/{up}etc", f"/{climb}", f"/up{canary}", "/out", "/climb", f"/out/../..{canary}"]
    image = make({"up": f"/{up}", "out": str(canary), "climb": climb}, *(f"VOLUME {path}" for path in volumes))
    script = (
        f"cat /etc/passwd | head -1; for i in {canary} /up{canary} /out /climb; do cat $i/secret; touch $i/new; done"
    )
    container = agent.out("create", image, "sh", "-c", script)
    text = agent.docker("start", "--attach", container, check=False).stdout.decode()
    points = json.loads(agent.out("inspect", "--format", "{{json .Mounts}}", container))
    held = {one["Destination"]: {path.name for path in Path(one["Source"]).iterdir()} for one in points}
    agent.docker("rm", "--force", "--volumes", container)
    assert text.startswith("root:x:0:0")
    assert "of the host" not in text
    assert {"passwd", "group"} <= held.pop("/etc")
    assert set().union(*held.values()) <= {"new"}
    assert [path.name for path in canary.iterdir()] == ["secret"]


@pytest.mark.parametrize("path", ["/proc", "/proc/sys", "/proc/self/attr", "//proc/./acpi", "/link"])
def test_a_volume_does_not_stand_in_for_proc(
    agent: PrivateAgent, make: Make, path: str
) -> None:  # CVE-2019-16884, CVE-2019-19921
    image = make({"link": "/proc/sys"}, f"VOLUME {path}")
    done = agent.docker("run", "--rm", image, "stat", "-f", "-c", "%t", "/proc", "/proc/sys", check=False)
    assert done.returncode != 0
    assert b"it is not a procfs" in done.stderr or b"nothing may be mounted over what /proc shows" in done.stderr


@pytest.mark.parametrize("links", [
    {"proc": "/tmp/p"}, {"sys": "/tmp/s"}, {"proc": "/tmp/x", "sys": "/tmp/x/y"}, {"proc": "../../../../tmp/p"},
    {"dev": "/tmp/d"}, {"dev": "proc/1"}, {"dev": "/sys/kernel"},
], ids=json.dumps)  # fmt: skip
def test_links_for_the_kernels_file_systems_lead_to_real_ones_or_to_an_error(
    agent: PrivateAgent, make: Make, links: dict[str, str]
) -> None:  # CVE-2019-19921, CVE-2023-27561, CVE-2023-28642
    script = (
        "stat -f -c %t /proc /proc/sys /sys; cat /proc/timer_list /proc/keys; echo x > /proc/sys/kernel/core_pattern"
    )
    done = agent.docker("run", "--rm", make(links), "sh", "-c", script, check=False)
    if done.stdout:
        assert done.stdout.decode().split() == ["9fa0", "9fa0", "62656572"]
        assert b"Read-only file system" in done.stderr
    else:
        assert done.returncode != 0


@pytest.mark.parametrize("path", ["dev", "dev/pts", "dev/shm", "dev/mqueue", "proc", "sys", "etc"])
@pytest.mark.parametrize("form", ["absolute", "climbing"])
def test_a_link_in_the_image_populates_nothing_of_the_host(
    agent: PrivateAgent, make: Make, canary: Path, path: str, form: str
) -> None:  # CVE-2026-41579, CVE-2026-47766
    target = str(canary) if form == "absolute" else "../" * 20 + str(canary).lstrip("/")
    image = make({path: target})
    agent.docker("run", "--rm", "--tty", "--device", "/dev/zero:/dev/shm/zero", image, "true", check=False)
    assert [one.name for one in canary.iterdir()] == ["secret"]


@pytest.mark.parametrize("process", ["self", "1"])
def test_a_working_directory_by_descriptor_is_an_error(
    agent: PrivateAgent, make: Make, process: str
) -> None:  # CVE-2024-21626
    for number in (3, 7, 8, 9, 12):
        image = make({}, f"WORKDIR /proc/{process}/fd/{number}")
        done = agent.docker("run", "--rm", image, "sh", "-c", "pwd; ls ../../..", check=False)
        assert done.returncode != 0
        assert done.stdout == b""


def test_what_tells_of_the_machine_is_hidden_and_what_rules_it_is_read_only(agent: PrivateAgent, busybox: str) -> None:
    script = f"""
        for i in {" ".join(MASKED_FILES)}; do [ ! -e /proc/$i ] || wc -c < /proc/$i; done
        ls -A {" ".join(MASKED_DIRECTORIES)} 2>/dev/null | grep -v ':$' | grep .
        for i in {" ".join(RULING_FILES)}; do
            [ ! -e $i ] || (echo h > $i) 2>&1 | grep -o 'Read-only file system' || echo "$i can be written"
        done
    """
    lines = agent.out("run", "--rm", busybox, "sh", "-c", script).splitlines()
    assert set(lines) == {"0", "Read-only file system"}, lines
    assert lines.count("0") >= 3
    assert lines.count("Read-only file system") >= 3
    mounts = [line.split() for line in agent.out("run", "--rm", busybox, "cat", "/proc/self/mountinfo").splitlines()]
    flags = {one[4]: one[5].split(",")[0] for one in mounts}
    assert {path: flags[path] for path in ("/sys", *READ_ONLY)} == dict.fromkeys(("/sys", *READ_ONLY), "ro")


def test_what_an_image_says_of_itself_is_never_an_order_to_the_host(
    agent: PrivateAgent, make: Make, canary: Path
) -> None:  # CVE-2026-53488, row 29
    orders = {
        "run.oci.hooks.stderr": "/dev/null", "run.oci.keep_original_groups": "1", "org.systemd.property.ExecStop": "x",
        "io.kubernetes.cri-o.Devices": "/dev/sda", "com.docker.hooks": f"touch {canary}/made",
    }  # fmt: skip
    labels = [f"LABEL {key}={json.dumps(value)}" for key, value in orders.items()]
    image = make({}, *labels, f"ENV LD_PRELOAD={canary}/evil.so", "STOPSIGNAL 9", 'CMD ["sleep", "300"]')
    container = agent.out("run", "--detach", image)
    try:
        bundle = json.loads((agent.exec_root / "containers" / container / "config.json").read_text())
        assert not set(orders) & set(bundle.get("annotations", {}))
        assert "hooks" not in bundle
        assert [path.name for path in canary.iterdir()] == ["secret"]
        environment = Path(f"/proc/{agent.pid}/environ").read_bytes()
        assert b"LD_PRELOAD" not in environment
        program = agent.out("inspect", "--format", "{{json .Config.Labels}}", container)
        assert set(orders) <= set(json.loads(program))  # they are labels, and no more
    finally:
        agent.docker("rm", "--force", container)
