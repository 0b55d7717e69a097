/* Checks of config.json that concern more than one of its parts; see wherry/spec.h. */
#include "spec_parts.h"
#include "wherry/spec.h"

#include <errno.h>
#include <linux/sched.h>

static bool is_new(const struct wherry_spec *spec, int flag)
{
    const struct wherry_namespace *namespace = wherry_spec_namespace(spec, flag);

    return namespace != NULL && namespace->path == NULL;
}

/* What the process sees when it is put into the mount namespace of another is that one's business: nothing can be
 * mounted for it. */
static int validate_joined_mounts(const struct wherry_spec *spec, struct wherry_error *err)
{
    const char *field = spec->mount_count > 0      ? "mounts"
                        : spec->root_path != NULL  ? "root"
                        : spec->device_count > 0   ? "linux.devices"
                        : spec->masked_count > 0   ? "linux.maskedPaths"
                        : spec->readonly_count > 0 ? "linux.readonlyPaths"
                        : spec->root_propagation   ? "linux.rootfsPropagation"
                                                   : NULL;

    if (field == NULL)
        return 0;
    return wherry_error_set(err, 0, "%s: must be absent when the mount namespace is one that is joined by its path",
                            field);
}

static int validate_mounts(const struct wherry_spec *spec, struct wherry_error *err)
{
    const struct wherry_namespace *mount = wherry_spec_namespace(spec, CLONE_NEWNS);

    if (mount == NULL)
        return wherry_error_set(err, 0, "linux.namespaces: must contain a mount namespace");
    if (mount->path != NULL)
        return validate_joined_mounts(spec, err);
    if (spec->root_path == NULL)
        return wherry_error_set(err, 0, "root.path: must be set");
    return 0;
}

static int validate_user_namespace(const struct wherry_spec *spec, struct wherry_error *err)
{
    bool mapped = spec->uid_mappings.count > 0 || spec->gid_mappings.count > 0;

    if (is_new(spec, CLONE_NEWUSER) && (spec->uid_mappings.count == 0 || spec->gid_mappings.count == 0))
        return wherry_error_set(err, 0, "linux.uidMappings, linux.gidMappings: must be set for a new user namespace");
    /* Of one that is joined the mappings are there already; some callers fill them in all the same. */
    if (wherry_spec_namespace(spec, CLONE_NEWUSER) == NULL && mapped)
        return wherry_error_set(err, 0,
                                "linux.uidMappings, linux.gidMappings: only with a user namespace, and there is none");
    return 0;
}

static int validate_network_devices(const struct wherry_spec *spec, struct wherry_error *err)
{
    if (spec->net_device_count == 0 || wherry_spec_namespace(spec, CLONE_NEWNET) != NULL)
        return 0;
    return wherry_error_set(err, 0, "linux.netDevices: needs a network namespace of the container's own");
}

static int validate_time(const struct wherry_spec *spec, struct wherry_error *err)
{
    if (spec->clock_offset_count == 0 || is_new(spec, CLONE_NEWTIME))
        return 0;
    return wherry_error_set(err, 0, "linux.timeOffsets: only for a new time namespace, and there is none");
}

/* sched(7): a process with a deadline cannot clone, and so not run a hook, unless its children do without. */
static int validate_deadline(const struct wherry_spec *spec, struct wherry_error *err)
{
    const struct wherry_scheduler *scheduler = spec->process.scheduler;

    if (scheduler == NULL || scheduler->policy != SCHED_DEADLINE ||
        (scheduler->flags & SCHED_FLAG_RESET_ON_FORK) != 0 || spec->hooks[WHERRY_HOOK_START_CONTAINER].count == 0)
        return 0;
    return wherry_error_set(err, 0,
                            "process.scheduler: SCHED_DEADLINE without SCHED_FLAG_RESET_ON_FORK: cannot be with "
                            "hooks.startContainer, which the process has to clone");
}

/* Without mappings of its own an ID-mapped mount takes those of the container: config.md, "Linux mount options". */
static int validate_idmaps(const struct wherry_spec *spec, struct wherry_error *err)
{
    for (size_t i = 0; i < spec->mount_count; i++) {
        const struct wherry_mount *mount = &spec->mounts[i];

        if (mount->idmapped && mount->uid_mappings.count == 0 && wherry_spec_namespace(spec, CLONE_NEWUSER) == NULL)
            return wherry_error_set(err, 0,
                                    "mounts[%zu].options: %s: needs uidMappings and gidMappings, or a user namespace "
                                    "of the container",
                                    i, mount->idmap_recursive ? "ridmap" : "idmap");
    }
    return 0;
}

int wherry_spec_validate(const struct wherry_spec *spec, struct wherry_error *err)
{
    /* A host's name is never changed for a container's sake. */
    if (spec->hostname != NULL && wherry_spec_namespace(spec, CLONE_NEWUTS) == NULL)
        return wherry_error_set(err, 0, "hostname: needs a uts namespace");
    if (spec->domainname != NULL && wherry_spec_namespace(spec, CLONE_NEWUTS) == NULL)
        return wherry_error_set(err, 0, "domainname: needs a uts namespace");
    if (validate_mounts(spec, err) < 0 || validate_user_namespace(spec, err) < 0 || validate_time(spec, err) < 0 ||
        validate_network_devices(spec, err) < 0 || validate_deadline(spec, err) < 0 || validate_idmaps(spec, err) < 0)
        return -EINVAL;
    return 0;
}
