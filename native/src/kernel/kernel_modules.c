/* Modules of the running kernel; see kernel_modules.h. */
#include "kernel/kernel_modules.h"

#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define LIST_MAX ((size_t)16 << 20)

/* A list that is not there says nothing: a kernel without modules has none. */
static int read_list(const char *path, char **text, struct wherry_error *err)
{
    size_t length = 0;

    if (access(path, F_OK) < 0)
        return 0;
    return wherry_file_read(AT_FDCWD, path, LIST_MAX, text, &length, err);
}

static int read_depmod_list(const char *release, const char *file, char **text, struct wherry_error *err)
{
    char path[512];

    snprintf(path, sizeof(path), "/lib/modules/%s/%s", release, file);
    return read_list(path, text, err);
}

int kernel_modules_read(const char *release, struct kernel_modules *modules, struct wherry_error *err)
{
    int result = read_list("/proc/modules", &modules->loaded, err);

    if (result >= 0)
        result = read_depmod_list(release, "modules.builtin", &modules->builtin, err);
    if (result >= 0)
        result = read_depmod_list(release, "modules.dep", &modules->available, err);
    return result;
}

void kernel_modules_free(struct kernel_modules *modules)
{
    free(modules->loaded);
    free(modules->builtin);
    free(modules->available);
    *modules = (struct kernel_modules)KERNEL_MODULES_INIT;
}

static char fold(char c)
{
    return c == '-' ? '_' : c;
}

static bool begins_with(const char *text, const char *name)
{
    for (; *name != '\0'; name++, text++) {
        if (fold(*text) != fold(*name))
            return false;
    }
    return true;
}

/* "NAME SIZE USERS …" on a line. */
bool kernel_module_is_loaded(const struct kernel_modules *modules, const char *name)
{
    size_t length = strlen(name);

    for (const char *line = modules->loaded; line != NULL && *line != '\0';) {
        const char *next = strchr(line, '\n');

        if (begins_with(line, name) && line[length] == ' ')
            return true;
        line = next == NULL ? NULL : next + 1;
    }
    return false;
}

/* "kernel/fs/overlayfs/overlay.ko[.xz][: dependencies]" on a line. */
static bool is_listed(const char *list, const char *name)
{
    size_t length = strlen(name);

    for (const char *line = list; line != NULL && *line != '\0';) {
        const char *next = strchr(line, '\n');
        size_t end = strcspn(line, ":\n"), start = end;

        while (start > 0 && line[start - 1] != '/')
            start--;
        if (end - start > length && begins_with(line + start, name) && strncmp(line + start + length, ".ko", 3) == 0)
            return true;
        line = next == NULL ? NULL : next + 1;
    }
    return false;
}

bool kernel_module_is_built_in(const struct kernel_modules *modules, const char *name)
{
    return is_listed(modules->builtin, name);
}

bool kernel_module_is_available(const struct kernel_modules *modules, const char *name)
{
    return is_listed(modules->available, name);
}
