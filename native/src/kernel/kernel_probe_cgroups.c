/* Which control group controllers this system has mounted (v1) or handed down to this process (v2). */
#include "kernel/kernel_report.h"
#include "runtime/cgroup_layout.h"
#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define GROUP "cgroup controllers"
#define TEXT_MAX ((size_t)64 << 10)

static const struct wanted {
    enum cgroup_controller controller;
    const char *name;
    bool required;
    const char *breaks;
} wanted[] = {
    {CGROUP_MEMORY, "controller memory", true, "memory limits"},
    {CGROUP_CPU, "controller cpu", true, "CPU shares and limits"},
    {CGROUP_PIDS, "controller pids", true, "limits of the number of processes"},
    {CGROUP_DEVICES, "controller devices", true, "keeping containers from the host's devices"},
    {CGROUP_FREEZER, "controller freezer", true, "pausing containers"},
    {CGROUP_CPUSET, "controller cpuset", false, "binding to CPUs and memory nodes"},
    {CGROUP_BLKIO, "controller io (blkio)", false, "block device limits and weights"},
    {CGROUP_CPUACCT, "controller cpuacct", false, "CPU statistics"},
    {CGROUP_HUGETLB, "controller hugetlb", false, "limits of huge pages"},
};

/* What the v2 tree offers: all that the kernel has, and what reaches this process's own group. */
struct v2_controllers {
    const char *root; /* where the tree is mounted; NULL: nowhere */
    char *offered;
    char *delegated;
};

static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = list; at != NULL && *at != '\0';) {
        size_t here = strcspn(at, " \n");

        if (here == length && strncmp(at, word, length) == 0)
            return true;
        at += here + (at[here] != '\0');
    }
    return false;
}

/* This process's group below the mounted root; "" for the root itself, or when that cannot be told. */
static void own_group(char *path, size_t size)
{
    cleanup_free char *groups = NULL;
    size_t length = 0;
    const char *line;

    path[0] = '\0';
    if (wherry_file_read(AT_FDCWD, "/proc/self/cgroup", TEXT_MAX, &groups, &length, NULL) < 0)
        return;
    line = strncmp(groups, "0::", 3) == 0 ? groups : strstr(groups, "\n0::");
    if (line == NULL)
        return;
    line = strstr(line, "::") + 2;
    length = strcspn(line, "\n");
    if (length > 1 && length < size)
        snprintf(path, size, "%.*s", (int)length, line);
}

static void read_v2(const struct cgroup_layout *layout, struct v2_controllers *v2)
{
    char own[1024], path[2048];
    size_t length = 0;

    for (size_t i = 0; i < layout->count && v2->root == NULL; i++)
        v2->root = layout->at[i].unified ? layout->at[i].point : NULL;
    if (v2->root == NULL)
        return;
    own_group(own, sizeof(own));
    snprintf(path, sizeof(path), "%s/cgroup.controllers", v2->root);
    (void)wherry_file_read(AT_FDCWD, path, TEXT_MAX, &v2->offered, &length, NULL);
    snprintf(path, sizeof(path), "%s%s/cgroup.controllers", v2->root, own);
    (void)wherry_file_read(AT_FDCWD, path, TEXT_MAX, &v2->delegated, &length, NULL);
}

static const char *v1_mount(const struct cgroup_layout *layout, enum cgroup_controller controller)
{
    for (size_t i = 0; i < layout->count; i++) {
        if ((layout->at[i].controllers & CGROUP_BIT(controller)) != 0)
            return layout->at[i].point;
    }
    return NULL;
}

/* cpuacct, devices and the freezer are part of every v2 group, without a controller. */
static bool is_inherent(enum cgroup_controller controller)
{
    return controller == CGROUP_CPUACCT || controller == CGROUP_DEVICES || controller == CGROUP_FREEZER;
}

static int add(const struct wanted *item, const struct cgroup_layout *layout, const struct v2_controllers *v2,
               struct wherry_kernel_report *report, struct wherry_error *err)
{
    bool on_v2 = layout->kind == WHERRY_CGROUP_V2;
    const char *name = cgroup_controller_name(item->controller, on_v2);
    struct wherry_kernel_finding finding = {
        .group = GROUP,
        .name = item->name,
        .required = item->required,
        .breaks = item->breaks,
        .state = WHERRY_KERNEL_OK,
    };

    if (on_v2 ? is_inherent(item->controller) || has_word(v2->delegated, name)
              : v1_mount(layout, item->controller) != NULL)
        return kernel_report_add(report, err, &finding, "%s", "");
    /* Beside v1 these two are taken from the v2 tree when v1 has not got them. */
    if (layout->kind == WHERRY_CGROUP_HYBRID && is_inherent(item->controller))
        return kernel_report_add(report, err, &finding, "%s", "");
    finding.state = WHERRY_KERNEL_FAILED;
    if (!on_v2 && has_word(v2->offered, name))
        return kernel_report_add(report, err, &finding,
                                 "it is bound to the v2 tree %s, and this host's limits are carried by v1: mount it as "
                                 "a v1 hierarchy at boot, or use v2 for all",
                                 v2->root);
    if (!on_v2)
        return kernel_report_add(
            report, err, &finding,
            "mount -t cgroup -o %s cgroup /sys/fs/cgroup/%s; where the kernel has it switched off, "
            "boot with cgroup_enable=%s",
            name, name, name);
    if (has_word(v2->offered, name))
        return kernel_report_add(report, err, &finding,
                                 "delegate it: write +%s to cgroup.subtree_control of every group from %s down to the "
                                 "agent's (systemd: Delegate=yes)",
                                 name, v2->root);
    return kernel_report_add(report, err, &finding, "boot with cgroup_enable=%s, or with a kernel that has it", name);
}

static int add_layout(const struct cgroup_layout *layout, struct wherry_kernel_report *report, struct wherry_error *err)
{
    struct wherry_kernel_finding finding = {
        .group = GROUP,
        .name = "cgroup hierarchy",
        .required = true,
        .breaks = "limits, freezing, and finding a container's processes",
        .state = layout->kind == WHERRY_CGROUP_NONE ? WHERRY_KERNEL_FAILED : WHERRY_KERNEL_OK,
    };

    return kernel_report_add(report, err, &finding, "%s",
                             layout->kind == WHERRY_CGROUP_NONE ? "mount -t cgroup2 cgroup2 /sys/fs/cgroup" : "");
}

int kernel_probe_cgroups(const struct kernel_view *view, struct wherry_kernel_report *report, struct wherry_error *err)
{
    struct cgroup_layout layout = CGROUP_LAYOUT_INIT;
    struct v2_controllers v2 = {.root = NULL};
    int result = cgroup_layout_read(&layout, err);

    (void)view;
    if (result >= 0)
        result = add_layout(&layout, report, err);
    if (result >= 0)
        read_v2(&layout, &v2);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]) && result >= 0; i++)
        result = add(&wanted[i], &layout, &v2, report, err);
    cgroup_layout_free(&layout);
    free(v2.offered);
    free(v2.delegated);
    return result;
}
