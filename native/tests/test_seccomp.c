/* System call filters: what a profile forbids is forbidden by the kernel, and kept filters are trusted only when sound.
 */
#include "check.h"

#include "wherry/json.h"
#include "wherry/seccomp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static int compile(const char *json, const char *cache, struct wherry_seccomp *out, struct wherry_error *err)
{
    cleanup_json struct json_object *profile = wherry_json_parse(json, strlen(json), "test", err);

    return profile == NULL ? -1 : wherry_seccomp_compile(profile, cache, out, err);
}

/* Installs the filter in this test's process. */
static void install(const char *json)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_seccomp filter;

    CHECK_OK(compile(json, NULL, &filter, &err), err);
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(wherry_seccomp_install(&filter) == 0);
    wherry_seccomp_free(&filter);
}

static void named_calls_get_their_errno_and_others_the_default(void)
{
    install("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\","
            "\"SCMP_ARCH_LOONGARCH64\"],\"syscalls\":["
            "{\"names\":[\"sethostname\",\"no_such_call\"],\"action\":\"SCMP_ACT_ERRNO\"},"
            "{\"names\":[\"chroot\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":38}]}");
    CHECK(sethostname("x", 1) < 0 && errno == EPERM);
    CHECK(chroot("/") < 0 && errno == ENOSYS);
    CHECK(getppid() > 0);
}

static void arguments_are_compared_and_repeated_ones_are_alternatives(void)
{
    install("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"personality\"],"
            "\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":99,\"args\":["
            "{\"index\":0,\"value\":8,\"op\":\"SCMP_CMP_EQ\"},{\"index\":0,\"value\":131072,\"op\":\"SCMP_CMP_EQ\"}]},"
            "{\"names\":[\"getpriority\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":98,\"args\":["
            "{\"index\":0,\"value\":4294967295,\"valueTwo\":2,\"op\":\"SCMP_CMP_MASKED_EQ\"}]}]}");
    CHECK(personality(8) < 0 && errno == 99);
    CHECK(personality(131072) < 0 && errno == 99);
    CHECK(personality(0xffffffff) >= 0);
    CHECK(syscall(SYS_getpriority, 2, 0) < 0 && errno == 98);
    errno = 0;
    CHECK(syscall(SYS_getpriority, 0, 0) > 0);
}

static void the_default_action_can_kill(void)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        install("{\"defaultAction\":\"SCMP_ACT_KILL_PROCESS\",\"syscalls\":[{\"names\":[\"exit_group\"],"
                "\"action\":\"SCMP_ACT_ALLOW\"}]}");
        syscall(SYS_getppid);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

static void rules_that_repeat_the_default_are_harmless(void)
{
    install("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"sethostname\"],"
            "\"action\":\"SCMP_ACT_ALLOW\"}],\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\","
            "\"SECCOMP_FILTER_FLAG_SPEC_ALLOW\",\"SECCOMP_FILTER_FLAG_TSYNC\"]}");
    CHECK(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER);
}

static void what_is_unknown_or_unsupported_is_refused_by_name(void)
{
    static const struct {
        const char *json;
        const char *part;
    } bad[] = {
        {"{}", "linux.seccomp.defaultAction: must be given"},
        {"{\"defaultAction\":\"SCMP_ACT_MAYBE\"}", "\"SCMP_ACT_MAYBE\""},
        {"{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}", "linux.seccomp.listenerPath: must be set for SCMP_ACT_NOTIFY"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"x\"}", "linux.seccomp.listenerPath: x"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"X\"]}", "flags[0]: \"X\""},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_VAX\"]}", "architectures[0]"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"X\"}]}",
         "syscalls[0].action"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"action\":\"SCMP_ACT_KILL\"}]}", "syscalls[0].names"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_KILL\","
         "\"args\":[{\"index\":6,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]}]}",
         "syscalls[0].args[0].index: 6"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_KILL\","
         "\"args\":[{\"index\":0,\"value\":1,\"op\":\"=\"}]}]}",
         "syscalls[0].args[0].op"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct wherry_error err = WHERRY_ERROR_INIT;
        struct wherry_seccomp filter;

        CHECK_FAILS(compile(bad[i].json, NULL, &filter, &err), err, bad[i].part);
        wherry_seccomp_free(&filter);
    }
}

static const char cached[] = "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"sethostname\"],"
                             "\"action\":\"SCMP_ACT_ERRNO\"}],\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"]}";

/* The one file in the cache directory. */
static void only_file(const char *directory, char path[512])
{
    DIR *stream = opendir(directory);
    unsigned count = 0;

    CHECK(stream != NULL);
    path[0] = '\0';
    for (struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        if (entry->d_name[0] != '.' && ++count == 1)
            snprintf(path, 512, "%s/%s", directory, entry->d_name);
    }
    closedir(stream);
    CHECK(count == 1);
}

