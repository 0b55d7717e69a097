"""Names of containers in networks: asked from inside by the container's own tools, and by raw messages."""

from __future__ import annotations

import json
import struct
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.support.private_agent import PrivateAgent

Docker = Callable[..., subprocess.CompletedProcess[bytes]]
SLEEP = ("sleep", "1000")
SERVER = "127.0.0.11"


class Names:
    """Containers of one test, in networks of its own."""

    def __init__(self, agent: PrivateAgent, image: str, prefix: str) -> None:
        self.agent, self.image, self.prefix = agent, image, prefix
        self._containers: list[str] = []
        self._networks: list[str] = []

    def network(self, name: str, *options: str) -> str:
        full = f"{self.prefix}{name}"
        self.agent.docker("network", "create", *options, full)
        self._networks.append(full)
        return full

    def run(self, name: str, *options: str) -> str:
        full = f"{self.prefix}{name}"
        self.agent.docker("run", "--detach", "--name", full, *options, self.image, *SLEEP)
        self._containers.append(full)
        return full

    def address(self, name: str, network: str, key: str = "IPAddress") -> str:
        return self.agent.out(
            "inspect", "--format", f'{{{{(index .NetworkSettings.Networks "{network}").{key}}}}}', name
        )

    def addresses(self, container: str, name: str, kind: str = "a") -> list[str]:
        """What is found from inside the container, sorted."""
        if kind == "a":
            return sorted(line for line in resolve(self, container, name) if "." in line)
        done = self.agent.docker("exec", container, "nslookup", f"-type={kind}", name, check=False)
        _, _, answers = done.stdout.decode().partition("\n\n")
        return sorted(line.split(": ", 1)[1].strip() for line in answers.splitlines() if line.startswith("Address"))

    def clean(self) -> None:
        for container in self._containers:
            self.agent.docker("rm", "--force", container, check=False)
        for network in self._networks:
            self.agent.docker("network", "rm", network, check=False)


@pytest.fixture
def names(agent: PrivateAgent, busybox: str, request: pytest.FixtureRequest) -> Iterator[Names]:
    made = Names(agent, busybox, f"n{abs(hash(request.node.nodeid)) % 10**6}")
    yield made
    made.clean()


def test_containers_know_each_other_by_name_alias_id_and_host_name(names: Names) -> None:
    net = names.network("net")
    asker = names.run("asker", "--network", net)
    db = names.run("db", "--network", net, "--network-alias", "database", "--hostname", "dbhost")
    address = names.address(db, net)
    short_id = names.agent.out("inspect", "--format", "{{.Id}}", db)[:12]
    for name in (db, db.upper(), "database", short_id, "dbhost", f"{db}.{net}"):
        assert names.addresses(asker, name) == [address], name
    assert names.agent.out("exec", asker, "cat", "/etc/resolv.conf").splitlines()[0] == f"nameserver {SERVER}"
    names.agent.docker("exec", asker, "ping", "-c", "1", db)
    assert f"Address: {address}" in names.agent.out("exec", asker, "nslookup", db).splitlines()
    shown = json.loads(names.agent.out("inspect", db))[0]["NetworkSettings"]["Networks"][net]
    assert shown["DNSNames"] == [db, "database", short_id, "dbhost"]


def test_addresses_lead_back_to_names(names: Names) -> None:
    net = names.network("net")
    asker = names.run("asker", "--network", net)
    db = names.run("db", "--network", net)
    found = names.agent.out("exec", asker, "nslookup", names.address(db, net))
    assert f"name = {db}.{net}" in found


def test_an_alias_of_several_containers_has_all_their_addresses(names: Names) -> None:
    net = names.network("net")
    asker = names.run("asker", "--network", net)
    several = [names.run(f"web{number}", "--network", net, "--network-alias", "web") for number in range(3)]
    expected = sorted(names.address(one, net) for one in several)
    assert names.addresses(asker, "web") == expected
    firsts = {resolve(names, asker, "web")[0] for _ in range(40)}
    assert firsts == set(expected), "the order never changes"
    names.agent.docker("stop", "--time", "0", several[0])
    assert names.addresses(asker, "web") == sorted(names.address(one, net) for one in several[1:])


