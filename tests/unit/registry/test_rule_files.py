"""hosts.toml and registries.conf are read as they are, again when they change, and refused with file and key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from wherry.errors import Forbidden, InvalidParameter
from wherry.registry.mirrors import Candidate, Mirrors, RegistrySettings
from wherry.state.database import Database
from wherry.state.mirrors import MirrorTable


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with certs.d and room for registries.conf."""
    (tmp_path / "certs.d").mkdir()
    return tmp_path


@pytest.fixture
def mirrors(place: Path) -> Mirrors:
    """The rules of that directory."""
    settings = RegistrySettings(
        certificate_directories=(place / "certs.d",), registries_conf=place / "registries.conf",
        hub_mirrors=("https://hub-mirror.test",),
    )  # fmt: skip
    return Mirrors(settings, MirrorTable(Database(place / "state.db")))


def hosts(place: Path, registry: str, text: str) -> Path:
    """Writes the hosts.toml of a registry."""
    folder = place / "certs.d" / registry
    folder.mkdir(exist_ok=True)
    (folder / "hosts.toml").write_text(text)
    return folder


def asked(candidates: Any) -> list[str]:
    """Where is asked, in order, as host/path."""
    return [f"{one.name}/{one.path}" for one in candidates]


def candidates(mirrors: Mirrors, name: str, **options: Any) -> list[Candidate]:
    return list(mirrors.candidates(name, None, **options))


def test_hosts_toml_gives_mirrors_in_order_with_all_their_settings(place: Path, mirrors: Mirrors) -> None:
    folder = hosts(
        place,
        "r.test:5000",
        """
server = "https://moved.test"
ca = "/etc/ssl/own.pem"

[host."https://first.test:8443"]
  capabilities = ["pull"]
  ca = ["one.pem", "/two.pem"]
  client = [["c.cert", "c.key"], ["both.pem", ""]]
  dial_timeout = "500ms"
  [host."https://first.test:8443".header]
    x-team = ["a", "b"]
    Authorization = "Bearer abc"

[host."http://second.test/proxy/cache"]
  capabilities = ["pull", "resolve", "push"]

[host."https://third.test/v2/own"]
  override_path = true
  skip_verify = true
""",
    )
    first, second, third, origin = candidates(mirrors, "r.test:5000/team/app")
    assert asked([first, second, third, origin]) == [
        "first.test:8443/team/app", "second.test/team/app", "third.test/team/app", "moved.test/team/app",
    ]  # fmt: skip
    assert first.capabilities == ("pull",) and second.capabilities == ("pull", "resolve")
    assert first.endpoint.settings.authorities == (str(folder / "one.pem"), "/two.pem")
    assert first.endpoint.settings.client_certificates == (
        (str(folder / "c.cert"), str(folder / "c.key")),
        (str(folder / "both.pem"), str(folder / "both.pem")),
    )
    assert first.endpoint.headers == (("x-team", "a"), ("x-team", "b"), ("Authorization", "Bearer abc"))
    assert first.endpoint.timeouts.connect == 0.5
    assert [one.endpoint.api_path for one in (first, second, third, origin)] == [
        "/v2", "/proxy/cache/v2", "/v2/own", "/v2",
    ]  # fmt: skip
    assert [one.endpoint.namespace for one in (first, origin)] == ["r.test:5000", ""]
    assert second.endpoint.plain_http and not second.endpoint.settings.verify
    assert not third.endpoint.settings.verify and not third.endpoint.insecure, "skip_verify allows no plain HTTP"
    assert origin.endpoint.settings.authorities == ("/etc/ssl/own.pem",) and not origin.mirror


def test_hosts_toml_of_the_default_and_with_underscores(place: Path, mirrors: Mirrors) -> None:
    hosts(place, "_default", '[host."https://any.test"]')
    hosts(place, "r.test_5000_", '[host."https://special.test"]')
    assert asked(candidates(mirrors, "r.test:5000/x")) == ["special.test/x", "r.test:5000/x"]
    assert asked(candidates(mirrors, "other.test/x")) == ["any.test/x", "other.test/x"]
    (place / "registries.conf").write_text('[[registry]]\nprefix = "*.corp.test"\nblocked = true\n')
    with pytest.raises(Forbidden, match=r"rule for \*\.corp\.test in .*registries\.conf"):
        candidates(mirrors, "a.corp.test/x")
    mirrors.set({"prefix": "r.test:5000", "mirrors": ["declared.test"]})
    assert asked(candidates(mirrors, "r.test:5000/x")) == ["declared.test/x", "r.test:5000/x"]


def test_registries_conf_gives_prefixes_locations_and_who_may_resolve(place: Path, mirrors: Mirrors) -> None:
    (place / "registries.conf").write_text("""
unqualified-search-registries = ["docker.io"]
[[registry]]
prefix = "r.test/team"
location = "moved.test/other"
insecure = true
[[registry.mirror]]
location = "m.test:5000/cache"
[[registry.mirror]]
location = "digest.test"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "tag.test"
insecure = true
pull-from-mirror = "tag-only"
[[registry]]
location = "docker.io"
mirror-by-digest-only = true
[[registry.mirror]]
location = "hub.test/proxy"
[[registry]]
prefix = "*.wild.test"
[[registry.mirror]]
location = "w.test/all"
""")
    found = candidates(mirrors, "r.test/team/app")
    assert asked(found) == ["m.test:5000/cache/app", "digest.test/app", "tag.test/app", "moved.test/other/app"]
    assert [one.capabilities for one in found[:3]] == [("pull", "resolve"), ("pull",), ("pull", "resolve")]
    assert found[2].endpoint.insecure and found[3].endpoint.insecure and not found[0].endpoint.insecure
    assert "tag.test/app" not in asked(candidates(mirrors, "r.test/team/app", by_digest=True))
    hub = candidates(mirrors, "docker.io/library/x")
    assert asked(hub) == ["hub.test/proxy/library/x", "registry-1.docker.io/library/x"]
    assert hub[0].capabilities == ("pull",)
    assert asked(candidates(mirrors, "a.wild.test/x")) == ["w.test/all/x", "a.wild.test/x"]


