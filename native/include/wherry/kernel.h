/*
 * What this kernel, or one whose configuration is given, offers to containers: each option that they need or can use,
 * its state, what breaks without it and how to get it; and probes of the live system where a configuration cannot tell.
 */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>
#include <stddef.h>

enum wherry_kernel_state {
    WHERRY_KERNEL_BUILT_IN,
    WHERRY_KERNEL_MODULE,            /* a module, and it is loaded (or the configuration is not of this kernel) */
    WHERRY_KERNEL_MODULE_NOT_LOADED, /* a module that is there to be loaded */
    WHERRY_KERNEL_MISSING,
    WHERRY_KERNEL_OK,      /* a probe succeeded */
    WHERRY_KERNEL_FAILED,  /* a probe failed; the remedy says why */
    WHERRY_KERNEL_UNKNOWN, /* no configuration was found, or the probe needs what this process may not do */
};

struct wherry_kernel_finding {
    const char *group;  /* "generally necessary", "network: macvlan", … */
    const char *name;   /* "CONFIG_OVERLAY_FS", or a probe's: "overlay mount" */
    const char *module; /* "overlay"; NULL where no module provides it */
    const char *breaks; /* what does not work without it */
    char *remedy;       /* what to do; "" where nothing is to be done. Owned by the report */
    bool required;
    enum wherry_kernel_state state;
};

struct wherry_kernel_report {
    char *release;     /* of the kernel that was looked at, "6.1.0-18-amd64" */
    char *config_path; /* where its configuration was read; NULL where none was found */
    bool live;         /* whether the live system was probed */
    struct wherry_kernel_finding *findings;
    size_t count;
};

struct wherry_kernel_options {
    const char *config_file; /* NULL: the running kernel's own */
    const char *version;     /* "6.1" or a release; NULL: from the file's header, else the running kernel's */
};

/*
 * Looks. A given configuration that cannot be read, is none, or is larger than 8 MiB unpacked is an error; that the
 * running kernel shows none is a finding. The probes touch nothing of the host: they run in namespaces of a child.
 */
int wherry_kernel_check(const struct wherry_kernel_options *options, struct wherry_kernel_report *report,
                        struct wherry_error *err);
void wherry_kernel_report_free(struct wherry_kernel_report *report);

/* "built-in", "module", "module-not-loaded", "missing", "ok", "failed", "unknown". */
const char *wherry_kernel_state_name(enum wherry_kernel_state state);

/*
 * The report as JSON, for free():
 *   {"release":…, "config":PATH|null, "live":bool, "findings":[{"group","name","required","state","module":…|null,
 *    "breaks","remedy"}, …]}
 */
int wherry_kernel_check_json(const char *config_file_or_null, const char *kernel_version_or_null, char **json_out,
                             struct wherry_error *err);
