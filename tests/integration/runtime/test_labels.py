"""Labels of security modules: applied where the kernel has the module, refused by name where not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.integration.runtime.harness import Bundle, Runtime

_apparmor = Path("/sys/module/apparmor/parameters/enabled")
HAS_APPARMOR = _apparmor.exists() and _apparmor.read_text().startswith("Y")
HAS_SELINUX = "selinuxfs" in Path("/proc/filesystems").read_text().split()
without_apparmor = pytest.mark.skipif(HAS_APPARMOR, reason="the kernel runs AppArmor")
without_selinux = pytest.mark.skipif(HAS_SELINUX, reason="the kernel runs SELinux")


@without_apparmor
def test_a_profile_without_apparmor_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["apparmorProfile"] = "docker-default"
    done = runtime.create(check=False)
    assert "process.apparmorProfile: docker-default: this kernel runs without AppArmor" in done.stderr
    assert not (runtime.root / "kept").exists()


@without_selinux
def test_a_label_without_selinux_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["selinuxLabel"] = "system_u:system_r:container_t:s0"
    assert "this kernel runs without SELinux" in runtime.create(check=False).stderr
    del bundle.process["selinuxLabel"]
    bundle.linux["mountLabel"] = "system_u:object_r:container_file_t:s0"
    done = runtime.create(check=False)
    assert "linux.mountLabel: system_u:object_r:container_file_t:s0: this kernel runs without SELinux" in done.stderr


@without_apparmor
def test_a_further_process_is_refused_a_profile_as_well(runtime: Runtime, tmp_path: Path) -> None:
    runtime.start()
    file = tmp_path / "process.json"
    process = {"args": ["true"], "env": ["PATH=/bin"], "cwd": "/", "apparmorProfile": "docker-default"}
    file.write_text(json.dumps(process))
    done = runtime("exec", "--process", str(file), "kept", check=False)
    assert "process.apparmorProfile: docker-default: this kernel runs without AppArmor" in done.stderr


@without_apparmor
def test_what_asks_for_nothing_needs_no_module(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["apparmorProfile"] = "unconfined"
    bundle.process["selinuxLabel"] = bundle.linux["mountLabel"] = ""
    runtime.run("true")


@pytest.mark.skipif(not HAS_APPARMOR, reason="the kernel runs without AppArmor")
def test_a_profile_confines_the_program_and_further_ones(runtime: Runtime, bundle: Bundle) -> None:
    """With the profile that AppArmor itself has for whatever is not loaded: none; so one is loaded."""
    profile = "profile wherry-test flags=(attach_disconnected) { file, capability, network, signal, ptrace, }"
    subprocess.run(["apparmor_parser", "-r"], input=profile, text=True, check=True)
    try:
        bundle.process["apparmorProfile"] = "wherry-test"
        pid = runtime.start()
        assert Path(f"/proc/{pid}/attr/current").read_text().startswith("wherry-test ")
        assert runtime("exec", "kept", "cat", "/proc/self/attr/current").stdout.startswith("wherry-test ")
    finally:
        runtime.clean()
        subprocess.run(["apparmor_parser", "-R"], input=profile, text=True, check=True)
