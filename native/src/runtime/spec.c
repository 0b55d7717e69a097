/* config.json as a whole; see wherry/spec.h. */
#include "wherry/spec.h"

#include "spec_parts.h"
#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse_root(struct wherry_spec *spec, const char *bundle, struct wherry_error *err)
{
    struct json_object *root = NULL;
    const char *path = NULL;

    if (wherry_json_object(spec->document, "", "root", &root, err) < 0)
        return -EINVAL;
    if (root == NULL)
        return 0;
    if (wherry_json_string(root, "root", "path", &path, err) < 0 ||
        wherry_json_bool(root, "root", "readonly", &spec->root_readonly, err) < 0)
        return -EINVAL;
    if (path == NULL || path[0] == '\0')
        return wherry_error_set(err, 0, "root.path: must be set");
    spec->root_path = path[0] == '/' ? path : wherry_arena_format(&spec->arena, "%s/%s", bundle, path);
    return spec->root_path != NULL ? 0 : wherry_error_set(err, ENOMEM, "root.path");
}

/* Annotations are labels for people and tools: checked for their form, kept for `state` and hooks, and never acted
 * upon. */
static int parse_annotations(struct wherry_spec *spec, struct wherry_error *err)
{
    if (wherry_json_object(spec->document, "", "annotations", &spec->annotations, err) < 0)
        return -EINVAL;
    if (spec->annotations == NULL)
        return 0;
    json_object_object_foreach(spec->annotations, key, value)
    {
        if (key[0] == '\0')
            return wherry_error_set(err, 0, "annotations: a key must not be empty");
        if (!json_object_is_type(value, json_type_string))
            return wherry_error_set(err, 0, "annotations.%s: must be a string", key);
    }
    return 0;
}

/* 1.MINOR.PATCH, with a pre-release or build after it (semver.org). */
static bool is_version(const char *text)
{
    int used = 0;
    unsigned minor, patch;

    if (strncmp(text, "1.", 2) != 0 || sscanf(text + 2, "%5u.%5u%n", &minor, &patch, &used) != 2)
        return false;
    text += 2 + used;
    return text[0] == '\0' || ((text[0] == '-' || text[0] == '+') && text[1] != '\0');
}

static int parse_names(struct wherry_spec *spec, struct wherry_error *err)
{
    if (wherry_json_string(spec->document, "", "ociVersion", &spec->oci_version, err) < 0 ||
        wherry_json_string(spec->document, "", "hostname", &spec->hostname, err) < 0 ||
        wherry_json_string(spec->document, "", "domainname", &spec->domainname, err) < 0)
        return -EINVAL;
    if (spec->oci_version == NULL || !is_version(spec->oci_version))
        return wherry_error_set(err, 0, "ociVersion: %s: must be 1.x, such as 1.0.2",
                                spec->oci_version != NULL ? spec->oci_version : "absent");
    /* To most that write these documents an empty name is none. */
    if (spec->hostname != NULL && spec->hostname[0] == '\0')
        spec->hostname = NULL;
    if (spec->domainname != NULL && spec->domainname[0] == '\0')
        spec->domainname = NULL;
    /* The kernel's own limit, __NEW_UTS_LEN. */
    if (spec->hostname != NULL && strlen(spec->hostname) > 64)
        return wherry_error_set(err, 0, "hostname: %s: must be at most 64 bytes", spec->hostname);
    if (spec->domainname != NULL && strlen(spec->domainname) > 64)
        return wherry_error_set(err, 0, "domainname: %s: must be at most 64 bytes", spec->domainname);
    return 0;
}

static int parse_document(struct wherry_spec *spec, const char *bundle, struct wherry_error *err)
{
    static const char *const refused[] = {"solaris", "windows", "vm", "zos", "freebsd"};
    struct json_object *process = NULL;

    if (wherry_json_refuse(spec->document, "", refused, WHERRY_COUNT(refused), err) < 0 || parse_names(spec, err) < 0 ||
        parse_root(spec, bundle, err) < 0 || parse_annotations(spec, err) < 0 ||
        wherry_json_object(spec->document, "", "process", &process, err) < 0)
        return -EINVAL;
    if (process != NULL) {
        spec->has_process = true;
        if (wherry_process_parse(process, "process", &spec->arena, &spec->process, err) < 0)
            return -EINVAL;
    }
    if (wherry_spec_parse_mounts(spec, bundle, err) < 0 || wherry_spec_parse_hooks(spec, err) < 0 ||
        wherry_spec_parse_linux(spec, err) < 0)
        return -EINVAL;
    return wherry_spec_validate(spec, err);
}

