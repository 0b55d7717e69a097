"""What an agent has in the kernel and on disk, held against what its API says: every difference is a leak or a loss."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from tests.integration.stress.engine_client import Engine
from tests.integration.support.private_agent import PrivateAgent

SETTLE_SECONDS = 30.0
CGROUPS = Path("/sys/fs/cgroup")


async def differences(agent: PrivateAgent, *, rules: bool = True) -> list[str]:
    """What is there and should not be, and what should be and is not; waits until it is settled, at most half a minute.

    ``rules``: the packet filter too, which costs a process.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        found = await _differences(agent, rules)
        if not found or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.05)


async def _differences(agent: PrivateAgent, rules: bool) -> list[str]:
    engine = Engine(agent.socket)
    containers = await engine.want("GET", "/containers/json", all=1)
    inspected = []
    for one in containers:
        answer = await engine.ask("GET", f"/containers/{one['Id']}/json")
        if answer.status == 200:
            inspected.append(answer.json)
    networks = await engine.want("GET", "/networks")
    volumes = (await engine.want("GET", "/volumes"))["Volumes"] or []
    images = await engine.want("GET", "/images/json", all=1)
    running = {one["Id"]: one for one in inspected if one["State"]["Running"] or one["State"]["Restarting"]}
    found = [f"{one['Name']} is {one['State']['Status']}" for one in inspected if one["State"]["Status"] == "removing"]
    found += _of_mounts(agent, running, volumes)
    found += _of_directories(agent, {one["Id"] for one in inspected}, running, volumes)
    found += _of_images(agent, images)
    found += _of_groups(agent, set(running))
    found += _of_processes(agent, running)
    found += _of_links(agent, running, networks)
    found += await _of_addresses(engine, networks, running)
    if rules:
        found += _of_rules(agent, running)
    return found


def _compare(what: str, there: set[str], wanted: set[str]) -> list[str]:
    return [f"{what} {name} is left over" for name in sorted(there - wanted)] + [
        f"{what} {name} is missing" for name in sorted(wanted - there)
    ]


def mounts_of(agent: PrivateAgent) -> list[str]:
    """Mount points below the agent's place, in its own mount namespace."""
    lines = Path(f"/proc/{agent.holder_pid}/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines if line.split()[4].startswith(f"{agent.place}/")]


def _of_mounts(agent: PrivateAgent, running: dict[str, Any], volumes: list[Any]) -> list[str]:
    wanted = [str(agent.data_root / "containers" / name / "rootfs") for name in running]
    wanted += [str(agent.exec_root / "netns" / name) for name, one in running.items() if _has_own_network(one)]
    used = {mount.get("Name") for one in running.values() for mount in one["Mounts"]}
    wanted += [one["Mountpoint"] for one in volumes if one.get("Options") and one["Name"] in used]
    there = mounts_of(agent)
    found = _compare("mount", set(there), set(wanted))
    return found + [f"mount {name} is there twice" for name in sorted({one for one in there if there.count(one) > 1})]


def _has_own_network(container: Any) -> bool:
    mode = container["HostConfig"]["NetworkMode"]
    return mode != "host" and not mode.startswith("container:")


def _names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()} if directory.is_dir() else set()


def _of_directories(agent: PrivateAgent, known: set[str], running: dict[str, Any], volumes: list[Any]) -> list[str]:
    found = _compare("directory containers", _names(agent.data_root / "containers"), known)
    runs = _names(agent.exec_root / "containers")
    found += [f"directory run/containers {name} is left over" for name in sorted(runs - known)]
    found += [f"directory run/containers {name} is missing" for name in sorted(set(running) - runs)]
    records = {name for name in _names(agent.exec_root / "runtime") if name[0] != "."}
    found += _compare("runtime's record", records, set(running))
    found += _compare("directory volumes", _names(agent.data_root / "volumes"), {one["Name"] for one in volumes})
    found += [f"temporary file {name}" for name in sorted(_names(agent.data_root / "tmp"))]
    return found


def _of_images(agent: PrivateAgent, images: list[Any]) -> list[str]:
    found = [f"{name} in ingest" for name in _names(agent.data_root / "images/ingest") if not name.endswith(".part")]
    found += [f"layer {name}" for name in _names(agent.data_root / "layers") if name.startswith(".")]
    blobs = _names(agent.data_root / "images/blobs/sha256")
    needed: set[str] = set()
    for image in images:
        needed.add(image["Id"][7:])
    index = json.loads((agent.data_root / "images/index.json").read_bytes())
    for entry in index["manifests"]:
        path = agent.data_root / "images/blobs/sha256" / entry["digest"][7:]
        if not path.exists():
            found.append(f"manifest {entry['digest']} is missing")
            continue
        manifest = json.loads(path.read_bytes())
        needed |= {entry["digest"][7:], *(one["digest"][7:] for one in manifest["layers"])}
        needed.add(manifest["config"]["digest"][7:])
    return found + _compare("blob", blobs, needed)


