"""``wherry host check`` on this machine, and on configurations of others."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("wherry._native", reason="the C core is not built")

CONFIG = "# Linux/x86 6.1.90 Kernel Configuration\nCONFIG_NAMESPACES=y\nCONFIG_OVERLAY_FS=m\n"


AGENT = Path(__file__).resolve().parents[3] / "agent"


def _wherry(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wherry.cli.main", "host", "check", *words]
    environment = {**os.environ, "PYTHONPATH": str(AGENT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def _findings(*words: str) -> dict[str, dict[str, Any]]:
    done = _wherry("--json", *words)
    assert done.returncode in {0, 1}, done.stderr
    return {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}


def _links_and_mounts() -> tuple[list[str], list[str], list[str]]:
    return (
        sorted(path.name for path in Path("/sys/class/net").iterdir()),
        Path("/proc/self/mountinfo").read_text().splitlines(),
        sorted(path.name for path in Path("/sys/module").iterdir()),
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_probes_agree_with_what_the_kernel_does_and_leave_nothing(tmp_path: Path) -> None:
    before = _links_and_mounts()
    findings = _findings()
    assert _links_and_mounts() == before
    tried = subprocess.run(
        ["unshare", "-n", "ip", "link", "add", "probe0", "type", "vxlan", "id", "1", "dstport", "4789"],
        capture_output=True,
        check=False,
    )
    assert (findings["vxlan link"]["state"] == "ok") == (tried.returncode == 0)
    forwarding = Path("/proc/sys/net/ipv4/ip_forward").read_text().strip()
    assert findings["net.ipv4.ip_forward"]["state"] == ("ok" if forwarding == "1" else "failed")
    loop = Path("/dev/loop-control").exists()
    assert findings["/dev/loop-control"]["state"] == ("ok" if loop else "failed")


def test_a_configuration_of_another_kernel_is_read_gzip_or_plain(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.write_text(CONFIG)
    packed.write_bytes(gzip.compress(CONFIG.encode()))
    findings = _findings("--config", str(plain))
    assert findings == _findings("--config-file", str(packed))
    assert findings["CONFIG_NAMESPACES"]["state"] == "built-in"
    assert findings["CONFIG_OVERLAY_FS"]["state"] == "module"
    assert findings["CONFIG_VETH"]["state"] == "missing"
    assert "overlay mount" not in findings


def test_the_version_decides_which_options_are_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(CONFIG)
    assert "CONFIG_NF_NAT_NEEDED" in _findings("--config", str(file), "--kernel", "4.19")
    assert "CONFIG_NF_NAT_NEEDED" not in _findings("--config", str(file), "--kernel", "6.6.1-gentoo")


def test_the_status_tells_that_something_required_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(CONFIG)
    done = _wherry("--config", str(file), "--required", "macvlan", "loop")
    assert done.returncode == 1
    assert "CONFIG_MACVLAN" in done.stderr
    assert "CONFIG_BLK_DEV_LOOP" in done.stderr
    assert "CONFIG_NAMESPACES" not in done.stderr
    assert "kernel 6.1.90" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--config", "/no/such/file"], "/no/such/file: No such file"),
        (["--config", "/bin/sh"], "/bin/sh: not a kernel configuration"),
        (["--kernel", "new"], 'kernel version: "new": must be like 6.1'),
        (["--required", "CONFIG_LUCK"], 'required: "CONFIG_LUCK": no such finding'),
    ],
)
def test_bad_input_is_one_clear_sentence(words: list[str], message: str) -> None:
    done = _wherry(*words)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
