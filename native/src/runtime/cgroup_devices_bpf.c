/*
 * Device rules as a BPF program on a v2 directory; see cgroup_devices.h. Sources: bpf(2), the kernel's
 * Documentation/bpf/standardization/instruction-set.rst and include/uapi/linux/bpf.h (struct bpf_cgroup_dev_ctx).
 */
#include "runtime/cgroup_devices.h"

#include "wherry/cleanup.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#define PROGRAM_NAME "wherry_devices" /* at most 15 characters */
#define LOG_SIZE 512
#define ATTACHED_MAX 64

/* Registers of the program. */
enum {
    RESULT = BPF_REG_0,
    CONTEXT = BPF_REG_1,
    TYPE = BPF_REG_2,
    WANTED = BPF_REG_3, /* the accesses that no rule has decided about yet */
    MAJOR = BPF_REG_4,
    MINOR = BPF_REG_5,
};

#define INSN(c, d, s, o, i)                                                                                            \
    ((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (int16_t)(o), .imm = (int32_t)(i)})
#define LOAD(register, member)                                                                                         \
    INSN(BPF_LDX | BPF_MEM | BPF_W, register, CONTEXT, offsetof(struct bpf_cgroup_dev_ctx, member), 0)
#define MOVE(to, from) INSN(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0)
#define SET(register, value) INSN(BPF_ALU64 | BPF_MOV | BPF_K, register, 0, 0, value)
#define AND(register, value) INSN(BPF_ALU64 | BPF_AND | BPF_K, register, 0, 0, value)
#define SHIFT_RIGHT(register, value) INSN(BPF_ALU64 | BPF_RSH | BPF_K, register, 0, 0, value)
#define SKIP_UNLESS_EQUAL(register, value, count) INSN(BPF_JMP | BPF_JNE | BPF_K, register, 0, count, value)
#define SKIP_IF_ANY(register, bits, count) INSN(BPF_JMP | BPF_JSET | BPF_K, register, 0, count, bits)
#define SKIP(count) INSN(BPF_JMP | BPF_JA, 0, 0, count, 0)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

#define HEAD_LENGTH 6
#define RULE_LENGTH_MOST 7
#define TAIL_LENGTH 2

/* The verdict of a rule that matches: 4 instructions at most. */
static size_t emit_verdict(const struct cgroup_device_rule *rule, struct bpf_insn *at)
{
    size_t n = 0;

    if (rule->allow) {
        at[n++] = AND(WANTED, ~rule->access);
        at[n++] = SKIP_UNLESS_EQUAL(WANTED, 0, 2);
    } else {
        at[n++] = SKIP_IF_ANY(WANTED, rule->access, 1);
        at[n++] = SKIP(2);
    }
    at[n++] = SET(RESULT, rule->allow);
    at[n++] = EXIT();
    return n;
}

static size_t emit_rule(const struct cgroup_device_rule *rule, struct bpf_insn *at)
{
    struct bpf_insn verdict[4];
    size_t length = emit_verdict(rule, verdict), n = 0;
    /* How many comparisons stand before the verdict decides how far each of them skips. */
    size_t tests = 1U + (rule->major != CGROUP_DEVICE_ANY) + (rule->minor != CGROUP_DEVICE_ANY);
    int type = rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;

    at[n++] = SKIP_UNLESS_EQUAL(TYPE, type, tests - 1 + length);
    if (rule->major != CGROUP_DEVICE_ANY) {
        at[n] = SKIP_UNLESS_EQUAL(MAJOR, rule->major, tests - n - 1 + length);
        n++;
    }
    if (rule->minor != CGROUP_DEVICE_ANY) {
        at[n] = SKIP_UNLESS_EQUAL(MINOR, rule->minor, tests - n - 1 + length);
        n++;
    }
    memcpy(at + n, verdict, length * sizeof(*verdict));
    return n + length;
}

int cgroup_devices_program(const struct cgroup_device_rules *rules, struct bpf_insn **program, size_t *count,
                           struct wherry_error *err)
{
    size_t n = 0;
    struct bpf_insn *at = calloc(HEAD_LENGTH + rules->count * RULE_LENGTH_MOST + TAIL_LENGTH, sizeof(*at));

