/* Device rules: what v1 is told, what v2's program decides, and that the kernel enforces it. */
#include "check.h"

#include "runtime/cgroup_devices.h"
#include "runtime/cgroup_setting.h"
#include "wherry/json.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static const char deny_all[] = "{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]}";

static int parse(const char *json, struct cgroup_device_rules *rules, struct wherry_error *err)
{
    cleanup_json struct json_object *document = wherry_json_parse(json, strlen(json), "test", err);
    struct json_object *devices = NULL;

    *rules = (struct cgroup_device_rules)CGROUP_DEVICE_RULES_INIT;
    if (document == NULL || wherry_json_array(document, "linux.resources", "devices", &devices, err) < 0)
        return -1;
    return cgroup_devices_parse(devices, rules, err);
}

/* Runs the program by hand: what the kernel would decide about one access. */
static bool decide(const char *json, char type, unsigned major, unsigned minor, unsigned access)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct cgroup_device_rules rules;
    struct bpf_insn *program = NULL;
    uint64_t r[11] = {0};
    size_t count = 0, pc = 0;
    const uint32_t context[3] = {access << 16 | (type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR), major, minor};

    CHECK_OK(parse(json, &rules, &err), err);
    CHECK_OK(cgroup_devices_program(&rules, &program, &count, &err), err);
    for (; pc < count && program[pc].code != (BPF_JMP | BPF_EXIT); pc++) {
        const struct bpf_insn *i = &program[pc];
        uint64_t value = (uint64_t)(int64_t)i->imm;

        switch (i->code) {
        case BPF_LDX | BPF_MEM | BPF_W:
            r[i->dst_reg] = context[i->off / 4];
            break;
        case BPF_ALU64 | BPF_MOV | BPF_X:
            r[i->dst_reg] = r[i->src_reg];
            break;
        case BPF_ALU64 | BPF_MOV | BPF_K:
            r[i->dst_reg] = value;
            break;
        case BPF_ALU64 | BPF_AND | BPF_K:
            r[i->dst_reg] &= value;
            break;
        case BPF_ALU64 | BPF_RSH | BPF_K:
            r[i->dst_reg] >>= value;
            break;
        case BPF_JMP | BPF_JNE | BPF_K:
            pc += r[i->dst_reg] != value ? (size_t)i->off : 0;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            pc += (r[i->dst_reg] & value) != 0 ? (size_t)i->off : 0;
            break;
        case BPF_JMP | BPF_JA:
            pc += (size_t)i->off;
            break;
        default:
            CHECK(!"an instruction that this test does not know");
        }
    }
    CHECK(pc < count);
    free(program);
    cgroup_devices_free(&rules);
    return r[0] != 0;
}

static void nothing_but_standard_devices_without_rules(void)
{
    CHECK(decide("{}", 'c', 1, 3, CGROUP_DEVICE_READ | CGROUP_DEVICE_WRITE));
    CHECK(decide("{}", 'c', 136, 7, CGROUP_DEVICE_READ));
    CHECK(decide("{}", 'b', 254, 0, CGROUP_DEVICE_MKNOD));
    CHECK(!decide("{}", 'b', 254, 0, CGROUP_DEVICE_READ));
    CHECK(!decide("{}", 'c', 1, 1, CGROUP_DEVICE_READ));
    CHECK(!decide(deny_all, 'b', 8, 0, CGROUP_DEVICE_WRITE));
    CHECK(!decide("{}", 'b', 1, 3, CGROUP_DEVICE_READ));
}

static void the_last_rule_that_matches_decides(void)
{
    const char *json = "{\"devices\":[{\"allow\":false},{\"allow\":true,\"type\":\"b\",\"major\":8},"
                       "{\"allow\":false,\"type\":\"b\",\"major\":8,\"minor\":1,\"access\":\"w\"}]}";

    CHECK(decide(json, 'b', 8, 0, CGROUP_DEVICE_ALL));
    CHECK(decide(json, 'b', 8, 1, CGROUP_DEVICE_READ));
    CHECK(!decide(json, 'b', 8, 1, CGROUP_DEVICE_READ | CGROUP_DEVICE_WRITE));
    CHECK(decide("{\"devices\":[{\"allow\":true}]}", 'b', 8, 0, CGROUP_DEVICE_ALL));
    CHECK(!decide("{\"devices\":[{\"allow\":true},{\"allow\":false}]}", 'b', 8, 0, CGROUP_DEVICE_READ));
    /* Read from one rule and write from another make both together. */
    json = "{\"devices\":[{\"allow\":true,\"type\":\"c\",\"major\":9,\"minor\":1,\"access\":\"r\"},"
           "{\"allow\":true,\"type\":\"c\",\"major\":9,\"access\":\"w\"}]}";
    CHECK(decide(json, 'c', 9, 1, CGROUP_DEVICE_READ | CGROUP_DEVICE_WRITE));
    CHECK(!decide(json, 'c', 9, 2, CGROUP_DEVICE_READ | CGROUP_DEVICE_WRITE));
    /* A container has the standard devices, also when its rules deny one by name, as Docker's do. */
    json = "{\"devices\":[{\"allow\":false},{\"allow\":false,\"type\":\"c\",\"major\":5,\"minor\":0}]}";
    CHECK(decide(json, 'c', 5, 0, CGROUP_DEVICE_READ));
    CHECK(!decide(json, 'c', 5, 1, CGROUP_DEVICE_READ));
    /* "a" with a number is not everything. */
    json = "{\"devices\":[{\"allow\":true,\"type\":\"a\",\"major\":10,\"minor\":200,\"access\":\"rw\"}]}";
    CHECK(decide(json, 'c', 10, 200, CGROUP_DEVICE_READ));
    CHECK(decide(json, 'b', 10, 200, CGROUP_DEVICE_READ));
    CHECK(!decide(json, 'c', 10, 201, CGROUP_DEVICE_READ));
}

