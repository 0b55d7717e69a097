"""The image endpoints of the Engine API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from wherry.api import distribution
from wherry.api import image_json as render
from wherry.api.http import EmptyResponse, JsonResponse, Request, Response, StreamResponse
from wherry.api.progress_stream import ProgressStream
from wherry.api.router import Router
from wherry.errors import InvalidParameter, Unsupported
from wherry.images import platform as platforms
from wherry.images import search as search_terms
from wherry.images.progress import Progress, ProgressEvent, watched
from wherry.images.reference import join
from wherry.registry.credentials import parse_registry_auth_header
from wherry.registry.proxies import ProxySettings, parse_proxy_settings

if TYPE_CHECKING:
    from wherry.agent import Agent

TAR = "application/x-tar"
NEVER_TAGGED = "0001-01-01T00:00:00Z"


def register(router: Router) -> None:
    """Adds the routes of images, of the registry behind them, and of logins."""
    router.add("GET", "/images/json", list_images)
    router.add("POST", "/images/create", create)
    router.add("POST", "/images/load", load)
    router.add("POST", "/images/prune", prune)
    router.add("GET", "/wherry/v1/images/unused", unused)
    router.add("GET", "/images/search", search)
    router.add("GET", "/images/get", save_many)
    router.add("GET", "/images/{name:path}/get", save_one)
    router.add("GET", "/images/{name:path}/json", inspect)
    router.add("GET", "/images/{name:path}/history", history)
    router.add("POST", "/images/{name:path}/tag", tag)
    router.add("POST", "/images/{name:path}/push", push)
    router.add("DELETE", "/images/{name:path}", remove)
    distribution.register(router)


async def list_images(agent: Agent, request: Request) -> Response:
    """GET /images/json"""
    if request.query.flag("manifests"):
        raise Unsupported("not supported: manifests, the list of an image's platforms; one platform is kept here")
    filters = request.query.filters()
    if old := request.query.text("filter"):  # before 1.28 the name had a parameter of its own
        filters.setdefault("reference", []).append(old)
    shared = request.query.flag("shared-size")
    return JsonResponse(
        [
            render.summary(image, request.version, shared_size=agent.images.shared_size(image) if shared else -1)
            for image in agent.images.list(filters, everything=request.query.flag("all"))
        ]
    )


async def create(agent: Agent, request: Request) -> Response:
    """POST /images/create: pull or import."""
    query = request.query
    if query.text("fromImage"):
        return await _pull(agent, request)
    source = query.text("fromSrc")
    if not source:
        raise InvalidParameter("fromImage or fromSrc is required", field="fromImage")
    if source == "-":
        return StreamResponse(_lines(ProgressEvent(await _import(agent, request, request.chunks(), ""))))

    async def work(progress: Progress) -> None:
        progress(ProgressEvent(f"Downloading from {source}"))
        chunks = watched(await agent.images.open_url(source), progress, "Importing")
        progress(ProgressEvent(await _import(agent, request, chunks, f"Imported from {source}")))

    return await ProgressStream(work).response()


async def _import(agent: Agent, request: Request, chunks: AsyncIterator[bytes], message: str) -> str:
    query = request.query
    image = await agent.images.import_archive(
        chunks,
        repository=query.text("repo"),
        tag=query.text("tag"),
        message=query.text("message") or message,
        changes=query.many("changes"),
        platform=platform_text(query.text("platform")),
    )
    return image.id


async def _pull(agent: Agent, request: Request) -> Response:
    query = request.query
    reference = join(query.text("fromImage"), query.text("tag") or None)
    auth = distribution.credentials_of(request, reference)
    platform = platform_text(query.text("platform"))
    proxies = _proxies_of(request)
    if platform:
        platforms.parse(platform)  # what is wrong with the request is said before the stream begins

    async def work(progress: Progress) -> object:
        if not reference.tag and not reference.digest:
            return await agent.images.pull_all(
                reference, auth=auth, platform=platform, proxies=proxies, progress=progress
            )
        return await agent.images.pull(reference, auth=auth, platform=platform, proxies=proxies, progress=progress)

    return await ProgressStream(work).response()


def _proxies_of(request: Request) -> ProxySettings | None:
    """X-Wherry-Proxies: the proxies of this pull, as JSON with the keys of daemon.json's ``proxies``."""
    given = request.headers.get("x-wherry-proxies")
    if not given:
        return None
    try:
        body = json.loads(given)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise InvalidParameter("not a JSON object", field="X-Wherry-Proxies")
    return parse_proxy_settings(body, "X-Wherry-Proxies")


