/*
 * The error object that every fallible function of libwherry takes.
 *
 * A function that can fail returns 0 or a positive value on success and a negative value on failure; on failure it has
 * filled in its `struct wherry_error` where the failure happened, with an errno and a message that names the object.
 * Nothing is printed by the library. The object lives on the caller's stack: making an error allocates nothing.
 */
#pragma once

#include <stddef.h>

#define WHERRY_ERROR_MAX 1024

struct wherry_error {
    int code; /* an errno value; 0 where no system call failed */
    char message[WHERRY_ERROR_MAX];
};

#define WHERRY_ERROR_INIT                                                                                              \
    {                                                                                                                  \
        .code = 0, .message = ""                                                                                       \
    }

/* Sets `err` (which may be NULL) to `code` and a formatted message and returns -code, or -1 when code is 0. With a
 * code, ": strerror(code)" is appended. A message cut to fit ends in "…". */
int wherry_error_set(struct wherry_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the message that is already in `err` and returns -err->code, or -1 when that is 0. */
int wherry_error_prefix(struct wherry_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