def test_nothing_leaks_between_networks(names: Names) -> None:
    left, right = names.network("left", "--internal"), names.network("right", "--internal")
    asker = names.run("asker", "--network", left)
    names.run("other", "--network", right, "--network-alias", "secret")
    assert names.addresses(asker, "secret") == []
    default = names.run("default")
    assert SERVER not in names.agent.out("exec", default, "cat", "/etc/resolv.conf")


def test_what_a_running_container_is_plugged_into_counts_at_once(names: Names) -> None:
    net = names.network("net")
    db = names.run("db", "--network", net, "--dns", "127.0.0.1")
    late = names.run("late")
    assert SERVER not in names.agent.out("exec", late, "cat", "/etc/resolv.conf")
    names.agent.docker("network", "connect", "--alias", "newcomer", net, late)
    assert names.addresses(late, db) == [names.address(db, net)]
    assert names.addresses(db, "newcomer") == [names.address(late, net)]
    names.agent.docker("network", "disconnect", net, late)
    assert names.addresses(db, "newcomer") == []


def test_a_renamed_container_has_its_new_name(names: Names) -> None:
    net = names.network("net", "--internal")
    asker = names.run("asker", "--network", net)
    old = names.run("old", "--network", net)
    names.agent.docker("rename", old, f"{old}er")
    names._containers.append(f"{old}er")
    assert names.addresses(asker, f"{old}er") == [names.address(f"{old}er", net)]
    assert names.addresses(asker, old) == []


def test_links_are_names_for_one_container_alone(names: Names) -> None:
    net = names.network("net", "--internal")
    db = names.run("db", "--network", net)
    asker = names.run("asker", "--network", net, "--link", f"{db}:store")
    other = names.run("other", "--network", net)
    assert names.addresses(asker, "store") == [names.address(db, net)]
    assert names.addresses(other, "store") == []
    shown = json.loads(names.agent.out("inspect", asker))[0]["NetworkSettings"]["Networks"][net]
    assert shown["Links"] == [f"{db}:store"]


def test_names_have_addresses_of_both_kinds(names: Names) -> None:
    net = names.network("net", "--ipv6", "--subnet", "fd00:77::/64")
    asker = names.run("asker", "--network", net)
    db = names.run("db", "--network", net)
    assert names.addresses(asker, db, "aaaa") == [names.address(db, net, "GlobalIPv6Address")]
    plain = names.network("plain")
    lone = names.run("lone", "--network", plain)
    assert names.addresses(lone, lone, "aaaa") == [], "a known name without such an address has none, it is not unknown"


def test_a_container_can_run_a_server_of_its_own_on_every_address(names: Names) -> None:
    net = names.network("net")
    asker = names.run("asker", "--network", net)
    pid = names.agent.out("inspect", "--format", "{{.State.Pid}}", asker)
    with subprocess.Popen(
        ["nsenter", f"--net=/proc/{pid}/ns/net", "/usr/bin/python3", "-c", OWN_SERVER], stdout=subprocess.PIPE
    ) as own:
        assert own.stdout is not None
        assert own.stdout.readline() == b"bound\n"
        assert names.addresses(asker, asker) == [names.address(asker, net)]
        own.kill()


OWN_SERVER = textwrap.dedent("""
    import socket, time
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("0.0.0.0", 53))
    tcp = socket.socket()
    tcp.bind(("0.0.0.0", 53))
    tcp.listen()
    print("bound", flush=True)
    time.sleep(60)
""")


def test_names_live_on_when_the_agent_is_killed(own_agent: PrivateAgent, own_busybox: str) -> None:
    names = Names(own_agent, own_busybox, "k")
    net = names.network("net")
    asker, db = names.run("asker", "--network", net), names.run("db", "--network", net)
    address = names.address(db, net)
    own_agent.restart(crash=True)
    assert names.addresses(asker, db) == [address]
    names.clean()


