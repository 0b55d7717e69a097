/*
 * Device rules of linux.resources.devices: read, completed by what every container may use, and put into force by the
 * v1 devices controller or by a BPF program on v2.
 *
 * The last rule that matches an access decides about it, bit by bit (read, write, mknod); what no rule matches is
 * denied.
 */
#pragma once

#include "wherry/cgroup.h"
#include "wherry/error.h"

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>

struct json_object;
struct cgroup_settings;

#define CGROUP_DEVICE_ANY (-1)

/* Access bits; those of the kernel's BPF interface. */
#define CGROUP_DEVICE_MKNOD BPF_DEVCG_ACC_MKNOD
#define CGROUP_DEVICE_READ BPF_DEVCG_ACC_READ
#define CGROUP_DEVICE_WRITE BPF_DEVCG_ACC_WRITE
#define CGROUP_DEVICE_ALL (CGROUP_DEVICE_MKNOD | CGROUP_DEVICE_READ | CGROUP_DEVICE_WRITE)

struct cgroup_device_rule {
    bool allow;
    char type; /* 'b', 'c' or 'a': both */
    int major; /* or CGROUP_DEVICE_ANY */
    int minor; /* or CGROUP_DEVICE_ANY */
    unsigned access;
    size_t index; /* in linux.resources.devices, for errors; SIZE_MAX for a standard one */
};

struct cgroup_device_rules {
    bool allow_rest; /* what no rule matches */
    size_t count;
    struct cgroup_device_rule *list;
};

#define CGROUP_DEVICE_RULES_INIT                                                                                       \
    {                                                                                                                  \
        .allow_rest = false, .count = 0, .list = NULL                                                                  \
    }

/* Reads the rules, leaves out what a later catch-all overrides, and puts the standard devices behind all of them unless
 * everything is allowed. `devices` may be NULL: then only the standard devices are allowed. */
int cgroup_devices_parse(struct json_object *devices, struct cgroup_device_rules *rules, struct wherry_error *err);
void cgroup_devices_free(struct cgroup_device_rules *rules);

/* Adds the writes to devices.allow and devices.deny that have the same effect. v1 knows one default with exceptions:
 * a rule that takes back a part of an earlier wildcard cannot be said and is an error that names it. */
int cgroup_devices_v1(const struct cgroup_device_rules *rules, struct cgroup_settings *settings,
                      struct wherry_error *err);

/* The same for a group that has rules already, as the writes that are different: 0. Where only throwing all away and
 * beginning anew will do, which denies everything for an instant: 1. */
int cgroup_devices_v1_difference(const struct cgroup_device_rules *rules, int directory,
                                 struct cgroup_settings *settings, struct wherry_error *err);

/* The program for BPF_PROG_TYPE_CGROUP_DEVICE with the same effect, for free(). Its length in *count. */
int cgroup_devices_program(const struct cgroup_device_rules *rules, struct bpf_insn **program, size_t *count,
                           struct wherry_error *err);

/* Loads that program and attaches it to the v2 directory, in the place of one that this function attached before. */
int cgroup_devices_v2(const struct cgroup_device_rules *rules, int directory, struct wherry_error *err);

static inline void cleanup_cgroup_devices_free(struct cgroup_device_rules *rules)
{
    cgroup_devices_free(rules);
}

#define cleanup_cgroup_devices __attribute__((cleanup(cleanup_cgroup_devices_free)))
