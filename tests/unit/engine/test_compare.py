"""Equal means equal in effect: what is spelled otherwise is no difference, what has another effect is one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from wherry.containers.model import Container, NetworkingConfig
from wherry.engine.compare import differences
from wherry.engine.documents import parse_all
from wherry.engine.documents.container import ContainerDocument
from wherry.engine.documents.container_properties import PROPERTIES
from wherry.engine.documents.property import Draft
from wherry.images.model import ImageConfig

IMAGE = ImageConfig(env=("PATH=/bin",), labels={"from": "image"}, volumes=("/data",), exposed_ports=("9/tcp",))


def document(**options: Any) -> ContainerDocument:
    (found,) = parse_all([{"kind": "container", "name": "web", **options}])
    assert isinstance(found, ContainerDocument)
    return found


def made_from(declared: ContainerDocument) -> Container:
    """A container as creation records it, with the image's defaults merged in."""
    draft = Draft()
    for option, value in declared.declared.items():
        draft = PROPERTIES[option].write(draft, value)
    config = replace(
        draft.config,
        env=(*draft.config.env, *IMAGE.env),
        labels={**IMAGE.labels, **draft.config.labels},
        volumes=(*IMAGE.volumes, *draft.config.volumes),
        exposed_ports=(*IMAGE.exposed_ports, *draft.config.exposed_ports),
    )
    return Container("f" * 64, "web", "", "sha256:0", "", (), config, draft.host, NetworkingConfig(), ())


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [one.option for one in differences(document(**after), made_from(document(**before)), IMAGE)]


SAME = [
    ({"memory": "1g"}, {"memory": "1073741824"}),
    ({"cpus": 0.5}, {"cpus": "0.50"}),
    ({"cpuset_cpus": "0-3"}, {"cpuset_cpus": "3,0,1-2"}),
    ({"published_ports": ["80:80"]}, {"published_ports": ["0.0.0.0:80:80/tcp"]}),
    ({"published_ports": ["80-81:80-81", "90:90"]}, {"published_ports": ["90:90", "81:81", "80:80"]}),
    ({"exposed_ports": ["80-81"]}, {"exposed_ports": ["81/tcp", "80"]}),
    ({"volumes": ["v:/a", "/b"]}, {"volumes": ["/b/", "v:/a:rw"]}),
    ({"env": {"A": "1", "B": "2"}}, {"env": {"B": "2", "A": "1"}}),
    ({"capabilities": ["NET_ADMIN"]}, {"capabilities": ["cap_net_admin"]}),
    ({"security_opts": ["no-new-privileges"]}, {"security_opts": ["no-new-privileges:true"]}),
    ({"command": "sleep 60"}, {"command": ["sleep", "60"]}),
    ({"tmpfs": ["/run:size=1m,mode=700"]}, {"tmpfs": ["/run:mode=700,size=1m"]}),
    ({"stop_signal": "SIGTERM"}, {"stop_signal": 15}),
    ({"mounts": [{"type": "volume", "source": "v", "target": "/a"}]}, {"mounts": [{"source": "v", "target": "/a/"}]}),
    ({"devices": ["/dev/null"]}, {"devices": ["/dev/null:/dev/null:rwm"]}),
    ({"ulimits": ["nofile:10:10"]}, {"ulimits": ["nofile:10"]}),
    ({"dns_servers": ["2001:DB8::1"]}, {"dns_servers": ["2001:db8:0::1"]}),
    ({"memory": "1g"}, {}),
]

OTHER = [
    ({"memory": "1g"}, {"memory": "2g"}, "memory"),
    ({"published_ports": ["80:80"]}, {"published_ports": ["81:80"]}, "published_ports"),
    ({"published_ports": ["80:80"]}, {"published_ports": ["127.0.0.1:80:80"]}, "published_ports"),
    ({"published_ports": ["80:80"]}, {"published_ports": ["80:80/udp"]}, "published_ports"),
    ({"volumes": ["v:/a"]}, {"volumes": ["v:/a:ro"]}, "volumes"),
    ({"env": {"A": "1"}}, {"env": {"A": "2"}}, "env"),
    ({"command": "sleep 60"}, {"command": "sleep 61"}, "command"),
    ({"dns_servers": ["10.0.0.1", "10.0.0.2"]}, {"dns_servers": ["10.0.0.2", "10.0.0.1"]}, "dns_servers"),
    ({}, {"tty": True}, "tty"),
    ({}, {"labels": {"a": "b"}}, "labels"),
    ({"restart_policy": "always"}, {"restart_policy": "no"}, "restart_policy"),
]


@pytest.mark.parametrize(("before", "after"), SAME, ids=str)
def test_another_spelling_is_no_difference(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert changed(before, after) == []


@pytest.mark.parametrize(("before", "after", "option"), OTHER, ids=str)
def test_another_effect_is_a_difference(before: dict[str, Any], after: dict[str, Any], option: str) -> None:
    assert changed(before, after) == [option]


def test_more_than_declared_does_not_matter_unless_compared_strictly() -> None:
    before = {"env": {"A": "1", "B": "2"}}
    assert changed(before, {"env": {"A": "1"}}) == []
    assert changed(before, {"env": {"A": "1"}, "comparisons": {"env": "strict"}}) == ["env"]
    assert changed(before, {"env": {"A": "1"}, "comparisons": {"*": "strict"}}) == ["env"]


@pytest.mark.parametrize("option", ["env", "labels", "volumes", "exposed_ports"])
def test_what_comes_from_the_image_is_no_difference_even_strictly(option: str) -> None:
    value = {"env": {"A": "1"}, "labels": {"a": "1"}, "volumes": ["/a"], "exposed_ports": ["80"]}[option]
    assert changed({option: value}, {option: value, "comparisons": {"*": "strict"}}) == []


def test_an_ignored_option_is_not_compared() -> None:
    assert changed({"env": {"A": "1"}}, {"env": {"A": "2"}, "comparisons": {"env": "ignore"}}) == []


def test_a_list_may_hold_more_where_that_is_allowed() -> None:
    allow = {"comparisons": {"dns_servers": "allow_more_present"}}
    assert changed({"dns_servers": ["10.0.0.1", "10.0.0.2"]}, {"dns_servers": ["10.0.0.2"], **allow}) == []
    assert changed({"dns_servers": ["10.0.0.1"]}, {"dns_servers": ["10.0.0.2"], **allow}) == ["dns_servers"]


def test_limits_can_be_changed_in_place_but_not_lifted() -> None:
    def live(before: dict[str, Any], after: dict[str, Any]) -> list[bool]:
        return [one.live for one in differences(document(**after), made_from(document(**before)), IMAGE)]

    assert live({"memory": "64M"}, {"memory": "128M"}) == [True]
    assert live({"memory": "64M"}, {"memory": "0"}) == [False]
    assert live({"restart_policy": "always"}, {"restart_policy": "no"}) == [True]
    assert live({"tty": False}, {"tty": True}) == [False]


def test_differences_are_shown_in_the_words_of_the_options() -> None:
    (found,) = differences(
        document(published_ports=["127.0.0.1:81:80"]), made_from(document(published_ports=["80:80"])), IMAGE
    )
    assert (found.before, found.after) == (["80:80/tcp"], ["127.0.0.1:81:80/tcp"])