# ---- the rest is asked of others


@pytest.fixture
def upstream(agent: PrivateAgent, tmp_path: Path) -> Iterator[str]:
    """A DNS server on the agent's host that knows every name: TXT-less, 192.0.2.7 for A. Yields its address."""
    script = tmp_path / "upstream.py"
    script.write_text(textwrap.dedent(UPSTREAM))
    address = agent.out("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", "bridge")
    agent.docker("run", "--rm", "busybox:test", "true")  # the bridge is made at its first container
    command = agent.enter(["/usr/bin/python3", str(script), address])
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield address
        server.kill()


UPSTREAM = """
    import socket, struct, sys, threading

    def answer(query, truncated):
        end = 12
        while query[end]:
            end += query[end] + 1
        question = query[12:end + 5]
        flags = 0x8380 if truncated else 0x8180
        head = query[:2] + struct.pack(">HHHHH", flags, 1, 0 if truncated else 1, 0, 0)
        record = b"\\xc0\\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes([192, 0, 2, 7])
        return head + question + (b"" if truncated else record)

    def tcp(listener):
        while True:
            connection, _ = listener.accept()
            with connection:
                (length,) = struct.unpack(">H", connection.recv(2))
                reply = answer(connection.recv(length), False)
                connection.sendall(struct.pack(">H", len(reply)) + reply)

    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((sys.argv[1], 53))
    listener = socket.create_server((sys.argv[1], 53))
    threading.Thread(target=tcp, args=(listener,), daemon=True).start()
    print("ready", flush=True)
    while True:
        query, client = udp.recvfrom(65535)
        forged = bytes([query[0] ^ 255]) + answer(query, False)[1:-4] + bytes([6, 6, 6, 6])
        if b"forged" in query:
            udp.sendto(forged, client)
        if b"silent" not in query:
            udp.sendto(answer(query, b"large" in query), client)
"""


