/* The kernel check: options from the configuration, then probes; see wherry/kernel.h. */
#include "wherry/kernel.h"

#include "kernel/kernel_options.h"
#include "kernel/kernel_report.h"
#include "runtime/cgroup_layout.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static const char *const state_names[] = {
    [WHERRY_KERNEL_BUILT_IN] = "built-in",
    [WHERRY_KERNEL_MODULE] = "module",
    [WHERRY_KERNEL_MODULE_NOT_LOADED] = "module-not-loaded",
    [WHERRY_KERNEL_MISSING] = "missing",
    [WHERRY_KERNEL_OK] = "ok",
    [WHERRY_KERNEL_FAILED] = "failed",
    [WHERRY_KERNEL_UNKNOWN] = "unknown",
};

const char *wherry_kernel_state_name(enum wherry_kernel_state state)
{
    return state_names[state];
}

int kernel_report_add(struct wherry_kernel_report *report, struct wherry_error *err,
                      const struct wherry_kernel_finding *finding, const char *format, ...)
{
    struct wherry_kernel_finding *larger = reallocarray(report->findings, report->count + 1, sizeof(*larger));
    va_list args;
    int length;

    if (larger == NULL)
        return wherry_error_set(err, ENOMEM, "report on %s", finding->name);
    report->findings = larger;
    larger[report->count] = *finding;
    va_start(args, format);
    length = vasprintf(&larger[report->count].remedy, format, args);
    va_end(args);
    if (length < 0)
        return wherry_error_set(err, ENOMEM, "report on %s", finding->name);
    report->count++;
    return 0;
}

/* Without a configuration, what the module lists say. */
static enum wherry_kernel_state state_by_module(const struct kernel_view *view, const char *module)
{
    if (module == NULL)
        return WHERRY_KERNEL_UNKNOWN;
    if (kernel_module_is_loaded(&view->modules, module))
        return WHERRY_KERNEL_MODULE;
    if (kernel_module_is_built_in(&view->modules, module))
        return WHERRY_KERNEL_BUILT_IN;
    return kernel_module_is_available(&view->modules, module) ? WHERRY_KERNEL_MODULE_NOT_LOADED : WHERRY_KERNEL_UNKNOWN;
}

enum wherry_kernel_state kernel_view_state(const struct kernel_view *view, const char *option, const char *module)
{
    const char *value;

    if (!view->has_config)
        return view->live ? state_by_module(view, module) : WHERRY_KERNEL_UNKNOWN;
    value = kernel_config_get(&view->config, option);
    if (value == NULL)
        return WHERRY_KERNEL_MISSING;
    if (strcmp(value, "m") != 0)
        return WHERRY_KERNEL_BUILT_IN;
    if (!view->live || module == NULL || kernel_module_is_loaded(&view->modules, module))
        return WHERRY_KERNEL_MODULE;
    /* Built as a module, and not installed: nothing can load it. */
    if (view->modules.available != NULL && !kernel_module_is_available(&view->modules, module))
        return WHERRY_KERNEL_MISSING;
    return WHERRY_KERNEL_MODULE_NOT_LOADED;
}

static bool is_needed(enum kernel_need need, enum wherry_cgroup_layout layout)
{
    bool v1 = layout == WHERRY_CGROUP_V1 || layout == WHERRY_CGROUP_HYBRID;

    if (need == KERNEL_REQUIRED_ON_V1)
        return v1;
    if (need == KERNEL_REQUIRED_ON_V2)
        return layout == WHERRY_CGROUP_V2;
    return need == KERNEL_REQUIRED;
}

static int add_option(const struct kernel_option *option, const struct kernel_view *view,
                      enum wherry_cgroup_layout layout, struct wherry_kernel_report *report, struct wherry_error *err)
{
    struct wherry_kernel_finding finding = {
        .group = option->group,
        .name = option->name,
        .module = option->module,
        .breaks = option->breaks,
        .required = is_needed(option->need, layout),
        .state = kernel_view_state(view, option->name, option->module),
    };

