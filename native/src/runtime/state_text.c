/* The state document as hooks get it; see state_text.h. */
#include "state_text.h"

#include "wherry/json.h"

#include <errno.h>
#include <stdio.h>

int wherry_state_text_prepare(const struct wherry_container *container, struct wherry_arena *arena,
                              struct wherry_state_text *text, struct wherry_error *err)
{
    cleanup_json struct json_object *rest = json_object_new_object();

    if (rest == NULL)
        return wherry_error_set(err, ENOMEM, "state for hooks");
    json_object_object_add(rest, "ociVersion", json_object_new_string(container->oci_version));
    json_object_object_add(rest, "id", json_object_new_string(container->id));
    json_object_object_add(rest, "bundle", json_object_new_string(container->bundle));
    json_object_object_add(rest, "annotations",
                           container->annotations != NULL ? json_object_get(container->annotations)
                                                          : json_object_new_object());
    text->directory = wherry_arena_format(arena, "%s", container->bundle);
    text->before_status = "{\"status\":\"";
    text->before_pid = "\",\"pid\":";
    /* The rest is an object of its own: its opening brace becomes the comma. */
    text->after_pid = wherry_arena_format(
        arena, ",%s",
        json_object_to_json_string_ext(rest, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) + 1);
    return text->after_pid != NULL ? 0 : wherry_error_set(err, ENOMEM, "state for hooks");
}
