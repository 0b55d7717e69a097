/* One block of 512 bytes that starts a member, and the numbers in it. */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHERRY_TAR_BLOCK 512

/* The fields by their place (POSIX.1-2017, pax, "ustar Interchange Format"). `prefix` is GNU's other fields where the
 * magic is GNU's. */
struct wherry_tar_header {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char link[100];
    char magic[6];
    char version[2];
    char user[32];
    char group[32];
    char device_major[8];
    char device_minor[8];
    char prefix[155];
    char padding[12];
};

/* The end of an old GNU sparse file's header, in the place of `prefix`. */
struct wherry_tar_gnu_fields {
    char access_time[12];
    char change_time[12];
    char offset[12];
    char long_names[4];
    char unused;
    struct {
        char offset[12];
        char length[12];
    } sparse[4];
    char extended;
    char real_size[12];
};

/* A further block of an old GNU sparse file's map. */
struct wherry_tar_gnu_sparse_block {
    struct {
        char offset[12];
        char length[12];
    } sparse[21];
    char extended;
    char padding[7];
};

bool wherry_tar_block_is_zero(const void *block);

/* Whether the block's checksum is right, as sum of unsigned or, as some old writers did, of signed bytes. */
bool wherry_tar_checksum_is_right(const struct wherry_tar_header *header);
bool wherry_tar_is_ustar(const struct wherry_tar_header *header);

/* A number in octal, or in base 256 when the first bit is set. An empty field is 0. */
int wherry_tar_number(const char *field, size_t length, const char *what, int64_t *out, struct wherry_error *err);

/* The same, for what is never negative and at most `most`. */
int wherry_tar_natural(const char *field, size_t length, const char *what, uint64_t most, uint64_t *out,
                       struct wherry_error *err);
