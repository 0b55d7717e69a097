/* See names.h. */
#include "layer/names.h"

#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static int append(struct wherry_names *names, unsigned char type, const char *name, struct wherry_error *err)
{
    size_t length = strlen(name) + 2;

    if (names->room - names->length < length) {
        size_t room = 2 * names->room + length + 1024;
        char *grown = realloc(names->text, room);

        if (grown == NULL)
            return wherry_error_set(err, ENOMEM, "names of a directory");
        names->text = grown;
        names->room = room;
    }
    names->text[names->length] = (char)type;
    memcpy(names->text + names->length + 1, name, length - 1);
    names->length += length;
    names->count++;
    return 0;
}

/* Not every file system says the type. */
static unsigned char type_of(int directory, const struct dirent *entry)
{
    struct stat status;

    if (entry->d_type != DT_UNKNOWN || fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return entry->d_type;
    return IFTODT(status.st_mode);
}

int wherry_names_read(struct wherry_names *names, int fd, struct wherry_error *err)
{
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_closedir DIR *list = own >= 0 ? fdopendir(own) : NULL;

    if (list == NULL) {
        int code = errno;

        if (own >= 0)
            close(own);
        return wherry_error_set(err, code, "read a directory");
    }
    for (;;) {
        struct dirent *entry;
        int ret;

        errno = 0;
        entry = readdir(list);
        if (entry == NULL)
            return errno != 0 ? wherry_error_set(err, errno, "read a directory") : 0;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        ret = append(names, type_of(own, entry), entry->d_name, err);
        if (ret < 0)
            return ret;
    }
}

static int by_name(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static int nodes_then_names(const void *left, const void *right)
{
    bool left_is = wherry_names_type(*(char *const *)left) == DT_CHR;
    bool right_is = wherry_names_type(*(char *const *)right) == DT_CHR;

    return left_is != right_is ? right_is - left_is : by_name(left, right);
}

int wherry_names_sort(struct wherry_names *names, bool nodes_first, struct wherry_error *err)
{
    char *at = names->text;
    size_t kept = 0;

    names->items = malloc((names->count + 1) * sizeof(*names->items));
    if (names->items == NULL)
        return wherry_error_set(err, ENOMEM, "names of a directory");
    for (size_t i = 0; i < names->count; i++, at += strlen(at + 1) + 2)
        names->items[i] = at + 1;
    qsort(names->items, names->count, sizeof(*names->items), nodes_first ? nodes_then_names : by_name);
    for (size_t i = 0; i < names->count; i++)
        if (kept == 0 || strcmp(names->items[kept - 1], names->items[i]) != 0)
            names->items[kept++] = names->items[i];
    names->count = kept;
    return 0;
}

void wherry_names_free(struct wherry_names *names)
{
    free(names->text);
    free(names->items);
    memset(names, 0, sizeof(*names));
}