static void v1_is_told_the_same_or_the_rule_is_refused(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct cgroup_settings settings = CGROUP_SETTINGS_INIT;
    struct cgroup_device_rules rules;

    CHECK_OK(parse("{\"devices\":[{\"allow\":true},{\"allow\":false,\"type\":\"b\",\"major\":8,\"access\":\"rw\"},"
                   "{\"allow\":true,\"type\":\"b\",\"major\":8,\"access\":\"r\"}]}",
                   &rules, &err),
             err);
    CHECK_OK(cgroup_devices_v1(&rules, &settings, &err), err);
    CHECK(settings.count == 2);
    CHECK_TEXT(settings.list[0].file, "devices.allow");
    CHECK_TEXT(settings.list[0].value, "a");
    CHECK_TEXT(settings.list[1].file, "devices.deny");
    CHECK_TEXT(settings.list[1].value, "b 8:* w");
    cgroup_settings_free(&settings);
    cgroup_devices_free(&rules);
    CHECK_OK(parse("{\"devices\":[{\"allow\":true,\"type\":\"b\",\"major\":8},"
                   "{\"allow\":false,\"type\":\"b\",\"major\":8,\"minor\":1}]}",
                   &rules, &err),
             err);
    CHECK_FAILS(cgroup_devices_v1(&rules, &settings, &err), err, "linux.resources.devices[1]");
    cgroup_settings_free(&settings);
    cgroup_devices_free(&rules);
}

static void wrong_rules_are_refused_with_their_place(void)
{
    static const struct {
        const char *json;
        const char *part;
    } bad[] = {
        {"{\"devices\":[{\"type\":\"c\"}]}", "devices[0].allow: must be given"},
        {"{\"devices\":[{\"allow\":true,\"type\":\"x\"}]}", "devices[0].type: \"x\""},
        {"{\"devices\":[{\"allow\":true},{\"allow\":true,\"access\":\"rx\"}]}", "devices[1].access: \"rx\""},
        {"{\"devices\":[{\"allow\":true,\"major\":99999}]}", "devices[0].major: 99999"},
        {"{\"devices\":[7]}", "devices[0]"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct wherry_error err = WHERRY_ERROR_INIT;
        struct cgroup_device_rules rules;

        CHECK_FAILS(parse(bad[i].json, &rules, &err), err, bad[i].part);
        cgroup_devices_free(&rules);
    }
}

/* Opens a new node of the device from inside the group at `directory`: 0, or the errno. */
static int open_inside(const char *directory, mode_t type, unsigned major, unsigned minor, int flags)
{
    char node[64], procs[128];
    int status = 0;
    pid_t pid;

    snprintf(node, sizeof(node), "/tmp/wherry-test-%d", getpid());
    unlink(node);
    if (mknod(node, type | 0600, makedev(major, minor)) < 0)
        return errno;
    pid = fork();
    if (pid == 0) {
        int fd;

        snprintf(procs, sizeof(procs), "%s/cgroup.procs", directory);
        fd = open(procs, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, "0", 1) != 1)
            _exit(255);
        _exit(open(node, flags | O_CLOEXEC) < 0 ? errno : 0);
    }
    waitpid(pid, &status, 0);
    unlink(node);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int apply(const char *json, int directory)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct cgroup_device_rules rules;
    int result;

    CHECK_OK(parse(json, &rules, &err), err);
    result = cgroup_devices_v2(&rules, directory, &err);
    if (result < 0)
        printf("%s\n", err.message);
    cgroup_devices_free(&rules);
    return result;
}

/* Where the v2 tree is mounted here; NULL when it is not. */
static const char *v2_root(void)
{
    if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0)
        return "/sys/fs/cgroup";
    return access("/sys/fs/cgroup/unified/cgroup.controllers", F_OK) == 0 ? "/sys/fs/cgroup/unified" : NULL;
}

static void the_kernel_enforces_the_program_and_its_replacement(void)
{
    const char *root = v2_root();
    char path[128];
    int directory;

    if (root == NULL || geteuid() != 0)
        SKIP("needs root and a cgroup v2 tree");
    snprintf(path, sizeof(path), "%s/wherry-test-%d", root, getpid());
    CHECK(mkdir(path, 0755) == 0);
    directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(directory >= 0);
    if (apply("{}", directory) == 0) {
        CHECK(open_inside(path, S_IFCHR, 1, 3, O_RDWR) == 0);
        CHECK(open_inside(path, S_IFCHR, 10, 237, O_RDONLY) == EPERM);
        /* In place of the first, not beside it: else the first one's denial would still hold. */
        CHECK(apply("{\"devices\":[{\"allow\":true,\"type\":\"c\",\"major\":10,\"minor\":237,\"access\":\"r\"}]}",
                    directory) == 0);
        CHECK(open_inside(path, S_IFCHR, 10, 237, O_RDONLY) != EPERM);
        CHECK(open_inside(path, S_IFCHR, 10, 237, O_RDWR) == EPERM);
    } else {
        check_failures++;
    }
    close(directory);
    CHECK(rmdir(path) == 0);
}

int main(void)
{
    RUN(nothing_but_standard_devices_without_rules);
    RUN(the_last_rule_that_matches_decides);
    RUN(v1_is_told_the_same_or_the_rule_is_refused);
    RUN(wrong_rules_are_refused_with_their_place);
    RUN(the_kernel_enforces_the_program_and_its_replacement);
    return check_result();
}
