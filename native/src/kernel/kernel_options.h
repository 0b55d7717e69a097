/* The table of what containers need or can use of a kernel. Which option exists in which version: the kernel's own
 * history of Kconfig files. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A version as one number that compares: 5.10 is KERNEL_VERSION_OF(5, 10). */
#define KERNEL_VERSION_OF(major, minor) ((major)*1000U + (minor))

enum kernel_need {
    KERNEL_OPTIONAL,
    KERNEL_REQUIRED,
    KERNEL_REQUIRED_ON_V1, /* where cgroup v1 carries the limits */
    KERNEL_REQUIRED_ON_V2,
};

struct kernel_option {
    const char *group;
    const char *name;   /* "CONFIG_OVERLAY_FS" */
    const char *module; /* NULL where it cannot be one */
    enum kernel_need need;
    unsigned since; /* the first version that has it under this name; 0: all that matter here */
    unsigned until; /* the first that no longer has it; 0: still there */
    const char *breaks;
    const char *proof; /* a file that is there exactly when a running kernel has the option; NULL: none tells */
};

extern const struct kernel_option kernel_options[];
extern const size_t kernel_options_count;

/* The option of that name; NULL when the table has none. */
const struct kernel_option *kernel_option_find(const char *name);

/* "6.1.0-18-amd64" as a version; 0 when it does not begin with one. */
unsigned kernel_version_parse(const char *release);
