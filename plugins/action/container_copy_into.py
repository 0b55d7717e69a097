# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings the file of wherry.node.container_copy_into from the controller to the host, where the module reads it."""

from __future__ import annotations

import os
import shlex

from ansible.errors import AnsibleError
from ansible.module_utils.common.text.converters import to_text
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Transfers the file, then runs the module."""

    TRANSFERS_FILES = True

    def run(self, tmp=None, task_vars=None):
        """Runs the task."""
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        content = arguments.get("content")
        if content is not None and not isinstance(content, str):
            # Templates turn what looks like a number or a list into one, and its text is then anybody's guess.
            return dict(result, failed=True, msg='content: "{0}": is no string; put it into quotes'.format(content))
        if arguments.get("path") is not None and content is None:
            try:
                arguments["path"] = self._brought(arguments)
            except AnsibleError as error:
                return dict(result, failed=True, msg='path: "{0}": {1}'.format(arguments["path"], to_text(error)))
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _brought(self, arguments):
        """Where the file is on the host. Its mode comes along as an option, for a transfer does not keep it."""
        source = self._found(arguments["path"])
        remote = self._connection._shell.join_path(self._temporary_directory(), "source")
        if os.path.islink(source) and not boolean(arguments.get("local_follow", True), strict=False):
            self._link(os.readlink(source), remote)
            return remote
        if not os.path.isfile(source):
            raise AnsibleError("is neither a file nor a link")
        # What a vault keeps is brought as what it means, as ansible.builtin.copy does.
        self._transfer_file(self._loader.get_real_file(source), remote)
        self._fixup_perms2((self._connection._shell.tmpdir, remote))
        if arguments.get("mode") is None:
            arguments["mode"] = "{0:04o}".format(os.stat(source).st_mode & 0o7777)
        return remote

    def _found(self, path):
        """The file on the controller. Links are kept: they may be what is meant."""
        return path if os.path.isabs(path) else self._find_needle("files", path)

    def _temporary_directory(self):
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        return self._connection._shell.tmpdir

    def _link(self, target, remote):
        done = self._low_level_execute_command("ln -s -- {0} {1}".format(shlex.quote(target), shlex.quote(remote)))
        if done["rc"] != 0:
            raise AnsibleError("the link cannot be made on the host: {0}".format(done["stderr"].strip()))
