/*
 * The OCI bundle configuration (config.json) as the runtime needs it: every field checked, unsupported ones refused by
 * name.
 *
 * Source: OCI runtime-spec 1.x, config.md and config-linux.md. All strings and arrays belong to the spec and live until
 * wherry_spec_free. Optional JSON objects that other parts read themselves (capabilities, seccomp, resources) are kept
 * as such.
 */
#pragma once

#include "wherry/arena.h"
#include "wherry/error.h"
#include "wherry/id_set.h"
#include "wherry/lsm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct json_object;

/* The newest version of the specification whose fields are all known. */
#define WHERRY_SPEC_VERSION "1.3.0"

/* The largest config.json that is read, in bytes. */
#define WHERRY_SPEC_SIZE_MAX (8u << 20)
#define WHERRY_SPEC_FILE "config.json"

enum wherry_hook_kind {
    WHERRY_HOOK_PRESTART,
    WHERRY_HOOK_CREATE_RUNTIME,
    WHERRY_HOOK_CREATE_CONTAINER,
    WHERRY_HOOK_START_CONTAINER,
    WHERRY_HOOK_POSTSTART,
    WHERRY_HOOK_POSTSTOP,
    WHERRY_HOOK_KINDS,
};

struct wherry_hook {
    const char *path; /* absolute */
    const char **args;
    const char **env; /* NULL: the runtime's own */
    int timeout;      /* seconds; 0: none */
};

struct wherry_hooks {
    struct wherry_hook *items;
    size_t count;
};

/* process.scheduler, as sched_setattr(2) takes it. */
struct wherry_scheduler {
    uint32_t policy; /* SCHED_* */
    uint64_t flags;  /* SCHED_FLAG_* */
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period; /* nanoseconds */
};

struct wherry_process {
    const char **args;
    size_t arg_count;
    const char **env;
    size_t env_count;
    const char *cwd;
    bool terminal;
    bool has_console_size;
    unsigned short rows, columns;
    uid_t uid;
    gid_t gid;
    gid_t *groups;
    size_t group_count;
    bool has_umask;
    mode_t umask;
    bool no_new_privileges;
    bool has_oom_score_adj;
    int oom_score_adj;
    struct json_object *capabilities;     /* NULL when absent */
    struct json_object *rlimits;          /* NULL when absent */
    const char *labels[WHERRY_LSM_KINDS]; /* apparmorProfile, selinuxLabel; NULL when absent or empty */
    bool has_io_priority;
    int io_priority;                          /* class and level, as ioprio_set(2) takes them */
    const struct wherry_scheduler *scheduler; /* NULL when absent */
    const struct wherry_id_set *initial_cpus; /* of exec: before and in the cgroup; NULL when absent or empty */
    const struct wherry_id_set *final_cpus;
};

/* One word about propagation, applied in the order of the options: "slave", "shared" makes a mount both. */
struct wherry_propagation {
    uint64_t mode; /* MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE */
    bool recursive;
};

#define WHERRY_PROPAGATIONS_MAX 4

struct wherry_id_mapping {
    uint32_t inside, outside, count;
};

struct wherry_id_mappings {
    struct wherry_id_mapping *items;
    size_t count;
};

struct wherry_mount {
    const char *destination; /* absolute, in the container */
    const char *type;        /* file system type; "bind" for binds */
    const char *source;
    bool bind, recursive, copy_up;
    bool remount;                          /* changes what is mounted at the destination already */
    bool copy_symlink;                     /* a source that is a link is copied, not bound */
    bool source_nofollow, target_nofollow; /* a link is bound, or bound over, itself */
    bool idmapped, idmap_recursive;        /* by its own mappings, or by those of the container's user namespace */
    struct wherry_id_mappings uid_mappings, gid_mappings;
    uint64_t set, clear;                     /* MOUNT_ATTR_* of this mount */
    uint64_t recursive_set, recursive_clear; /* MOUNT_ATTR_* of it and all below it */
    unsigned long system_set, system_clear;  /* MS_* that belong to the file system, not to the mount of it */
    struct wherry_propagation propagations[WHERRY_PROPAGATIONS_MAX];
    size_t propagation_count;
    const char **data; /* options of the file system itself */
    size_t data_count;
};

struct wherry_namespace {
    int flag; /* CLONE_NEW* */
    const char *name;
    const char *path; /* NULL: a new one */
};

#define WHERRY_NAMESPACES_MAX 8

struct wherry_device {
    const char *path; /* absolute, in the container */
    mode_t mode;      /* type and permissions */
    dev_t number;
    uid_t uid;
    gid_t gid;
};

struct wherry_sysctl {
    const char *name; /* as written, with dots or slashes */
    const char *value;
    char *path; /* below /proc/sys */
};

/* A network device of the host that goes into the container's network namespace. */
struct wherry_net_device {
    const char *name;
    const char *name_inside; /* may end in %d: the kernel counts */
};

