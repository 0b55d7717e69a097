# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One file in a container, by the archive endpoints of the Engine API: read, compare, write."""

from __future__ import annotations

import base64
import io
import json
import posixpath
import stat
import tarfile
import time

from ansible_collections.wherry.node.plugins.module_utils import processes
from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentError, path_of

SHOWN = 100 * 1024
"""Contents up to this many bytes are part of a difference."""

_LINKS = 40  # as many as the kernel follows, path_resolution(7)
_STAT_HEADER = "X-Docker-Container-Path-Stat"
_GO_SYMLINK = 1 << 27


class ContainerFile:
    """A regular file or a symbolic link: mode with its kind, content, target, numbers of owner and group."""

    def __init__(self, mode, data, target="", owner=(0, 0)):
        self.mode = mode
        self.data = data
        self.target = target
        self.owner = owner

    @property
    def is_link(self):
        """Whether it is a symbolic link, whose permissions mean nothing."""
        return stat.S_ISLNK(self.mode)

    def _facts(self):
        if self.is_link:
            return (stat.S_IFLNK, self.target, self.owner)
        return (self.mode, self.data, self.owner)

    def __eq__(self, other):
        return isinstance(other, ContainerFile) and self._facts() == other._facts()

    __hash__ = None

    def described(self):
        """It in words, for a difference that a person reads."""
        lines = ["kind: {0}".format("link to " + self.target if self.is_link else "file")]
        if not self.is_link:
            lines.append("mode: {0:04o}".format(stat.S_IMODE(self.mode)))
        return lines + ["owner: {0}:{1}".format(*self.owner)]


class Place:
    """A path in a container. Errors of all methods: AgentError."""

    def __init__(self, client, container, path):
        if not path.startswith("/") or path.endswith("/"):
            raise AgentError('container_path: "{0}": is no absolute path of a file'.format(path))
        self.path = posixpath.normpath(path)
        self._client = client
        self._container = container
        self._archive = path_of("containers", container, "archive")

    def default_owner(self):
        """User and group that the container's own process has."""
        found = self._client.request("GET", path_of("containers", self._container, "json"))
        user, _colon, group = found["Config"]["User"].partition(":")
        if not user:
            return (0, 0)
        if user.isdigit() and group.isdigit():
            return (int(user), int(group))
        return self._asked_owner(found, user)

    def _asked_owner(self, found, user):
        if not found["State"]["Running"]:
            raise AgentError(
                'owner_id, group_id: are needed, as the container does not run and its user "{0}" can be looked up '
                "only there".format(user)
            )
        return tuple(self._number(option) for option in ("-u", "-g"))

    def _number(self, option):
        session = processes.create_exec(
            self._client,
            self._container,
            {"Cmd": ["id", option], "AttachStdout": True, "AttachStderr": True, "AttachStdin": False},
        )
        code, stdout, stderr = processes.run_exec(self._client, session)
        if code != 0 or not stdout.strip().isdigit():
            raise AgentError(
                "owner_id, group_id: are needed, as the container has no id to ask: {0}".format(
                    stderr.decode("utf-8", "replace").strip()
                )
            )
        return int(stdout)

    def follow(self):
        """Goes where the links at this path lead, as far as there is something."""
        followed = 0
        while True:
            facts = self._stat()
            if facts is None or not facts["mode"] & _GO_SYMLINK:
                return
            followed += 1
            if followed > _LINKS:
                raise AgentError('container_path: "{0}": has too many links'.format(self.path))
            self.path = posixpath.normpath(posixpath.join(posixpath.dirname(self.path), facts["linkTarget"]))

    def _stat(self):
        with self._client.open("HEAD", self._archive, query={"path": self.path}) as answer:
            if answer.response.status == 404:
                return self._absent()
            header = answer.response.getheader(_STAT_HEADER)
            if answer.response.status >= 400 or header is None:
                raise AgentError(
                    'container_path: "{0}": HTTP status {1}'.format(self.path, answer.response.status),
                    answer.response.status,
                )
        return json.loads(base64.b64decode(header).decode("utf-8"))

    def _absent(self):
        """None, if it is the file that is not there, and not its container."""
        self._client.request("GET", path_of("containers", self._container, "json"))

    def read(self):
        """What is at this path; None if nothing is."""
        if self._stat() is None:
            return None
        with self._client.open("GET", self._archive, query={"path": self.path}) as answer:
            stream = self._client.checked(answer).response
            try:
                with tarfile.open(fileobj=stream, mode="r|") as archive:
                    return self._from_member(archive, archive.next())
            except tarfile.TarError as error:
                raise AgentError('container_path: "{0}": cannot be read: {1}'.format(self.path, error)) from error

    def _from_member(self, archive, member):
        owner = (member.uid, member.gid)
        if member.issym():
            return ContainerFile(stat.S_IFLNK | 0o777, b"", member.linkname, owner)
        if member.isreg():
            return ContainerFile(stat.S_IFREG | member.mode, archive.extractfile(member).read(), owner=owner)
        if member.isdir():
            raise AgentError('container_path: "{0}": is a directory in the container'.format(self.path))
        return ContainerFile(0, b"", owner=owner)  # a device or socket, which a file replaces

    def write(self, wanted):
        """Puts the file there, in place of what is."""
        directory, name = posixpath.split(self.path)
        body = _archive_of(name, wanted)
        query = {"path": directory, "noOverwriteDirNonDir": "1", "copyUIDGID": "0"}
        with self._client.open("PUT", self._archive, body, {"Content-Type": "application/x-tar"}, query) as answer:
            self._client.checked(answer).response.read()


def _archive_of(name, wanted):
    """A tar archive with this one file."""
    member = tarfile.TarInfo(name)
    member.mode = stat.S_IMODE(wanted.mode)
    member.uid, member.gid = wanted.owner
    member.mtime = int(time.time())
    if wanted.is_link:
        member.type, member.linkname = tarfile.SYMTYPE, wanted.target
    else:
        member.size = len(wanted.data)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member, io.BytesIO(wanted.data))
    return stream.getvalue()


def difference_of(path, before, after):
    """Both in Ansible's form of a difference; contents where they are short texts."""
    return {
        "before_header": path,
        "after_header": path,
        "before": _shown(before, after),
        "after": _shown(after, before),
    }


def _shown(one, other):
    if one is None:
        return ""
    lines = one.described()
    if one.data and (other is None or one.data != other.data):
        lines.append(_text(one.data))
    return "\n".join(lines) + "\n"


def _text(data):
    if len(data) > SHOWN:
        return "({0} bytes)".format(len(data))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return "({0} bytes that are no text)".format(len(data))
