/*
 * Trying something out where it cannot touch the host: in a child with namespaces of its own, which end with it.
 */
#pragma once

#include "kernel/kernel_report.h"

struct kernel_probe {
    const char *group;
    const char *name;
    const char *option; /* without which it cannot work */
    const char *module; /* that the kernel would load for it */
    bool required;
    const char *breaks;
    const char *remedy;
    int namespaces;       /* CLONE_NEW* for unshare(2) */
    int (*attempt)(void); /* in the child: 0, or -errno */
};

/*
 * Runs the probe and adds its finding. A probe that would make the kernel load a module is not run: loading it is for
 * the operator to decide, so the finding is UNKNOWN and says how.
 */
int kernel_probe_run(const struct kernel_probe *probe, const struct kernel_view *view,
                     struct wherry_kernel_report *report, struct wherry_error *err);
