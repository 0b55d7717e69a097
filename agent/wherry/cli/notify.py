"""Telling the service manager, sd_notify(3), without its library."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Sends a state such as ``READY=1``, where a service manager listens for it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(state.encode(), address)
        except OSError:
            return  # the manager has gone: there is nobody to be told
