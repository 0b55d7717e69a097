/* The list of values to write, and writing them; see cgroup_setting.h. */
#include "runtime/cgroup_setting.h"

#include "runtime/cgroup_file.h"
#include "runtime/cgroup_layout.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct cgroup_setting *cgroup_settings_add(struct cgroup_settings *settings, unsigned controller, const char *field,
                                           const char *file, struct wherry_error *err, const char *format, ...)
{
    cleanup_free char *value = NULL;
    struct cgroup_setting *setting;
    va_list args;
    int length;

    va_start(args, format);
    length = vasprintf(&value, format, args);
    va_end(args);
    if (length < 0)
        value = NULL;
    if (value != NULL && settings->count == settings->room) {
        size_t room = settings->room == 0 ? 16 : settings->room * 2;
        struct cgroup_setting *larger = reallocarray(settings->list, room, sizeof(*larger));

        if (larger != NULL) {
            settings->list = larger;
            settings->room = room;
        }
    }
    if (value == NULL || settings->count == settings->room) {
        wherry_error_set(err, ENOMEM, "linux.resources.%s", field);
        return NULL;
    }
    setting = &settings->list[settings->count];
    *setting = (struct cgroup_setting){.controller = controller, .field = field, .file = file};
    setting->value = wherry_arena_format(&settings->arena, "%s", value);
    if (setting->value == NULL) {
        wherry_error_set(err, ENOMEM, "linux.resources.%s", field);
        return NULL;
    }
    settings->count++;
    return setting;
}

void cgroup_settings_free(struct cgroup_settings *settings)
{
    free(settings->list);
    wherry_arena_free(&settings->arena);
    *settings = (struct cgroup_settings)CGROUP_SETTINGS_INIT;
}

/* A file that is written several times in a row (devices.allow) is opened once. */
struct open_file {
    int fd;
    int directory;
    const char *name;
};

static int write_file(struct open_file *file, int directory, const char *name, const char *value)
{
    if (file->fd < 0 || file->directory != directory || strcmp(file->name, name) != 0) {
        int fd = openat(directory, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
            return -errno;
        wherry_cleanup_close(&file->fd);
        *file = (struct open_file){.fd = fd, .directory = directory, .name = name};
    }
    return write(file->fd, value, strlen(value)) < 0 ? -errno : 0;
}

static int add_warning(struct wherry_cgroup *cg, const struct cgroup_setting *setting)
{
    cleanup_free char *before = cg->warning;

    if (asprintf(&cg->warning, "%s%slinux.resources.%s: %s", before != NULL ? before : "", before != NULL ? "; " : "",
                 setting->field, setting->gone) < 0)
        cg->warning = NULL;
    return cg->warning == NULL ? -ENOMEM : 0;
}

/* Kernels that gave a limit up first refused it, then took any value without effect: what is read back tells. */
static bool is_without_effect(const struct cgroup_setting *setting, int directory)
{
    char text[32];

    return !setting->unlimited && cgroup_file_read(directory, setting->file, text, sizeof(text)) > 0 &&
           strtoull(text, NULL, 10) > strtoull(setting->value, NULL, 10);
}

static int write_setting(struct open_file *file, const struct cgroup_setting *setting, struct wherry_cgroup *cg,
                         int directory)
{
    int result = write_file(file, directory, setting->file, setting->value);

    if (result == -ENOENT && setting->other_file != NULL)
        result = write_file(file, directory, setting->other_file, setting->other_value);
    if (result == -ENOENT && setting->unlimited)
        return 0;
    if (setting->gone != NULL &&
        (result == -ENOENT || result == -EOPNOTSUPP || (result == 0 && is_without_effect(setting, directory))))
        return add_warning(cg, setting);
    return result;
}

static int explain(const struct cgroup_setting *setting, const struct wherry_cgroup_directory *directory, int result,
                   struct wherry_error *err)
{
    if (result == -ENOENT)
        return wherry_error_set(err, ENOTSUP, "linux.resources.%s: this kernel has no %s/%s", setting->field,
                                directory->path, setting->file);
    return wherry_error_set(err, -result, "linux.resources.%s: write \"%s\" to %s/%s", setting->field, setting->value,
                            directory->path, setting->file);
}

static struct wherry_cgroup_directory *directory_for(const struct cgroup_setting *setting, struct wherry_cgroup *cg,
                                                     struct wherry_error *err)
{
    struct wherry_cgroup_directory *directory = cgroup_directory_of(cg, setting->controller);
    const char *name = cgroup_controller_name(setting->controller, cg->layout == WHERRY_CGROUP_V2);

    if (directory == NULL)
        wherry_error_set(err, ENOTSUP, "linux.resources.%s: the %s controller is not mounted on this host",
                         setting->field, name);
    else if (cgroup_directory_open(directory, err) < 0)
        return NULL;
    return directory;
}

/* Writes what is not done yet. Returns how many were done; `*refused` is the first that the kernel put off. */
static int apply_pass(struct cgroup_settings *settings, struct wherry_cgroup *cg, size_t *left, bool last,
                      struct wherry_error *err)
{
    struct open_file file = {.fd = -1};
    int done = 0;

    *left = 0;
    for (size_t i = 0; i < settings->count; i++) {
        struct cgroup_setting *setting = &settings->list[i];
        struct wherry_cgroup_directory *directory;
        int result;

        if (setting->done)
            continue;
        directory = directory_for(setting, cg, err);
        result = directory == NULL ? -ENOTSUP : write_setting(&file, setting, cg, directory->fd);
        if (directory != NULL && (result == -EINVAL || result == -EBUSY) && !last) {
            (*left)++;
            continue;
        }
        if (result < 0) {
            wherry_cleanup_close(&file.fd);
            return directory == NULL ? result : explain(setting, directory, result, err);
        }
        setting->done = true;
        done++;
    }
    wherry_cleanup_close(&file.fd);
    return done;
}

int cgroup_settings_apply(struct cgroup_settings *settings, struct wherry_cgroup *cg, struct wherry_error *err)
{
    size_t left = settings->count;
    bool last = false;

    while (left > 0) {
        int done = apply_pass(settings, cg, &left, last, err);

        if (done < 0)
            return done;
        last = done == 0;
    }
    return 0;
}
