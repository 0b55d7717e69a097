/* Filling in a report, for the files of the kernel check. */
#pragma once

#include "kernel/kernel_config.h"
#include "kernel/kernel_modules.h"
#include "wherry/error.h"
#include "wherry/kernel.h"

/* What is known while a report is made. */
struct kernel_view {
    struct kernel_config config;
    bool has_config;
    bool live;
    unsigned version; /* as KERNEL_VERSION_OF; 0: not known, then every option counts */
    struct kernel_modules modules;
};

/* Appends a finding; `format` makes the remedy. */
int kernel_report_add(struct wherry_kernel_report *report, struct wherry_error *err,
                      const struct wherry_kernel_finding *finding, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The state of an option and of its module (NULL: none) in this kernel. */
enum wherry_kernel_state kernel_view_state(const struct kernel_view *view, const char *option, const char *module);

/* The probes of the live system: file systems and sysctls, network and firewall, control groups. */
int kernel_probe_storage(const struct kernel_view *view, struct wherry_kernel_report *report, struct wherry_error *err);
int kernel_probe_network(const struct kernel_view *view, struct wherry_kernel_report *report, struct wherry_error *err);
int kernel_probe_cgroups(const struct kernel_view *view, struct wherry_kernel_report *report, struct wherry_error *err);
