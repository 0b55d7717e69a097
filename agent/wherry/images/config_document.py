"""Reads and writes an image's configuration document, the JSON whose digest is the image's ID.

Sources: OCI image-spec ``config.md``; Docker's image specification 1.2 for Healthcheck, Shell and OnBuild. What a
hostile image can say here is checked here: types, NUL bytes and counts; what a value *means* (users, signals,
ports) is checked where it is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from wherry.errors import InvalidParameter
from wherry.images.manifest import CONFIG_MAX, LAYERS_MAX, strict_json
from wherry.images.model import ConfigDocument, HistoryEntry, ImageConfig
from wherry.images.platform import Platform, normalise
from wherry.images.reference import is_digest

HISTORY_MAX = 5000  # entries
WHAT = "image configuration"


def parse_config_document(data: bytes) -> ConfigDocument:
    """Reads a configuration document.

    Errors: ``InvalidParameter`` naming the field that is malformed.
    """
    body = strict_json(data, WHAT, CONFIG_MAX)
    platform = normalise(*(_text(body, key) for key in ("os", "architecture", "variant")))
    raw = body.get("config")
    if raw is not None and not isinstance(raw, dict):
        raise InvalidParameter(f"{WHAT}: config must be an object")
    return ConfigDocument(
        architecture=platform.architecture,
        os=platform.os or "linux",
        variant=platform.variant,
        os_version=_text(body, "os.version"),
        created=_text(body, "created"),
        author=_text(body, "author"),
        docker_version=_text(body, "docker_version"),
        container=_text(body, "container"),
        config=parse_image_config(raw or {}),
        diff_ids=_diff_ids(body),
        history=_history(body),
    )


def parse_image_config(raw: Mapping[str, Any]) -> ImageConfig:
    """Reads the ``config`` object of the document."""
    healthcheck = raw.get("Healthcheck")
    if healthcheck is not None and not isinstance(healthcheck, dict):
        raise InvalidParameter(f"{WHAT}: config.Healthcheck must be an object")
    return ImageConfig(
        user=_text(raw, "User"),
        env=_texts(raw, "Env") or (),
        entrypoint=_texts(raw, "Entrypoint"),
        cmd=_texts(raw, "Cmd"),
        working_dir=_text(raw, "WorkingDir"),
        exposed_ports=_keys(raw, "ExposedPorts"),
        volumes=_keys(raw, "Volumes"),
        labels=_labels(raw),
        stop_signal=_text(raw, "StopSignal") or None,
        healthcheck=healthcheck,
        shell=_texts(raw, "Shell"),
        on_build=_texts(raw, "OnBuild") or (),
        raw=dict(raw),
    )


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value:
        raise InvalidParameter(f"{WHAT}: {key} must be a string without NUL")
    return value


def _texts(body: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, str):  # images of before 2014 have a bare string here
        value = [value]
    if not isinstance(value, list) or not all(isinstance(item, str) and "\0" not in item for item in value):
        raise InvalidParameter(f"{WHAT}: {key} must be a list of strings without NUL")
    return tuple(value)


def _keys(body: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = body.get(key) or {}
    if not isinstance(value, dict) or any("\0" in name for name in value):
        raise InvalidParameter(f"{WHAT}: {key} must be an object")
    return tuple(value)


def _labels(body: Mapping[str, Any]) -> dict[str, str]:
    value = body.get("Labels") or {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise InvalidParameter(f"{WHAT}: Labels must be an object of strings")
    return value


def _diff_ids(body: Mapping[str, Any]) -> tuple[str, ...]:
    rootfs = body.get("rootfs")
    if not isinstance(rootfs, dict) or rootfs.get("type") != "layers":
        raise InvalidParameter(f'{WHAT}: rootfs.type must be "layers"')
    diff_ids = rootfs.get("diff_ids")
    if diff_ids is None:  # an image without layers, as `FROM scratch` alone makes it
        return ()
    if not isinstance(diff_ids, list) or not all(isinstance(item, str) and is_digest(item) for item in diff_ids):
        raise InvalidParameter(f"{WHAT}: rootfs.diff_ids must be a list of sha256 digests")
    if len(diff_ids) > LAYERS_MAX:
        raise InvalidParameter(f"{WHAT}: {len(diff_ids)} layers; at most {LAYERS_MAX} are allowed")
    return tuple(diff_ids)


def _history(body: Mapping[str, Any]) -> tuple[HistoryEntry, ...]:
    value = body.get("history")
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > HISTORY_MAX or not all(isinstance(item, dict) for item in value):
        raise InvalidParameter(f"{WHAT}: history must be a list of at most {HISTORY_MAX} objects")
    return tuple(
        HistoryEntry(
            created=_text(item, "created"),
            created_by=_text(item, "created_by"),
            author=_text(item, "author"),
            comment=_text(item, "comment"),
            empty_layer=item.get("empty_layer") is True,
        )
        for item in value
    )


def chain_ids(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """The chain ID of each layer: it names the layer together with all that lie below it (OCI ``config.md``)."""
    found: list[str] = []
    for diff_id in diff_ids:
        chained = f"sha256:{hashlib.sha256(f'{found[-1]} {diff_id}'.encode()).hexdigest()}" if found else diff_id
        found.append(chained)
    return tuple(found)


def build_config_document(
    platform: Platform,
    created: str,
    config: Mapping[str, Any],
    diff_ids: Sequence[str],
    history: Sequence[HistoryEntry],
    *,
    author: str = "",
    container: str = "",
) -> bytes:
    """The bytes of a configuration document for an image that was made here, from ``container`` if it is a commit."""
    body: dict[str, Any] = {"architecture": platform.architecture, "os": platform.os}
    if platform.variant:
        body["variant"] = platform.variant
    body["created"] = created
    if author:
        body["author"] = author
    if container:
        body["container"] = container
    body["config"] = dict(config)
    body["rootfs"] = {"type": "layers", "diff_ids": list(diff_ids)}
    body["history"] = [_history_json(entry) for entry in history]
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def _history_json(entry: HistoryEntry) -> dict[str, Any]:
    texts = {
        "created": entry.created,
        "created_by": entry.created_by,
        "author": entry.author,
        "comment": entry.comment,
    }
    body: dict[str, Any] = {key: text for key, text in texts.items() if text}
    return body | {"empty_layer": True} if entry.empty_layer else body
