"""Plans for logins: credentials are tried at the registry before they are kept."""

from __future__ import annotations

from typing import Any

from wherry.engine.documents.registry_login import LoginDocument
from wherry.engine.model import Action, Step, nothing
from wherry.engine.world import World
from wherry.registry.credentials import Credentials

KIND = LoginDocument.kind
SECRET = "********"


async def plan(document: LoginDocument, world: World) -> list[Step]:
    """Keeps or forgets credentials. New ones are tried at the registry, in check mode too.

    Errors: ``AccessDenied`` and ``Unreachable`` of the registry, and those of the credential store.
    """
    store = world.nouns.images.credentials
    known = await store.exact(document.name)
    before = {"state": "present", **_shown(known)} if known else {"state": "absent"}
    if document.state == "absent":
        if known is None:
            return [nothing(KIND, document.name, "nothing is kept for this registry")]

        async def forget() -> None:
            await store.forget(document.name)

        action = Action(KIND, document.name, "remove", "it shall be absent", before, {"state": "absent"})
        return [Step(action, forget)]
    same = known is not None and (known.username, known.password) == (document.username, document.password)
    if same and not document.reauthorize:
        return [nothing(KIND, document.name, "these credentials are kept already")]
    wanted = Credentials(document.username, document.password, server_address=document.name)
    await world.nouns.images.login(wanted)
    if same:
        return [nothing(KIND, document.name, "the registry still takes these credentials")]

    async def keep() -> dict[str, Any]:
        return {"kept_in": await store.keep(document.name, wanted)}

    after = {"state": "present", **_shown(wanted)}
    differing = {key for key in {*before, *after} if before.get(key) != after.get(key) or key == "password"}
    reason = "there are others" if known else "there are none"
    return [
        Step(
            Action(
                KIND,
                document.name,
                "update" if known else "create",
                reason,
                {key: value for key, value in before.items() if key in differing},
                {key: value for key, value in after.items() if key in differing},
            ),
            keep,
        )
    ]


def _shown(credentials: Credentials | None) -> dict[str, str]:
    return {"username": credentials.username, "password": SECRET} if credentials else {}
