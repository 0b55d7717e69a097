/* The parts of config.json, each read by a file of its own; see wherry/spec.h. Private to the spec_*.c files. */
#pragma once

#include "wherry/json.h"
#include "wherry/spec.h"

#define WHERRY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The largest user or group ID: (uid_t)-1 means "leave unchanged" to the kernel and is nobody's. */
#define WHERRY_ID_MAX 4294967294LL

/* ioPriority, scheduler and execCPUAffinity of a process object. */
int wherry_process_parse_scheduling(struct json_object *object, const char *where, struct wherry_arena *arena,
                                    struct wherry_process *process, struct wherry_error *err);

/* apparmorProfile and selinuxLabel of a process object. */
int wherry_process_parse_labels(struct json_object *object, const char *where, struct wherry_process *process,
                                struct wherry_error *err);

int wherry_spec_parse_mounts(struct wherry_spec *spec, const char *bundle, struct wherry_error *err);
int wherry_spec_parse_hooks(struct wherry_spec *spec, struct wherry_error *err);
int wherry_spec_parse_mount_label(struct json_object *system, struct wherry_spec *spec, struct wherry_error *err);
int wherry_spec_parse_time(struct json_object *system, struct wherry_spec *spec, struct wherry_error *err);
int wherry_spec_parse_network_devices(struct json_object *system, struct wherry_spec *spec, struct wherry_error *err);
int wherry_spec_parse_linux(struct wherry_spec *spec, struct wherry_error *err);

/* An array of ID mappings, as user namespaces and mounts have them (spec_linux.c). */
int wherry_spec_parse_mappings(struct json_object *object, const char *where, const char *key,
                               struct wherry_arena *arena, struct wherry_id_mappings *mappings,
                               struct wherry_error *err);

/* The mappings behind "idmap=" (mount_idmap_option.c): 0, or -1 when they are none. */
int wherry_mount_idmap_parse(const char *text, struct wherry_arena *arena, struct wherry_mount *mount);

/* Checks that run across the parts, when all of them are read. */
int wherry_spec_validate(const struct wherry_spec *spec, struct wherry_error *err);
