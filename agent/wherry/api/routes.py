"""All routes of the API, gathered from the file of each subject."""

from __future__ import annotations

from wherry.api import (
    absent,
    archive,
    commit,
    containers,
    disk_usage,
    events,
    exec,
    images,
    networks,
    stats,
    system,
    volumes,
    wherry_v1,
)
from wherry.api.router import Router


def build() -> Router:
    """The router of a complete agent."""
    router = Router()
    for subject in (
        system,
        disk_usage,
        events,
        images,
        networks,
        volumes,
        containers,
        archive,
        commit,
        stats,
        exec,
        wherry_v1,
        absent,
    ):
        subject.register(router)
    return router