def _of_groups(agent: PrivateAgent, running: set[str]) -> list[str]:
    there = {path.name for path in CGROUPS.glob(f"*/{agent.instance}/*") if path.is_dir()}
    return _compare("control group", there, running)


def _of_processes(agent: PrivateAgent, running: dict[str, Any]) -> list[str]:
    """Monitors, runtimes and processes in containers' groups that belong to no running container."""
    found = []
    pids = {one["State"]["Pid"] for one in running.values()}
    own = {os.getpid(), agent.holder_pid, agent.pid}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) in own:
            continue
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            group = (entry / "cgroup").read_text()
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent in own or "docker-registry" in command:
                continue
            named = str(agent.place) in command
            if f"/{agent.instance}/" in group:
                container = group.partition(f"/{agent.instance}/")[2][:64]
                if container not in running:
                    found.append(f"process {entry.name} of no running container: {command[:100]}")
            elif named and not any(identity in command for identity in running):
                found.append(f"process {entry.name}: {command[:300]}")
            pids.discard(int(entry.name))
    return found + [f"process {pid} of a running container is missing" for pid in sorted(pids)]


def links_of(agent: PrivateAgent) -> set[str]:
    """Names of the network links of the agent's host side, but its loopback."""
    lines = Path(f"/proc/{agent.holder_pid}/net/dev").read_text().splitlines()[2:]
    return {line.partition(":")[0].strip() for line in lines} - {"lo"}


def _of_links(agent: PrivateAgent, running: dict[str, Any], networks: list[Any]) -> list[str]:
    links = links_of(agent)
    cables = {name for name in links if name.startswith("v")}
    plugged = sum(
        1 for one in running.values() for end in one["NetworkSettings"]["Networks"].values() if end["IPAddress"]
    )
    found = [] if len(cables) == plugged else [f"{len(cables)} cables for {plugged} endpoints: {sorted(cables)}"]
    bridges = len(links - cables)
    made = sum(1 for one in networks if one["Driver"] == "bridge" and one["Name"] != "bridge")
    if not made <= bridges <= made + 1:  # the default bridge waits for its first container
        found.append(f"{bridges} bridges for {made} networks: {sorted(links - cables)}")
    return found


async def _of_addresses(engine: Engine, networks: list[Any], running: dict[str, Any]) -> list[str]:
    found = []
    for network in networks:
        shown = await engine.ask("GET", f"/networks/{network['Id']}")
        held = set(shown.json.get("Containers") or {}) if shown.status == 200 else set()
        wanted = {
            name
            for name, one in running.items()
            if any(end["NetworkID"] == network["Id"] for end in one["NetworkSettings"]["Networks"].values())
        }
        if network["Driver"] == "bridge":
            found += _compare(f"address of network {network['Name']} for", held, wanted)
    addresses = [
        end["IPAddress"]
        for one in running.values()
        for end in one["NetworkSettings"]["Networks"].values()
        if end["IPAddress"]
    ]
    return found + [f"address {one} twice" for one in sorted({one for one in addresses if addresses.count(one) > 1})]


def _of_rules(agent: PrivateAgent, running: dict[str, Any]) -> list[str]:
    listed = agent.run("nft", "-j", "list", "ruleset", check=False)
    document = json.loads(listed.stdout) if listed.stdout.strip() else {"nftables": []}
    sets = [one for entry in document["nftables"] for one in entry.values() if isinstance(one, dict) and "elem" in one]
    wanted = {
        int(binding["HostPort"])
        for one in running.values()
        for bindings in (one["NetworkSettings"]["Ports"] or {}).values()
        for binding in bindings or ()
    }
    ports = {number for one in sets for number in _numbers(one["elem"]) if number >= FIRST_PORT}
    guarded = {name for one in sets if one["name"] == "bridges" for name in one["elem"]}
    bridges = {name for name in links_of(agent) if name.startswith(agent.instance)}
    shown = {str(port) for port in wanted}
    return _compare("published port", {str(port) for port in ports}, shown) + _compare("rules of", guarded, bridges)


FIRST_PORT = 30000
"""Tests of this folder publish from here on, which tells these ports from all other numbers of the rules."""


def _numbers(node: Any) -> list[int]:
    if isinstance(node, bool):
        return []
    if isinstance(node, int):
        return [node]
    if isinstance(node, dict):
        return [number for value in node.values() for number in _numbers(value)]
    if isinstance(node, list):
        return [number for value in node for number in _numbers(value)]
    return []
