"""Links in the default network: variables, /etc/hosts, names in lists; across restarts, renames and removals."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.integration.containers.conftest import ask, eventually
from tests.integration.support.private_agent import PrivateAgent

SLEEP = ("sleep", "1000")


@pytest.fixture
def db(agent: PrivateAgent, busybox: str, name: str) -> Iterator[str]:
    """A running container that others link to."""
    chosen = f"{name}-db"
    agent.docker(
        "run", "--detach", "--name", chosen, "--hostname", "dbhost", "--expose", "5432", "--expose", "53/udp",
        "--env", "SECRET=no", busybox, *SLEEP,
    )  # fmt: skip
    yield chosen
    agent.docker("rm", "--force", chosen, check=False)


def address_of(agent: PrivateAgent, name: str) -> str:
    return agent.out("inspect", "--format", "{{.NetworkSettings.IPAddress}}", name)


def test_a_linked_container_is_told_of_in_variables_and_hosts(
    agent: PrivateAgent, busybox: str, name: str, db: str
) -> None:
    agent.docker("run", "--detach", "--name", name, "--link", f"{db}:my-db", busybox, *SLEEP)
    address = address_of(agent, db)
    told = dict(line.partition("=")[::2] for line in agent.out("exec", name, "env").splitlines())
    assert {key: value for key, value in told.items() if key.startswith("MY_DB")} == {
        "MY_DB_NAME": f"/{name}/my-db",
        "MY_DB_PORT": f"udp://{address}:53",
        "MY_DB_PORT_53_UDP": f"udp://{address}:53",
        "MY_DB_PORT_53_UDP_ADDR": address,
        "MY_DB_PORT_53_UDP_PORT": "53",
        "MY_DB_PORT_53_UDP_PROTO": "udp",
        "MY_DB_PORT_5432_TCP": f"tcp://{address}:5432",
        "MY_DB_PORT_5432_TCP_ADDR": address,
        "MY_DB_PORT_5432_TCP_PORT": "5432",
        "MY_DB_PORT_5432_TCP_PROTO": "tcp",
        "MY_DB_ENV_SECRET": "no",
    }
    assert f"{address}\tmy-db dbhost {db}" in agent.out("exec", name, "cat", "/etc/hosts").splitlines()
    agent.docker("exec", name, "ping", "-c", "1", "my-db")
    initial = agent.out("exec", name, "cat", "/proc/1/environ")
    assert "MY_DB_ENV_SECRET=no" in initial.split("\0")


def test_the_link_shows_in_inspect_and_in_the_list(agent: PrivateAgent, busybox: str, name: str, db: str) -> None:
    agent.docker("create", "--name", name, "--link", f"{db}:alias", "--link", db, busybox, *SLEEP)
    links = json.loads(agent.out("inspect", "--format", "{{json .HostConfig.Links}}", name))
    assert links == [f"/{db}:/{name}/alias", f"/{db}:/{name}/{db}"]
    listed = {line["Id"]: line for line in ask(agent, "GET", "/containers/json?all=1")[1]}
    names = next(line["Names"] for line in listed.values() if f"/{db}" in line["Names"])
    assert names == [f"/{db}", f"/{name}/alias", f"/{name}/{db}"]
    agent.docker("rm", "--link", f"{name}/alias")
    assert json.loads(agent.out("inspect", "--format", "{{json .HostConfig.Links}}", name)) == [f"/{db}:/{name}/{db}"]
    assert ask(agent, "DELETE", f"/containers/{name}/alias?link=1")[0] == 404


def test_a_restart_with_another_address_reaches_those_that_link(
    agent: PrivateAgent, busybox: str, name: str, db: str
) -> None:
    agent.docker("run", "--detach", "--name", name, "--link", f"{db}:db", busybox, *SLEEP)
    before = address_of(agent, db)
    agent.docker("stop", "--time", "0", db)
    agent.docker("run", "--detach", "--name", f"{name}-thief", busybox, *SLEEP)
    agent.docker("start", db)
    after = address_of(agent, db)
    assert before == address_of(agent, f"{name}-thief") != after
    eventually(lambda: f"{after}\tdb dbhost {db}" in agent.out("exec", name, "cat", "/etc/hosts").splitlines())
    assert f"DB_PORT_5432_TCP_ADDR={after}" in agent.out("exec", name, "env").splitlines()
    agent.docker("rm", "--force", f"{name}-thief")


def test_a_link_to_what_does_not_run_fails_the_start_by_name(
    agent: PrivateAgent, busybox: str, name: str, db: str
) -> None:
    agent.docker("stop", "--time", "0", db)
    failed = agent.docker("run", "--name", name, "--link", f"{db}:db", busybox, "true", check=False)
    assert f"Cannot link to a non running container: /{db} AS /{name}/db" in failed.stderr.decode()
    agent.docker("start", db)
    agent.docker("start", name)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--link", "nobody:x"), "could not get container for nobody"),
        (("--link", "a:b:c"), "bad format for links"),
        (("--network", "host", "--link", "{db}:x"), "host type networking can't be used with links"),
        (("--network", "container:{db}", "--link", "{db}:x"), "container type network can't be used with links"),
    ],
)
def test_what_cannot_be_linked_is_refused(
    agent: PrivateAgent, busybox: str, db: str, options: tuple[str, ...], said: str
) -> None:
    given = [option.replace("{db}", db) for option in options]
    refused = agent.docker("create", *given, busybox, "true", check=False)
    assert refused.returncode != 0
    assert said in refused.stderr.decode()
