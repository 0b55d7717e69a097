/* The groups of a container on this host, whatever its layout: made, limited, frozen, emptied, removed. */
#include "check.h"

#include "wherry/cgroup.h"
#include "wherry/json.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

static struct json_object *parse(const char *json)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct json_object *object = wherry_json_parse(json, strlen(json), "test", &err);

    CHECK(object != NULL);
    return object;
}

static int create(const char *suffix, const char *json, struct wherry_cgroup *cg, struct wherry_error *err)
{
    cleanup_json struct json_object *resources = json == NULL ? NULL : parse(json);
    char path[64];
    int result;

    if (geteuid() != 0)
        SKIP("needs root");
    snprintf(path, sizeof(path), "/wherry-test-%d/%s", getpid(), suffix);
    result = wherry_cgroup_place(path, cg, err);
    return result < 0 ? result : wherry_cgroup_make(cg, resources, err);
}

/* Removes the container's groups, and the parent that create made. */
static void finish(struct wherry_cgroup *cg)
{
    struct wherry_error err = WHERRY_ERROR_INIT;

    CHECK_OK(wherry_cgroup_remove(cg, &err), err);
    for (size_t i = 0; i < cg->count; i++) {
        char *slash = strrchr(cg->at[i].path, '/');

        CHECK(access(cg->at[i].path, F_OK) != 0);
        *slash = '\0';
        CHECK(rmdir(cg->at[i].path) == 0 || errno == ENOENT);
    }
    wherry_cgroup_free(cg);
}

static void read_file(const struct wherry_cgroup *cg, const char *controller, const char *file, char text[256])
{
    char path[512];
    int fd;
    ssize_t got;

    snprintf(path, sizeof(path), "%s/%s", wherry_cgroup_path(cg, controller), file);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    got = fd < 0 ? -1 : read(fd, text, 255);
    text[got > 0 ? got : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    close(fd);
}

/* A process in the group that forks one child; both sleep. */
static pid_t sleepers(struct wherry_cgroup *cg)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    int ready[2];
    char byte;
    pid_t pid;

    CHECK(pipe(ready) == 0);
    pid = fork();
    if (pid == 0) {
        CHECK_OK(wherry_cgroup_attach(cg, getpid(), &err), err);
        if (fork() >= 0 && write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    CHECK(read(ready[0], &byte, 1) == 1);
    /* Of the two writers one may be killed before it writes: the end of file is as good. */
    CHECK(read(ready[0], &byte, 1) >= 0);
    close(ready[0]);
    return pid;
}

static size_t population(struct wherry_cgroup *cg)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    pid_t *pids = NULL;
    size_t count = 0;

    CHECK_OK(wherry_cgroup_pids(cg, &pids, &count, &err), err);
    free(pids);
    return count;
}

static void limits_reach_the_kernel_and_can_be_changed(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_cgroup cg;
    char text[256];

    if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0)
        SKIP("cgroup v2: tests/integration/runtime/test_cgroup_v2.py");
    CHECK_OK(create("a",
                    "{\"memory\":{\"limit\":67108864},\"cpu\":{\"shares\":512,\"quota\":50000,\"cpus\":\"0\"},"
                    "\"pids\":{\"limit\":64}}",
                    &cg, &err),
             err);
    read_file(&cg, "memory", "memory.limit_in_bytes", text);
    CHECK_TEXT(text, "67108864");
    read_file(&cg, "cpu", "cpu.cfs_quota_us", text);
    CHECK_TEXT(text, "50000");
    read_file(&cg, "cpuset", "cpuset.cpus", text);
    CHECK_TEXT(text, "0");
    read_file(&cg, "cpuset", "cpuset.mems", text);
    CHECK(text[0] != '\0');
    {
        cleanup_json struct json_object *change =
            parse("{\"memory\":{\"limit\":268435456,\"swap\":268435456},\"pids\":{\"limit\":-1}}");

        CHECK_OK(wherry_cgroup_update(&cg, change, &err), err);
    }
    {
        /* Above the present memory and swap limit: only in the other order can it be written. */
        cleanup_json struct json_object *change = parse("{\"memory\":{\"limit\":536870912,\"swap\":536870912}}");

        CHECK_OK(wherry_cgroup_update(&cg, change, &err), err);
    }
    read_file(&cg, "memory", "memory.memsw.limit_in_bytes", text);
    CHECK_TEXT(text, "536870912");
    read_file(&cg, "pids", "pids.max", text);
    CHECK_TEXT(text, "max");
    read_file(&cg, "cpu", "cpu.shares", text);
    CHECK_TEXT(text, "512");
    finish(&cg);
}

static void a_refused_limit_leaves_nothing_behind(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_cgroup cg, sibling;
    struct stat status;

    CHECK_FAILS(create("b", "{\"cpu\":{\"cpus\":\"900\"}}", &cg, &err), err, "linux.resources.cpu.cpus");
    CHECK(cg.count == 0);
    CHECK_OK(create("bb", NULL, &sibling, &err), err);
    for (size_t i = 0; i < sibling.count; i++) {
        char path[512];

        snprintf(path, sizeof(path), "%s", sibling.at[i].path);
        path[strlen(path) - 1] = '\0';
        CHECK(stat(path, &status) < 0 && errno == ENOENT);
    }
    finish(&sibling);
}

