"""Modules are loaded once, and persisted where the init system of the host looks for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.errors import InvalidParameter, SystemFailure
from wherry.host.kernel_modules import load_modules, persist_modules


def _write(root: Path, name: str, content: str = "") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_systemd_hosts_get_a_file_of_wherrys_own(tmp_path: Path) -> None:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    _write(tmp_path, "etc/modules", "other\n")
    file, new = persist_modules(["overlay", "br_netfilter"], root=tmp_path)
    assert file == tmp_path / "etc/modules-load.d/wherry.conf"
    assert new == ("overlay", "br_netfilter")
    assert file.read_text() == "overlay\nbr_netfilter\n"
    assert (tmp_path / "etc/modules").read_text() == "other\n"


def test_gentoos_variable_grows_and_the_rest_of_its_file_stays(tmp_path: Path) -> None:
    before = '# comment\nmodules="fuse"\nmodule_fuse_args="x=1"\n'
    file = _write(tmp_path, "etc/conf.d/modules", before)
    assert persist_modules(["loop", "fuse", "macvlan"], root=tmp_path) == (file, ("loop", "macvlan"))
    assert file.read_text() == before.replace('"fuse"', '"fuse loop macvlan"')


def test_gentoos_variable_is_added_where_it_is_only_a_comment(tmp_path: Path) -> None:
    file = _write(tmp_path, "etc/conf.d/modules", '#modules="ipv6"')
    persist_modules(["loop"], root=tmp_path)
    assert file.read_text() == '#modules="ipv6"\nmodules="loop"\n'


def test_gentoo_without_the_file_gets_it(tmp_path: Path) -> None:
    _write(tmp_path, "etc/gentoo-release")
    file, _ = persist_modules(["loop"], root=tmp_path)
    assert file == tmp_path / "etc/conf.d/modules"
    assert file.read_text() == 'modules="loop"\n'


def test_alpine_and_sysv_hosts_get_lines_in_etc_modules(tmp_path: Path) -> None:
    file = _write(tmp_path, "etc/modules", "# list\naf_packet\nipv6 disable=1")
    assert persist_modules(["ipv6", "br-netfilter"], root=tmp_path) == (file, ("br-netfilter",))
    assert file.read_text() == "# list\naf_packet\nipv6 disable=1\nbr-netfilter\n"


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    file, _ = persist_modules(["br_netfilter"], root=tmp_path)
    stamp = file.stat()
    assert persist_modules(["br-netfilter"], root=tmp_path) == (file, ())
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (stamp.st_ino, stamp.st_mtime_ns)


def test_only_what_is_not_loaded_is_loaded(tmp_path: Path) -> None:
    _write(tmp_path, "proc/modules", "nf_tables 300000 5 - Live 0x0\n")
    (tmp_path / "sys/module/overlay").mkdir(parents=True)
    asked: list[str] = []
    done = load_modules(["nf-tables", "overlay", "macvlan", "macvlan"], root=tmp_path, modprobe=asked.append)
    assert asked == ["macvlan"]
    assert done.loaded == ("macvlan",)
    assert done.persisted == ("nf-tables", "overlay", "macvlan")


def test_a_module_that_cannot_be_loaded_is_not_persisted(tmp_path: Path) -> None:
    def refuse(name: str) -> None:
        raise SystemFailure(f"cannot load module {name}")

    with pytest.raises(SystemFailure, match="macvlan"):
        load_modules(["macvlan"], root=tmp_path, modprobe=refuse)
    assert not (tmp_path / "etc").exists()


@pytest.mark.parametrize("name", ["", "-r", "../x", "a b", 'x"; reboot', "a\nb"])
def test_what_is_no_module_name_is_refused_before_anything_happens(tmp_path: Path, name: str) -> None:
    asked: list[str] = []
    with pytest.raises(InvalidParameter, match="not a module name"):
        load_modules(["loop", name], root=tmp_path, modprobe=asked.append)
    assert asked == []
    assert not (tmp_path / "etc").exists()