async def load(agent: Agent, request: Request) -> Response:
    """POST /images/load: the archive is taken in whole before anything is answered.

    What is wrong with it is a line of the stream, as in Docker: clients look for it there.
    """
    quiet = request.query.flag("quiet")
    platform = platform_text(request.query.text("platform"))

    async def work(progress: Progress) -> None:
        def tell(event: ProgressEvent) -> None:
            if event.stream or not quiet:
                progress(event)

        await agent.images.load(request.chunks(), tell, platform)

    return await ProgressStream(work).response(errors_as_lines=True)


async def _lines(*events: ProgressEvent) -> AsyncIterator[bytes]:
    for event in events:
        yield render.progress_line(event)


async def save_many(agent: Agent, request: Request) -> Response:
    """GET /images/get"""
    return _save(agent, request, request.query.many("names"))


async def save_one(agent: Agent, request: Request) -> Response:
    """GET /images/NAME/get"""
    return _save(agent, request, [request.params["name"]])


def _save(agent: Agent, request: Request, names: Sequence[str]) -> Response:
    for name in names:
        _check_platform(agent, request, name)
    return StreamResponse(agent.images.save(names), TAR)


def _check_platform(agent: Agent, request: Request, name: str) -> None:
    """One platform of an image is kept: another one that is asked for is not here."""
    if text := platform_text(request.query.text("platform")):
        agent.images.check_platform(name, text)


async def inspect(agent: Agent, request: Request) -> Response:
    """GET /images/NAME/json"""
    _check_platform(agent, request, request.params["name"])
    if request.query.flag("manifests"):
        raise Unsupported("not supported: manifests, the list of an image's platforms; one platform is kept here")
    image = agent.images.find(request.params["name"])
    tagged = NEVER_TAGGED
    if image.last_tagged is not None:
        tagged = datetime.fromtimestamp(image.last_tagged, timezone.utc).isoformat().replace("+00:00", "Z")
    return JsonResponse(render.inspect(image, agent.images.layer_directories(image), tagged, request.version))


async def history(agent: Agent, request: Request) -> Response:
    """GET /images/NAME/history"""
    _check_platform(agent, request, request.params["name"])
    image = agent.images.find(request.params["name"])
    return JsonResponse([render.history_row(row) for row in agent.images.history(image)])


async def tag(agent: Agent, request: Request) -> Response:
    """POST /images/NAME/tag"""
    image = agent.images.find(request.params["name"])
    if not request.query.text("repo"):
        raise InvalidParameter("repository name is required", field="repo")
    await agent.images.tag(image, request.query.text("repo"), request.query.text("tag"))
    return EmptyResponse(201)


async def push(agent: Agent, request: Request) -> Response:
    """POST /images/NAME/push"""
    name, chosen = request.params["name"], request.query.text("tag") or None
    auth = distribution.credentials_of(request, join(name, chosen))
    _check_platform(agent, request, str(join(name, chosen)))

    async def work(progress: Progress) -> None:
        await agent.images.push(name, chosen, auth=auth, progress=progress)

    return await ProgressStream(work).response()


async def remove(agent: Agent, request: Request) -> Response:
    """DELETE /images/NAME; ``dry-run``, of ours, only says what would be removed."""
    for text in request.query.many("platforms"):
        agent.images.check_platform(request.params["name"], platform_text(text) or "")
    removals = await agent.images.remove(
        request.params["name"],
        force=request.query.flag("force"),
        no_prune=request.query.flag("noprune"),
        dry_run=request.query.flag("dry-run"),
    )
    return JsonResponse([render.removal(item) for item in removals])


async def prune(agent: Agent, request: Request) -> Response:
    """POST /images/prune"""
    return JsonResponse(render.prune(await agent.images.prune(request.query.filters())))


async def unused(agent: Agent, request: Request) -> Response:
    """GET /wherry/v1/images/unused: what a prune with the same filters would remove."""
    return JsonResponse(render.prune(agent.images.unused(request.query.filters())))


async def search(agent: Agent, request: Request) -> Response:
    """GET /images/search"""
    results = await agent.images.search(
        request.query.text("term"),
        limit=request.query.number("limit", search_terms.LIMIT_DEFAULT) or search_terms.LIMIT_DEFAULT,
        filters=request.query.filters(),
        auth=parse_registry_auth_header(request.headers.get("x-registry-auth")),
    )
    return JsonResponse([render.search_result(result) for result in results])


def platform_text(text: str) -> str | None:
    """A platform parameter in either form, ``os/arch/variant`` or the JSON that newer clients send."""
    if not text.startswith("{"):
        return text or None
    try:
        body: Any = json.loads(text)
        parts = [body.get(key) or "" for key in ("os", "architecture", "variant")]
        return "/".join(part for part in parts if part)
    except (ValueError, TypeError, AttributeError):
        raise InvalidParameter("not a platform", field="platform", value=text) from None