static void kept_filters_are_used_again_unless_somebody_touched_them(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_seccomp first, second;
    char directory[] = "/tmp/wherry-test-XXXXXX", inner[64], path[512];
    struct stat status, before;
    int fd;

    CHECK(mkdtemp(directory) != NULL);
    snprintf(inner, sizeof(inner), "%s/cache", directory);
    CHECK_OK(compile(cached, inner, &first, &err), err);
    only_file(inner, path);
    CHECK(stat(path, &before) == 0 && (before.st_mode & 07777) == 0600);
    CHECK_OK(compile(cached, inner, &second, &err), err);
    CHECK(stat(path, &status) == 0 && status.st_ino == before.st_ino);
    CHECK(second.length == first.length && second.flags == first.flags && first.flags == SECCOMP_FILTER_FLAG_LOG);
    CHECK(memcmp(first.filter, second.filter, first.length * sizeof(*first.filter)) == 0);
    wherry_seccomp_free(&second);
    /* One byte of the program is another. */
    fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK(pwrite(fd, "\xff", 1, before.st_size - 3) == 1);
    close(fd);
    CHECK_OK(compile(cached, inner, &second, &err), err);
    CHECK(memcmp(first.filter, second.filter, first.length * sizeof(*first.filter)) == 0);
    CHECK(stat(path, &status) == 0 && status.st_ino != before.st_ino);
    wherry_seccomp_free(&second);
    /* A directory that others may write is not a cache. */
    CHECK(chmod(inner, 0777) == 0);
    CHECK_FAILS(compile(cached, inner, &second, &err), err, "others may write it");
    wherry_seccomp_free(&first);
    CHECK(unlink(path) == 0 && rmdir(inner) == 0 && rmdir(directory) == 0);
}

/* Installs the filter and makes every system call that it would answer with an errno. */
static bool kernel_agrees(const struct wherry_seccomp *filter, const uint64_t arguments[][6], size_t count)
{
    bool right = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && wherry_seccomp_install(filter) == 0;

    for (size_t i = 0; i < count; i++) {
        /* Up to uretprobe, which the kernel exempts from filters and answers with SIGILL. */
        for (int number = 0; number < 335; number++) {
            uint32_t answer = wherry_seccomp_evaluate(filter, number, arguments[i]);

            if ((answer & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_ERRNO)
                continue;
            errno = 0;
            right = right && syscall(number, arguments[i][0], arguments[i][1], 0, 0, 0, 0) < 0 &&
                    errno == (int)(answer & SECCOMP_RET_DATA);
        }
    }
    return right;
}

static void what_a_filter_would_answer_is_what_the_kernel_answers(void)
{
    /* Of every number, with arguments that the rules tell apart; an answer of ERRNO is tried on the kernel. */
    static const char profile[] =
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":77,\"syscalls\":["
        "{\"names\":[\"getpriority\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":78,"
        "\"args\":[{\"index\":0,\"value\":4294967296,\"op\":\"SCMP_CMP_GE\"}]},"
        "{\"names\":[\"getpriority\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":79,"
        "\"args\":[{\"index\":1,\"value\":240,\"valueTwo\":16,\"op\":\"SCMP_CMP_MASKED_EQ\"}]},"
        "{\"names\":[\"write\",\"exit_group\",\"exit\",\"munmap\",\"sigaltstack\"],\"action\":\"SCMP_ACT_ALLOW\"}]}";
    static const uint64_t arguments[][6] = {{0}, {1, 0x15}, {UINT64_C(1) << 32}, {UINT64_C(1) << 40, 0x1f}, {2, 0x25}};
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_seccomp filter;
    int status = 0;
    pid_t pid;

    CHECK_OK(compile(profile, NULL, &filter, &err), err);
    pid = fork();
    if (pid == 0)
        _exit(kernel_agrees(&filter, arguments, sizeof(arguments) / sizeof(arguments[0])) ? 0 : 1);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(wherry_seccomp_evaluate(&filter, SYS_write, arguments[0]) == SECCOMP_RET_ALLOW);
    CHECK((wherry_seccomp_evaluate(&filter, SYS_getpriority, arguments[2]) & SECCOMP_RET_DATA) == 78);
    CHECK((wherry_seccomp_evaluate(&filter, SYS_getpriority, arguments[1]) & SECCOMP_RET_DATA) == 79);
    wherry_seccomp_free(&filter);
}

static void an_instruction_that_is_not_known_kills_and_no_filter_allows(void)
{
    static const uint64_t none[6] = {0};
    struct sock_filter odd[] = {{.code = BPF_MISC | BPF_TAX}, {.code = BPF_RET | BPF_K, .k = SECCOMP_RET_ALLOW}};
    struct sock_filter endless[] = {{.code = BPF_JMP | BPF_JA, .k = UINT32_MAX}};
    struct sock_filter beyond[] = {{.code = BPF_LD | BPF_W | BPF_ABS, .k = UINT32_MAX},
                                   {.code = BPF_RET | BPF_K, .k = SECCOMP_RET_ALLOW}};

    CHECK(wherry_seccomp_evaluate(&(struct wherry_seccomp){.filter = odd, .length = 2}, 0, none) ==
          SECCOMP_RET_KILL_PROCESS);
    CHECK(wherry_seccomp_evaluate(&(struct wherry_seccomp){.filter = endless, .length = 1}, 0, none) ==
          SECCOMP_RET_KILL_PROCESS);
    CHECK(wherry_seccomp_evaluate(&(struct wherry_seccomp){.filter = beyond, .length = 2}, 0, none) ==
          SECCOMP_RET_KILL_PROCESS);
    CHECK(wherry_seccomp_evaluate(&(struct wherry_seccomp)WHERRY_SECCOMP_INIT, 0, none) == SECCOMP_RET_ALLOW);
}

int main(void)
{
    RUN(what_a_filter_would_answer_is_what_the_kernel_answers);
    RUN(an_instruction_that_is_not_known_kills_and_no_filter_allows);
    RUN(named_calls_get_their_errno_and_others_the_default);
    RUN(arguments_are_compared_and_repeated_ones_are_alternatives);
    RUN(the_default_action_can_kill);
    RUN(rules_that_repeat_the_default_are_harmless);
    RUN(what_is_unknown_or_unsupported_is_refused_by_name);
    RUN(kept_filters_are_used_again_unless_somebody_touched_them);
    return check_result();
}