def test_drop_ins_replace_tables_and_changes_hold_at_once(place: Path, mirrors: Mirrors) -> None:
    conf, extra = place / "registries.conf", place / "registries.conf.d"
    extra.mkdir()
    conf.write_text('[[registry]]\nlocation = "r.test"\n[[registry.mirror]]\nlocation = "one.test"\n')
    assert asked(candidates(mirrors, "r.test/x"))[0] == "one.test/x"
    (extra / "10-own.conf").write_text(conf.read_text().replace("one.test", "two.test"))
    assert asked(candidates(mirrors, "r.test/x"))[0] == "two.test/x"
    (extra / "10-own.conf").unlink()
    conf.write_text(conf.read_text().replace("one.test", "six.test"))
    os.utime(conf, (1, 1))
    assert asked(candidates(mirrors, "r.test/x"))[0] == "six.test/x"
    assert [rule.source for rule in mirrors.effective()] == ["registry-mirrors", str(conf)]
    conf.unlink()
    assert asked(candidates(mirrors, "r.test/x")) == ["r.test/x"]
    assert asked(candidates(mirrors, "docker.io/library/x"))[0] == "hub-mirror.test/library/x"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("server =", "Invalid value"),
        ('colour = "red"', "colour: not supported"),
        ('[host."https://m.test"]\nfetch = 1', 'host."https://m.test".fetch: not supported'),
        ('[host."https://m.test"]\ncapabilities = ["fly"]', "a list of pull, resolve"),
        ('[host."ftp://m.test"]', "not a registry's address"),
        ('[host."https://u:p@m.test"]', "not a registry's address"),
        ('[host."https://m.test/../x"]', "not a path"),
        ('[host."https://m.test"]\nskip_verify = "yes"', "must be true or false"),
        ('[host."https://m.test"]\ndial_timeout = "soon"', "such as 3s"),
        ('[host."https://m.test".header]\nHost = "evil"', "not a header that can be set"),
        ('[host."https://m.test".header]\nX = "a\\r\\nEvil: 1"', "not the value of a header"),
    ],
)
def test_wrong_hosts_toml_stops_its_registry_and_no_other(
    place: Path, mirrors: Mirrors, text: str, message: str
) -> None:
    hosts(place, "r.test", text)
    with pytest.raises(InvalidParameter) as caught:
        mirrors.candidates("r.test/x", None)
    assert message in str(caught.value) and str(place / "certs.d/r.test/hosts.toml") in str(caught.value)
    assert asked(candidates(mirrors, "other.test/x")) == ["other.test/x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[registries.search]\nregistries = ["a"]', "version 1"),
        ("[[registry]]\nblocked = true", "registry[0]: prefix or location is required"),
        ('[[registry]]\nlocation = "r.test"\ncolour = 1', "registry[0].colour: not supported"),
        ('[[registry]]\nlocation = "r.test"\nblocked = "no"', "registry[0].blocked"),
        ('[[registry]]\nprefix = "https://r.test"', "registry[0].prefix"),
        ('[[registry]]\nlocation = "r.test"\n[[registry.mirror]]\nlocation = ""', "registry[0].mirror[0].location"),
        (
            '[[registry]]\nlocation = "r.test"\n[[registry.mirror]]\nlocation = "m.test"\npull-from-mirror = "never"',
            "one of all, digest-only, tag-only",
        ),
        ("nonsense = 1", "nonsense: not supported"),
        ("[[registry", "registries.conf"),
    ],
)
def test_wrong_registries_conf_is_refused_by_key(place: Path, mirrors: Mirrors, text: str, message: str) -> None:
    (place / "registries.conf").write_text(text)
    with pytest.raises(InvalidParameter) as caught:
        mirrors.candidates("r.test/x", None)
    assert message in str(caught.value) and str(place / "registries.conf") in str(caught.value)


def test_what_has_no_effect_is_named_once(place: Path, mirrors: Mirrors, caplog: pytest.LogCaptureFixture) -> None:
    (place / "registries.conf").write_text('unqualified-search-registries = ["quay.io"]\n[aliases]\nx = "r.test/x"\n')
    for _ in range(3):
        mirrors.candidates("r.test/x", None)
    assert len([line for line in caplog.messages if "unqualified-search-registries is not followed" in line]) == 1
    assert any("aliases is not followed" in line for line in caplog.messages)


def test_pipe_in_the_place_of_a_file_holds_nobody(place: Path, mirrors: Mirrors) -> None:
    os.mkfifo(place / "registries.conf")
    with pytest.raises(InvalidParameter, match="not a regular file"):
        mirrors.candidates("r.test/x", None)
