/*
 * Labels of the kernel's security modules: which of them this kernel runs, and the label that a process gets with the
 * next program that it executes.
 *
 * Sources: OCI runtime-spec config.md "Linux Process", AppArmor's aa_change_onexec(2), setexeccon(3), proc(5).
 */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>
#include <sys/types.h>

enum wherry_lsm {
    WHERRY_LSM_APPARMOR,
    WHERRY_LSM_SELINUX,
    WHERRY_LSM_KINDS,
};

const char *wherry_lsm_name(enum wherry_lsm lsm);

/* Whether the kernel runs the module, as /proc and /sys below the directory `root` say. */
bool wherry_lsm_is_enabled(enum wherry_lsm lsm, int root);

/* Opens the file of process `pid` below `proc`, the root of a procfs, that takes its label. No link is followed and
 * nothing that is mounted over it is opened (CVE-2025-52881). Async-signal-safe. */
int wherry_lsm_open(enum wherry_lsm lsm, int proc, pid_t pid, struct wherry_error *err);

/* Writes the label for the next exec to that file. Async-signal-safe. */
int wherry_lsm_write(enum wherry_lsm lsm, int fd, const char *label, struct wherry_error *err);