    if (at == NULL)
        return wherry_error_set(err, ENOMEM, "linux.resources.devices");
    /* access_type holds the accesses in its upper half and the type in its lower. */
    at[n++] = LOAD(TYPE, access_type);
    at[n++] = MOVE(WANTED, TYPE);
    at[n++] = AND(TYPE, 0xffff);
    at[n++] = SHIFT_RIGHT(WANTED, 16);
    at[n++] = LOAD(MAJOR, major);
    at[n++] = LOAD(MINOR, minor);
    /* The last rule that matches decides, so the program asks them from the last to the first. */
    for (size_t i = rules->count; i > 0; i--)
        n += emit_rule(&rules->list[i - 1], at + n);
    at[n++] = SET(RESULT, rules->allow_rest);
    at[n++] = EXIT();
    *program = at;
    *count = n;
    return 0;
}

static int bpf(enum bpf_cmd command, union bpf_attr *attr)
{
    return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int load(const struct bpf_insn *program, size_t count, struct wherry_error *err)
{
    char log[LOG_SIZE] = "";
    union bpf_attr attr = {
        .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
        .insns = (uintptr_t)program,
        .insn_cnt = (uint32_t)count,
        .license = (uintptr_t) "Apache-2.0",
        .prog_name = PROGRAM_NAME,
    };
    int fd = bpf(BPF_PROG_LOAD, &attr), code = errno;

    if (fd >= 0)
        return fd;
    /* A second time for the verifier's words, which cost too much to collect at every start. */
    attr.log_buf = (uintptr_t)log;
    attr.log_size = sizeof(log);
    attr.log_level = 1;
    fd = bpf(BPF_PROG_LOAD, &attr);
    if (fd >= 0)
        return fd;
    return wherry_error_set(err, code, "linux.resources.devices: load the BPF program%s%s", log[0] != '\0' ? ": " : "",
                            log);
}

static bool is_ours(int program)
{
    struct bpf_prog_info info = {.type = 0};
    union bpf_attr attr = {.info = {.bpf_fd = (uint32_t)program, .info_len = sizeof(info), .info = (uintptr_t)&info}};

    return bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0 && strncmp(info.name, PROGRAM_NAME, sizeof(info.name)) == 0;
}

/* Sets *before to the program of ours that is attached to the directory, or leaves it. */
static int find_attached(int directory, int *before, struct wherry_error *err)
{
    uint32_t ids[ATTACHED_MAX] = {0};
    union bpf_attr attr = {.query = {.target_fd = (uint32_t)directory,
                                     .attach_type = BPF_CGROUP_DEVICE,
                                     .prog_ids = (uintptr_t)ids,
                                     .prog_cnt = ATTACHED_MAX}};
    uint32_t count;

    if (bpf(BPF_PROG_QUERY, &attr) < 0)
        return wherry_error_set(err, errno, "linux.resources.devices: list the attached BPF programs");
    count = attr.query.prog_cnt;
    for (uint32_t i = 0; i < count && *before < 0; i++) {
        union bpf_attr by_id = {.prog_id = ids[i]};
        cleanup_close int program = bpf(BPF_PROG_GET_FD_BY_ID, &by_id);

        if (program >= 0 && is_ours(program))
            *before = wherry_steal_fd(&program);
    }
    return 0;
}

int cgroup_devices_v2(const struct cgroup_device_rules *rules, int directory, struct wherry_error *err)
{
    cleanup_free struct bpf_insn *program = NULL;
    cleanup_close int fd = -1, before = -1;
    union bpf_attr attr = {.attach_type = BPF_CGROUP_DEVICE};
    size_t count = 0;
    int result = cgroup_devices_program(rules, &program, &count, err);

    if (result < 0)
        return result;
    fd = load(program, count, err);
    if (fd < 0)
        return fd;
    result = find_attached(directory, &before, err);
    if (result < 0)
        return result;
    attr.target_fd = (uint32_t)directory;
    attr.attach_bpf_fd = (uint32_t)fd;
    /* Beside programs of others (systemd attaches one): all that are attached must agree to an access. Replacing in
     * one step leaves no instant without a filter. */
    attr.attach_flags = BPF_F_ALLOW_MULTI;
    if (before >= 0) {
        attr.attach_flags |= BPF_F_REPLACE;
        attr.replace_bpf_fd = (uint32_t)before;
    }
    if (bpf(BPF_PROG_ATTACH, &attr) < 0)
        return wherry_error_set(err, errno, "linux.resources.devices: attach the BPF program");
    return 0;
}
