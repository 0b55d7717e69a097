"""Runs ``Networks`` inside a test's network namespace and does what the test asks: one line of JSON for each call.

Started by ``topology.Host``; a program of its own, so that the tests' process never changes its namespace.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from wherry.config import Config
from wherry.errors import WherryError
from wherry.events import Events
from wherry.networks.model import Attachment, EndpointRequest, NetworkSpec
from wherry.networks.service import Networks
from wherry.state.database import Database
from wherry.state.records import _plain, decode


async def serve(config: Config) -> None:
    """Answers calls until the input ends."""
    config.paths.create()
    database = Database(config.paths.database)
    networks = Networks(config, config.paths, database, Events(database))
    await networks.start()
    print(json.dumps({"result": config.paths.instance}), flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        call = json.loads(line)
        try:
            answer = {"result": await carry_out(networks, call["call"], call["arguments"])}
        except WherryError as error:
            answer = {"error": str(error), "status": error.status}
        print(json.dumps(answer), flush=True)
    await networks.stop()
    database.close()


async def carry_out(networks: Networks, name: str, arguments: dict[str, Any]) -> Any:
    """One call by name; records travel as the JSON that the state keeps."""
    if name == "create":
        return _plain(await networks.create(decode(NetworkSpec, json.dumps(arguments))))
    if name == "attach":
        return _plain(await networks.attach(decode(Attachment, json.dumps(arguments))))
    if name == "connect":
        request = decode(EndpointRequest, json.dumps(arguments["request"]))
        return _plain(await networks.connect(arguments["network"], arguments["container_id"], request))
    if name == "list":
        return [one.name for one in networks.list()]
    return await getattr(networks, name)(**arguments)


if __name__ == "__main__":
    root, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    asyncio.run(serve(Config(data_root=root / "data", exec_root=root / "run", **settings)))
