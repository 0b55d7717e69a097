"""A no-change `wherry.node.container` task beside `ansible.builtin.ping`: whole ansible runs, local connection."""

from __future__ import annotations

import os
from collections.abc import Callable

from tests.bench import measure, private
from tests.lab.fleet import Fleet

TASKS = 10


def _playbook(lab: Fleet, name: str, module: str, arguments: str) -> str:
    path = lab.directory / f"{name}.yml"
    tasks = "".join(f"    - {module}: {arguments}\n" for _ in range(TASKS))
    path.write_text(f"- hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n{tasks}")
    return str(path)


def main() -> None:
    with private.host() as lab:
        socket = private.start_wherryd(lab)
        private.import_image(lab, socket, private.busybox_rootfs(lab.directory))
        container = f"{{agent: '{socket}', name: web, image: bench, command: [sleep, '1000'], state: started}}"
        playbooks = {
            "wherry.node.container": _playbook(lab, "container", "wherry.node.container", container),
            "ansible.builtin.ping": _playbook(lab, "ping", "ansible.builtin.ping", "{}"),
            "(empty playbook)": _playbook(lab, "empty", "ansible.builtin.meta", "noop"),
        }

        def play(path: str) -> Callable[[], None]:
            argv = ["env", "-C", str(private.REPOSITORY), f"PATH={private.BIN}:{os.environ['PATH']}"]
            argv += ["HOME=/root", "ansible-playbook", path]
            return measure.command(*lab.host_command("h1", argv))

        contenders = {name: play(path) for name, path in playbooks.items()}
        series = measure.in_turn(contenders, runs=5, warm_up=1)
        measure.report(f"ansible-playbook of {TASKS} tasks that change nothing", series)
        whole, ping, empty = (one.median for one in series)
        print(f"  a task alone: {(whole - empty) / TASKS:.0f} ms beside {(ping - empty) / TASKS:.0f} ms,", end=" ")
        print(f"ratio {(whole - empty) / (ping - empty):.2f}")


if __name__ == "__main__":
    main()
