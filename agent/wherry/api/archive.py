"""/containers/{id}/archive, /changes and /export: files of containers."""

from __future__ import annotations

import base64
import json
import stat
from typing import TYPE_CHECKING

from wherry.api.http import EmptyResponse, JsonResponse, Request, Response, StreamResponse
from wherry.api.router import Router
from wherry.containers.files import Archive, PathStatus

if TYPE_CHECKING:
    from wherry.agent import Agent

TAR = "application/x-tar"
STATUS_HEADER = "X-Docker-Container-Path-Stat"

_KINDS = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}
_FLAGS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}
"""A mode's bits as Go's ``fs.FileMode`` has them, which is what clients expect."""


async def head(agent: Agent, request: Request) -> Response:
    """HEAD: what is at the path, in a header."""
    found = await agent.containers.path_status(request.params["name"], request.query.text("path"))
    return EmptyResponse(200, {STATUS_HEADER: _encoded(found)})


async def get(agent: Agent, request: Request) -> Response:
    """GET: the path as a tar archive."""
    archive = await agent.containers.get_archive(request.params["name"], request.query.text("path"))
    assert archive.status is not None
    return StreamResponse(
        archive.content, TAR, headers={STATUS_HEADER: _encoded(archive.status)}, on_close=archive.close
    )


async def put(agent: Agent, request: Request) -> Response:
    """PUT: a tar archive unpacked at the path."""
    query = request.query
    agent.containers.find(request.params["name"])
    await agent.containers.put_archive(
        request.params["name"],
        query.text("path"),
        request.chunks(),
        keep_kinds=query.flag("noOverwriteDirNonDir"),
        owned=query.flag("copyUIDGID"),
    )
    return EmptyResponse(200)


async def changes(agent: Agent, request: Request) -> Response:
    """GET /changes: paths and what happened to them; ``null`` when nothing did."""
    found = await agent.containers.changes(request.params["name"])
    return JsonResponse([{"Path": one.path, "Kind": int(one.kind)} for one in found] or None)


async def export(agent: Agent, request: Request) -> Response:
    """GET /export: the root file system as a tar archive."""
    archive: Archive = await agent.containers.export(request.params["name"])
    return StreamResponse(archive.content, "application/octet-stream", on_close=archive.close)


def _encoded(found: PathStatus) -> str:
    body = {
        "name": found.name,
        "size": found.size,
        "mode": _go_mode(found.mode),
        "mtime": found.modified,
        "linkTarget": found.link_target,
    }
    return base64.b64encode(json.dumps(body).encode()).decode("ascii")


def _go_mode(mode: int) -> int:
    flags = sum(bit for flag, bit in _FLAGS.items() if mode & flag)
    return _KINDS.get(stat.S_IFMT(mode), 0) | flags | (mode & 0o777)


def register(router: Router) -> None:
    """Adds the routes."""
    router.add("HEAD", "/containers/{name:path}/archive", head)
    router.add("GET", "/containers/{name:path}/archive", get)
    router.add("PUT", "/containers/{name:path}/archive", put)
    router.add("GET", "/containers/{name:path}/changes", changes)
    router.add("GET", "/containers/{name:path}/export", export)
