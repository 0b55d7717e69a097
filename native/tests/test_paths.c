/* Paths in a root: nothing leads out of it. */
#include "check.h"
#include "wherry/cleanup.h"
#include "wherry/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

static char place[64];
static int root = -1;
static int outside = -1;

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void remove_place(void)
{
    nftw(place, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A directory with "root" and "outside" in it; removed when the test's process ends. */
static void make_place(void)
{
    int fd;

    strcpy(place, "/tmp/wherry-paths-XXXXXX");
    if (mkdtemp(place) == NULL)
        exit(2);
    atexit(remove_place);
    fd = open(place, O_RDONLY | O_DIRECTORY);
    mkdirat(fd, "root", 0755);
    mkdirat(fd, "outside", 0755);
    root = openat(fd, "root", O_RDONLY | O_DIRECTORY);
    outside = openat(fd, "outside", O_RDONLY | O_DIRECTORY);
    close(fd);
}

static bool outside_is_empty(void)
{
    cleanup_closedir DIR *directory = fdopendir(openat(outside, ".", O_RDONLY | O_DIRECTORY));
    int count = 0;

    while (readdir(directory) != NULL)
        count++;
    return count == 2;
}

static bool exists(const char *path)
{
    struct stat status;

    return fstatat(root, path, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A link to the outside, absolute or by "..". */
static void link_out(const char *name, bool absolute)
{
    char target[128];

    snprintf(target, sizeof(target), "%s%s/outside", absolute ? "" : "../../../../../../..", place);
    if (symlinkat(target, root, name) < 0)
        exit(2);
}

static void directories_are_made_with_their_parents(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    cleanup_close int fd = -1;

    make_place();
    fd = wherry_paths_mkdir_in_root(root, "//a///b/c/", 0755, &err);
    CHECK_OK(fd, err);
    CHECK(exists("a/b/c"));
    CHECK_OK(wherry_paths_mkdir_in_root(root, "/", 0755, &err), err);
    CHECK_OK(wherry_paths_mkdir_in_root(root, "", 0755, &err), err);
}

static void a_link_stays_in_the_root(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;

    make_place();
    link_out("absolute", true);
    link_out("climbing", false);
    CHECK_OK(wherry_paths_mkdir_in_root(root, "absolute/made", 0755, &err), err);
    CHECK_OK(wherry_paths_mkdir_in_root(root, "climbing/made", 0755, &err), err);
    CHECK_OK(wherry_paths_touch_in_root(root, "absolute/deep/file", 0644, &err), err);
    CHECK_OK(wherry_paths_touch_in_root(root, "../../outside/file", 0644, &err), err);
    CHECK(outside_is_empty());
    CHECK(exists("outside/file"));
}

static void a_dangling_link_is_made_good(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;

    make_place();
    mkdirat(root, "var", 0755);
    CHECK(symlinkat("../run", root, "var/run") == 0);
    CHECK(symlinkat("/chain", root, "run") == 0);
    CHECK_OK(wherry_paths_mkdir_in_root(root, "/var/run/service", 0755, &err), err);
    CHECK(exists("chain/service"));
}

static void links_in_a_circle_end(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;

    make_place();
    CHECK(symlinkat("b", root, "a") == 0);
    CHECK(symlinkat("a", root, "b") == 0);
    CHECK(wherry_paths_mkdir_in_root(root, "a/x", 0755, &err) < 0);
    CHECK(err.code == ELOOP);
    CHECK(symlinkat("self/deeper", root, "self") == 0);
    CHECK(wherry_paths_mkdir_in_root(root, "self/x", 0755, &err) < 0);
}

static void a_file_in_the_way_is_an_error(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;

    make_place();
    close(wherry_paths_touch_in_root(root, "file", 0644, &err));
    CHECK(wherry_paths_mkdir_in_root(root, "file/below", 0755, &err) < 0);
    CHECK(err.code == ENOTDIR);
}

static void the_parent_and_the_last_name_are_told_apart(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    const char *name = NULL;
    cleanup_close int fd = -1;

    make_place();
    fd = wherry_paths_parent_in_root(root, "/dev/sub/node", &name, &err);
    CHECK_OK(fd, err);
    CHECK_TEXT(name, "node");
    CHECK(exists("dev/sub"));
    CHECK_FAILS(wherry_paths_parent_in_root(root, "/", &name, &err), err, "names no file");
    CHECK_FAILS(wherry_paths_parent_in_root(root, "/a/..", &name, &err), err, "names no file");
}

static void a_magic_link_is_not_followed(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    cleanup_close int slash = open("/", O_PATH | O_DIRECTORY);

    CHECK(wherry_paths_open_in_root(slash, "/proc/self/root", O_PATH, &err) < 0);
    CHECK(wherry_paths_open_in_root(slash, "/proc/self/cwd/.", O_PATH, &err) < 0);
}

static void beneath_follows_nothing_and_stays_on_its_mount(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    cleanup_close int slash = open("/", O_PATH | O_DIRECTORY);

    make_place();
    mkdirat(root, "dir", 0755);
    CHECK(symlinkat("dir", root, "link") == 0);
    CHECK_OK(wherry_paths_open_beneath(root, "dir", O_PATH, &err), err);
    CHECK(wherry_paths_open_beneath(root, "link", O_PATH, &err) < 0);
    CHECK(wherry_paths_open_beneath(root, "dir/../..", O_PATH, &err) < 0);
    CHECK(wherry_paths_open_beneath(root, "/", O_PATH, &err) < 0);
    CHECK(wherry_paths_open_beneath(slash, "proc/version", O_RDONLY, &err) < 0);
}

static void a_path_that_is_too_long_is_an_error(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    static char path[9000];
    const char *name = NULL;

    make_place();
    for (size_t i = 0; i + 2 < sizeof(path); i += 2)
        memcpy(path + i, "a/", 3);
    path[sizeof(path) - 3] = 'b';
    CHECK(wherry_paths_mkdir_in_root(root, path, 0755, &err) < 0);
    CHECK(wherry_paths_touch_in_root(root, path, 0755, &err) < 0);
    CHECK(wherry_paths_parent_in_root(root, path, &name, &err) < 0);
}

int main(void)
{
    RUN(directories_are_made_with_their_parents);
    RUN(a_link_stays_in_the_root);
    RUN(a_dangling_link_is_made_good);
    RUN(links_in_a_circle_end);
    RUN(a_file_in_the_way_is_an_error);
    RUN(the_parent_and_the_last_name_are_told_apart);
    RUN(a_magic_link_is_not_followed);
    RUN(beneath_follows_nothing_and_stays_on_its_mount);
    RUN(a_path_that_is_too_long_is_an_error);
    return check_result();
}
