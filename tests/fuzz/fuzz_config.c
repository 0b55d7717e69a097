/* config.json as a whole: whatever it says, it is read into something sound, or refused with a word. */
#include "runtime/cgroup_name.h"
#include "wherry/capabilities.h"
#include "wherry/cgroup.h"
#include "wherry/cleanup.h"
#include "wherry/json.h"
#include "wherry/rlimits.h"
#include "wherry/spec.h"

#include <linux/sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_have_spoken(const struct wherry_error *err)
{
    if (err->message[0] == '\0' || memchr(err->message, '\0', sizeof(err->message)) == NULL)
        abort();
}

/* What the rest of the runtime relies on without looking again. */
static void must_be_sound(const struct wherry_spec *spec)
{
    const struct wherry_process *process = &spec->process;

    if (wherry_spec_namespace(spec, CLONE_NEWNS) == NULL)
        abort();
    if (spec->has_process && (process->args == NULL || process->args[0] == NULL || process->cwd[0] != '/' ||
                              process->uid == UINT32_MAX || process->gid == UINT32_MAX))
        abort();
    for (size_t i = 0; i < spec->mount_count; i++)
        if (spec->mounts[i].destination == NULL || spec->mounts[i].destination[0] != '/')
            abort();
}

static void use(const struct wherry_spec *spec)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_capabilities capabilities = {0};
    struct wherry_rlimits rlimits = WHERRY_RLIMITS_INIT;
    char group[WHERRY_CGROUP_NAME_MAX];

    (void)wherry_capabilities_parse(spec->process.capabilities, false, &capabilities, &err);
    (void)wherry_rlimits_parse(spec->process.rlimits, &rlimits, &err);
    if (wherry_cgroup_name(spec->cgroups_path, "id", group, &err) == 0 && strstr(group, "/../") != NULL)
        abort();
}

/* What a part is left out of is read as the whole is. */
static void must_be_read_apart(const char *text, size_t size, struct json_object *whole)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_json_part part;
    cleanup_json struct json_object *rest =
        wherry_json_parse_apart(text, size, "fuzz", "linux", "seccomp", &part, &err);

    if (rest == NULL)
        abort();
    if (part.text != NULL)
        json_object_object_add(json_object_object_get(rest, "linux"), "seccomp",
                               wherry_json_parse(part.text, part.length, "fuzz", &err));
    if (!json_object_equal(rest, whole))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct json_object *document = wherry_json_parse((const char *)data, size, "fuzz", &err);
    struct wherry_spec spec;

    if (document == NULL) {
        must_have_spoken(&err);
        return 0;
    }
    must_be_read_apart((const char *)data, size, document);
    if (wherry_spec_parse(document, "/bundle", &spec, &err) < 0) {
        must_have_spoken(&err);
        return 0;
    }
    must_be_sound(&spec);
    use(&spec);
    wherry_spec_free(&spec);
    return 0;
}
