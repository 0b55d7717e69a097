"""An agent with CAP_SYS_RESOURCE, which this machine's root may lack, grows a mounted ext4: in a kernel of the lab."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from tests.lab import uml

REPOSITORY = Path(__file__).resolve().parents[3]
SCRIPT = """
mkdir -p /tmp/modules/lib/modules /tmp/w
ln -s /usr/lib/uml/modules/* /tmp/modules/lib/modules/
modprobe -d /tmp/modules loop
mount -t tmpfs -o size=300m tmpfs /tmp/w
PYTHONPATH={agent} {python} - <<'END'
import asyncio, os
from pathlib import Path
from wherry.events import Events
from wherry.paths import Paths
from wherry.state.database import Database
from wherry.volumes.model import VolumeSpec
from wherry.volumes.service import Volumes

def megabytes(path):
    status = os.statvfs(path)
    return status.f_blocks * status.f_frsize >> 20

async def main():
    paths = Paths(Path("/tmp/w/data"), Path("/tmp/w/run"))
    paths.create()
    database = Database(paths.database)
    volumes = Volumes(paths, database, Events(database))
    await volumes.start()
    await volumes.create(VolumeSpec("data", "loop", options={{"size": "64m"}}))
    path = await volumes.mount("data", "c1")
    (path / "file").write_text("kept")
    before = megabytes(path)
    await volumes.grow("data", {{"size": "200m"}})
    print("found", before, megabytes(path), (path / "file").read_text())
    await volumes.unmount("data", "c1")
    print("left", *Path("/sys/block").glob("loop*/loop/backing_file"))

asyncio.run(main())
END
"""


def test_a_volume_grows_while_it_is_mounted() -> None:
    if reason := uml.unavailable():
        pytest.skip(reason)
    script = SCRIPT.format(agent=shlex.quote(str(REPOSITORY / "agent")), python=shlex.quote(sys.executable))
    output = uml.run(script).output
    found = next((line.split() for line in output.splitlines() if line.startswith("found ")), [])
    assert len(found) == 4, output
    assert int(found[1]) <= 64
    assert 150 <= int(found[2]) <= 200
    assert found[3] == "kept"
    assert "left\n" in output
