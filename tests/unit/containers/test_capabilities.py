"""Which capabilities a container gets."""

from __future__ import annotations

import pytest

from wherry.containers.model import HostConfig
from wherry.containers.spec.capabilities import (
    ALL_CAPABILITIES,
    DEFAULT_CAPABILITIES,
    bounding_set,
    check,
    oci_sets,
    own_capabilities,
)
from wherry.errors import InvalidParameter

DEFAULT_BITS = 0xA80425FB
OWN = tuple(name for name in ALL_CAPABILITIES if name != "CAP_SYS_RESOURCE")


def bits(names: tuple[str, ...]) -> int:
    return sum(1 << ALL_CAPABILITIES.index(name) for name in names)


def test_default_set_is_the_fields_fourteen() -> None:
    assert len(DEFAULT_CAPABILITIES) == 14
    assert bits(bounding_set(HostConfig(), OWN)) == DEFAULT_BITS


def test_adding_and_dropping() -> None:
    changed = bounding_set(HostConfig(cap_add=("net_admin",), cap_drop=("CAP_MKNOD", "chown")), OWN)
    assert set(changed) == (set(DEFAULT_CAPABILITIES) | {"CAP_NET_ADMIN"}) - {"CAP_MKNOD", "CAP_CHOWN"}
    assert bounding_set(HostConfig(cap_drop=("ALL",), cap_add=("NET_RAW",)), OWN) == ("CAP_NET_RAW",)
    assert set(bounding_set(HostConfig(cap_add=("all",), cap_drop=("SYS_ADMIN",)), OWN)) == set(OWN) - {"CAP_SYS_ADMIN"}


def test_privileged_is_all_that_the_agent_has_and_no_more() -> None:
    assert bounding_set(HostConfig(privileged=True), OWN) == OWN


def test_inheritable_and_ambient_stay_empty_and_users_start_with_none() -> None:
    root, user = oci_sets(("CAP_CHOWN",), 0), oci_sets(("CAP_CHOWN",), 1000)
    assert root["inheritable"] == root["ambient"] == user["inheritable"] == user["ambient"] == []
    assert root["effective"] == root["permitted"] == ["CAP_CHOWN"]
    assert user["effective"] == user["permitted"] == []
    assert user["bounding"] == ["CAP_CHOWN"]


def test_unknown_name_is_refused() -> None:
    with pytest.raises(InvalidParameter, match='invalid CapDrop: unknown capability: "CAP_NONSENSE"'):
        check(HostConfig(cap_drop=("nonsense",)))


def test_own_capabilities_come_from_proc(tmp_path) -> None:  # type: ignore[no-untyped-def]
    status = tmp_path / "status"
    status.write_text("Name:\tx\nCapPrm:\t0000000000000003\nCapBnd:\t0000000000000001\n")
    assert own_capabilities(status) == ("CAP_CHOWN",)
