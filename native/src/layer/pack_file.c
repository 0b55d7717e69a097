/* See pack_file.h. */
#include "layer/pack_file.h"

#include "layer/tar_write.h"
#include "layer/whiteout.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#define MODE_MASK 07777

int wherry_pack_writer_open(struct wherry_pack_writer *writer, int target, const char *prefix, struct wherry_error *err)
{
    const struct wherry_pack_options *options = writer->options;

    if ((size_t)snprintf(writer->prefix, sizeof(writer->prefix), "%s", prefix) >= sizeof(writer->prefix))
        return wherry_error_set(err, ENAMETOOLONG, "%.256s…", prefix);
    writer->sink = wherry_sink_open(target, options->compression, options->level, options->threads, err);
    return writer->sink != NULL ? 0 : err != NULL ? -err->code : -EIO;
}

int wherry_pack_writer_finish(struct wherry_pack_writer *writer, struct wherry_layer_result *result,
                              struct wherry_error *err)
{
    int ret = wherry_tar_write_end(writer->sink, err);

    result->entries = writer->entries;
    return ret < 0 ? ret : wherry_sink_finish(writer->sink, result, err);
}

void wherry_pack_writer_close(struct wherry_pack_writer *writer)
{
    wherry_sink_free(writer->sink);
    wherry_links_free(&writer->links);
}

static void name_member(struct wherry_pack_writer *writer, const char *path, bool is_directory)
{
    bool both = writer->prefix[0] != '\0' && path[0] != '\0';
    int length = snprintf(writer->name, sizeof(writer->name), "%s%s%s", writer->prefix, both ? "/" : "", path);

    if (is_directory && writer->name[length - 1] != '/')
        memcpy(writer->name + length, "/", 2);
}

static int count_member(struct wherry_pack_writer *writer, uint64_t size, struct wherry_error *err)
{
    const struct wherry_layer_limits *limits = &writer->options->limits;

    writer->entries++;
    if (limits->max_entries > 0 && writer->entries > limits->max_entries)
        return wherry_error_set(err, E2BIG, "archive: more than the %llu members that are allowed",
                                (unsigned long long)limits->max_entries);
    if (limits->max_bytes > 0 && (size > limits->max_bytes || writer->bytes > limits->max_bytes - size))
        return wherry_error_set(err, EFBIG, "%.256s: the archive becomes larger than the %llu bytes that are allowed",
                                writer->name, (unsigned long long)limits->max_bytes);
    writer->bytes += size;
    return 0;
}

/* `length` bytes from where `fd` stands; what a file has lost meanwhile is zeros. */
static int write_run(struct wherry_sink *sink, int fd, uint64_t length, struct wherry_error *err)
{
    while (length > 0) {
        uint8_t *room = NULL;
        size_t part = 0;
        ssize_t got;
        int ret = wherry_sink_room(sink, &room, &part, err);

        if (ret < 0)
            return ret;
        got = read(fd, room, part < length ? part : (size_t)length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return wherry_error_set(err, errno, "read");
        if (got == 0)
            return wherry_sink_zeros(sink, length, err);
        wherry_sink_filled(sink, (size_t)got);
        length -= (uint64_t)got;
    }
    return 0;
}

/* A file with holes: these are not read. */
static int write_sparse(struct wherry_sink *sink, int fd, uint64_t size, struct wherry_error *err)
{
    for (uint64_t at = 0; at < size;) {
        off_t data = lseek(fd, (off_t)at, SEEK_DATA);
        off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
        uint64_t begin, end;
        int ret;

        if (data < 0 && errno == ENXIO)
            return wherry_sink_zeros(sink, size - at, err);
        if (data < 0 || hole < 0 || lseek(fd, data, SEEK_SET) < 0)
            return wherry_error_set(err, errno, "look for holes");
        begin = (uint64_t)data < size ? (uint64_t)data : size;
        end = (uint64_t)hole < size ? (uint64_t)hole : size;
        ret = wherry_sink_zeros(sink, begin - at, err);
        if (ret == 0)
            ret = write_run(sink, fd, end - begin, err);
        if (ret < 0)
            return ret;
        at = end;
    }
    return 0;
}

/* The file itself is opened only now that it is known to be one: to open a device can do harm. */
static int open_file(int fd, struct wherry_error *err)
{
    char path[32];
    int opened;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return opened >= 0 ? opened : wherry_error_set(err, errno, "open");
}

static int write_file(struct wherry_pack_writer *writer, int fd, const struct stat *status,
                      struct wherry_tar_entry *entry, struct wherry_error *err)
{
    cleanup_close int opened = open_file(fd, err);
    int ret;

    if (opened < 0)
        return opened;
    ret = wherry_tar_write_header(writer->sink, entry, err);
    if (ret < 0)
        return ret;
    ret = (uint64_t)status->st_blocks * 512 < entry->size ? write_sparse(writer->sink, opened, entry->size, err)
                                                          : write_run(writer->sink, opened, entry->size, err);
    return ret < 0 ? ret : wherry_tar_write_padding(writer->sink, entry->size, err);
}

static int write_symlink(struct wherry_pack_writer *writer, int fd, struct wherry_tar_entry *entry,
                         struct wherry_error *err)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(fd, "", target, sizeof(target) - 1);

    if (length < 0)
        return wherry_error_set(err, errno, "read the link");
    target[length] = '\0';
    entry->link = target;
    return wherry_tar_write_header(writer->sink, entry, err);
}

