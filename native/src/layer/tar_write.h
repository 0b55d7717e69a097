/* Writing tar archives member by member: ustar, with a pax header where a field does not fit (POSIX.1-2017, pax). */
#pragma once

#include "layer/sink.h"
#include "layer/tar.h"

/* Writes the member's headers. A file's `size` bytes of data follow by the caller, then wherry_tar_write_padding. */
int wherry_tar_write_header(struct wherry_sink *sink, const struct wherry_tar_entry *entry, struct wherry_error *err);
int wherry_tar_write_padding(struct wherry_sink *sink, uint64_t size, struct wherry_error *err);

/* The two blocks of zeros. */
int wherry_tar_write_end(struct wherry_sink *sink, struct wherry_error *err);