/* By how much a clock of a new time namespace is ahead of the host's, time_namespaces(7). */
struct wherry_clock_offset {
    const char *clock; /* "monotonic" or "boottime" */
    int64_t seconds;
    uint32_t nanoseconds;
};

#define WHERRY_CLOCKS 2

/* linux.memoryPolicy, as set_mempolicy(2) takes it. */
struct wherry_memory_policy {
    int mode; /* MPOL_* with MPOL_F_* */
    struct wherry_id_set nodes;
};

/* What of the linux object holds for every process in the container, further ones too. */
struct wherry_execution_domain {
    bool has_personality;
    unsigned long personality;                        /* as personality(2) takes it */
    const struct wherry_memory_policy *memory_policy; /* NULL when absent */
};

struct wherry_spec {
    struct json_object *document;
    char *text; /* what the document was read from, by wherry_spec_load; NULL otherwise */
    size_t text_length;
    struct wherry_arena arena;
    const char *oci_version;
    const char *hostname, *domainname;
    const char *root_path; /* absolute */
    bool root_readonly;
    bool has_process;
    struct wherry_process process;
    struct wherry_mount *mounts;
    size_t mount_count;
    struct wherry_hooks hooks[WHERRY_HOOK_KINDS];
    struct json_object *annotations;

    struct wherry_namespace namespaces[WHERRY_NAMESPACES_MAX];
    size_t namespace_count;
    struct wherry_id_mappings uid_mappings, gid_mappings;
    struct wherry_device *devices;
    size_t device_count;
    struct wherry_sysctl *sysctls;
    size_t sysctl_count;
    const char *cgroups_path;                /* NULL when absent */
    struct json_object *resources, *seccomp; /* the second perhaps as its text, wherry/seccomp.h */
    const char **masked_paths, **readonly_paths;
    size_t masked_count, readonly_count;
    uint64_t root_propagation; /* MS_SHARED, MS_SLAVE, …; 0: not said */
    bool root_propagation_recursive;
    const char *mount_label; /* NULL when absent or empty */
    struct wherry_execution_domain domain;
    struct wherry_clock_offset clock_offsets[WHERRY_CLOCKS];
    size_t clock_offset_count;
    struct wherry_net_device *net_devices;
    size_t net_device_count;
};

/* Reads the file `config` (NULL: config.json) of the directory `bundle`. Relative host paths in it are taken from the
 * bundle, as the specification says. */
int wherry_spec_load(const char *bundle, const char *config, struct wherry_spec *spec, struct wherry_error *err);

/* The configuration that a container was made of, as its record in `directory` keeps it, for verbs that look at parts
 * of it: checked as JSON only, with linux.seccomp perhaps as its text. NULL with `err` set on failure. */
struct json_object *wherry_spec_kept(int directory, struct wherry_error *err);

/* One more mount, after all others: a bind of `source`, read-only and without devices, set-user-ID and programs. */
int wherry_spec_add_bind(struct wherry_spec *spec, const char *source, const char *destination,
                         struct wherry_error *err);

/* One more environment variable, "NAME=VALUE", which counts before one of that name that is there. */
int wherry_process_add_variable(struct wherry_process *process, struct wherry_arena *arena, const char *variable,
                                struct wherry_error *err);

/* Reads a document that is already parsed; takes the reference over, on failure too. */
int wherry_spec_parse(struct json_object *document, const char *bundle, struct wherry_spec *spec,
                      struct wherry_error *err);

/* Reads a process object alone, as `exec --process` gets one; memory goes to `arena`, strings stay in `object`. */
int wherry_process_parse(struct json_object *object, const char *where, struct wherry_arena *arena,
                         struct wherry_process *process, struct wherry_error *err);

/* Reads of a linux object what holds for every process; NULL has nothing. */
int wherry_execution_domain_parse(struct json_object *system, struct wherry_arena *arena,
                                  struct wherry_execution_domain *domain, struct wherry_error *err);

/* The `memoryPolicy` object of the features document. */
struct json_object *wherry_memory_policy_describe(void);

/* Reads the options of one mount into `mount`; `where` names it in errors. */
int wherry_mount_options_parse(const char *const *options, size_t count, const char *where, struct wherry_arena *arena,
                               struct wherry_mount *mount, struct wherry_error *err);

/* The name of the option number `index` that mounts may have, or NULL behind the last one. */
const char *wherry_mount_option_name(size_t index);

/* Gives the mounts that take one the context of linux.mountLabel, which this kernel's SELinux is to know. */
int wherry_spec_apply_mount_label(struct wherry_spec *spec, struct wherry_error *err);

/* The namespace entry for a CLONE_NEW* flag, or NULL when the container shares that namespace with the runtime. */
const struct wherry_namespace *wherry_spec_namespace(const struct wherry_spec *spec, int flag);

void wherry_spec_free(struct wherry_spec *spec);
