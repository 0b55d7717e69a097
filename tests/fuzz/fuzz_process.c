/* process.json, as exec is given it. */
#include "wherry/arena.h"
#include "wherry/capabilities.h"
#include "wherry/json.h"
#include "wherry/rlimits.h"
#include "wherry/spec.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    cleanup_json struct json_object *object = wherry_json_parse((const char *)data, size, "fuzz", &err);
    struct wherry_capabilities capabilities = {0};
    struct wherry_rlimits rlimits = WHERRY_RLIMITS_INIT;
    struct wherry_process process = {0};
    struct wherry_arena arena = {0};

    if (object == NULL)
        return 0;
    if (wherry_process_parse(object, "process", &arena, &process, &err) < 0) {
        if (err.message[0] == '\0')
            abort();
    } else {
        if (process.args == NULL || process.args[0] == NULL || process.cwd == NULL || process.cwd[0] != '/')
            abort();
        (void)wherry_capabilities_parse(process.capabilities, false, &capabilities, &err);
        (void)wherry_rlimits_parse(process.rlimits, &rlimits, &err);
    }
    wherry_arena_free(&arena);
    return 0;
}
