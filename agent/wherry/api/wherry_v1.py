"""/wherry/v1: what the Ansible modules use. Desired resources in; a plan, or what was done, and the objects out.

``POST /wherry/v1/plan`` and ``/wherry/v1/apply`` take ``{"resources": […]}`` and return ``{"changed", "actions",
"pulls", "objects"}``; ``objects`` has one entry a resource, in Docker's inspect form, ``null`` for what is absent. With
``owner`` what is made carries that name, and ``purge``, a list of kinds, removes what the owner has made and no longer
declares.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from wherry.api import container_inspect, image_json, json_fields
from wherry.api.http import JsonResponse, Request, Response
from wherry.api.network_json import network_json
from wherry.api.router import Router
from wherry.api.volumes import volume_json
from wherry.containers.model import Container
from wherry.engine.documents import Document, fields, parse_all
from wherry.engine.model import Action, Object, Result
from wherry.engine.ownership import PURGEABLE, Owner
from wherry.errors import NotFound
from wherry.host.kernel_report import kernel_report
from wherry.images.model import Image
from wherry.networks.model import Network
from wherry.registry.mirror_rules import MirrorRule, rule_json

if TYPE_CHECKING:
    from wherry.agent import Agent

REQUEST = frozenset({"resources", "owner", "purge"})


async def plan(agent: Agent, request: Request) -> Response:
    """What would be done; nothing is."""
    documents, owner = await _declaration(request)
    return JsonResponse(_result_json(agent, request, await agent.engine.check(documents, owner)))


async def apply(agent: Agent, request: Request) -> Response:
    """What was done."""
    documents, owner = await _declaration(request)
    return JsonResponse(_result_json(agent, request, await agent.engine.apply(documents, owner)))


async def list_mirrors(agent: Agent, _request: Request) -> Response:
    """All registry rules that hold, declared ones and those of files, without passwords."""
    return JsonResponse([mirror_json(rule) for rule in agent.images.mirrors.effective()])


async def inspect_mirror(agent: Agent, request: Request) -> Response:
    """One registry rule, without passwords."""
    registry = request.params["registry"]
    rule = next((rule for rule in agent.images.mirrors.effective() if rule.prefix == registry), None)
    if rule is None:
        raise NotFound(f"no such registry rule: {registry}")
    return JsonResponse(mirror_json(rule))


async def kernel(_agent: Agent, _request: Request) -> Response:
    """What the kernel offers to containers."""
    return JsonResponse(await kernel_report())


def mirror_json(rule: MirrorRule) -> dict[str, Any]:
    """A registry rule in the option names of the module ``registry_mirror``."""
    body = rule_json(rule, secrets=False)
    registry = body.pop("prefix")
    for mirror in body["mirrors"]:
        mirror["url"] = mirror.pop("location")
    if "location" in body:
        body["url"] = body.pop("location")
    return {"registry": registry, **body, **({"source": rule.source} if rule.source else {})}


def register(router: Router) -> None:
    """Routes of this subject."""
    router.add("POST", "/wherry/v1/plan", plan)
    router.add("POST", "/wherry/v1/apply", apply)
    router.add("GET", "/wherry/v1/kernel", kernel)
    router.add("GET", "/wherry/v1/registry_mirrors", list_mirrors)
    router.add("GET", "/wherry/v1/registry_mirrors/{registry:path}", inspect_mirror)


async def _declaration(request: Request) -> tuple[list[Document], Owner]:
    body = await request.json()
    json_fields.known_only(body, REQUEST, "")
    owner = Owner(json_fields.text(body.get("owner") or "", "owner"), frozenset(_purge(body.get("purge") or [])))
    resources = body.get("resources")
    return ([] if resources == [] and owner.purge else parse_all(resources)), owner


def _purge(value: object) -> list[str]:
    return list(fields.list_of(fields.choice(*PURGEABLE))(value, "purge"))


def _result_json(agent: Agent, request: Request, result: Result) -> dict[str, Any]:
    return {
        "changed": result.changed,
        "actions": [_action_json(action) for action in result.actions],
        "pulls": [
            {"name": action.name, **action.outcome}
            for action in result.actions
            if action.action == "pull" and action.outcome
        ],
        "objects": [
            {"kind": kind, "name": name, "object": None if found is None else _object_json(agent, request, found)}
            for (kind, name), found in result.objects
        ],
    }


def _action_json(action: Action) -> dict[str, Any]:
    body = {
        "kind": action.kind,
        "name": action.name,
        "action": action.action,
        "changed": action.changed,
        "reason": action.reason,
        "before": dict(action.before),
        "after": dict(action.after),
    }
    # What a pull took stands beside the actions, which are the same in check mode and after it.
    return {**body, "outcome": dict(action.outcome)} if action.outcome and action.action != "pull" else body


def _object_json(agent: Agent, request: Request, found: Object) -> dict[str, Any]:
    if isinstance(found, Container):
        return container_inspect.inspect(agent.containers, found)
    if isinstance(found, Image):
        tagged = datetime.fromtimestamp(found.last_tagged or 0, timezone.utc).isoformat().replace("+00:00", "Z")
        return image_json.inspect(found, agent.images.layer_directories(found), tagged, request.version)
    if isinstance(found, Network):
        return network_json(found, agent.networks.attached(found.id))
    if isinstance(found, MirrorRule):
        return mirror_json(found)
    return volume_json(found)
