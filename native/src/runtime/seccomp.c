/* Compiling and installing system call filters; see wherry/seccomp.h. */
#include "wherry/seccomp.h"

#include "runtime/seccomp_cache.h"
#include "runtime/seccomp_compact.h"
#include "runtime/seccomp_rules.h"
#include "wherry/cleanup.h"
#include "wherry/json.h"

#include <errno.h>
#include <linux/bpf_common.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static void release_context(scmp_filter_ctx *context)
{
    if (*context != NULL)
        seccomp_release(*context);
}

#define cleanup_context __attribute__((cleanup(release_context)))

/* libseccomp writes the program to a descriptor: a memory file, read back. */
static int export_filter(scmp_filter_ctx context, struct wherry_seccomp *out, struct wherry_error *err)
{
    cleanup_close int fd = memfd_create("wherry-seccomp", MFD_CLOEXEC);
    cleanup_free struct sock_filter *filter = NULL;
    struct stat status;
    int result;

    if (fd < 0)
        return wherry_error_set(err, errno, "linux.seccomp: make a memory file");
    result = seccomp_export_bpf(context, fd);
    if (result < 0)
        return wherry_error_set(err, -result, "linux.seccomp: compile the filter");
    if (fstat(fd, &status) < 0)
        return wherry_error_set(err, errno, "linux.seccomp: read the filter");
    if (status.st_size == 0 || (size_t)status.st_size > BPF_MAXINSNS * sizeof(*filter))
        return wherry_error_set(err, E2BIG, "linux.seccomp: the filter has %zu instructions, the kernel takes %d",
                                (size_t)status.st_size / sizeof(*filter), BPF_MAXINSNS);
    filter = malloc((size_t)status.st_size);
    if (filter == NULL || pread(fd, filter, (size_t)status.st_size, 0) != status.st_size)
        return wherry_error_set(err, filter == NULL ? ENOMEM : EIO, "linux.seccomp: read the filter");
    out->filter = wherry_steal_pointer(&filter);
    out->length = (unsigned short)((size_t)status.st_size / sizeof(*filter));
    seccomp_compact(out->filter, &out->length);
    return 0;
}

static int compile(struct json_object *seccomp, struct wherry_seccomp *out, struct wherry_error *err)
{
    cleanup_context scmp_filter_ctx context = NULL;
    uint32_t default_action = 0;
    bool notifies = false;
    int result = seccomp_rules_default(seccomp, &default_action, err);

    if (result < 0)
        return result;
    context = seccomp_init(default_action);
    if (context == NULL)
        return wherry_error_set(err, EINVAL, "linux.seccomp.defaultAction: not known to libseccomp or this kernel");
    result = seccomp_rules_architectures(seccomp, context, err);
    if (result >= 0)
        result = seccomp_rules_flags(seccomp, &out->flags, err);
    if (result >= 0)
        result = seccomp_rules_syscalls(seccomp, default_action, context, &notifies, err);
    if (notifies || default_action == SCMP_ACT_NOTIFY)
        out->flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    if (result >= 0)
        result = seccomp_rules_check_flags(&out->flags, err);
    if (result < 0)
        return result;
    /* A binary tree over the numbers instead of a list: every system call of the container passes through it. */
    result = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (result < 0 && result != -EINVAL && result != -EOPNOTSUPP)
        return wherry_error_set(err, -result, "linux.seccomp: optimise the filter");
    return export_filter(context, out, err);
}

/* The name of the filter on disk. What does not change the filter is left out: metadata may be another for each
 * container. */
static int name_filter(struct json_object *seccomp, char name[SECCOMP_CACHE_NAME_SIZE], struct wherry_error *err)
{
    cleanup_json struct json_object *essence = NULL;
    struct json_object *named = seccomp;
    size_t length = 0;
    const char *text;

    if (json_object_object_get(seccomp, "listenerPath") != NULL) {
        named = essence = json_object_new_object();
        json_object_object_foreach(seccomp, key, value)
        {
            if (strncmp(key, "listener", strlen("listener")) != 0)
                json_object_object_add(essence, key, json_object_get(value));
        }
    }
    text = json_object_to_json_string_length(named, JSON_C_TO_STRING_PLAIN, &length);
    if (text == NULL)
        return wherry_error_set(err, ENOMEM, "linux.seccomp");
    seccomp_cache_name(text, length, name);
    return 0;
}

/* What is given as its text: the text itself is named, so that the same profile in other words is another one. */
static int compile_text(struct json_object *seccomp, struct wherry_seccomp *out, struct wherry_error *err)
{
    cleanup_json struct json_object *parsed = wherry_json_parse(
        json_object_get_string(seccomp), (size_t)json_object_get_string_len(seccomp), "linux.seccomp", err);

    return parsed != NULL ? compile(parsed, out, err) : -EINVAL;
}

static int obtain(struct json_object *seccomp, const char *cache_dir, struct wherry_seccomp *out,
                  struct wherry_error *err)
{
    bool is_text = json_object_is_type(seccomp, json_type_string);
    cleanup_close int directory = -1;
    char name[SECCOMP_CACHE_NAME_SIZE];
    int result;

    if (cache_dir == NULL)
        return is_text ? compile_text(seccomp, out, err) : compile(seccomp, out, err);
    directory = seccomp_cache_open(cache_dir, err);
    if (directory < 0)
        return directory;
    if (is_text)
        seccomp_cache_name(json_object_get_string(seccomp), (size_t)json_object_get_string_len(seccomp), name);
    else if (name_filter(seccomp, name, err) < 0)
        return -ENOMEM;
    if (seccomp_cache_load(directory, name, out))
        return 0;
    result = is_text ? compile_text(seccomp, out, err) : compile(seccomp, out, err);
    if (result >= 0)
        seccomp_cache_store(directory, name, out);
    return result;
}

bool wherry_seccomp_listens(const struct wherry_seccomp *seccomp)
{
    return (seccomp->flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0;
}

int wherry_seccomp_compile(struct json_object *seccomp, const char *cache_dir, struct wherry_seccomp *out,
                           struct wherry_error *err)
{
    const char *path = NULL, *metadata = NULL;
    int result = 0;

    *out = (struct wherry_seccomp)WHERRY_SECCOMP_INIT;
    if (json_object_is_type(seccomp, json_type_object))
        result = seccomp_rules_listener(seccomp, &path, &metadata, err);
    if (result >= 0)
        result = obtain(seccomp, cache_dir, out, err);
    if (result < 0)
        return result;
    if (!wherry_seccomp_listens(out))
        return 0;
    if (path == NULL) {
        wherry_seccomp_free(out);
        return wherry_error_set(err, EINVAL, "linux.seccomp.listenerPath: must be set for SCMP_ACT_NOTIFY");
    }
    out->listener_path = path;
    out->listener_metadata = metadata;
    return 0;
}

int wherry_seccomp_install(const struct wherry_seccomp *seccomp)
{
    const struct sock_fprog program = {.len = seccomp->length, .filter = seccomp->filter};
    long result;

    if (seccomp->length == 0)
        return 0;
    result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, seccomp->flags, &program);
    return result < 0 ? -errno : (int)result;
}

void wherry_seccomp_free(struct wherry_seccomp *seccomp)
{
    free(seccomp->filter);
    *seccomp = (struct wherry_seccomp)WHERRY_SECCOMP_INIT;
}