static enum wherry_tar_type type_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return WHERRY_TAR_DIRECTORY;
    case S_IFLNK:
        return WHERRY_TAR_SYMLINK;
    case S_IFCHR:
        return WHERRY_TAR_CHARACTER;
    case S_IFBLK:
        return WHERRY_TAR_BLOCK_DEVICE;
    case S_IFIFO:
        return WHERRY_TAR_FIFO;
    default:
        return WHERRY_TAR_FILE;
    }
}

static int describe(struct wherry_pack_writer *writer, const struct stat *status, const struct wherry_xattr_set *xattrs,
                    struct wherry_tar_entry *entry, struct wherry_error *err)
{
    const struct wherry_id_maps *ids = &writer->options->ids;
    int ret;

    *entry = (struct wherry_tar_entry){
        .type = type_of(status->st_mode),
        .path = writer->name,
        .link = "",
        .mode = status->st_mode & MODE_MASK,
        .device_major = major(status->st_rdev),
        .device_minor = minor(status->st_rdev),
        .mtime = status->st_mtim.tv_sec,
        .mtime_nanoseconds = (uint32_t)status->st_mtim.tv_nsec,
        .size = S_ISREG(status->st_mode) ? (uint64_t)status->st_size : 0,
        .xattrs = xattrs->items,
        .xattr_count = xattrs->count,
    };
    ret = wherry_id_to_inside(&ids->uids, status->st_uid, &entry->uid, err);
    return ret < 0 ? ret : wherry_id_to_inside(&ids->gids, status->st_gid, &entry->gid, err);
}

int wherry_pack_write(struct wherry_pack_writer *writer, int fd, const char *path, const struct stat *status,
                      const struct wherry_xattr_set *xattrs, struct wherry_error *err)
{
    const char *first = NULL;
    struct wherry_tar_entry entry;
    int ret;

    if (S_ISSOCK(status->st_mode))
        return 0;
    name_member(writer, path, S_ISDIR(status->st_mode));
    ret = describe(writer, status, xattrs, &entry, err);
    if (ret == 0 && !S_ISDIR(status->st_mode) && status->st_nlink > 1)
        ret = wherry_links_find(&writer->links, status, writer->name, &first, err);
    if (ret == 0 && first != NULL) {
        entry.type = WHERRY_TAR_HARD_LINK;
        entry.link = first;
        entry.size = 0;
        entry.xattr_count = 0;
    }
    if (ret == 0)
        ret = count_member(writer, entry.size, err);
    if (ret == 0 && entry.type == WHERRY_TAR_FILE)
        ret = write_file(writer, fd, status, &entry, err);
    else if (ret == 0 && entry.type == WHERRY_TAR_SYMLINK)
        ret = write_symlink(writer, fd, &entry, err);
    else if (ret == 0)
        ret = wherry_tar_write_header(writer->sink, &entry, err);
    return ret < 0 ? wherry_error_prefix(err, "%.256s", writer->name) : 0;
}

int wherry_pack_whiteout(struct wherry_pack_writer *writer, const char *directory, const char *name,
                         struct wherry_error *err)
{
    struct wherry_tar_entry entry = {.type = WHERRY_TAR_FILE, .path = writer->name, .link = ""};
    size_t length = strlen(directory);
    int ret;

    memcpy(writer->name, directory, length);
    if (length > 0)
        writer->name[length++] = '/';
    ret = wherry_whiteout_name(writer->name, length, name, err);
    if (ret == 0)
        ret = count_member(writer, 0, err);
    return ret < 0 ? ret : wherry_tar_write_header(writer->sink, &entry, err);
}
