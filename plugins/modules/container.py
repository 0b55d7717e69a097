#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hands a container to the agent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: container

short_description: Containers of a host

description:
  - Declares a container. The agent on the host compares what is declared with what is, by effect and not by spelling,
    and makes, changes, starts, stops or removes the container.
  - Only declared options are compared. Limits, the restart policy and networks are changed while the container runs;
    for other changes it is made anew.
  - The options have the names and meanings of community.docker.docker_container.

version_added: 0.1.0

author:
  - The Wherry project (@wherry)

extends_documentation_fragment:
  - wherry.node.agent
  - wherry.node.attributes
  - wherry.node.attributes.resource

attributes:
  idempotent:
    support: partial
    details: O(restart), O(recreate) and O(detach=false) ask for something that is done each time.

options:
  name:
    description:
      - Name of the container; it is the identity by which a task finds it again.
    type: str
    required: true
  state:
    description:
      - V(absent) - the container is stopped and removed.
      - V(present) - the container exists as declared; whether it runs does not matter.
      - V(started) - it exists as declared and runs.
      - V(healthy) - as V(started), and its health check has succeeded. If that does not come within
        O(healthy_wait_timeout), or the container ends, the task fails and tells what the last checks said. A
        container without a check counts as healthy.
      - V(stopped) - it exists as declared and does not run.
    type: str
    choices:
      - absent
      - present
      - healthy
      - started
      - stopped
    default: started
  image:
    description:
      - Name or ID of the image. It is needed to make a container.
      - A container is made anew when its image is another one than the one that the name stands for now.
    type: str
  auto_remove:
    description:
      - The container is removed when it ends.
    type: bool
  blkio_weight:
    description:
      - Block I/O weight, V(10) to V(1000).
    type: int
  cap_drop:
    description:
      - Capabilities that the container loses.
    type: list
    elements: str
  capabilities:
    description:
      - Capabilities that the container gets.
    type: list
    elements: str
  cgroup_parent:
    description:
      - The control group below which the one of the container is made.
    type: str
  cgroupns_mode:
    description:
      - The cgroup namespace of the container.
    type: str
    choices:
      - private
      - host
  cleanup:
    description:
      - With O(detach=false), remove the container when it has ended.
    type: bool
    default: false
  command:
    description:
      - What runs in the container, a list of words or a string that is split into words as a shell does it.
    type: raw
  command_handling:
    description:
      - V(correct) - lists stay lists.
      - V(compatibility) - a list in O(command) or O(entrypoint) is joined with spaces and split again as a shell does it, and
        an empty one counts as not given.
    type: str
    choices:
      - compatibility
      - correct
    default: correct
  comparisons:
    description:
      - How options are compared, by option name; V(*) stands for all that are not named.
      - V(strict) - the value must be the same.
      - V(ignore) - the value is not compared.
      - V(allow_more_present) - for lists, sets and dictionaries, what is declared must be there, and more may be.
      - Without it, single values and lists are compared strictly, sets and dictionaries as with
        V(allow_more_present), and O(stop_timeout) not at all. The names V(image) and V(networks) can be used, too.
    type: dict
  container_default_behavior:
    description:
      - V(no_defaults) - an option that is not given is not compared.
      - V(compatibility) - O(auto_remove), O(init), O(interactive), O(paused), O(privileged), O(read_only) and O(tty) are
        V(false), and O(memory) is V(0), when they are not given.
    type: str
    choices:
      - compatibility
      - no_defaults
    default: no_defaults
  cpu_period:
    description:
      - Length of a CPU period in microseconds.
    type: str
  cpu_quota:
    description:
      - CPU time in microseconds that the container gets in each period.
    type: str
  cpu_shares:
    description:
      - CPU shares relative to other containers.
    type: int
  cpus:
    description:
      - How many CPUs the container may use, such as V(1.5).
    type: float
  cpuset_cpus:
    description:
      - The CPUs on which the container may run, such as V(0-2,5).
    type: str
  cpuset_mems:
    description:
      - The memory nodes that the container may use, such as V(0-1).
    type: str
  default_host_ip:
    description:
      - The address on which ports of O(published_ports) are published that name none. Every address of the host if
        it is not given.
    type: str
  detach:
    description:
      - If V(false), wait until the container has ended, and fail if its exit code is not V(0). Its output is
        returned.
    type: bool
    default: true
  device_cgroup_rules:
    description:
      - Rules for the control group of devices, such as V(c 42:* rmw).
    type: list
    elements: str
  device_read_bps:
    description:
      - Limits on reading from devices, in bytes.
    type: list
    elements: dict
    suboptions:
      path:
        description:
          - Path of the device on the host.
        type: str
        required: true
      rate:
        description:
          - Bytes a second, such as V(10M).
        type: str
        required: true
  device_read_iops:
    description:
      - Limits on reading from devices, in operations.
    type: list
    elements: dict
    suboptions:
      path:
        description:
          - Path of the device on the host.
        type: str
        required: true
      rate:
        description:
          - Operations a second.
        type: int
        required: true
  device_requests:
    description:
      - Devices by driver. The driver C(cdi) serves devices by the names of the Container Device Interface; what the host
        cannot serve is refused by name.
    type: list
    elements: dict
    suboptions:
      capabilities:
        description:
          - Sets of capabilities; a device must have all of one set.
        type: list
        elements: list
      count:
        description:
          - How many devices; V(-1) stands for all.
        type: int
      device_ids:
        description:
          - Names of devices.
        type: list
        elements: str
      driver:
        description:
          - The driver.
        type: str
      options:
        description:
          - Options of the driver.
        type: dict
  device_write_bps:
    description:
      - Limits on writing to devices, in bytes.
    type: list
    elements: dict
    suboptions:
      path:
        description:
          - Path of the device on the host.
        type: str
        required: true
      rate:
        description:
          - Bytes a second, such as V(10M).
        type: str
        required: true
  device_write_iops:
    description:
      - Limits on writing to devices, in operations.
    type: list
    elements: dict
    suboptions:
      path:
        description:
          - Path of the device on the host.
        type: str
        required: true
      rate:
        description:
          - Operations a second.
        type: int
        required: true
  devices:
    description:
      - Devices of the host that the container gets, each V(PATH_ON_HOST[:PATH_IN_CONTAINER][:rwm]).
    type: list
    elements: str
  dns_opts:
    description:
      - Options of the resolver.
    type: list
    elements: str
  dns_search_domains:
    description:
      - Search domains of the resolver.
    type: list
    elements: str
  dns_servers:
    description:
      - Addresses of DNS servers.
    type: list
    elements: str
  domainname:
    description:
      - The domain name of the container.
    type: str
  entrypoint:
    description:
      - Replaces the entrypoint of the image.
    type: list
    elements: str
  env:
    description:
      - Environment variables. Values must be strings, so numbers and booleans have to be quoted.
    type: dict
  env_file:
    description:
      - A file on the host with a line V(NAME=value) for each variable. O(env) wins over it.
    type: path
  etc_hosts:
    description:
      - Entries for /etc/hosts, host names with their addresses or V(host-gateway).
    type: dict
  exposed_ports:
    description:
      - Ports that the container exposes, such as V(80), V(53/udp) or V(8000-8010).
    type: list
    elements: str
    aliases:
      - exposed
      - expose
  force_kill:
    description:
      - Kill the container instead of stopping it.
    type: bool
    default: false
    aliases:
      - forcekill
  groups:
    description:
      - Further groups of the first process.
    type: list
    elements: str
  healthcheck:
    description:
      - The command that tells whether the container is healthy, and how often it is run.
      - Durations are numbers with V(h), V(m), V(s), V(ms) or V(us), such as V(1m30s).
    type: dict
    suboptions:
      test:
        description:
          - A string for a shell, or a list that begins with V(CMD), V(CMD-SHELL) or V(NONE).
        type: raw
      test_cli_compatible:
        description:
          - If V(true) and O(healthcheck.test) is not given, the image's test stays, with the other parts given here. If
            V(false), there is then no check.
        type: bool
        default: false
      interval:
        description:
          - Time between two checks. The default of the agent is 30 s.
        type: str
      timeout:
        description:
          - How long a check may take. The default of the agent is 30 s.
        type: str
      start_period:
        description:
          - How long failures do not count after the start.
        type: str
      start_interval:
        description:
          - Time between two checks within that period. The default of the agent is 5 s.
        type: str
      retries:
        description:
          - After how many failures in a row the container is unhealthy. The default of the agent is 3.
        type: int
  healthy_wait_timeout:
    description:
      - With O(state=healthy), how many seconds to wait. V(0) or less waits without an end.
    type: float
    default: 300
  hostname:
    description:
      - The host name of the container.
    type: str
  ignore_image:
    description:
      - The same as V(image) with V(ignore) in O(comparisons).
    type: bool
    default: false
  image_comparison:
    description:
      - Which image says what a container has without that it was declared, when O(comparisons) are strict.
      - V(desired-image) - the one that O(image) names now.
      - V(current-image) - the one that the container was made from.
    type: str
    choices:
      - desired-image
      - current-image
    default: desired-image
  image_label_mismatch:
    description:
      - What to do when the image brings labels that O(labels) does not have.
    type: str
    choices:
      - ignore
      - fail
    default: ignore
  image_name_mismatch:
    description:
      - What to do when the container was made from the same image under another name.
      - The default differs from the one of community.docker, an image counts by its ID.
    type: str
    choices:
      - ignore
      - recreate
    default: ignore
  init:
    description:
      - Whether the command runs below an init process that reaps orphans and passes signals on to it.
    type: bool
  interactive:
    description:
      - Keep the standard input open.
    type: bool
  ipc_mode:
    description:
      - The IPC namespace, V(private), V(shareable), V(host), V(none) or V(container:NAME).
    type: str
  keep_volumes:
    description:
      - Keep anonymous volumes when the container is removed.
    type: bool
    default: true
  kernel_memory:
    description:
      - Refused by name - kernels have no limit for kernel memory alone any more.
    type: str
  kill_signal:
    description:
      - The signal of O(force_kill), SIGKILL if it is not given.
    type: str
  labels:
    description:
      - Labels of the container. Values must be strings.
    type: dict
  links:
    description:
      - Containers of the default network, as C(NAME) or C(NAME:ALIAS), that this container knows by these names.
    type: list
    elements: str
  log_driver:
    description:
      - How the output of the container is kept.
    type: str
    choices:
      - json-file
      - local
      - syslog
      - journald
      - none
  log_options:
    description:
      - Options of the log driver, named as Docker names them. C(max-size), C(max-file) and C(compress) of V(json-file) and
        V(local); C(labels), C(labels-regex), C(env), C(env-regex) and C(tag) of V(json-file) and V(journald);
        C(syslog-address), C(syslog-facility), C(syslog-format) and C(tag) of V(syslog); C(mode) and C(max-buffer-size) of each.
      - An option that the driver does not have is refused.
    type: dict
    aliases:
      - log_opt
  mac_address:
    description:
      - The MAC address of the container in its first network.
    type: str
  memory:
    description:
      - Memory limit, such as V(512M).
    type: str
  memory_reservation:
    description:
      - Soft memory limit.
    type: str
  memory_swap:
    description:
      - Limit of memory and swap together, V(unlimited) or a size.
    type: str
  memory_swappiness:
    description:
      - How ready the kernel is to swap, V(0) to V(100).
    type: int
  mounts:
    description:
      - Mounts of the container, in long form.
    type: list
    elements: dict
    suboptions:
      target:
        description:
          - Path in the container.
        type: str
        required: true
      source:
        description:
          - Name of a volume, or a path on the host.
        type: str
      type:
        description:
          - What is mounted.
        type: str
        choices:
          - bind
          - tmpfs
          - volume
        default: volume
      read_only:
        description:
          - Mount it read-only.
        type: bool
      consistency:
        description:
          - Consistency of the mount; it makes no difference on Linux.
        type: str
        choices:
          - cached
          - consistent
          - default
          - delegated
      propagation:
        description:
          - Propagation of a bind mount.
        type: str
        choices:
          - private
          - rprivate
          - shared
          - rshared
          - slave
          - rslave
      non_recursive:
        description:
          - Leave out mounts below the source of a bind mount.
        type: bool
      create_mountpoint:
        description:
          - Make the source of a bind mount if it does not exist.
        type: bool
      no_copy:
        description:
          - Do not fill a new volume with what the image has at the target.
        type: bool
      labels:
        description:
          - Labels of a volume that is made for this mount.
        type: dict
      volume_driver:
        description:
          - Driver of a volume that is made for this mount.
        type: str
      volume_options:
        description:
          - Driver options of a volume that is made for this mount.
        type: dict
      tmpfs_size:
        description:
          - Size of a tmpfs mount, such as V(64M).
        type: str
      tmpfs_mode:
        description:
          - Mode of a tmpfs mount, octal, such as V("1777").
        type: str
      tmpfs_options:
        description:
          - Further options of a tmpfs mount, each a dictionary with one entry.
        type: list
        elements: dict
  network_mode:
    description:
      - The network of the container, V(bridge), V(host), V(none), V(container:NAME) or the name of a network.
      - If it is not given, the first of O(networks) is it, and V(bridge) if there is none.
    type: str
  networks:
    description:
      - The networks into which the container is plugged. A running container is plugged in and out without a
        restart.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - Name of the network.
        type: str
        required: true
      ipv4_address:
        description:
          - IPv4 address of the container in it.
        type: str
      ipv6_address:
        description:
          - IPv6 address of the container in it.
        type: str
      mac_address:
        description:
          - MAC address of the container in it.
        type: str
      aliases:
        description:
          - Further names of the container in it.
        type: list
        elements: str
      links:
        description:
          - Containers of it, as C(NAME) or C(NAME:ALIAS), that this container knows by these names.
        type: list
        elements: str
      driver_opts:
        description:
          - Options of the driver for this attachment.
        type: dict
      gw_priority:
        description:
          - Of the networks with a gateway, the one with the highest number is the way out.
        type: int
  networks_cli_compatible:
    description:
      - If V(true), the first of O(networks) is the network mode if O(network_mode) is not given, as with C(docker
        run --network). If V(false), the container is in V(bridge), too.
    type: bool
    default: true
  oom_killer:
    description:
      - Whether to disable the OOM killer for the container.
    type: bool
  oom_score_adj:
    description:
      - How early the OOM killer chooses the container, V(-1000) to V(1000).
    type: int
  output_logs:
    description:
      - With O(detach=false), show the output as a message of the task, too.
    type: bool
    default: false
  paused:
    description:
      - Whether the running container is paused.
    type: bool
  pid_mode:
    description:
      - The PID namespace, V(host) or V(container:NAME).
    type: str
  pids_limit:
    description:
      - How many processes the container may have; V(-1) is no limit.
    type: int
  platform:
    description:
      - Platform of the image when it is pulled, such as V(linux/amd64).
    type: str
  privileged:
    description:
      - Give the container all that the host has.
    type: bool
  publish_all_ports:
    description:
      - Publish all exposed ports on ports that the agent chooses.
    type: bool
  published_ports:
    description:
      - Ports to publish, each V([[IP:]HOST_PORT:]CONTAINER_PORT[/PROTOCOL]); ports may be ranges. V(all) publishes
        what the image exposes.
    type: list
    elements: str
    aliases:
      - ports
  pull:
    description:
      - When to pull the image.
      - V(missing) or V(false) - if it is not on the host.
      - V(always) or V(true) - if the registry has another one under this name; in check mode, too, the registry is
        asked.
      - V(never) - not at all.
    type: raw
    default: missing
  pull_check_mode_behavior:
    description:
      - What check mode says of O(pull=always). If it is not given, the registry is asked, and check mode tells what the run does.
      - V(image_not_present) - only an image that is not on the host is a change; the registry is not asked.
      - V(always) - a pull is always a change.
    type: str
    choices:
      - image_not_present
      - always
  purge_networks:
    description:
      - Unplug the container from networks that O(networks) does not have.
    type: bool
    default: false
  read_only:
    description:
      - Mount the root file system read-only.
    type: bool
  recreate:
    description:
      - Make the container anew in any case.
    type: bool
    default: false
  removal_wait_timeout:
    description:
      - How many seconds the removal of a container may take. Without an end if it is not given.
    type: float
  restart:
    description:
      - Restart the container if it runs.
    type: bool
    default: false
  restart_policy:
    description:
      - What happens when the container ends by itself.
    type: str
    choices:
      - always
      - "no"
      - on-failure
      - unless-stopped
  restart_retries:
    description:
      - How often O(restart_policy=on-failure) tries; V(0) is without end.
    type: int
  runtime:
    description:
      - The OCI runtime, by the name that the configuration of the agent has for it.
    type: str
  security_opts:
    description:
      - Security options, such as V(no-new-privileges) or V(seccomp=unconfined).
    type: list
    elements: str
  shm_size:
    description:
      - Size of /dev/shm, such as V(64M).
    type: str
  stop_signal:
    description:
      - The signal that asks the container to end.
    type: str
  stop_timeout:
    description:
      - Seconds to wait for the end before the container is killed.
    type: int
  storage_opts:
    description:
      - Options of the container's root file system. V(size) bounds what it may write outside of volumes, where the
        disk of the host has project quotas.
    type: dict
  sysctls:
    description:
      - Kernel parameters of the namespaces of the container.
    type: dict
  tmpfs:
    description:
      - Directories that are a tmpfs, each V(PATH[:OPTIONS]).
    type: list
    elements: str
  tty:
    description:
      - Give the container a terminal.
    type: bool
  ulimits:
    description:
      - Resource limits, each V(NAME:SOFT[:HARD]).
    type: list
    elements: str
  user:
    description:
      - User and group of the first process, V(USER[:GROUP]).
    type: str
  userns_mode:
    description:
      - V(host) - the container keeps the users of the host, where the agent remaps those of containers.
    type: str
  uts:
    description:
      - The UTS namespace, V(host) or that of its own.
    type: str
  volume_driver:
    description:
      - Driver of the volumes that O(volumes) names.
    type: str
  volumes:
    description:
      - Volumes, each V(VOLUME:PATH[:MODE]), V(HOST_PATH:PATH[:MODE]), or V(PATH) for an anonymous one.
    type: list
    elements: str
  volumes_from:
    description:
      - Containers whose mounts this one gets, too, each V(NAME[:ro]).
    type: list
    elements: str
  working_dir:
    description:
      - Working directory of the first process.
    type: str

