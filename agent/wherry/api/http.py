"""What handlers of the API work with: requests, responses and the raw stream of a hijacked connection."""

from __future__ import annotations

from wherry.api.request import ClientDisconnected, Peer, Query, Request
from wherry.api.response import (
    EmptyResponse,
    JsonResponse,
    RawResponse,
    Response,
    Stream,
    StreamResponse,
    UpgradeResponse,
)

__all__ = [
    "ClientDisconnected",
    "EmptyResponse",
    "JsonResponse",
    "Peer",
    "Query",
    "RawResponse",
    "Request",
    "Response",
    "Stream",
    "StreamResponse",
    "UpgradeResponse",
]
