# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes in running containers and what they print, by the Engine API's exec and its stream of frames."""

from __future__ import annotations

import json
import socket
import struct
import threading

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentError, path_of

STDOUT, STDERR = 1, 2

_FRAME = struct.Struct(">BxxxL")
_UPGRADE = {"Content-Type": "application/json", "Connection": "Upgrade", "Upgrade": "tcp"}


def create_exec(client, container, body):
    """Makes an exec session from the body of the Engine API; returns its ID. Errors: AgentError."""
    return client.request("POST", path_of("containers", container, "exec"), body)["Id"]


def start_detached(client, session):
    """Starts a session that nobody listens to."""
    client.request("POST", path_of("exec", session, "start"), {"Detach": True})


def run_exec(client, session, stdin=None, tty=False):
    """Runs a session to its end; returns exit code, standard output and standard error as bytes.

    With a terminal there is one output. Errors: AgentError.
    """
    body = json.dumps({"Detach": False, "Tty": tty}).encode()
    with client.open("POST", path_of("exec", session, "start"), body, _UPGRADE) as answer:
        client.checked(answer)
        if stdin is not None:
            # Beside the reading: a process may print before it has read everything.
            threading.Thread(target=_feed, args=(answer.sock, stdin), daemon=True).start()
        # What follows the head of a 101 is no body of HTTP: it is read from the connection itself.
        stream = answer.response.fp
        outputs = {STDOUT: stream.read(), STDERR: b""} if tty else read_frames(stream)
    return client.request("GET", path_of("exec", session, "json"))["ExitCode"], outputs[STDOUT], outputs[STDERR]


def read_frames(stream):
    """Standard output and error, by stream number, of a multiplexed stream until it ends. Errors: AgentError."""
    outputs = {STDOUT: bytearray(), STDERR: bytearray()}
    while True:
        head = stream.read(_FRAME.size)
        if not head:
            return {number: bytes(data) for number, data in outputs.items()}
        if len(head) < _FRAME.size:
            raise AgentError("the output ended within a frame")
        number, length = _FRAME.unpack(head)
        data = stream.read(length)
        if len(data) < length:
            raise AgentError("the output ended within a frame")
        outputs[STDERR if number == STDERR else STDOUT] += data


def _feed(sock, stdin):
    """Writes standard input and ends it."""
    try:
        sock.sendall(stdin)
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # The process ended without reading it all, which is no failure.
