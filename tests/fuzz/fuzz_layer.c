/*
 * Unpacks arbitrary layers into a directory of a private tmpfs; whatever the archive says, nothing may appear beside
 * that directory. The first byte chooses whether the rest is taken as it is (compressed streams, damaged headers) or
 * as a tar whose checksums are put right first, without which no header would be looked at. Needs root.
 */
#include "layer/tar_header.h"
#include "place.h"
#include "wherry/changes.h"
#include "wherry/cleanup.h"
#include "wherry/layer.h"
#include "wherry/pack.h"
#include "wherry/remove.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define TARGET "layer"
#define MAX_BYTES (1024 * 1024)
#define MAX_ENTRIES 200

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int place = -1; /* the tmpfs */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    place_make("size=64m,nr_inodes=20k");
    place = open(PLACE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(place >= 0, PLACE);
    return 0;
}

/* Goes over the archive as a reader would and corrects each header's checksum. */
static void correct_checksums(uint8_t *tar, size_t size)
{
    size_t at = 0;

    while (at + WHERRY_TAR_BLOCK <= size) {
        struct wherry_tar_header *header = (struct wherry_tar_header *)(void *)(tar + at);
        uint64_t length = 0;
        unsigned int sum = 0;

        if (wherry_tar_block_is_zero(header))
            break;
        memset(header->checksum, ' ', sizeof(header->checksum));
        for (size_t i = 0; i < WHERRY_TAR_BLOCK; i++)
            sum += tar[at + i];
        snprintf(header->checksum, sizeof(header->checksum), "%06o", sum);
        if (wherry_tar_natural(header->size, sizeof(header->size), "size", size, &length, NULL) < 0)
            length = 0;
        at += WHERRY_TAR_BLOCK + (length + WHERRY_TAR_BLOCK - 1) / WHERRY_TAR_BLOCK * WHERRY_TAR_BLOCK;
    }
}

static int as_file(const uint8_t *data, size_t size)
{
    int fd = memfd_create("layer", MFD_CLOEXEC);

    must(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0, "memfd");
    return fd;
}

static void nothing_is_beside(void)
{
    cleanup_closedir DIR *list = fdopendir(dup(place));

    must(list != NULL, "list");
    rewinddir(list);
    for (struct dirent *item; (item = readdir(list)) != NULL;)
        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0 && strcmp(item->d_name, TARGET) != 0)
            abort();
}

/* Whatever could be unpacked can be packed and compared; unless a name, a path or a limit forbids, without an error. */
static void pack_again(void)
{
    static const char *const lower[] = {PLACE "/" TARGET};
    struct wherry_pack_options options = {.form = WHERRY_PACK_UPPER, .limits = {.max_bytes = 64 * MAX_BYTES}};
    struct wherry_error err = WHERRY_ERROR_INIT;
    cleanup_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct wherry_layer_result result;
    struct wherry_changes changes;

    if (wherry_pack_directory(lower[0], null, &options, &result, &err) < 0 && err.message[0] == '\0')
        abort();
    options.form = WHERRY_PACK_DIFF;
    options.compression = WHERRY_COMPRESSION_ZSTD;
    options.threads = 1;
    options.lower = lower;
    options.lower_count = 1;
    if (wherry_pack_directory(lower[0], null, &options, &result, &err) < 0 && err.message[0] == '\0')
        abort();
    if (wherry_changes_list(lower[0], lower, 1, false, &changes, &err) == 0)
        free(changes.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct wherry_unpack_options options = {.limits = {.max_bytes = MAX_BYTES, .max_entries = MAX_ENTRIES}};
    struct wherry_layer_result result;
    struct wherry_error err = WHERRY_ERROR_INIT;
    cleanup_free uint8_t *archive = size > 0 ? malloc(size) : NULL;
    cleanup_close int source = -1;
    int ret;

    if (archive == NULL)
        return 0;
    memcpy(archive, data + 1, size - 1);
    if ((data[0] & 1) != 0)
        correct_checksums(archive, size - 1);
    source = as_file(archive, size - 1);
    must(mkdirat(place, TARGET, 0755) == 0, "make the directory");
    ret = wherry_layer_unpack(source, PLACE "/" TARGET, &options, &result, &err);
    if (ret < 0 && err.message[0] == '\0')
        abort();
    nothing_is_beside();
    pack_again();
    err.message[0] = '\0';
    if (wherry_remove_tree(place, TARGET, UINT64_MAX, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
    return 0;
}
