/*
 * A kernel's build configuration: read from where kernels and distributions keep it, gzip or plain told apart by its
 * first bytes, and asked by option name.
 */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Of the file and of its unpacked content; the largest real ones are below 400 KiB. */
#define KERNEL_CONFIG_MAX ((size_t)8 << 20)

struct kernel_config_entry {
    const char *name; /* "CONFIG_OVERLAY_FS" */
    const char *value;
};

struct kernel_config {
    char *text; /* which the entries point into */
    struct kernel_config_entry *entries;
    size_t count;
    char version[64]; /* from the header, "6.1.0"; "" when there is none */
};

#define KERNEL_CONFIG_INIT                                                                                             \
    {                                                                                                                  \
        .text = NULL, .entries = NULL, .count = 0, .version = ""                                                       \
    }

/* Reads a configuration from memory; `name` is for errors. Fails when there is no option in it. */
int kernel_config_parse(const void *data, size_t length, const char *name, struct kernel_config *config,
                        struct wherry_error *err);

/* Reads a file. */
int kernel_config_read(const char *path, struct kernel_config *config, struct wherry_error *err);

/* Looks for the configuration of kernel `release` in the usual places (/proc/config.gz when `running`). Returns 1 and
 * sets `path` (for free()) when it was found, 0 when there is none, negative when one is there and cannot be read. */
int kernel_config_find(const char *release, bool running, struct kernel_config *config, char **path,
                       struct wherry_error *err);

/* "y", "m", another value, or NULL when the option is not set. `name` with CONFIG_. */
const char *kernel_config_get(const struct kernel_config *config, const char *name);

void kernel_config_free(struct kernel_config *config);

static inline void cleanup_kernel_config_free(struct kernel_config *config)
{
    kernel_config_free(config);
}

#define cleanup_kernel_config __attribute__((cleanup(cleanup_kernel_config_free)))
