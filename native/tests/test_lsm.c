/* Which security modules run, and writing a label: on a tree that stands for /proc and /sys. */
#include "check.h"
#include "wherry/lsm.h"

#include <fcntl.h>
#include <sys/stat.h>

static char tree[64];

/* A file of the tree, with its directories. */
static void make(const char *path, const char *content)
{
    char command[256];

    snprintf(command, sizeof(command), "mkdir -p %s/$(dirname %s) && printf '%s' > %s/%s", tree, path, content, tree,
             path);
    CHECK(system(command) == 0);
}

static int open_tree_root(void)
{
    strcpy(tree, "/tmp/wherry-lsm-XXXXXX");
    CHECK(mkdtemp(tree) != NULL);
    return open(tree, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void remove_tree(int root)
{
    char command[128];

    close(root);
    snprintf(command, sizeof(command), "rm -r %s", tree);
    CHECK(system(command) == 0);
}

static const char *content(const char *path)
{
    static char text[128];
    char name[128];
    FILE *file;

    snprintf(name, sizeof(name), "%s/%s", tree, path);
    file = fopen(name, "r");
    memset(text, 0, sizeof(text));
    if (file != NULL) {
        CHECK(fread(text, 1, sizeof(text) - 1, file) < sizeof(text));
        fclose(file);
    }
    return text;
}

static void a_module_runs_when_the_kernel_says_so(void)
{
    int root = open_tree_root();

    CHECK(!wherry_lsm_is_enabled(WHERRY_LSM_APPARMOR, root) && !wherry_lsm_is_enabled(WHERRY_LSM_SELINUX, root));
    make("sys/module/apparmor/parameters/enabled", "N\\n");
    make("proc/filesystems", "nodev\\tselinuxfsx\\nnodev\\tproc\\n\\text4\\n");
    CHECK(!wherry_lsm_is_enabled(WHERRY_LSM_APPARMOR, root) && !wherry_lsm_is_enabled(WHERRY_LSM_SELINUX, root));
    make("sys/module/apparmor/parameters/enabled", "Y\\n");
    make("proc/filesystems", "nodev\\tselinuxfs\\n");
    CHECK(wherry_lsm_is_enabled(WHERRY_LSM_APPARMOR, root) && wherry_lsm_is_enabled(WHERRY_LSM_SELINUX, root));
    remove_tree(root);
}

static void a_label_is_written_to_the_modules_own_file(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    int root = open_tree_root(), fd;

    make("77/attr/apparmor/exec", "");
    make("77/attr/exec", "");
    fd = wherry_lsm_open(WHERRY_LSM_APPARMOR, root, 77, &err);
    CHECK(fd >= 0);
    CHECK_OK(wherry_lsm_write(WHERRY_LSM_APPARMOR, fd, "docker-default", &err), err);
    close(fd);
    fd = wherry_lsm_open(WHERRY_LSM_SELINUX, root, 77, &err);
    CHECK(fd >= 0);
    CHECK_OK(wherry_lsm_write(WHERRY_LSM_SELINUX, fd, "u:r:t:s0:c1,c2", &err), err);
    close(fd);
    CHECK_TEXT(content("77/attr/apparmor/exec"), "exec docker-default");
    CHECK_TEXT(content("77/attr/exec"), "u:r:t:s0:c1,c2");
    remove_tree(root);
}

static void the_common_file_serves_kernels_without_an_own_one(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    int root = open_tree_root(), fd;

    make("77/attr/exec", "");
    fd = wherry_lsm_open(WHERRY_LSM_APPARMOR, root, 77, &err);
    CHECK(fd >= 0);
    CHECK_OK(wherry_lsm_write(WHERRY_LSM_APPARMOR, fd, "p", &err), err);
    close(fd);
    CHECK_TEXT(content("77/attr/exec"), "exec p");
    remove_tree(root);
}

static void a_link_in_the_place_of_the_file_is_not_followed(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    int root = open_tree_root();
    char name[128];

    make("77/attr/other", "");
    snprintf(name, sizeof(name), "%s/77/attr/exec", tree);
    CHECK(symlink("other", name) == 0);
    CHECK_FAILS(wherry_lsm_open(WHERRY_LSM_SELINUX, root, 77, &err), err, "77/attr/exec");
    CHECK_FAILS(wherry_lsm_open(WHERRY_LSM_APPARMOR, root, 77, &err), err, "77/attr/exec");
    CHECK_FAILS(wherry_lsm_open(WHERRY_LSM_SELINUX, root, 78, &err), err, "No such file");
    remove_tree(root);
}

static void a_label_that_is_too_long_is_refused(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    char label[8192];

    memset(label, 'x', sizeof(label) - 1);
    label[sizeof(label) - 1] = '\0';
    CHECK_FAILS(wherry_lsm_write(WHERRY_LSM_SELINUX, STDOUT_FILENO, label, &err), err,
                "a label of 8191 bytes: File name too long");
}

int main(void)
{
    RUN(a_module_runs_when_the_kernel_says_so);
    RUN(a_label_is_written_to_the_modules_own_file);
    RUN(the_common_file_serves_kernels_without_an_own_one);
    RUN(a_link_in_the_place_of_the_file_is_not_followed);
    RUN(a_label_that_is_too_long_is_refused);
    return check_result();
}
