/* Which layout a host has, and where a container's groups go in it. */
#include "check.h"

#include "runtime/cgroup_layout.h"

static const char hybrid[] = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
                             "31 23 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs rw,mode=755\n"
                             "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
                             "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                             "36 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n"
                             "37 31 0:34 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
                             "99 31 0:32 / /mnt/again rw - cgroup cgroup rw,memory\n"
                             "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
                             "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

static void place(const char *mountinfo, const char *path, const char *own, struct wherry_cgroup *cg)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct cgroup_layout layout = CGROUP_LAYOUT_INIT;
    char *text = strdup(mountinfo);

    CHECK_OK(cgroup_layout_parse(text, &layout, &err), err);
    CHECK_OK(cgroup_layout_place(&layout, path, own, cg, &err), err);
    cgroup_layout_free(&layout);
    free(text);
}

static void hybrid_hosts_get_one_directory_in_each_v1_hierarchy(void)
{
    struct wherry_cgroup cg = WHERRY_CGROUP_INIT;

    place(hybrid, "/wherry/a", NULL, &cg);
    CHECK(cg.layout == WHERRY_CGROUP_HYBRID);
    CHECK(cg.count == 5);
    CHECK_TEXT(wherry_cgroup_path(&cg, "memory"), "/sys/fs/cgroup/memory/wherry/a");
    CHECK_TEXT(wherry_cgroup_path(&cg, "cpuacct"), "/sys/fs/cgroup/cpu,cpuacct/wherry/a");
    CHECK_TEXT(wherry_cgroup_path(&cg, "named"), "/sys/fs/cgroup/systemd/wherry/a");
    CHECK(wherry_cgroup_path(&cg, "pids") == NULL);
    wherry_cgroup_free(&cg);
}

static void v2_serves_devices_where_v1_has_no_devices_controller(void)
{
    struct wherry_cgroup cg = WHERRY_CGROUP_INIT;

    place("35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory\n"
          "41 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw\n",
          "/w", NULL, &cg);
    CHECK(cg.layout == WHERRY_CGROUP_HYBRID);
    CHECK_TEXT(wherry_cgroup_path(&cg, "devices"), "/cg/unified/w");
    CHECK_TEXT(wherry_cgroup_path(&cg, "memory"), "/cg/memory/w");
    wherry_cgroup_free(&cg);
}

static void v2_alone_or_beside_a_named_hierarchy_is_v2(void)
{
    struct wherry_cgroup cg = WHERRY_CGROUP_INIT;

    place("41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
          "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n",
          "/w", NULL, &cg);
    CHECK(cg.layout == WHERRY_CGROUP_V2);
    CHECK(cg.count == 2);
    CHECK_TEXT(wherry_cgroup_path(&cg, "io"), "/sys/fs/cgroup/w");
    wherry_cgroup_free(&cg);
}

static void relative_paths_hang_below_the_own_group(void)
{
    struct wherry_cgroup cg = WHERRY_CGROUP_INIT;

    place("35 31 0:32 /outer /cg/my\\040memory rw - cgroup cgroup rw,memory\n"
          "36 31 0:33 / /cg/pids rw - cgroup cgroup rw,pids\n",
          "w/a", "4:memory:/outer/inner\n3:pids:/\n0::/\n", &cg);
    CHECK_TEXT(wherry_cgroup_path(&cg, "memory"), "/cg/my memory/inner/w/a");
    CHECK_TEXT(wherry_cgroup_path(&cg, "pids"), "/cg/pids/w/a");
    wherry_cgroup_free(&cg);
}

static void paths_that_could_leave_their_place_are_refused(void)
{
    static const char *const bad[] = {"/a/../../b", "..", "/", "", "/a/./b", "/a\nb", NULL};
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct cgroup_layout layout = CGROUP_LAYOUT_INIT;
    struct wherry_cgroup cg = WHERRY_CGROUP_INIT;
    char *text = strdup(hybrid);

    CHECK_OK(cgroup_layout_parse(text, &layout, &err), err);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_FAILS(cgroup_layout_place(&layout, bad[i], "", &cg, &err), err, "linux.cgroupsPath");
    CHECK(cg.count == 0);
    cgroup_layout_free(&layout);
    free(text);
}

static void damaged_mountinfo_is_survived(void)
{
    static const char *const bad[] = {
        "", "\n\n", " - cgroup", " - cgroup ", "1 2 3 - cgroup cgroup rw,cpu", "1 2 3 4 - cgroup2 x y", " - \n - "};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct wherry_error err = WHERRY_ERROR_INIT;
        struct cgroup_layout layout = CGROUP_LAYOUT_INIT;
        char *text = strdup(bad[i]);

        CHECK_OK(cgroup_layout_parse(text, &layout, &err), err);
        CHECK(layout.kind == WHERRY_CGROUP_NONE);
        cgroup_layout_free(&layout);
        free(text);
    }
}

int main(void)
{
    RUN(hybrid_hosts_get_one_directory_in_each_v1_hierarchy);
    RUN(v2_serves_devices_where_v1_has_no_devices_controller);
    RUN(v2_alone_or_beside_a_named_hierarchy_is_v2);
    RUN(relative_paths_hang_below_the_own_group);
    RUN(paths_that_could_leave_their_place_are_refused);
    RUN(damaged_mountinfo_is_survived);
    return check_result();
}
