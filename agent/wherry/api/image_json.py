"""Images in the JSON of the Engine API, as each version of it spells them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wherry.images.model import HistoryRow, Image, PruneResult, RemoteImage, Removal, Untagged
from wherry.images.moments import seconds_of
from wherry.images.platform import Platform
from wherry.images.progress import ProgressEvent
from wherry.registry.listing import Found

Version = tuple[int, int]

VIRTUAL_SIZE_UNTIL = (1, 43)  # the field went away with 1.44
NONE_NAMES_UNTIL = (1, 42)  # an untagged image was spelled <none>:<none>
CONTAINER_UNTIL = (1, 44)  # what an image was committed from
CONTAINER_FIELDS_UNTIL = (1, 49)  # an image's Config had the fields of a container's


def summary(image: Image, version: Version, *, shared_size: int = -1, containers: int = -1) -> dict[str, Any]:
    """A row of the image list."""
    tags, digests = list(image.repo_tags), list(image.repo_digests)
    if version <= NONE_NAMES_UNTIL:
        if not tags and digests:
            tags = [f"{digest.partition('@')[0]}:<none>" for digest in digests]
        tags = tags or ["<none>:<none>"]
        digests = digests or ["<none>@<none>"]
    body: dict[str, Any] = {
        "Id": image.id,
        "ParentId": image.parent,
        "RepoTags": tags,
        "RepoDigests": digests,
        "Created": int(seconds_of(image.created)),
        "Size": image.size,
        "SharedSize": shared_size,
        "Labels": dict(image.labels) or None,
        "Containers": containers,
    }
    return body | {"VirtualSize": image.size} if version <= VIRTUAL_SIZE_UNTIL else body


def inspect(image: Image, directories: Sequence[Path], last_tagged: str, version: Version) -> dict[str, Any]:
    """All about an image. ``directories`` are its layers, the lowest first."""
    document = image.document
    body: dict[str, Any] = {
        "Id": image.id,
        "RepoTags": list(image.repo_tags),
        "RepoDigests": list(image.repo_digests),
        "Parent": image.parent,
        "Comment": document.history[-1].comment if document.history else "",
        "Created": document.created,
        "DockerVersion": document.docker_version,
        "Author": document.author,
        "Config": image_config(image, version),
        # Gone from Docker with 1.45; docker-compose 1.29 speaks the newest version and recreates nothing without it.
        "ContainerConfig": image_config(image, version),
        "Architecture": document.architecture,
        "Os": document.os,
        "Size": image.size,
        "GraphDriver": {"Name": "overlay2", "Data": _graph(directories)},
        "RootFS": {"Type": "layers", "Layers": list(document.diff_ids)},
        "Metadata": {"LastTagTime": last_tagged},
    }
    optional = {"Variant": document.variant, "OsVersion": document.os_version}
    body |= {key: text for key, text in optional.items() if text}
    if version <= CONTAINER_UNTIL:
        body["Container"] = document.container
    return body | {"VirtualSize": image.size} if version <= VIRTUAL_SIZE_UNTIL else body


def _graph(directories: Sequence[Path]) -> dict[str, str] | None:
    if not directories:
        return None
    lower = ":".join(str(path) for path in reversed(directories[:-1]))
    return ({"LowerDir": lower} if lower else {}) | {"UpperDir": str(directories[-1])}


def image_config(image: Image, version: Version) -> dict[str, Any]:
    """The configuration that containers of the image start from."""
    config = image.config
    body: dict[str, Any] = {
        "User": config.user,
        "ExposedPorts": {port: {} for port in config.exposed_ports} or None,
        "Env": list(config.env),
        "Cmd": None if config.cmd is None else list(config.cmd),
        "Volumes": {path: {} for path in config.volumes} or None,
        "WorkingDir": config.working_dir,
        "Entrypoint": None if config.entrypoint is None else list(config.entrypoint),
        "OnBuild": list(config.on_build) or None,
        "Labels": dict(config.labels) or None,
    }
    optional = {
        "StopSignal": config.stop_signal,
        "Healthcheck": config.healthcheck,
        "Shell": None if config.shell is None else list(config.shell),
    }
    body |= {key: value for key, value in optional.items() if value is not None}
    if body["ExposedPorts"] is None:
        del body["ExposedPorts"]
    if version <= CONTAINER_FIELDS_UNTIL:
        flags = ("AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce")
        body |= {"Hostname": "", "Domainname": "", "Image": "", **dict.fromkeys(flags, False)}
    return body


def history_row(row: HistoryRow) -> dict[str, Any]:
    """A line of an image's history."""
    return {
        "Id": row.id,
        "Created": row.created,
        "CreatedBy": row.created_by,
        "Tags": list(row.tags) or None,
        "Size": row.size,
        "Comment": row.comment,
    }


def prune(result: PruneResult) -> dict[str, Any]:
    """What a prune removed, or would remove."""
    removed = [removal(item) for item in result.removed]
    return {"ImagesDeleted": removed or None, "SpaceReclaimed": result.reclaimed}


def search_result(found: Found) -> dict[str, Any]:
    """A repository that a search has found."""
    return {
        "star_count": found.stars,
        "is_official": found.official,
        "name": found.name,
        "is_automated": found.automated,
        "description": found.description,
    }


def removal(item: Removal) -> dict[str, str]:
    """What happened in a removal: a name gone, or content gone."""
    return {"Untagged": item.name} if isinstance(item, Untagged) else {"Deleted": item.digest}


def distribution(remote: RemoteImage) -> dict[str, Any]:
    """What a registry has under a name."""
    return {
        "Descriptor": {"mediaType": remote.media_type, "digest": remote.digest, "size": remote.size},
        "Platforms": [_platform(platform) for platform in remote.platforms],
    }


def _platform(platform: Platform) -> dict[str, str]:
    body = {"architecture": platform.architecture, "os": platform.os}
    return body | {"variant": platform.variant} if platform.variant else body


def progress_line(event: ProgressEvent) -> bytes:
    """A report as a line of Docker's JSON stream."""
    if event.stream:
        return json_line({"stream": event.stream})
    if event.aux:
        return json_line({"progressDetail": {}, "aux": dict(event.aux)})
    body: dict[str, Any] = {"status": event.status}
    if event.current is not None:
        total = {} if event.total is None else {"total": event.total}
        body["progressDetail"] = {"current": event.current, **total}
    elif event.id:
        body["progressDetail"] = {}
    return json_line(body | {"id": event.id} if event.id else body)


def error_line(error: Exception) -> bytes:
    """A failure, as the last line of a stream that has begun."""
    return json_line({"errorDetail": {"message": str(error)}, "error": str(error)})


def json_line(body: Mapping[str, Any]) -> bytes:
    """One object of a stream; Docker ends each with CR LF."""
    return json.dumps(body, separators=(",", ":")).encode() + b"\r\n"