def resolve(names: Names, container: str, name: str, *, tcp: bool = False) -> list[str]:
    """Asks from inside the container's network namespace with a message of our own."""
    pid = names.agent.out("inspect", "--format", "{{.State.Pid}}", container)
    done = subprocess.run(
        ["nsenter", f"--net=/proc/{pid}/ns/net", "/usr/bin/python3", "-c", ASK, name, "tcp" if tcp else "udp"],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    return done.stdout.split()


ASK = textwrap.dedent("""
    import socket, struct, sys
    name, kind = sys.argv[1:]
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = struct.pack(">HHHHHH", 4711, 0x100, 1, 0, 0, 0) + labels + b"\\0" + struct.pack(">HH", 1, 1)
    if kind == "tcp":
        connection = socket.create_connection(("127.0.0.11", 53), 10)
        connection.sendall(struct.pack(">H", len(query)) + query)
        reply = connection.recv(65535)[2:]
    else:
        connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        connection.settimeout(15)
        connection.connect(("127.0.0.11", 53))
        connection.send(query)
        reply = connection.recv(65535)
    number, flags, _, count = struct.unpack_from(">HHHH", reply)
    assert number == 4711
    if flags & 0xF or flags & 0x200:
        print("truncated" if flags & 0x200 else f"rcode{flags & 0xF}")
    for index in range(count):
        print(socket.inet_ntoa(reply[len(query) + 16 * index + 12:][:4]))
""")


def test_other_names_are_asked_of_the_given_server(names: Names, upstream: str) -> None:
    asker = names.run("asker", "--network", names.network("net"), "--dns", upstream)
    assert resolve(names, asker, "example.test") == ["192.0.2.7"]
    assert resolve(names, asker, "example.test", tcp=True) == ["192.0.2.7"]
    assert names.agent.out("exec", asker, "cat", "/etc/resolv.conf").splitlines()[0] == f"nameserver {SERVER}"


def test_a_large_answer_sends_the_client_to_tcp(names: Names, upstream: str) -> None:
    asker = names.run("asker", "--network", names.network("net"), "--dns", upstream)
    assert resolve(names, asker, "large.test") == ["truncated"]
    assert resolve(names, asker, "large.test", tcp=True) == ["192.0.2.7"]


def test_an_answer_under_another_number_is_not_believed(names: Names, upstream: str) -> None:
    asker = names.run("asker", "--network", names.network("net"), "--dns", upstream)
    assert resolve(names, asker, "forged.test") == ["192.0.2.7"]


def test_names_of_a_network_are_never_asked_of_others(names: Names, upstream: str) -> None:
    net = names.network("net")
    asker = names.run("asker", "--network", net, "--dns", upstream)
    assert resolve(names, asker, asker) == [names.address(asker, net)]
    assert names.addresses(asker, asker, "aaaa") == []


def test_an_internal_network_has_no_way_out_for_questions(names: Names, upstream: str) -> None:
    inside = names.network("inside", "--internal")
    asker = names.run("asker", "--network", inside, "--dns", upstream)
    assert resolve(names, asker, "exfiltrated.test") == ["rcode2"]
    assert resolve(names, asker, asker) == [names.address(asker, inside)]


def test_a_silent_server_is_an_answer_in_the_end_and_holds_nobody_up(names: Names, upstream: str) -> None:
    asker = names.run("asker", "--network", names.network("net"), "--dns", upstream)
    pid = names.agent.out("inspect", "--format", "{{.State.Pid}}", asker)
    with subprocess.Popen(
        ["nsenter", f"--net=/proc/{pid}/ns/net", "/usr/bin/python3", "-c", ASK, "silent.test", "udp"],
        stdout=subprocess.PIPE, text=True,
    ) as waiting:  # fmt: skip
        began = time.monotonic()
        assert resolve(names, asker, "example.test") == ["192.0.2.7"]
        assert time.monotonic() - began < 3
        assert waiting.communicate(timeout=30)[0].split() == ["rcode2"]


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 5, b"\xff" * 12, struct.pack(">HHHHHH", 1, 0, 1, 0, 0, 0) + b"\x3f" + b"a" * 5, b"\0\x01" * 300],
)
def test_nonsense_is_no_harm(names: Names, data: bytes) -> None:
    asker = names.run("asker", "--network", names.network("net"))
    pid = names.agent.out("inspect", "--format", "{{.State.Pid}}", asker)
    before = len(names.agent.log_text())
    send = "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
    send += "s.sendto(bytes.fromhex(sys.argv[1]), ('127.0.0.11', 53))"
    subprocess.run(
        ["nsenter", f"--net=/proc/{pid}/ns/net", "/usr/bin/python3", "-c", send, data.hex()], check=True, timeout=30
    )
    assert resolve(names, asker, asker)
    assert "Traceback" not in names.agent.log_text()[before:]


def test_ten_thousand_questions_are_answered_in_time(names: Names) -> None:
    asker = names.run("asker", "--network", names.network("net"))
    pid = names.agent.out("inspect", "--format", "{{.State.Pid}}", asker)
    done = subprocess.run(
        ["nsenter", f"--net=/proc/{pid}/ns/net", "/usr/bin/python3", "-c", FLOOD, asker],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    answered, seconds = done.stdout.split()
    assert int(answered) == 10000
    assert float(seconds) < 20  # generous: some 2 s on a quiet machine


FLOOD = textwrap.dedent("""
    import socket, struct, sys, time
    name = sys.argv[1]
    question = bytes([len(name)]) + name.encode() + b"\\0" + struct.pack(">HH", 1, 1)
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    connection.settimeout(5)
    connection.connect(("127.0.0.11", 53))
    began, answered = time.monotonic(), 0
    for burst in range(200):
        for number in range(50):
            connection.send(struct.pack(">HHHHHH", number, 0x100, 1, 0, 0, 0) + question)
        for number in range(50):
            answered += connection.recv(512)[3] & 0xF == 0
    print(answered, time.monotonic() - began)
""")
