/* The report of the kernel check as JSON; see wherry/kernel.h. */
#include "wherry/json.h"
#include "wherry/kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* json-c takes over `value` on success only; NULL is JSON's null. */
static bool put(struct json_object *object, const char *key, struct json_object *value)
{
    if (json_object_object_add(object, key, value) == 0)
        return true;
    json_object_put(value);
    return false;
}

static bool put_text(struct json_object *object, const char *key, const char *text)
{
    struct json_object *value = text == NULL ? NULL : json_object_new_string(text);

    return (text == NULL || value != NULL) && put(object, key, value);
}

static struct json_object *render_finding(const struct wherry_kernel_finding *finding)
{
    struct json_object *object = json_object_new_object();

    if (object != NULL && put_text(object, "group", finding->group) && put_text(object, "name", finding->name) &&
        put(object, "required", json_object_new_boolean(finding->required)) &&
        put_text(object, "state", wherry_kernel_state_name(finding->state)) &&
        put_text(object, "module", finding->module) && put_text(object, "breaks", finding->breaks) &&
        put_text(object, "remedy", finding->remedy))
        return object;
    json_object_put(object);
    return NULL;
}

static struct json_object *render(const struct wherry_kernel_report *report)
{
    struct json_object *object = json_object_new_object(), *findings = json_object_new_array();
    bool good = object != NULL && findings != NULL && put_text(object, "release", report->release) &&
                put_text(object, "config", report->config_path) &&
                put(object, "live", json_object_new_boolean(report->live));

    for (size_t i = 0; i < report->count && good; i++) {
        struct json_object *finding = render_finding(&report->findings[i]);

        good = finding != NULL && json_object_array_add(findings, finding) == 0;
        if (!good)
            json_object_put(finding);
    }
    if (good && put(object, "findings", findings))
        return object;
    if (!good)
        json_object_put(findings);
    json_object_put(object);
    return NULL;
}

int wherry_kernel_check_json(const char *config_file_or_null, const char *kernel_version_or_null, char **json_out,
                             struct wherry_error *err)
{
    const struct wherry_kernel_options options = {.config_file = config_file_or_null,
                                                  .version = kernel_version_or_null};
    struct wherry_kernel_report report;
    cleanup_json struct json_object *object = NULL;
    int result;

    *json_out = NULL;
    result = wherry_kernel_check(&options, &report, err);
    if (result < 0)
        return result;
    object = render(&report);
    wherry_kernel_report_free(&report);
    if (object != NULL)
        *json_out =
            strdup(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    return *json_out == NULL ? wherry_error_set(err, ENOMEM, "kernel check") : 0;
}
