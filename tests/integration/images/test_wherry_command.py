"""The ``wherry`` command on images: pulls and pushes with bars, prunes that are looked at first."""

from __future__ import annotations

import json
import os
import pty
import random
import subprocess
import sys

from tests.integration.images.conftest import FaultyRegistry
from tests.integration.support.private_agent import PrivateAgent
from tests.lab.registry import Registry


def wherry(host: PrivateAgent, *words: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    """The command, its output to a pipe."""
    return host.run(sys.executable, "-m", "wherry.cli.main", "-H", host.host, *words, check=check)


def on_a_terminal(host: PrivateAgent, *words: str) -> str:
    """What the command writes to a terminal."""
    master, slave = pty.openpty()
    argv = host.enter([sys.executable, "-m", "wherry.cli.main", "-H", host.host, *words])
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env=host.environment())
    os.close(slave)
    seen = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # EIO: the last writer has gone
            break
        if not piece:
            break
        seen += piece
    os.close(master)
    assert process.wait(60) == 0, seen
    return seen.decode()


def test_pull_and_push_tell_each_step(host: PrivateAgent, faulty: FaultyRegistry, registry: Registry) -> None:
    image = faulty.content.add_image("1.0", [{"noise": random.Random(3).randbytes(3_000_000)}])
    layer = json.loads(faulty.content.manifests[image["digest"]][1])["layers"][0]
    short = layer["digest"].removeprefix("sha256:")[:12]
    faulty.serve()
    name = f"{faulty.address}/by-command:1.0"
    drawn = on_a_terminal(host, "pull", name)
    assert f"{short}: Extracting  [{'=' * 30}]" in drawn and f"\x1b[1A\r\x1b[2K{short}: Pull complete" in drawn
    host.out("rmi", name)
    told = wherry(host, "pull", name).stdout.decode().splitlines()
    assert told.count(f"{short}: Downloading") <= 1 and f"{short}: Pull complete" in told
    assert told[-1] == f"Status: Downloaded newer image for {name}"
    assert wherry(host, "pull", "-q", name).stdout == b""
    target = f"{registry.address}/by-command:1.0"
    host.out("tag", name, target)
    assert f"{short}: Pushed" in wherry(host, "push", target).stdout.decode()
    host.out("rmi", name, target)
    wherry(host, "pull", "--all-tags", target.rpartition(":")[0])
    host.out("rmi", target)
    failed = wherry(host, "pull", f"{faulty.address}/by-command:none", check=False)
    assert failed.returncode == 1 and failed.stderr.decode().startswith("wherry: manifest for ")


def test_prune_says_first_what_it_then_removes(own_agent: PrivateAgent) -> None:
    registry = FaultyRegistry(own_agent, "127.0.0.1", 5002)
    try:
        base = {"base": b"b" * 100_000}
        registry.content.add_image("used", [base, {"used": b"u" * 1000}])
        registry.content.add_image("unused", [base, {"unused": b"n" * 50_000}])
        registry.serve()
        for tag in ("used", "unused"):
            own_agent.out("pull", f"{registry.address}/x:{tag}")
    finally:
        registry.close()
    own_agent.out("create", "--name", "user", f"{registry.address}/x:used", "/bin/true")
    layers = own_agent.data_root / "layers"
    before = sorted(entry.name for entry in layers.iterdir())
    assert wherry(own_agent, "prune").stdout == b"0B would be reclaimed (--yes removes them)\n"
    said = wherry(own_agent, "prune", "--all").stdout.decode().splitlines()
    assert sorted(entry.name for entry in layers.iterdir()) == before
    assert f"Untagged: {registry.address}/x:unused" in said and not any(":used" in line for line in said)
    done = wherry(own_agent, "prune", "--all", "--yes").stdout.decode().splitlines()
    assert said[:-1] == done[:-1]
    assert said[-1].split()[0] == done[-1].split()[0]
    assert len(list(layers.iterdir())) == len(before) - 1
    assert own_agent.out("images", "-q", f"{registry.address}/x:used")
    bad = wherry(own_agent, "prune", "--filter", "moon=full", check=False)
    assert bad.returncode == 1 and "invalid filter" in bad.stderr.decode()
