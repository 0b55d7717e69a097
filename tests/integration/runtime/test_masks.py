"""Hidden and read-only paths, and that they are real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.runtime.harness import Bundle, Runtime


def test_hidden_files_read_as_empty_and_hidden_directories_are_empty(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "secret").mkdir()
    (bundle.rootfs / "secret" / "key").write_text("secret")
    (bundle.rootfs / "password").write_text("secret")
    bundle.linux["maskedPaths"] += ["/secret", "/password"]
    assert runtime.output("ls -A /secret; cat /password /proc/timer_list; ls -A /sys/firmware") == ""
    assert "Read-only file system" in runtime.run("touch /secret/file", check=False).stderr


def test_a_hidden_path_that_does_not_exist_is_passed_over(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["maskedPaths"] = ["/proc/nothing", "/bin/busybox/below", "/nothing/at/all"]
    runtime.run("true")


@pytest.mark.parametrize("path", ["/proc/sys/kernel/hostname", "/proc/irq/default_smp_affinity"])
def test_read_only_paths_cannot_be_written(runtime: Runtime, path: str) -> None:
    assert "Read-only file system" in runtime.run(f"echo h > {path}", check=False).stderr


def test_a_read_only_directory_covers_what_is_mounted_below_it(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "source").mkdir()
    bundle.mount("/data/below", str(tmp_path / "source"))
    bundle.linux["readonlyPaths"].append("/data")
    assert "Read-only file system" in runtime.run("touch /data/below/file", check=False).stderr


def test_a_mask_follows_links_inside_the_root_only(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("host")
    (bundle.rootfs / "link").symlink_to(f"../../../../..{canary}")
    bundle.linux["maskedPaths"].append("/link")
    runtime.start("sleep 1000")
    assert canary.read_text() == "host"
