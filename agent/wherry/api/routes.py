"""All routes of the API, gathered from the file of each subject."""

from __future__ import annotations

import importlib
import logging

from wherry.api.router import Router

log = logging.getLogger(__name__)

SUBJECTS = (
    "system",
    "disk_usage",
    "events",
    "absent",
    "images",
    "networks",
    "volumes",
    "containers",
    "exec",
    "wherry_v1",
)


def build() -> Router:
    """The router of a complete agent."""
    router = Router()
    for subject in SUBJECTS:
        try:
            module = importlib.import_module(f"wherry.api.{subject}")
        except ModuleNotFoundError as error:
            log.warning("no routes for %s: %s", subject, error)
            continue
        module.register(router)
    return router
