# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where Docker's clients keep the credentials of registries: ``config.json``, or the credential helper that it names.

Form of the file and the protocol of helpers: docker-login(1), "credential helper protocol". Errors: AgentError.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import shutil
import subprocess
import tempfile

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentError

_HELPER_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
_HELPER_SECONDS = 60
_NOT_FOUND = "credentials not found in native keychain"
_TOKEN_USER = "<token>"


def store_of(path, registry):
    """The place where a configuration file keeps the credentials of a registry."""
    configuration = _read(path)
    helpers = _mapping(configuration, "credHelpers", path)
    helper = helpers.get(registry) or configuration.get("credsStore")
    if helper:
        return HelperStore(helper, registry)
    return FileStore(path, registry)


class FileStore:
    """Credentials in the file itself, readable for its owner alone."""

    def __init__(self, path, registry):
        self._path = path
        self._registry = registry

    def get(self):
        """User and password; None if none are kept."""
        entry = _mapping(_read(self._path), "auths", self._path).get(self._registry)
        if not isinstance(entry, dict):
            return None
        if entry.get("identitytoken"):
            return (_TOKEN_USER, entry["identitytoken"])
        try:
            user, _colon, password = base64.b64decode(entry.get("auth") or "").decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return (user, password) if user else None

    def put(self, user, password):
        """Keeps credentials."""
        configuration = _read(self._path)
        entry = {"auth": base64.b64encode("{0}:{1}".format(user, password).encode("utf-8")).decode("ascii")}
        if user == _TOKEN_USER:
            entry = {"auth": base64.b64encode(b"<token>:").decode("ascii"), "identitytoken": password}
        configuration["auths"] = dict(_mapping(configuration, "auths", self._path), **{self._registry: entry})
        _write(self._path, configuration)

    def erase(self):
        """Forgets the credentials."""
        configuration = _read(self._path)
        auths = dict(_mapping(configuration, "auths", self._path))
        auths.pop(self._registry, None)
        configuration["auths"] = auths
        _write(self._path, configuration)


class HelperStore:
    """Credentials in a program, ``docker-credential-NAME`` in the path."""

    def __init__(self, name, registry):
        program = "docker-credential-{0}".format(name)
        found = shutil.which(program) if _HELPER_NAME.match(str(name)) else None
        if found is None:
            raise AgentError(
                'config_path: the credential helper "{0}" that it names is not in the path'.format(program)
            )
        self._program = found
        self._registry = registry

    def get(self):
        """User and password; None if none are kept."""
        code, output = self._run("get", self._registry)
        if code != 0:
            if _NOT_FOUND in output:
                return None
            raise self._failure(output)
        try:
            found = json.loads(output)
            return (found["Username"], found["Secret"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._failure("its answer is not understood") from error

    def put(self, user, password):
        """Keeps credentials."""
        self._check(
            *self._run("store", json.dumps({"ServerURL": self._registry, "Username": user, "Secret": password}))
        )

    def erase(self):
        """Forgets the credentials."""
        self._check(*self._run("erase", self._registry))

    def _run(self, verb, text):
        try:
            done = subprocess.run(
                [self._program, verb],
                input=text.encode("utf-8"),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_HELPER_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise self._failure(error) from error
        return done.returncode, done.stdout.decode("utf-8", "replace").strip()

    def _check(self, code, output):
        if code != 0:
            raise self._failure(output)

    def _failure(self, reason):
        return AgentError("the credential helper {0} failed: {1}".format(os.path.basename(self._program), reason))


def _mapping(configuration, name, path):
    found = configuration.get(name) or {}
    if not isinstance(found, dict):
        raise AgentError('config_path: "{0}": {1} is no object'.format(path, name))
    return found


def _read(path):
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise AgentError('config_path: "{0}": cannot be read: {1}'.format(path, error)) from error
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise AgentError('config_path: "{0}": is no JSON: {1}'.format(path, error)) from error
    if not isinstance(found, dict):
        raise AgentError('config_path: "{0}": is no JSON object'.format(path))
    return found


def _write(path, configuration):
    """In one step: whoever reads at the same time sees the old file or the new one."""
    target = os.path.realpath(path)
    directory = os.path.dirname(target)
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=directory, prefix=".config.json-")  # mode 0600
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(configuration, stream, indent="\t", sort_keys=True)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(partial, target)
    except OSError as error:
        raise AgentError('config_path: "{0}": cannot be written: {1}'.format(path, error)) from error
