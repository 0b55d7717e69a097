"""Plans for images: pulled, loaded, imported, tagged, removed; told apart by ID, not by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wherry.engine import archives
from wherry.engine.archives import IMPORT_LABEL, Archives
from wherry.engine.documents.image import ImageDocument, named
from wherry.engine.model import Action, Run, Step, nothing
from wherry.engine.world import ExpectedImage, World
from wherry.errors import Conflict, InvalidParameter, NotFound, Unavailable, WherryError
from wherry.images import instructions
from wherry.images.model import Image, PullResult, RemoteImage
from wherry.images.reference import parse as parse_reference
from wherry.registry.proxies import ProxySettings

KIND = ImageDocument.kind


async def plan(document: ImageDocument, world: World, known: Archives) -> list[Step]:
    """What has to be done for one image; ``known`` remembers the digests of archives."""
    existing = world.image(document.name)
    if document.state == "absent":
        steps = [_absent(document, world, existing)]
    elif document.source == "pull":
        steps = [await _pull(document, world, existing)]
    elif document.source == "import":
        steps = [await _import(document, world, existing, known)]
    elif document.source == "load":
        steps = [_load(document, world, existing)]
    elif existing is None:
        raise NotFound("no such image on the host", field="name", value=document.name, allowed="source pull brings it")
    else:
        steps = [nothing(KIND, document.name, "the image is there")]
    if document.repository and document.state == "present":
        steps += _tag(document, world)
    return steps


def _id_of(image: Image | None) -> dict[str, str | None]:
    return {"image_id": image.id if image else None}


def _absent(document: ImageDocument, world: World, existing: Image | None) -> Step:
    if existing is None:
        return nothing(KIND, document.name, "there is no such image")
    world.expect_image(document.name, None)
    users = world.nouns.images.in_use(existing.id)
    last_name = len(existing.repo_tags) <= 1 or document.name.startswith("sha256:")
    names = [user.name for user in users if not world.is_container_going(user.name)]
    if names and last_name and not document.force_absent:
        raise Conflict(
            f"the image is used by {', '.join(names)}",
            field="name",
            value=document.name,
            allowed="force_absent untags it",
        )

    async def remove() -> None:
        await world.nouns.images.remove(document.name, force=document.force_absent)

    action = Action(KIND, document.name, "remove", "it shall be absent", _id_of(existing), _id_of(None))
    return Step(action, remove)


async def _pull(document: ImageDocument, world: World, existing: Image | None) -> Step:
    fits = existing is not None and _has_platform(existing, document.platform)
    if document.digest and existing is not None and _is_pinned(existing, document):
        return nothing(KIND, document.name, "the image is that of the digest")
    if document.pull == "never":
        if fits and not document.digest:
            return nothing(KIND, document.name, "the image is there")
        raise NotFound("no such image on the host, and pull is never", field="name", value=document.name)
    if fits and document.pull == "missing" and not document.digest:
        return nothing(KIND, document.name, "the image is there")
    try:
        return await pull_step(
            document.name, document.platform, world, existing, digest=document.digest, proxies=document.proxies
        )
    except Unavailable as error:
        if not fits or document.digest or document.pull != "newer":
            raise
        return nothing(KIND, document.name, f"the image is there, and the registry cannot be asked: {error.message}")


def _is_pinned(image: Image, document: ImageDocument) -> bool:
    repository = parse_reference(document.name).familiar_repository
    return f"{repository}@{document.digest}" in image.repo_digests


def _has_platform(image: Image, wanted: str) -> bool:
    system, _, rest = wanted.partition("/")
    architecture = rest.partition("/")[0]
    return system in {"", image.os} and architecture in {"", image.architecture}


async def pull_step(
    name: str,
    platform: str,
    world: World,
    existing: Image | None,
    *,
    field: str = "name",
    digest: str = "",
    proxies: ProxySettings | None = None,
) -> Step:
    """The pull of a name, after asking the registry what that would bring. ``field`` is the option that named it.

    With ``digest`` the name is given to the image of that digest, whatever the registry's tag stands for.
    """
    reference = parse_reference(name)
    wanted = str(replace(reference, tag=None, digest=digest)) if digest else name
    remote = await _resolve(wanted, platform, world, field, proxies)
    if existing is not None and existing.id == remote.image_id:
        return nothing(KIND, name, "the registry has the same image")
    world.expect_image(name, ExpectedImage(remote.image_id))

    async def pull() -> Mapping[str, Any]:
        images = world.nouns.images
        result = await images.pull(parse_reference(wanted), platform=platform or None, proxies=proxies)
        if digest and reference.tag:
            await images.tag(result.image, reference.repository, reference.tag)
        return _outcome(result)

    other = "the image is not that of the digest" if digest else "the registry has another image"
    reason = "there is no such image" if existing is None else other
    action = Action(KIND, name, "pull", reason, _id_of(existing), {"image_id": remote.image_id})
    return Step(action, pull)


def _outcome(result: PullResult) -> dict[str, Any]:
    """What a pull took, and who served how many of what."""
    counts = Counter((served.endpoint, served.mirror, served.what) for served in result.endpoints)
    endpoints: dict[str, dict[str, Any]] = {}
    for (endpoint, mirror, what), count in counts.items():
        endpoints.setdefault(endpoint, {"endpoint": endpoint, "mirror": mirror})[f"{what}s"] = count
    return {
        "digest": result.digest,
        "bytes": result.received,
        "seconds": round(result.seconds, 3),
        "endpoints": list(endpoints.values()),
    }


async def _resolve(name: str, platform: str, world: World, field: str, proxies: ProxySettings | None) -> RemoteImage:
    """What a pull would bring; an error says of which image."""
    try:
        return await world.nouns.images.resolve_remote(
            parse_reference(name), platform=platform or None, proxies=proxies
        )
    except WherryError as error:
        if error.field:
            raise
        raise type(error)(f"cannot be pulled: {error.message}", field=field, value=name) from error


async def _import(document: ImageDocument, world: World, existing: Image | None, known: Archives) -> Step:
    instructions.apply_changes({}, document.changes)
    mark = await known.import_mark(document)
    if existing is not None and existing.labels.get(IMPORT_LABEL) == mark and not document.force_source:
        return nothing(KIND, document.name, "the image was imported from the same archive")
    world.expect_image(document.name, ExpectedImage())
    if existing is None:
        reason = "there is no such image"
    else:
        reason = "force_source" if existing.labels.get(IMPORT_LABEL) == mark else "the archive or its changes differ"
    before = {**_id_of(existing), "import": existing.labels.get(IMPORT_LABEL) if existing else None}
    action = Action(KIND, document.name, "import", reason, before, {"import": mark})
    return Step(action, _run_import(document, world, mark))


def _run_import(document: ImageDocument, world: World, mark: str) -> Run:
    reference = parse_reference(document.name)

    async def run() -> None:
        await world.nouns.images.import_archive(
            archives.chunks(document.path, "path"),
            repository=reference.repository,
            tag=reference.tag or "",
            message=f"Imported from {document.path}",
            changes=[*document.changes, f"LABEL {IMPORT_LABEL}={mark}"],
            platform=document.platform or None,
        )

    return run


def _load(document: ImageDocument, world: World, existing: Image | None) -> Step:
    if existing is not None and not document.force_source:
        return nothing(KIND, document.name, "the image is there")
    archives.check_archive(document.path, "load_path")
    world.expect_image(document.name, ExpectedImage())

    async def load() -> None:
        loaded = await world.nouns.images.load(archives.chunks(document.path, "load_path"))
        if document.name not in loaded:
            names = ", ".join(loaded) or "no image"
            raise InvalidParameter(f"the archive does not hold it, but {names}", field="name", value=document.name)

    reason = "force_source" if existing else "there is no such image"
    return Step(Action(KIND, document.name, "load", reason, _id_of(existing), {"load_path": document.path}), load)


def _tag(document: ImageDocument, world: World) -> list[Step]:
    """A further name for the image. One that another image has moves only with ``force_tag``."""
    target = named(document.repository, parse_reference(document.name).tag or "latest")
    source, holder = world.coming_image(document.name), world.image(target)
    if holder is not None and source is not None and holder.id == source.id:
        return []
    if holder is not None and not document.force_tag and isinstance(source, Image):
        kept = f"{target} is another image, and force_tag is not given"
        return [nothing(KIND, document.name, kept)]
    world.expect_image(target, ExpectedImage(source.id if source else ""))

    async def tag() -> None:
        reference = parse_reference(target)
        image = world.nouns.images.find(document.name)
        await world.nouns.images.tag(image, reference.repository, reference.tag or "")

    action = Action(KIND, target, "tag", f"it shall name {document.name}", _id_of(holder), {"repository": target})
    return [Step(action, tag)]
