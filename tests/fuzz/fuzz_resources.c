/* linux.resources as JSON: read and translated for both cgroup versions, without touching the kernel. */
#include "runtime/cgroup_devices.h"
#include "runtime/cgroup_setting.h"
#include "wherry/json.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void translate(struct json_object *resources)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    cleanup_cgroup_settings struct cgroup_settings v1 = CGROUP_SETTINGS_INIT;
    cleanup_cgroup_settings struct cgroup_settings v2 = CGROUP_SETTINGS_INIT;

    (void)cgroup_v1_translate(resources, &v1, &err);
    (void)cgroup_v2_translate(resources, NULL, &v2, &err);
}

static void devices(struct json_object *resources)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    cleanup_cgroup_devices struct cgroup_device_rules rules = CGROUP_DEVICE_RULES_INIT;
    cleanup_cgroup_settings struct cgroup_settings v1 = CGROUP_SETTINGS_INIT;
    struct json_object *list = NULL;
    struct bpf_insn *program = NULL;
    size_t count = 0;

    if (wherry_json_array(resources, "linux.resources", "devices", &list, &err) < 0 ||
        cgroup_devices_parse(list, &rules, &err) < 0)
        return;
    (void)cgroup_devices_v1(&rules, &v1, &err);
    if (cgroup_devices_program(&rules, &program, &count, &err) < 0)
        abort();
    free(program);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    cleanup_json struct json_object *resources = wherry_json_parse((const char *)data, size, "fuzz", &err);

    if (resources != NULL) {
        translate(resources);
        devices(resources);
    }
    return 0;
}
