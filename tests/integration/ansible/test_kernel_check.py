"""The module ``kernel_check``: facts of the real kernel, requirements by name, modules that check mode only names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.ansible.conftest import Play, Task

REPORT = {
    "release": "6.1.0",
    "config": "/boot/config-6.1.0",
    "live": True,
    "findings": [
        {"group": "g", "name": "CONFIG_NAMESPACES", "required": True, "state": "built-in", "module": None,
         "breaks": "everything", "remedy": ""},
        {"group": "g", "name": "CONFIG_WHERRY_TEST", "required": False, "state": "module-not-loaded",
         "module": "wherry_test", "breaks": "tests", "remedy": "modprobe wherry_test"},
        {"group": "g", "name": "CONFIG_XFS_FS", "required": False, "state": "missing", "module": "xfs",
         "breaks": "quotas", "remedy": "build it"},
    ],
}  # fmt: skip


LOADING = {"loaded": ["wherry_test"], "persisted": ["wherry_test"], "file": "/etc/modules-load.d/wherry.conf"}


@pytest.fixture
def executable(tmp_path: Path) -> str:
    """A command that reports another kernel than this one, and notes how it is called."""
    program = tmp_path / "wherry"
    program.write_text(f"""#!/bin/sh
echo "$*" >>{tmp_path}/calls
case "$*" in
"host check --json") cat <<'END'
{json.dumps(REPORT)}
END
;;
"host load-modules"*) echo '{json.dumps(LOADING)}' ;;
*) exit 2 ;;
esac
""")
    program.chmod(0o755)
    return str(program)


def check(play: Play, **options: Any) -> dict[str, Any]:
    (result,) = play([Task("kernel_check", options, check=True)])
    return result


def test_the_agent_is_asked_where_its_command_is_not_on_the_host(play: Play) -> None:
    result = check(play, required=["necessary"])
    assert not result.get("failed"), result["msg"]
    found = {finding["name"]: finding["state"] for finding in result["ansible_facts"]["wherry_kernel"]["findings"]}
    assert "CONFIG_NAMESPACES" in found
    assert result["kernel"]["release"] == Path("/proc/sys/kernel/osrelease").read_text().strip()


def test_what_is_required_and_missing_fails_the_play_by_name(play: Play, executable: str) -> None:
    result = check(play, executable=executable, required=["necessary", "XFS_FS"])
    assert result["failed"]
    assert result["missing"] == ["CONFIG_XFS_FS"]
    assert result["msg"] == ("the kernel 6.1.0 lacks what is required: CONFIG_XFS_FS (missing): quotas; build it")


def test_an_unknown_requirement_is_named(play: Play, executable: str) -> None:
    result = check(play, executable=executable, required=["CONFIG_COLOUR"])
    assert result["msg"] == (
        'required: "CONFIG_COLOUR": is not among the findings; known are CONFIG_NAMESPACES, CONFIG_WHERRY_TEST, '
        "CONFIG_XFS_FS"
    )


def test_modules_are_loaded_by_the_command_and_in_check_mode_only_named(
    play: Play, executable: str, tmp_path: Path
) -> None:
    arguments = {"executable": executable, "load_modules": True, "required": ["wherry_test"]}
    for checking, option in ((True, "--json --check"), (False, "--json")):
        (result,) = play([Task("kernel_check", arguments, check=checking)])
        assert (result["changed"], result["loaded"]) == (True, ["wherry_test"])
        assert result["persisted"] == {"path": "/etc/modules-load.d/wherry.conf", "modules": ["wherry_test"]}
        assert f"host load-modules {option} wherry_test" in (tmp_path / "calls").read_text().splitlines()


def test_a_module_that_stays_away_after_loading_fails_the_play(play: Play, executable: str) -> None:
    (result,) = play([Task("kernel_check", {"executable": executable, "required": ["wherry_test"]})])
    assert result["missing"] == ["CONFIG_WHERRY_TEST"]


def test_a_command_that_is_not_there_is_named_with_where_else_was_looked(play: Play) -> None:
    (result,) = play([Task("kernel_check", {"executable": "/no/such/wherry", "agent": "unix:///nowhere.sock"})])
    assert result["msg"].startswith(
        'the kernel cannot be checked, for the command wherry is not on this host ("/no/such/wherry" is no program); '
        "and no Wherry agent listens at unix:///nowhere.sock"
    )
