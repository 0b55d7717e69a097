/*
 * What linux.resources asks for, as a list of values to be written to files of control groups: made by cgroup_v1.c or
 * cgroup_v2.c before anything in the kernel is changed, then applied.
 */
#pragma once

#include "wherry/arena.h"
#include "wherry/cgroup.h"
#include "wherry/error.h"

#include <stdbool.h>
#include <stddef.h>

struct json_object;

struct cgroup_setting {
    unsigned controller; /* enum cgroup_controller */
    const char *field;   /* its name below linux.resources, for errors */
    const char *file;
    const char *value;
    const char *other_file;  /* another file for the same: each that exists is written, one has to; NULL: none */
    const char *other_value; /* the value for it */
    const char *gone;        /* not NULL: where the kernel lacks the file or refuses it for good, this is the warning */
    bool unlimited;          /* the value takes a limit away: where file or controller are missing there is none */
    bool optional;           /* goes beyond what the field asks for: left out where the file is missing */
    bool done;
};

struct cgroup_settings {
    struct wherry_arena arena;
    struct cgroup_setting *list;
    size_t count;
    size_t room;
};

#define CGROUP_SETTINGS_INIT                                                                                           \
    {                                                                                                                  \
        .arena = WHERRY_ARENA_INIT, .list = NULL, .count = 0, .room = 0                                                \
    }

/* Appends a setting whose value is formatted; `field` and `file` must outlive the list (literals, or from its arena).
 * Returns it for the rarer members, or NULL with `err` set when memory is out. */
struct cgroup_setting *cgroup_settings_add(struct cgroup_settings *settings, unsigned controller, const char *field,
                                           const char *file, struct wherry_error *err, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* Translations of linux.resources without devices. `current` is the group that is updated; NULL when it is made. */
int cgroup_v1_translate(struct json_object *resources, struct cgroup_settings *settings, struct wherry_error *err);
int cgroup_v2_translate(struct json_object *resources, struct wherry_cgroup *current, struct cgroup_settings *settings,
                        struct wherry_error *err);

/* Parts of both: what v1 and v2 name alike (cpuset, pids, huge pages, RDMA), and block devices. */
int cgroup_common_translate(struct json_object *resources, bool unified, struct cgroup_settings *settings,
                            struct wherry_error *err);
int cgroup_blockio_translate(struct json_object *resources, bool unified, struct cgroup_settings *settings,
                             struct wherry_error *err);

/* Writes all. Limits can depend on each other (memory below memory and swap, burst below quota): what is refused with
 * EINVAL or EBUSY is tried again after the rest, for as long as that gets something done. Unless `undo` is NULL it
 * receives what brings the old values back (cgroup_undo.h), after a failure too. */
int cgroup_settings_apply(struct cgroup_settings *settings, struct wherry_cgroup *cg, struct cgroup_settings *undo,
                          struct wherry_error *err);

/* Has the next application write all of them once more. */
void cgroup_settings_reset(struct cgroup_settings *settings);

void cgroup_settings_free(struct cgroup_settings *settings);

static inline void cleanup_cgroup_settings_free(struct cgroup_settings *settings)
{
    cgroup_settings_free(settings);
}

#define cleanup_cgroup_settings __attribute__((cleanup(cleanup_cgroup_settings_free)))
