/* See tar_header.h. */
#include "layer/tar_header.h"

#include <errno.h>
#include <string.h>

_Static_assert(sizeof(struct wherry_tar_header) == WHERRY_TAR_BLOCK, "a header is one block");
_Static_assert(sizeof(struct wherry_tar_gnu_fields) <= WHERRY_TAR_BLOCK - offsetof(struct wherry_tar_header, prefix),
               "GNU's fields fit in the place of the prefix");
_Static_assert(sizeof(struct wherry_tar_gnu_sparse_block) == WHERRY_TAR_BLOCK, "a part of the map is one block");

bool wherry_tar_block_is_zero(const void *block)
{
    const char *bytes = block;

    return bytes[0] == 0 && memcmp(bytes, bytes + 1, WHERRY_TAR_BLOCK - 1) == 0;
}

bool wherry_tar_is_ustar(const struct wherry_tar_header *header)
{
    return memcmp(header->magic, "ustar", sizeof(header->magic)) == 0;
}

bool wherry_tar_checksum_is_right(const struct wherry_tar_header *header)
{
    const uint8_t *bytes = (const uint8_t *)header;
    size_t from = offsetof(struct wherry_tar_header, checksum), to = from + sizeof(header->checksum);
    int64_t plain = 0, with_signs = 0, given = 0;

    for (size_t i = 0; i < WHERRY_TAR_BLOCK; i++) {
        uint8_t byte = i >= from && i < to ? ' ' : bytes[i];

        plain += byte;
        with_signs += (int8_t)byte;
    }
    if (wherry_tar_number(header->checksum, sizeof(header->checksum), "checksum", &given, NULL) < 0)
        return false;
    return given == plain || given == with_signs;
}

/* Two's complement over the whole field, its first bit aside; the second one is the sign. */
static int base_256(const char *field, size_t length, const char *what, int64_t *out, struct wherry_error *err)
{
    bool negative = (field[0] & 0x40) != 0;
    uint64_t invert = negative ? 0xff : 0x00;
    uint64_t value = 0;

    for (size_t i = 0; i < length; i++) {
        uint64_t byte = ((uint8_t)field[i] ^ invert) & (i == 0 ? 0x7f : 0xff);

        if (value >> 55 != 0)
            return wherry_error_set(err, EBADMSG, "tar: the number of field %s is too large", what);
        value = value << 8 | byte;
    }
    *out = negative ? (int64_t)~value : (int64_t)value;
    return 0;
}

int wherry_tar_number(const char *field, size_t length, const char *what, int64_t *out, struct wherry_error *err)
{
    size_t at = 0;
    int64_t value = 0;

    if ((field[0] & 0x80) != 0)
        return base_256(field, length, what, out, err);
    while (at < length && (field[at] == ' ' || field[at] == '\0'))
        at++;
    for (; at < length && field[at] >= '0' && field[at] <= '7'; at++)
        value = value << 3 | (field[at] - '0'); /* at most 36 bits */
    if (at < length && field[at] != ' ' && field[at] != '\0')
        return wherry_error_set(err, EBADMSG, "tar: field %s is no number", what);
    *out = value;
    return 0;
}

int wherry_tar_natural(const char *field, size_t length, const char *what, uint64_t most, uint64_t *out,
                       struct wherry_error *err)
{
    int64_t value = 0;
    int ret = wherry_tar_number(field, length, what, &value, err);

    if (ret < 0)
        return ret;
    if (value < 0 || (uint64_t)value > most)
        return wherry_error_set(err, EBADMSG, "tar: field %s: %lld is not between 0 and %llu", what, (long long)value,
                                (unsigned long long)most);
    *out = (uint64_t)value;
    return 0;
}
