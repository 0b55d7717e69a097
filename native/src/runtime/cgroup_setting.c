/* The list of values to write, and writing them; see cgroup_setting.h. */
#include "runtime/cgroup_setting.h"

#include "runtime/cgroup_file.h"
#include "runtime/cgroup_layout.h"
#include "runtime/cgroup_undo.h"
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

void cgroup_settings_reset(struct cgroup_settings *settings)
{
    for (size_t i = 0; i < settings->count; i++)
        settings->list[i].done = false;
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

/* What one application of settings works with. */
struct application {
    struct wherry_cgroup *cg;
    struct cgroup_settings *undo; /* NULL: not wanted */
    struct open_file file;
    bool last; /* nothing is put off any more */
};

static int write_noted(struct application *application, const struct cgroup_setting *setting, const char *file,
                       const char *value, int directory)
{
    if (application->undo != NULL) {
        int result = cgroup_undo_note(application->undo, setting, file, value, directory);

        if (result < 0)
            return result;
    }
    return write_file(&application->file, directory, file, value);
}

static int write_setting(struct application *application, const struct cgroup_setting *setting, int directory)
{
    int result = write_noted(application, setting, setting->file, setting->value, directory);

    if (setting->other_file != NULL && (result == 0 || result == -ENOENT)) {
        int other = write_noted(application, setting, setting->other_file, setting->other_value, directory);

        result = other == -ENOENT ? result : other;
    }
    if (result == -ENOENT && (setting->unlimited || setting->optional))
        return 0;
    if (setting->gone != NULL &&
        (result == -ENOENT || result == -EOPNOTSUPP || (result == 0 && is_without_effect(setting, directory))))
        return add_warning(application->cg, setting);
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

/* 1: written; 0: put off; negative: refused. */
static int apply_one(struct application *application, struct cgroup_setting *setting, struct wherry_error *err)
{
    struct wherry_cgroup_directory *directory;
    int result;

    if (setting->unlimited && cgroup_directory_of(application->cg, setting->controller) == NULL)
        return 1;
    directory = directory_for(setting, application->cg, err);
    if (directory == NULL)
        return -ENOTSUP;
    result = write_setting(application, setting, directory->fd);
    if ((result == -EINVAL || result == -EBUSY) && !application->last)
        return 0;
    return result < 0 ? explain(setting, directory, result, err) : 1;
}

/* Writes what is not done yet. Returns how many were done; `*left` are those that the kernel put off. */
static int apply_pass(struct application *application, struct cgroup_settings *settings, size_t *left,
                      struct wherry_error *err)
{
    int done = 0;

    *left = 0;
    for (size_t i = 0; i < settings->count; i++) {
        int result = settings->list[i].done ? 0 : apply_one(application, &settings->list[i], err);

        if (result < 0)
            return result;
        *left += result == 0 && !settings->list[i].done;
        done += result;
        settings->list[i].done |= result > 0;
    }
    return done;
}

int cgroup_settings_apply(struct cgroup_settings *settings, struct wherry_cgroup *cg, struct cgroup_settings *undo,
                          struct wherry_error *err)
{
    struct application application = {.cg = cg, .undo = undo, .file = {.fd = -1}};
    size_t left = settings->count;
    int done = 0;

    while (left > 0 && done >= 0) {
        done = apply_pass(&application, settings, &left, err);
        application.last = done == 0;
    }
    wherry_cleanup_close(&application.file.fd);
    return done < 0 ? done : 0;
}
