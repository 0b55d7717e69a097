/*
 * What a container has used: memory, processors, processes, block devices, huge pages and network, in one reading.
 *
 * The document has the shape of the "data" of runc's `events --stats`, which callers of runtimes parse:
 *
 *   cpu      usage: total, kernel, user (nanoseconds), percpu, percpu_kernel, percpu_user (v1; nanoseconds per CPU);
 *            throttling: periods, throttledPeriods, throttledTime (nanoseconds); psi (v2)
 *   cpuset   cpus, mems (lists of numbers) and the flags of v1's cpuset
 *   memory   usage, swap (memory and swap together), kernel, kernelTCP: each limit, usage, max (the highest so far),
 *            failcnt (how often the limit was met), bytes; cache; raw: all of memory.stat; event_count and psi (v2)
 *   pids     current, limit (0: none)
 *   blkio    ioServiceBytesRecursive, ioServicedRecursive and the others that the kernel has: lists of
 *            {major, minor, op, value}, op "Read", "Write", …
 *   hugetlb  by size of page: usage, max, failcnt
 *   intel_rdt  always empty: this runtime refuses linux.intelRdt
 *   network_interfaces  of the container's own network namespace, lo left out; null without one of its own
 *
 * What the kernel does not count reads as 0; no limit reads as 18446744073709551615, on v1 as the kernel's own largest.
 *
 * Sources: the kernel's Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst, Documentation/accounting/psi.rst,
 * proc_pid_net(5), proc_stat(5).
 */
#pragma once

#include "wherry/cgroup.h"
#include "wherry/error.h"

#include <stdbool.h>
#include <sys/types.h>

struct json_object;

/* Reads the groups of `cg` and, when `network_pid` is not 0, the interfaces in the network namespace of that process.
 * The caller puts the reference. Fails with ENODEV or ENOENT when the groups are gone. */
int wherry_statistics_read(struct wherry_cgroup *cg, pid_t network_pid, struct json_object **statistics,
                           struct wherry_error *err);

/* The same of the container `id` below the runtime's root directory, as text for free(), with one more member:
 *   host     cpu_total: what all CPUs of the host have spent in user, nice, system, idle, iowait, irq, softirq and
 * steal time since boot (nanoseconds); cpus_online; memory_total (bytes) Fails when the container does not run. */
int wherry_statistics_json(const char *root, const char *id, char **text, struct wherry_error *err);
