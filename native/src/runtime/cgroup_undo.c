/* Taking a change of limits back; see cgroup_undo.h. */
#include "runtime/cgroup_undo.h"

#include "runtime/cgroup_file.h"
#include "runtime/cgroup_layout.h"
#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX ((size_t)1 << 20)

/* Files with a line for every device or interface: a line that is not there reads as this. */
static const struct {
    const char *file;
    const char *absent;
} keyed_files[] = {
    {"blkio.throttle.", "0"},
    {"blkio.weight_device", "default"},
    {"blkio.bfq.weight_device", "default"},
    {"io.bfq.weight", "default"},
    {"io.weight", "default"},
    {"io.max", "rbps=max wbps=max riops=max wiops=max"},
    {"rdma.max", "hca_handle=max hca_object=max"},
    {"net_prio.ifpriomap", "0"},
};

static const char *absent_line(const char *file)
{
    for (size_t i = 0; i < sizeof(keyed_files) / sizeof(keyed_files[0]); i++) {
        if (strncmp(file, keyed_files[i].file, strlen(keyed_files[i].file)) == 0)
            return keyed_files[i].absent;
    }
    return NULL;
}

/* The line of `text` whose first word is the `length` bytes at `key`; NULL when there is none. */
static const char *find_line(const char *text, const char *key, size_t length)
{
    for (const char *line = text; line != NULL && *line != '\0';) {
        if (strncmp(line, key, length) == 0 && line[length] == ' ')
            return line;
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return NULL;
}

static int add(struct cgroup_settings *undo, const struct cgroup_setting *setting, const char *file, const char *prefix,
               const char *value, size_t length)
{
    const char *name = wherry_arena_format(&undo->arena, "%s", file);

    if (name == NULL || cgroup_settings_add(undo, setting->controller, setting->field, name, NULL, "%s%.*s", prefix,
                                            (int)length, value) == NULL)
        return -ENOMEM;
    return 0;
}

/* "8:0 …" or "eth0 …": only that device's line is changed. */
static int note_line(struct cgroup_settings *undo, const struct cgroup_setting *setting, const char *file,
                     const char *value, const char *text)
{
    size_t key = strcspn(value, " ");
    const char *line = find_line(text, value, key), *absent = absent_line(file);
    char prefix[64];

    if (line != NULL)
        return add(undo, setting, file, "", line, strcspn(line, "\n"));
    if (absent == NULL || key + 2 > sizeof(prefix))
        return 0;
    snprintf(prefix, sizeof(prefix), "%.*s ", (int)key, value);
    return add(undo, setting, file, prefix, absent, strlen(absent));
}

/* A rule of v1's devices is taken back by the other file. */
static int note_device_rule(struct cgroup_settings *undo, const struct cgroup_setting *setting, const char *file,
                            const char *value)
{
    bool allows = strcmp(file, "devices.allow") == 0;

    return add(undo, setting, allows ? "devices.deny" : "devices.allow", "", value, strlen(value));
}

/* "a" throws all rules away: they are noted, and before them (which is after them here) the default. */
static int note_all_devices(struct cgroup_settings *undo, const struct cgroup_setting *setting, int directory)
{
    cleanup_free char *list = NULL;
    size_t length = 0;
    int result = wherry_file_read(directory, "devices.list", TEXT_MAX, &list, &length, NULL);

    if (result < 0)
        return 0;
    if (strncmp(list, "a ", 2) == 0)
        return add(undo, setting, "devices.allow", "", "a", 1);
    for (const char *line = list; *line != '\0' && result >= 0;) {
        size_t end = strcspn(line, "\n");

        result = add(undo, setting, "devices.allow", "", line, end);
        line += end + (line[end] == '\n');
    }
    return result < 0 ? result : add(undo, setting, "devices.deny", "", "a", 1);
}

int cgroup_undo_note(struct cgroup_settings *undo, const struct cgroup_setting *setting, const char *file,
                     const char *value, int directory)
{
    cleanup_free char *text = NULL;
    const char *found;
    size_t length = 0;

    if (setting->controller == CGROUP_DEVICES)
        return strcmp(value, "a") == 0 ? note_all_devices(undo, setting, directory)
                                       : note_device_rule(undo, setting, file, value);
    if (wherry_file_read(directory, file, TEXT_MAX, &text, &length, NULL) < 0)
        return 0;
    if (strchr(value, ' ') != NULL && absent_line(file) != NULL)
        return note_line(undo, setting, file, value, text);
    /* A weight for all devices stands among those of single ones. */
    found = find_line(text, "default", strlen("default"));
    if (found == NULL)
        found = find_line(text, "oom_kill_disable", strlen("oom_kill_disable"));
    if (found != NULL) {
        found += strcspn(found, " ") + 1;
        return add(undo, setting, file, "", found, strcspn(found, "\n"));
    }
    /* An empty list of CPUs is written as an empty line. */
    return add(undo, setting, file, "", length > 0 ? text : "\n", length > 0 ? strcspn(text, "\n") : 1);
}

void cgroup_undo_apply(struct cgroup_settings *undo, struct wherry_cgroup *cg, struct wherry_error *err)
{
    for (size_t i = undo->count; i > 0; i--) {
        const struct cgroup_setting *setting = &undo->list[i - 1];
        struct wherry_cgroup_directory *directory = cgroup_directory_of(cg, setting->controller);
        int result = directory == NULL ? -ENOENT : cgroup_directory_open(directory, NULL);

        if (result >= 0)
            result = cgroup_file_write(directory->fd, setting->file, setting->value);
        if (result < 0)
            wherry_error_prefix(err, "linux.resources.%s could not be put back to \"%s\" (%s) after", setting->field,
                                setting->value, strerror(-result));
    }
}
