"""Root file systems: many layers under one writable directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.core.conftest import Confined

LAYERS = """
    import os, sys
    from pathlib import Path
    from wherry import native
    top, count = Path(sys.argv[1]), int(sys.argv[2])
    layers = [top / "layers" / f"{number:064x}" / sys.argv[3] for number in range(count)]
    for number, layer in enumerate(layers):
        layer.mkdir(parents=True)
        (layer / "same").write_text(str(number))
        (layer / f"file-{number}").touch()
    for name in ("upper", "work", "root"):
        (top / name).mkdir()
"""


@pytest.mark.parametrize("count", [1, 2, 127, 200])
def test_the_first_layer_is_on_top_of_all(confined: Confined, tmp_path: Path, count: int) -> None:
    script = (
        LAYERS
        + """
    native.mount_overlay(top / "root", layers, top / "upper", top / "work")
    (top / "root" / "new").write_text("x")
    print((top / "root" / "same").read_text(), len(os.listdir(top / "root")), os.listdir(top / "upper"))
    native.unmount(top / "root")
    native.unmount(top / "root")
    native.unmount(top / "no such")
    assert os.listdir(top / "root") == []
    """
    )
    assert confined(script, tmp_path, count, "diff") == f"0 {count + 2} ['new']"


def test_names_that_mean_something_to_overlayfs_are_taken_as_they_are(confined: Confined, tmp_path: Path) -> None:
    script = (
        LAYERS
        + """
    native.mount_overlay(top / "root", layers)
    print(len(os.listdir(top / "root")))
    """
    )
    assert confined(script, tmp_path, 3, "a:b,upperdir=x\\c") == "4"


def test_a_layer_that_is_not_there_is_named_in_the_error(confined: Confined, tmp_path: Path) -> None:
    script = (
        LAYERS
        + """
    try:
        native.mount_overlay(top / "root", [*layers, top / "missing"], top / "upper", top / "work")
    except native.NativeError as error:
        print(error.errno, error)
    assert not os.path.ismount(top / "root")
    """
    )
    said = confined(script, tmp_path, 2, "diff")
    assert said.startswith("2 ") and f"overlay {tmp_path}/root" in said


def test_a_link_in_the_place_of_a_mount_is_not_followed(confined: Confined, tmp_path: Path) -> None:
    script = (
        LAYERS
        + """
    native.mount_overlay(top / "root", layers, top / "upper", top / "work")
    (top / "link").symlink_to(top / "root")
    native.unmount(top / "link", lazy=True)
    print(os.path.ismount(top / "root"))
    """
    )
    assert confined(script, tmp_path, 1, "diff") == "True"


@pytest.mark.parametrize("call", ["1", "132"])
def test_a_kernel_that_takes_all_layers_at_once_takes_as_many(confined: Confined, tmp_path: Path, call: str) -> None:
    """Kernels before 6.5: the new options fail, at the first or at the call that creates the file system."""
    script = (
        LAYERS
        + """
    import subprocess
    (top / "mount.py").write_text(
        "import sys; from pathlib import Path; from wherry import native; top = Path(sys.argv[1]);"
        "native.mount_overlay(top / 'root', sorted((top / 'layers').glob('*/*')), top / 'upper', top / 'work')")
    subprocess.run(
        ["strace", "-f", "-qq", "-o", top / "trace", "-e", "trace=fsconfig,mount",
         "-e", f"inject=fsconfig:error=EINVAL:when={sys.argv[4]}+", sys.executable, top / "mount.py", top], check=True)
    assert "INJECTED" in (top / "trace").read_text()
    print((top / "root" / "same").read_text(), len(os.listdir(top / "root")))
    """
    )
    assert confined(script, tmp_path, 129, "diff", call) == "0 130"