int wherry_spec_parse(struct json_object *document, const char *bundle, struct wherry_spec *spec,
                      struct wherry_error *err)
{
    int result;

    memset(spec, 0, sizeof(*spec));
    spec->document = document;
    result = parse_document(spec, bundle, err);
    if (result < 0)
        wherry_spec_free(spec);
    return result;
}

/* A listener has to be known whether the filter is kept or not. */
static bool needs_parsing(const struct wherry_json_part *seccomp)
{
    return memmem(seccomp->text, seccomp->length, "listener", 8) != NULL ||
           memchr(seccomp->text, '\\', seccomp->length) != NULL;
}

/* Leaves *seccomp as a string of its text, or all in the document and NULL. */
static struct json_object *read_document(const char *text, size_t length, const char *name,
                                         struct json_object **seccomp, struct wherry_error *err)
{
    struct wherry_json_part part;
    struct json_object *document = wherry_json_parse_apart(text, length, name, "linux", "seccomp", &part, err);

    *seccomp = NULL;
    if (document == NULL || part.text == NULL)
        return document;
    if (needs_parsing(&part)) {
        json_object_put(document);
        return wherry_json_parse(text, length, name, err);
    }
    *seccomp = json_object_new_string_len(part.text, (int)part.length);
    if (*seccomp != NULL)
        return document;
    json_object_put(document);
    wherry_error_set(err, ENOMEM, "%s", name);
    return NULL;
}

/* The document owns it from here on. */
static void hang_in(struct json_object *document, struct json_object *seccomp)
{
    json_object_object_add(json_object_object_get(document, "linux"), "seccomp", seccomp);
}

struct json_object *wherry_spec_kept(int directory, struct wherry_error *err)
{
    cleanup_free char *text = NULL;
    struct json_object *document, *seccomp = NULL;
    size_t length = 0;

    if (wherry_file_read(directory, WHERRY_SPEC_FILE, WHERRY_SPEC_SIZE_MAX, &text, &length, err) < 0)
        return NULL;
    document = read_document(text, length, WHERRY_SPEC_FILE, &seccomp, err);
    if (document != NULL && seccomp != NULL)
        hang_in(document, seccomp);
    return document;
}

int wherry_spec_load(const char *bundle, const char *config, struct wherry_spec *spec, struct wherry_error *err)
{
    cleanup_close int directory = open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
    cleanup_free char *text = NULL;
    cleanup_json struct json_object *seccomp = NULL;
    struct json_object *document;
    size_t length = 0;
    int result;

    memset(spec, 0, sizeof(*spec));
    if (config == NULL)
        config = WHERRY_SPEC_FILE;
    if (directory < 0)
        return wherry_error_set(err, errno, "open bundle %s", bundle);
    if (wherry_file_read(directory, config, WHERRY_SPEC_SIZE_MAX, &text, &length, err) < 0 ||
        (document = read_document(text, length, config, &seccomp, err)) == NULL)
        return wherry_error_prefix(err, "bundle %s", bundle);
    result = wherry_spec_parse(document, bundle, spec, err);
    if (result < 0)
        return wherry_error_prefix(err, "%s/%s", bundle, config);
    if (seccomp != NULL) {
        spec->seccomp = wherry_steal_pointer(&seccomp);
        hang_in(document, spec->seccomp);
    }
    spec->text = wherry_steal_pointer(&text);
    spec->text_length = length;
    return result;
}

const struct wherry_namespace *wherry_spec_namespace(const struct wherry_spec *spec, int flag)
{
    for (size_t i = 0; i < spec->namespace_count; i++) {
        if (spec->namespaces[i].flag == flag)
            return &spec->namespaces[i];
    }
    return NULL;
}

void wherry_spec_free(struct wherry_spec *spec)
{
    if (spec->document != NULL)
        json_object_put(spec->document);
    free(spec->text);
    wherry_arena_free(&spec->arena);
    memset(spec, 0, sizeof(*spec));
}
