#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the users of a registry, with passwords by bcrypt."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_htpasswd

short_description: The users of a registry

description:
  - Writes the file of users and passwords that a registry reads (C(auth.htpasswd)). Passwords are hashed by bcrypt with
    a random salt; a password that is right already keeps its line.
  - It needs nothing on the host but its C library's crypt(3).

version_added: 0.1.0

author:
  - The Wherry project (@wherry)

extends_documentation_fragment:
  - wherry.node.attributes
  - ansible.builtin.files

attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows which users come, go and get another password; hashes are not shown.
  idempotent:
    support: full
  platform:
    support: full
    platforms: linux

options:
  path:
    description:
      - The file.
    type: path
    required: true
  users:
    description:
      - All users that there shall be. Others are removed.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The user name, without a colon.
        type: str
        required: true
      password:
        description:
          - The password, at most 72 bytes.
        type: str
        required: true
  cost:
    description:
      - How costly a new hash is, as a power of two.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Who may use the registry
  wherry.node.registry_htpasswd:
    path: /etc/wherry-registry/htpasswd
    users:
      - name: deploy
        password: "{{ deploy_password }}"
"""

RETURN = r"""
added:
  description: Users that came.
  returned: success
  type: list
  elements: str
  sample: [deploy]
removed:
  description: Users that went.
  returned: success
  type: list
  elements: str
  sample: []
updated:
  description: Users with another password than before.
  returned: success
  type: list
  elements: str
  sample: []
"""

import ctypes
import os
import random
import tempfile

from ansible.module_utils.basic import AnsibleModule

ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
SALT_LENGTH = 22
PASSWORD_MAX = 72
OPTIONS = {
    "path": {"type": "path", "required": True},
    "users": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
        },
    },
    "cost": {"type": "int", "default": 10},
}
LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2", None)


class CannotHash(Exception):
    """The C library has no bcrypt."""


def load_crypt():
    """crypt(3) of this host's C library; the crypt module is gone from newer Pythons."""
    for name in LIBRARIES:
        try:
            function = ctypes.CDLL(name).crypt
        except (OSError, AttributeError):
            continue
        function.restype = ctypes.c_char_p
        function.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
        return function
    raise CannotHash("this host's C library has no crypt(3)")


def hashed(crypt, password, setting):
    """The hash of a password under a setting (or under another hash's); None where the library refuses."""
    found = crypt(password.encode(), setting.encode())
    text = found.decode() if found else ""
    return text if text.startswith("$2") else None


def new_hash(crypt, password, cost):
    """A hash with a salt of its own."""
    source = random.SystemRandom()
    salt = "".join(source.choice(ALPHABET) for unused in range(SALT_LENGTH))
    found = hashed(crypt, password, "$2b$%02d$%s" % (cost, salt))
    if found is None:
        raise CannotHash("this host's crypt(3) has no bcrypt")
    return found


def is_right(crypt, password, known):
    """Whether a hash is of this password. The registry reads $2a$, $2b$ and $2y$, which are the same for it."""
    if not known.startswith(("$2a$", "$2b$", "$2y$")):
        return False
    again = hashed(crypt, password, "$2b$" + known[4:])
    return again is not None and again[4:] == known[4:]


def read_lines(path):
    """The hashes in the file by user name."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return None
    return dict(line.split(":", 1) for line in lines if ":" in line)


def complaint(users, cost):
    """What is wrong with the options, or None."""
    if not 4 <= cost <= 17:
        return "cost: %d: must be from 4 to 17" % cost
    names = [user["name"] for user in users]
    for number, user in enumerate(users):
        name, password = user["name"], user["password"]
        if not name or ":" in name or any(ord(sign) < 33 for sign in name):
            return "users[%d].name: must be a word without a colon" % number
        if names.index(name) != number:
            return "users[%d].name: %s is listed twice" % (number, name)
        if not password or len(password.encode()) > PASSWORD_MAX or any(sign in password for sign in "\0\r\n"):
            return "users[%d].password: must have 1 to %d bytes, all on one line" % (number, PASSWORD_MAX)
    return None


def write(module, path, lines):
    """Replaces the file by rename; before that nobody else can read it."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".htpasswd.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.writelines("%s:%s\n" % pair for pair in lines.items())
    module.atomic_move(temporary, path)


def settle(module, crypt):
    """Brings the file into the declared state; returns the module's result."""
    path, users, cost = (module.params[name] for name in ("path", "users", "cost"))
    known = read_lines(path)
    before = known or {}
    lines, updated = {}, []
    for user in users:
        name, password = user["name"], user["password"]
        if name in before and is_right(crypt, password, before[name]):
            lines[name] = before[name]
            continue
        lines[name] = new_hash(crypt, password, cost)
        if name in before:
            updated.append(name)
    changed = known is None or lines != before
    if changed and not module.check_mode:
        write(module, path, lines)
    if os.path.exists(path):
        arguments = module.load_file_common_arguments(module.params)
        changed = module.set_fs_attributes_if_different(arguments, changed)
    return {
        "changed": changed,
        "added": [name for name in lines if name not in before],
        "removed": [name for name in before if name not in lines],
        "updated": updated,
        "diff": {
            "before": "".join("%s\n" % name for name in before),
            "after": "".join("%s%s\n" % (name, " (another password)" if name in updated else "") for name in lines),
        },
    }


def main():
    """Runs the module."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True, add_file_common_args=True)
    wrong = complaint(module.params["users"], module.params["cost"])
    if wrong:
        module.fail_json(msg=wrong)
    try:
        result = settle(module, load_crypt())
    except (CannotHash, OSError, ValueError) as error:
        module.fail_json(msg="%s: %s" % (module.params["path"], error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
