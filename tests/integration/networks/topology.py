"""Hosts and neighbours made of namespaces: where the tests of networks happen, away from the machine's own network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[3]
HOST_ADDRESS, NEIGHBOUR_ADDRESS = "192.0.2.1", "192.0.2.2"

SERVER = """
import selectors, socket, sys
name, ports = sys.argv[1], [int(port) for port in sys.argv[2:]]
family = socket.AF_INET6
waiting = selectors.DefaultSelector()
for port in ports:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        one = socket.socket(family, kind)
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("::", port))
        if kind == socket.SOCK_STREAM:
            one.listen()
        waiting.register(one, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in waiting.select():
        if key.fileobj.type == socket.SOCK_STREAM:
            caller, address = key.fileobj.accept()
            caller.sendall((name + " " + address[0].removeprefix("::ffff:")).encode())
            caller.close()
        else:
            data, address = key.fileobj.recvfrom(100)
            key.fileobj.sendto((name + " " + address[0].removeprefix("::ffff:")).encode(), address)
"""
CLIENT = """
import socket, sys
address, port, protocol = sys.argv[1], int(sys.argv[2]), sys.argv[3]
kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
one.settimeout(float(sys.argv[4]))
try:
    one.connect((address, port))
    if protocol == "udp":
        one.send(b"?")
    print(one.recv(100).decode())
except OSError as error:
    sys.exit(str(error))
"""


class RemoteError(Exception):
    """What ``Networks`` raised, with the HTTP status that a client would see."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Node:
    """A network namespace that programs can be run in: a host, a neighbour, or a container by its path."""

    def __init__(self, enter: Sequence[str]) -> None:
        self._enter = list(enter)
        self._programs: list[subprocess.Popen[Any]] = []

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a program there."""
        return subprocess.run([*self._enter, *argv], capture_output=True, text=True, check=check, timeout=30)

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Starts a program that is spoken to by its standard input and output; it ends with the node."""
        program = subprocess.Popen([*self._enter, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._programs.append(program)
        return program

    def serve(self, name: str, *ports: int) -> None:
        """Starts a server that answers every TCP connection and UDP packet with its name and the caller's address."""
        command = [*self._enter, sys.executable, "-S", "-c", SERVER, name, *map(str, ports)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE)
        self._programs.append(server)
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"

    def ask(self, address: str, port: int, protocol: str = "tcp", timeout: float = 1.0) -> str | None:
        """What answers at that address, or None when nothing does."""
        command = (sys.executable, "-S", "-c", CLIENT, address, str(port), protocol, str(timeout))
        done = self.run(*command, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def end(self) -> None:
        """Ends the programs."""
        for program in self._programs:
            program.kill()
            program.communicate()
        self._programs.clear()


class Namespaces(Node):
    """New mount and network namespaces, held by a sleeping process, with the loopback up."""

    def __init__(self) -> None:
        script = "mount -t sysfs sysfs /sys && ip link set lo up && echo ready && exec sleep infinity"
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-ec", script], stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"
        super().__init__(["nsenter", "--target", str(self.pid), "--mount", "--net", "--wd=/"])

    @property
    def pid(self) -> int:
        """The process that holds the namespaces."""
        return self._holder.pid

    def end(self) -> None:
        """Ends programs and namespaces."""
        super().end()
        self._holder.kill()
        self._holder.wait()


class Host(Namespaces):
    """A host with ``Networks`` running on it."""

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._root = Path(tempfile.mkdtemp(prefix="wn-", dir="/var/tmp"))
        self._settings = dict(settings or {})
        self._far: subprocess.Popen[str] | None = None
        self._nodes: list[Node] = []
        self.instance = ""

    def start(self) -> None:
        """Starts the far side; like a start of the agent."""
        environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'agent'}:{os.environ.get('PYTHONPATH', '')}"}
        program = Path(__file__).with_name("far_side.py")
        self._far = subprocess.Popen(
            [*self._enter, sys.executable, str(program), str(self._root), json.dumps(self._settings)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self.instance = self._answer()

    def restart(self, *, crash: bool = False, settings: Mapping[str, Any] | None = None) -> None:
        """Ends the far side, by SIGKILL for a crash, and starts it again."""
        if settings is not None:
            self._settings = dict(settings)
        self._stop(crash=crash)
        self.start()

    def call(self, name: str, /, **arguments: Any) -> Any:
        """Calls a method of ``Networks``; raises RemoteError for what it raises."""
        assert self._far is not None
        assert self._far.stdin is not None
        self._far.stdin.write(json.dumps({"call": name, "arguments": arguments}) + "\n")
        self._far.stdin.flush()
        return self._answer()

    def container(self, name: str, mode: str = "default", **attachment: Any) -> Container:
        """Attaches a container of that name; what it runs is up to the test."""
        identifier = name.encode().hex().ljust(64, "0")
        record = self.call("attach", container_id=identifier, name=name, mode=mode, **attachment)
        container = Container(self, identifier, record)
        self._nodes.append(container)
        return container

    def links(self) -> set[str]:
        """The names of the host's links."""
        return {link["ifname"] for link in json.loads(self.run("ip", "-json", "link").stdout)}

    def rules(self) -> str:
        """Everything in nftables."""
        return self.run("nft", "list", "ruleset").stdout

    def bridge_netfilter(self, on: bool) -> None:
        """Switches br_netfilter's detour of bridged packets through the packet filter, where the kernel has it."""
        self.run("sysctl", "-w", f"net.bridge.bridge-nf-call-iptables={int(on)}", check=False)

    def sysctl(self, name: str) -> str:
        """A kernel setting of the host."""
        return self.run("sysctl", "-n", name).stdout.strip()

    def end(self) -> None:
        """Ends everything and removes the state."""
        for node in self._nodes:
            node.end()
        self._stop(crash=True)
        for path in (self._root / "run" / "netns").glob("*"):
            self.run("umount", "--lazy", str(path), check=False)
        super().end()
        shutil.rmtree(self._root, ignore_errors=True)

    def _stop(self, *, crash: bool) -> None:
        if self._far is None:
            return
        if crash:
            self._far.kill()
        else:
            assert self._far.stdin is not None
            self._far.stdin.close()
        self._far.wait(10)

    def _answer(self) -> Any:
        assert self._far is not None
        assert self._far.stdout is not None
        line = self._far.stdout.readline()
        assert line, f"the far side ended with {self._far.wait(5)}"
        answer = json.loads(line)
        if "error" in answer:
            raise RemoteError(answer["error"], answer["status"])
        return answer["result"]


class Container(Node):
    """A container's sandbox: programs run in its network namespace."""

    def __init__(self, host: Host, identifier: str, record: Mapping[str, Any]) -> None:
        self.id = identifier
        self.record = record
        path = record["netns_path"]
        super().__init__([*host._enter, *(["nsenter", f"--net={path}"] if path else [])])

    @property
    def address(self) -> str:
        """The first IPv4 address."""
        return str(self.record["endpoints"][0]["ipv4"].partition("/")[0])

    def port(self, container_port: int = 80) -> int:
        """The host port that leads to a container port."""
        return next(one["host_port"] for one in self.record["ports"] if one["container_port"] == container_port)


def cable(one: Namespaces, other: Namespaces, first: str = HOST_ADDRESS, second: str = NEIGHBOUR_ADDRESS) -> None:
    """Joins two hosts by a link, ``eth0`` at both ends, on one subnet."""
    one.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", str(other.pid))
    for node, address in ((one, first), (other, second)):
        node.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
        node.run("ip", "link", "set", "eth0", "up")