static void a_limit_that_the_kernel_gave_up_is_a_warning(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_cgroup cg;
    char text[256] = "";

    CHECK_OK(create("k", "{\"memory\":{\"kernel\":16777216}}", &cg, &err), err);
    if (cg.layout != WHERRY_CGROUP_V2)
        read_file(&cg, "memory", "memory.kmem.limit_in_bytes", text);
    if (strcmp(text, "16777216") == 0)
        CHECK(cg.warning == NULL);
    else
        CHECK(cg.warning != NULL && strstr(cg.warning, "linux.resources.memory.kernel: ignored") != NULL);
    finish(&cg);
}

static void a_group_in_use_is_not_taken_over(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_cgroup cg, second;
    pid_t pid;

    CHECK_OK(create("c", NULL, &cg, &err), err);
    pid = sleepers(&cg);
    CHECK_FAILS(create("c", NULL, &second, &err), err, "cgroup is not empty: process");
    CHECK(population(&cg) == 2);
    CHECK_OK(wherry_cgroup_kill(&cg, SIGKILL, &err), err);
    waitpid(pid, NULL, 0);
    finish(&cg);
}

static void frozen_groups_stop_and_kill_reaches_everyone(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_cgroup cg;
    struct timespec start, end;
    int status = 0;
    pid_t pid;

    CHECK_OK(create("d", NULL, &cg, &err), err);
    pid = sleepers(&cg);
    CHECK(population(&cg) == 2);
    CHECK_OK(wherry_cgroup_freeze(&cg, true, &err), err);
    /* On v2 a signal that kills reaches a frozen process at once. */
    if (cg.layout != WHERRY_CGROUP_V2) {
        CHECK(kill(pid, SIGTERM) == 0);
        usleep(20000);
        CHECK(waitpid(pid, &status, WNOHANG) == 0);
    }
    CHECK_OK(wherry_cgroup_kill(&cg, SIGKILL, &err), err);
    clock_gettime(CLOCK_MONOTONIC, &start);
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    clock_gettime(CLOCK_MONOTONIC, &end);
    CHECK(end.tv_sec - start.tv_sec < 3);
    finish(&cg);
}

static void groups_made_inside_are_listed_and_removed(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_cgroup cg;
    char path[512];
    pid_t pid;

    CHECK_OK(create("e", NULL, &cg, &err), err);
    snprintf(path, sizeof(path), "%s/inner", wherry_cgroup_path(&cg, "freezer"));
    CHECK(mkdir(path, 0755) == 0);
    strcat(path, "/innermost");
    CHECK(mkdir(path, 0755) == 0);
    strcat(path, "/cgroup.procs");
    pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    {
        FILE *file = fopen(path, "w");

        CHECK(file != NULL && fprintf(file, "%d", pid) > 0 && fclose(file) == 0);
    }
    CHECK(population(&cg) == 1);
    CHECK_OK(wherry_cgroup_kill(&cg, SIGKILL, &err), err);
    CHECK(waitpid(pid, NULL, 0) == pid);
    finish(&cg);
}

static void a_process_can_move_itself_before_it_becomes_the_container(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_cgroup cg;
    int fds[WHERRY_CGROUP_HIERARCHIES_MAX], status = 0;
    size_t count = 0;
    pid_t pid;

    CHECK_OK(create("f", NULL, &cg, &err), err);
    CHECK_OK(wherry_cgroup_attach_prepare(&cg, fds, &count, &err), err);
    pid = fork();
    if (pid == 0) {
        int result = wherry_cgroup_attach_self(fds, count);

        _exit(result == 0 && (count == 0 || population(&cg) == 1) ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK((count == 0) == (wherry_cgroup_v2_fd(&cg) >= 0));
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    finish(&cg);
}

static void the_state_file_finds_the_groups_again(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_cgroup cg, again;
    struct json_object *saved;

    CHECK_OK(create("g", NULL, &cg, &err), err);
    saved = wherry_cgroup_save(&cg);
    CHECK(saved != NULL);
    CHECK_OK(wherry_cgroup_load(saved, &again, &err), err);
    CHECK(again.layout == cg.layout && again.count == cg.count);
    CHECK_TEXT(wherry_cgroup_path(&again, "memory"), wherry_cgroup_path(&cg, "memory"));
    json_object_put(saved);
    finish(&again);
    CHECK_OK(wherry_cgroup_remove(&cg, &err), err);
    wherry_cgroup_free(&cg);
    saved = parse("{\"layout\":\"v1\",\"directories\":[{\"path\":\"relative\",\"controllers\":[]}]}");
    CHECK_FAILS(wherry_cgroup_load(saved, &again, &err), err, "directories[0].path");
    json_object_put(saved);
}

int main(void)
{
    RUN(limits_reach_the_kernel_and_can_be_changed);
    RUN(a_refused_limit_leaves_nothing_behind);
    RUN(a_limit_that_the_kernel_gave_up_is_a_warning);
    RUN(a_group_in_use_is_not_taken_over);
    RUN(frozen_groups_stop_and_kill_reaches_everyone);
    RUN(groups_made_inside_are_listed_and_removed);
    RUN(a_process_can_move_itself_before_it_becomes_the_container);
    RUN(the_state_file_finds_the_groups_again);
    return check_result();
}
