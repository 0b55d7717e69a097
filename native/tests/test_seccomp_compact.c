/* A compacted filter gives every system call the answer of the one that libseccomp wrote. */
#include "check.h"

#include "runtime/seccomp_compact.h"

#include <linux/audit.h>
#include <linux/bpf_common.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PROGRAM_MAX 4096

struct program {
    struct sock_filter code[PROGRAM_MAX];
    unsigned short length;
};

/* What the kernel does with a filter, Documentation/networking/filter.rst, as far as libseccomp makes use of it. */
static uint32_t answer(const struct program *program, const struct seccomp_data *data)
{
    uint32_t held = 0;

    for (size_t pc = 0; pc < program->length; pc++) {
        const struct sock_filter *at = &program->code[pc];
        bool holds;

        if (at->code == (BPF_RET | BPF_K))
            return at->k;
        if (at->code == (BPF_LD | BPF_W | BPF_ABS)) {
            memcpy(&held, (const char *)data + at->k, sizeof(held));
            continue;
        }
        if (at->code == (BPF_ALU | BPF_AND | BPF_K)) {
            held &= at->k;
            continue;
        }
        if (at->code == (BPF_JMP | BPF_JA)) {
            pc += at->k;
            continue;
        }
        CHECK(BPF_CLASS(at->code) == BPF_JMP);
        holds = BPF_OP(at->code) == BPF_JEQ   ? held == at->k
                : BPF_OP(at->code) == BPF_JGT ? held > at->k
                : BPF_OP(at->code) == BPF_JGE ? held >= at->k
                                              : (held & at->k) != 0;
        pc += holds ? at->jt : at->jf;
    }
    CHECK(!"ran over the end");
    return 0;
}

static void export(scmp_filter_ctx context, struct program *program)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    ssize_t size;

    CHECK(seccomp_export_bpf(context, fd) == 0);
    size = pread(fd, program->code, sizeof(program->code), 0);
    CHECK(size > 0 && (size_t)size < sizeof(program->code));
    program->length = (unsigned short)((size_t)size / sizeof(program->code[0]));
    close(fd);
    seccomp_release(context);
}

static void compare_number(const struct program *before, const struct program *after, uint32_t arch, uint32_t number)
{
    static const uint64_t arguments[] = {0, 1, 2, 8, 16, 38, 39, 0x20000, 0x7e020000, 0xffffffff, 0x100000008};

    for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++) {
        struct seccomp_data data = {.nr = (int)number, .arch = arch};

        for (size_t j = 0; j < 6; j++)
            data.args[j] = arguments[(i + j * 3) % (sizeof(arguments) / sizeof(arguments[0]))];
        CHECK(answer(before, &data) == answer(after, &data));
    }
}

/* Returns how much shorter it became. */
static int compare_all(const struct program *before)
{
    static const uint32_t architectures[] = {
        AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM, 0, 1, UINT32_MAX};
    static struct program after;

    after = *before;
    seccomp_compact(after.code, &after.length);
    CHECK(after.length <= before->length);
    for (size_t i = 0; i < sizeof(architectures) / sizeof(architectures[0]); i++) {
        for (uint32_t number = 0; number < 460; number++) {
            compare_number(before, &after, architectures[i], number);
            compare_number(before, &after, architectures[i], 0x40000000 + number);
            compare_number(before, &after, architectures[i], 0x3fffff00 + number);
            compare_number(before, &after, architectures[i], UINT32_MAX - number);
        }
    }
    return before->length - after.length;
}

static scmp_filter_ctx begin(uint32_t action, unsigned level)
{
    scmp_filter_ctx context = seccomp_init(action);

    if (context == NULL)
        SKIP("libseccomp does not find a kernel with filters");
    seccomp_arch_add(context, SCMP_ARCH_X86_64);
    seccomp_arch_add(context, SCMP_ARCH_X86);
    seccomp_arch_add(context, SCMP_ARCH_X32);
    seccomp_arch_add(context, SCMP_ARCH_AARCH64);
    seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, level);
    return context;
}

static void a_long_list_becomes_short(void)
{
    static const char *const compared[] = {"personality", "clone", "socket"};
    static struct program before;

    for (unsigned level = 1; level <= 2; level++) {
        scmp_filter_ctx context = begin(SCMP_ACT_ERRNO(1), level);

        for (int number = 0; number < 330; number++) {
            char *name = number % 17 == 0 ? NULL : seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);

            if (name != NULL && strcmp(name, "personality") != 0 && strcmp(name, "clone") != 0 &&
                strcmp(name, "socket") != 0)
                seccomp_rule_add(context, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name(name), 0);
            free(name);
        }
        for (size_t i = 0; i < 3; i++) {
            int number = seccomp_syscall_resolve_name(compared[i]);

            seccomp_rule_add(context, SCMP_ACT_ALLOW, number, 1, SCMP_A0(SCMP_CMP_EQ, 8));
            seccomp_rule_add(context, SCMP_ACT_ALLOW, number, 1, SCMP_A0(SCMP_CMP_MASKED_EQ, 0x7e020000, 0));
            seccomp_rule_add(context, SCMP_ACT_ALLOW, number, 2, SCMP_A0(SCMP_CMP_GT, 38), SCMP_A1(SCMP_CMP_LT, 40));
        }
        export(context, &before);
        CHECK(before.length > 500);
        CHECK(compare_all(&before) > before.length / 2);
    }
}

/* Profiles of every shape, the same ones in every run. */
static void whatever_the_profile_the_answers_stay(void)
{
    static const uint32_t actions[] = {SCMP_ACT_ALLOW,        SCMP_ACT_ERRNO(1), SCMP_ACT_ERRNO(38),
                                       SCMP_ACT_KILL_PROCESS, SCMP_ACT_TRAP,     SCMP_ACT_LOG};
    static struct program before;

    srand(1);
    for (int round = 0; round < 12; round++) {
        scmp_filter_ctx context = begin(actions[rand() % 6], 1 + (unsigned)round % 2);
        int rules = rand() % 120;

        for (int i = 0; i < rules; i++) {
            struct scmp_arg_cmp one = {.arg = (unsigned)rand() % 6,
                                       .op = (enum scmp_compare)(1 + rand() % 7),
                                       .datum_a = (uint64_t)(rand() % 64),
                                       .datum_b = (uint64_t)(rand() % 64)};

            seccomp_rule_add_array(context, actions[rand() % 6], rand() % 440, rand() % 4 == 0, &one);
        }
        export(context, &before);
        compare_all(&before);
    }
}

static void a_program_that_is_not_understood_is_left_alone(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_filter kept[5], wild = BPF_JUMP(BPF_JMP | BPF_JA, 1000, 0, 0);
    unsigned short length = 5;

    memcpy(kept, code, sizeof(code));
    seccomp_compact(code, &length);
    CHECK(length == 5 && memcmp(kept, code, sizeof(code)) == 0);
    length = 1;
    seccomp_compact(&wild, &length);
    CHECK(length == 1 && wild.k == 1000);
}

int main(void)
{
    RUN(a_long_list_becomes_short);
    RUN(whatever_the_profile_the_answers_stay);
    RUN(a_program_that_is_not_understood_is_left_alone);
    return check_result();
}
