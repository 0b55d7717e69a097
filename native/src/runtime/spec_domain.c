/* What of the linux object holds for every process of the container: personality and memoryPolicy; see wherry/spec.h.
 * Sources: OCI runtime-spec config-linux.md, personality(2), set_mempolicy(2). */
#include "spec_parts.h"
#include "wherry/spec.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/personality.h>

/* Newer than the headers that this may be built with. */
#ifndef MPOL_F_NUMA_BALANCING
#define MPOL_F_NUMA_BALANCING (1 << 13)
#endif
#define PREFERRED_MANY 5
#define WEIGHTED_INTERLEAVE 6

static int parse_personality(struct json_object *system, struct wherry_execution_domain *domain,
                             struct wherry_error *err)
{
    static const struct wherry_json_choice domains[] = {{"LINUX", PER_LINUX}, {"LINUX32", PER_LINUX32}};
    struct json_object *personality = NULL, *flags = NULL;
    uint64_t value = 0;
    int found = wherry_json_object(system, "linux", "personality", &personality, err);

    if (found <= 0)
        return found;
    found = wherry_json_choose(personality, "linux.personality", "domain", domains, WHERRY_COUNT(domains), &value, err);
    if (found == 0)
        return wherry_error_set(err, 0, "linux.personality.domain: must be set");
    if (found < 0 || wherry_json_array(personality, "linux.personality", "flags", &flags, err) < 0)
        return -EINVAL;
    if (flags != NULL && json_object_array_length(flags) > 0)
        return wherry_error_set(err, 0, "linux.personality.flags[0]: %s: not supported: the specification has no flags",
                                json_object_get_string(json_object_array_get_idx(flags, 0)));
    domain->has_personality = true;
    domain->personality = (unsigned long)value;
    return 0;
}

/* The kernel says "Invalid argument" to these and does not tell which. */
static int check_policy(uint64_t mode, uint64_t flags, bool has_nodes, struct wherry_error *err)
{
    bool none = mode == MPOL_DEFAULT || mode == MPOL_LOCAL;

    if (none && has_nodes)
        return wherry_error_set(err, 0, "linux.memoryPolicy.nodes: must be empty for MPOL_DEFAULT and MPOL_LOCAL");
    if (!none && mode != MPOL_PREFERRED && !has_nodes)
        return wherry_error_set(err, 0, "linux.memoryPolicy.nodes: must be set for this mode");
    if ((flags & MPOL_F_STATIC_NODES) != 0 && (flags & MPOL_F_RELATIVE_NODES) != 0)
        return wherry_error_set(
            err, 0, "linux.memoryPolicy.flags: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other");
    return 0;
}

static const struct wherry_json_choice policy_modes[] = {
    {"MPOL_DEFAULT", MPOL_DEFAULT},       {"MPOL_BIND", MPOL_BIND},
    {"MPOL_INTERLEAVE", MPOL_INTERLEAVE}, {"MPOL_WEIGHTED_INTERLEAVE", WEIGHTED_INTERLEAVE},
    {"MPOL_PREFERRED", MPOL_PREFERRED},   {"MPOL_PREFERRED_MANY", PREFERRED_MANY},
    {"MPOL_LOCAL", MPOL_LOCAL},
};

static const struct wherry_json_choice policy_flags[] = {
    {"MPOL_F_NUMA_BALANCING", MPOL_F_NUMA_BALANCING},
    {"MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES},
    {"MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES},
};

static int read_policy(struct json_object *object, struct wherry_memory_policy *policy, struct wherry_error *err)
{
    const char *nodes = "";
    uint64_t mode = 0, flags = 0;
    int found =
        wherry_json_choose(object, "linux.memoryPolicy", "mode", policy_modes, WHERRY_COUNT(policy_modes), &mode, err);

    if (found == 0)
        return wherry_error_set(err, 0, "linux.memoryPolicy.mode: must be set");
    if (found < 0 || wherry_json_string(object, "linux.memoryPolicy", "nodes", &nodes, err) < 0 ||
        wherry_id_set_parse(nodes, "linux.memoryPolicy.nodes", &policy->nodes, err) < 0 ||
        wherry_json_flags(object, "linux.memoryPolicy", "flags", policy_flags, WHERRY_COUNT(policy_flags), &flags,
                          err) < 0)
        return -EINVAL;
    policy->mode = (int)(mode | flags);
    return check_policy(mode, flags, !wherry_id_set_is_empty(&policy->nodes), err);
}

static int parse_memory_policy(struct json_object *system, struct wherry_arena *arena,
                               struct wherry_execution_domain *domain, struct wherry_error *err)
{
    struct wherry_memory_policy *policy;
    struct json_object *object = NULL;
    int found = wherry_json_object(system, "linux", "memoryPolicy", &object, err);

    if (found <= 0)
        return found;
    policy = wherry_arena_array(arena, 1, sizeof(*policy));
    if (policy == NULL)
        return wherry_error_set(err, ENOMEM, "linux.memoryPolicy");
    domain->memory_policy = policy;
    return read_policy(object, policy, err);
}

struct json_object *wherry_memory_policy_describe(void)
{
    struct json_object *object = json_object_new_object(), *modes = json_object_new_array();
    struct json_object *flags = json_object_new_array();

    for (size_t i = 0; i < WHERRY_COUNT(policy_modes); i++)
        json_object_array_add(modes, json_object_new_string(policy_modes[i].name));
    for (size_t i = 0; i < WHERRY_COUNT(policy_flags); i++)
        json_object_array_add(flags, json_object_new_string(policy_flags[i].name));
    json_object_object_add(object, "modes", modes);
    json_object_object_add(object, "flags", flags);
    return object;
}

int wherry_execution_domain_parse(struct json_object *system, struct wherry_arena *arena,
                                  struct wherry_execution_domain *domain, struct wherry_error *err)
{
    memset(domain, 0, sizeof(*domain));
    if (parse_personality(system, domain, err) < 0 || parse_memory_policy(system, arena, domain, err) < 0)
        return -EINVAL;
    return 0;
}
