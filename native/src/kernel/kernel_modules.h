/*
 * Modules of the running kernel: loaded, built in, or there to be loaded. Sources: /proc/modules and /sys/module, and
 * depmod's modules.builtin and modules.dep below /lib/modules.
 */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>

struct kernel_modules {
    char *loaded; /* texts; NULL where the file is not there */
    char *builtin;
    char *available;
};

#define KERNEL_MODULES_INIT                                                                                            \
    {                                                                                                                  \
        .loaded = NULL, .builtin = NULL, .available = NULL                                                             \
    }

/* Reads the lists for the running kernel `release`. */
int kernel_modules_read(const char *release, struct kernel_modules *modules, struct wherry_error *err);

/* The names are compared as modprobe does it: "-" and "_" are one. */
bool kernel_module_is_loaded(const struct kernel_modules *modules, const char *name);
bool kernel_module_is_built_in(const struct kernel_modules *modules, const char *name);
bool kernel_module_is_available(const struct kernel_modules *modules, const char *name);

void kernel_modules_free(struct kernel_modules *modules);