seealso:
  - module: wherry.node.container_info
  - module: wherry.node.image
  - module: wherry.node.network
  - module: wherry.node.volume
"""

EXAMPLES = r"""
- name: A web server
  wherry.node.container:
    name: web
    image: nginx:1.27
    published_ports:
      - "80:80"
    volumes:
      - pages:/usr/share/nginx/html:ro
    memory: 256M
    cpus: 0.5
    restart_policy: unless-stopped

- name: A database with an address of its own
  wherry.node.container:
    name: database
    image: postgres:16
    networks:
      - name: back
        ipv4_address: 10.88.1.10
        aliases:
          - db
    env:
      POSTGRES_PASSWORD: "{{ database_password }}"
    volumes:
      - database:/var/lib/postgresql/data

- name: A job that runs to its end
  wherry.node.container:
    name: migrate
    image: example/migrate:3
    command: [migrate, --all]
    detach: false
    cleanup: true

- name: A container that shall not be there
  wherry.node.container:
    name: old
    state: absent
"""

RETURN = r"""
container:
  description:
    - The container as it is now, in the form of C(docker inspect); empty if there is none.
    - With O(detach=false) it has the key C(Output) with the end of what the container wrote.
  returned: success
  type: dict
  sample: {}
status:
  description: The exit code of the container.
  returned: with O(detach=false)
  type: int
  sample: 0
actions:
  description: What was done, or in check mode would be done, in order.
  returned: success
  type: list
  elements: dict
  sample:
    - kind: container
      name: web
      action: create
      changed: true
      reason: there is no such container
      before: {"state": "absent"}
      after: {"state": "present", "image": "nginx:1.27"}
pulls:
  description: What the pull of the image took - name, digest, bytes, seconds, and endpoints that served it.
  returned: when an image was pulled
  type: list
  elements: dict
  sample: []
"""

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentError
from ansible_collections.wherry.node.plugins.module_utils.container_options import OPTIONS
from ansible_collections.wherry.node.plugins.module_utils.container_resource import as_resource, with_end_of_run
from ansible_collections.wherry.node.plugins.module_utils.resource_module import declare, fail, resource_module


def main():
    """Runs the module."""
    module = resource_module(OPTIONS)
    try:
        result = with_end_of_run(declare(module, OPTIONS, "container", "container", as_resource))
    except AgentError as error:
        fail(module, error)
    if module.params["output_logs"] and "status" in result:
        module.log(result["container"]["Output"])
    if result.get("status"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