    /* Without a configuration, what the option brings to /proc tells. */
    if (finding.state == WHERRY_KERNEL_UNKNOWN && view->live && option->proof != NULL)
        finding.state = access(option->proof, F_OK) == 0 ? WHERRY_KERNEL_BUILT_IN : WHERRY_KERNEL_MISSING;
    if (finding.state == WHERRY_KERNEL_UNKNOWN)
        return kernel_report_add(report, err, &finding,
                                 "make the kernel's configuration readable as /boot/config-%s or /proc/config.gz",
                                 report->release);
    if (finding.state == WHERRY_KERNEL_MODULE_NOT_LOADED)
        return kernel_report_add(report, err, &finding, "modprobe %s", option->module);
    if (finding.state != WHERRY_KERNEL_MISSING)
        return kernel_report_add(report, err, &finding, "%s", "");
    if (view->has_config && kernel_config_get(&view->config, option->name) != NULL)
        return kernel_report_add(report, err, &finding, "install the modules of kernel %s: %s is not among them",
                                 report->release, option->module);
    if (option->module != NULL)
        return kernel_report_add(report, err, &finding, "build the kernel with %s=m (module %s) or =y", option->name,
                                 option->module);
    return kernel_report_add(report, err, &finding, "build the kernel with %s=y", option->name);
}

static bool exists_in(const struct kernel_option *option, unsigned version)
{
    return version == 0 || (version >= option->since && (option->until == 0 || version < option->until));
}

static int add_options(const struct kernel_view *view, struct wherry_kernel_report *report, struct wherry_error *err)
{
    struct cgroup_layout layout = CGROUP_LAYOUT_INIT;
    int result = view->live ? cgroup_layout_read(&layout, err) : 0;

    for (size_t i = 0; i < kernel_options_count && result >= 0; i++) {
        if (exists_in(&kernel_options[i], view->version))
            result = add_option(&kernel_options[i], view, layout.kind, report, err);
    }
    cgroup_layout_free(&layout);
    return result;
}

/* Whether two releases are of one kernel: "6.1.90" (a header) and "6.1.90-amd64" are. */
static bool same_kernel(const char *header, const char *release)
{
    size_t length = strlen(header);

    return length > 0 && strncmp(header, release, length) == 0 && (release[length] < '0' || release[length] > '9');
}

/* Reads the configuration that was asked for, and decides whether it is the running kernel's. */
static int read_config(const struct wherry_kernel_options *options, const char *running, struct kernel_view *view,
                       struct wherry_kernel_report *report, struct wherry_error *err)
{
    const char *release = options->version != NULL ? options->version : running;
    int result;

    if (options->version != NULL && kernel_version_parse(options->version) == 0)
        return wherry_error_set(err, EINVAL, "kernel version: \"%s\": must be like 6.1 or 6.1.0-18-amd64",
                                options->version);
    if (options->config_file != NULL) {
        result = kernel_config_read(options->config_file, &view->config, err);
        if (result < 0)
            return result;
        report->config_path = strdup(options->config_file);
        if (report->config_path == NULL)
            return wherry_error_set(err, ENOMEM, "%s", options->config_file);
        if (options->version == NULL && view->config.version[0] != '\0')
            release = view->config.version;
        view->has_config = true;
        /* A file without a header may be of any kernel. */
        view->live = release != running && same_kernel(release, running);
    } else {
        view->live = options->version == NULL || same_kernel(options->version, running);
        result =
            kernel_config_find(view->live ? running : release, view->live, &view->config, &report->config_path, err);
        if (result < 0)
            return result;
        view->has_config = result > 0;
    }
    view->version = kernel_version_parse(release);
    report->live = view->live;
    report->release = strdup(view->live ? running : release);
    return report->release == NULL ? wherry_error_set(err, ENOMEM, "kernel check") : 0;
}

int wherry_kernel_check(const struct wherry_kernel_options *options, struct wherry_kernel_report *report,
                        struct wherry_error *err)
{
    struct kernel_view view = {.config = KERNEL_CONFIG_INIT, .modules = KERNEL_MODULES_INIT};
    struct utsname host;
    int result;

    *report = (struct wherry_kernel_report){.count = 0};
    if (uname(&host) < 0)
        return wherry_error_set(err, errno, "uname");
    result = read_config(options, host.release, &view, report, err);
    if (result >= 0 && view.live)
        result = kernel_modules_read(host.release, &view.modules, err);
    if (result >= 0)
        result = add_options(&view, report, err);
    if (result >= 0 && view.live) {
        result = kernel_probe_storage(&view, report, err);
        if (result >= 0)
            result = kernel_probe_network(&view, report, err);
        if (result >= 0)
            result = kernel_probe_cgroups(&view, report, err);
    }
    kernel_config_free(&view.config);
    kernel_modules_free(&view.modules);
    if (result < 0)
        wherry_kernel_report_free(report);
    return result < 0 ? result : 0;
}

void wherry_kernel_report_free(struct wherry_kernel_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        free(report->findings[i].remedy);
    free(report->findings);
    free(report->release);
    free(report->config_path);
    *report = (struct wherry_kernel_report){.count = 0};
}
