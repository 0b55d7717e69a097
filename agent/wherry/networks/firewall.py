"""Keeps Wherry's nftables table equal to what is wanted: small transactions for changes, a whole one for repair.

The wanted state is held here and rebuilt from the records when the agent starts. No other table is read or written.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Sequence

from wherry.aio import in_thread
from wherry.errors import SystemFailure
from wherry.networks.rules import (
    BridgeRules,
    Element,
    PortRule,
    bridge_elements,
    element_change,
    port_elements,
    remove_table,
    whole_table,
)

_REMEMBERED_PROCESSES = 256
_SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


class Firewall:
    """The table ``inet <instance>``: present while there is a bridge or a port to guard."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._bridges: dict[str, BridgeRules] = {}
        self._ports: dict[str, tuple[PortRule, ...]] = {}
        self._guard = False
        self._lock = asyncio.Lock()
        self._present = False
        self._own_processes: deque[int] = deque(maxlen=_REMEMBERED_PROCESSES)

    @property
    def table(self) -> str:
        """The name of the table."""
        return self._table

    @property
    def present(self) -> bool:
        """Whether the table has been made."""
        return self._present

    def made_by(self, process: int) -> bool:
        """Whether a change of the table came from here (a number as in ``nlmsg_pid`` of the announcement)."""
        return process in self._own_processes

    def expect(self, bridges: Sequence[BridgeRules], ports: dict[str, tuple[PortRule, ...]], *, guard: bool) -> None:
        """Takes the wanted state from the records, without touching the kernel; ``rebuild`` follows."""
        self._bridges = {bridge.link: bridge for bridge in bridges}
        self._ports = dict(ports)
        self._guard = guard

    async def rebuild(self) -> None:
        """Replaces the table as a whole by what is wanted."""
        async with self._lock:
            await self._replace()

    async def add_bridge(self, bridge: BridgeRules, *, guard: bool) -> None:
        """Guards one more bridge. ``guard``: forwarding was switched on by this agent."""
        async with self._lock:
            self._bridges[bridge.link] = bridge
            whole = guard != self._guard
            self._guard = guard
            await self._change("add", [] if whole else bridge_elements(bridge))

    async def drop_bridge(self, link: str) -> None:
        """Forgets a bridge."""
        async with self._lock:
            bridge = self._bridges.pop(link, None)
            if bridge is not None:
                await self._change("delete", bridge_elements(bridge))

    async def publish(self, owner: str, ports: tuple[PortRule, ...]) -> None:
        """Publishes the ports of a container, in place of those that it had."""
        async with self._lock:
            before = self._ports.pop(owner, ())
            if ports:
                self._ports[owner] = ports
            old = dict.fromkeys(element for port in before for element in port_elements(port))
            new = dict.fromkeys(element for port in ports for element in port_elements(port))
            removed = [element for element in old if element not in new]
            added = [element for element in new if element not in old]
            if removed or added:
                await self._commit(
                    element_change("delete", self._table, removed) + element_change("add", self._table, added)
                )

    async def withdraw(self, owner: str) -> None:
        """No port of that container is published any more."""
        await self.publish(owner, ())

    async def remove(self) -> None:
        """Takes the table away."""
        async with self._lock:
            self._bridges.clear()
            self._ports.clear()
            await self._run(remove_table(self._table))
            self._present = False

    async def _change(self, verb: str, elements: Sequence[Element]) -> None:
        if elements:
            await self._commit(element_change(verb, self._table, elements))
        else:
            await self._replace()

    async def _commit(self, transaction: str) -> None:
        """Carries out a change; where the table is not as it was left, the whole table takes its place."""
        if self._present:
            try:
                await self._run(transaction)
                return
            except SystemFailure:
                self._present = False
        await self._replace()

    async def _replace(self) -> None:
        ports = [port for owned in self._ports.values() for port in owned]
        text = whole_table(self._table, self._bridges.values(), ports, guard=self._guard)
        await self._run(text)
        self._present = True

    async def _run(self, transaction: str) -> None:
        await in_thread(run_nft, transaction, self._own_processes.append)


def run_nft(transaction: str, started: Callable[[int], None]) -> None:
    """Hands one transaction to the nft program (nft(8), ``-f -``): all of it happens, or nothing.

    ``started`` is told the process before it can act: the kernel names it when it announces the change.
    """
    program = shutil.which("nft", path=os.environ.get("PATH", "") + ":" + _SYSTEM_PATH)
    if program is None:
        raise SystemFailure(
            "the program nft is missing, without which no bridge network can be guarded: install nftables"
        )
    pipe = subprocess.PIPE
    with subprocess.Popen([program, "-f", "-"], stdin=pipe, stdout=pipe, stderr=pipe) as process:
        started(process.pid)
        _output, complaint = process.communicate(transaction.encode())
    if process.returncode:
        words = complaint.decode("utf-8", "replace").strip().splitlines()
        raise SystemFailure(f"nftables refused a change: {words[0] if words else 'no reason given'}")
