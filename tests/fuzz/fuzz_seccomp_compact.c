/*
 * Shortening a filter never changes an answer. The filter is made of the input, four bytes an instruction, such that
 * the kernel would take it: jumps go forward and end inside, and the last instruction returns.
 */
#include "runtime/seccomp_compact.h"
#include "wherry/seccomp.h"

#include <linux/audit.h>
#include <linux/bpf_common.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INSTRUCTIONS_MAX 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint32_t constants[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, 0x40000000, 0x3fffffff, 0, 1, 59, 435,
                                     UINT32_MAX,        0x7e020000};
static const uint32_t answers[] = {SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | 1, SECCOMP_RET_ERRNO | 38,
                                   SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_LOG};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint32_t constant(uint8_t byte)
{
    return byte < 128 ? byte * 4U : constants[byte % COUNT(constants)];
}

static struct sock_filter instruction(const uint8_t data[4], size_t left)
{
    static const uint16_t jumps[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};
    struct sock_filter made = {.code = BPF_RET | BPF_K, .k = answers[data[1] % COUNT(answers)]};

    if (left == 0)
        return made;
    switch (data[0] % 8) {
    case 0:
        return made;
    case 1: /* mostly number and architecture, as libseccomp does */
        return (struct sock_filter){.code = BPF_LD | BPF_W | BPF_ABS, .k = data[1] % 3 == 0 ? 0 : 4};
    case 2:
        return (struct sock_filter){.code = BPF_LD | BPF_W | BPF_ABS, .k = data[1] % 16 * 4U};
    case 3:
        return (struct sock_filter){.code = BPF_ALU | BPF_AND | BPF_K, .k = constant(data[1])};
    case 4:
        return (struct sock_filter){.code = BPF_JMP | BPF_JA, .k = data[1] % left};
    default:
        return (struct sock_filter){.code = BPF_JMP | BPF_K | jumps[data[0] / 8 % 4],
                                    .jt = (uint8_t)(data[2] % left),
                                    .jf = (uint8_t)(data[3] % left),
                                    .k = constant(data[1])};
    }
}

static void compare(const struct wherry_seccomp *one, const struct wherry_seccomp *other,
                    const struct seccomp_data *call)
{
    if (wherry_seccomp_answer(one, call) == wherry_seccomp_answer(other, call))
        return;
    fprintf(stderr, "call %d of %x: %x and %x\n", call->nr, call->arch, wherry_seccomp_answer(one, call),
            wherry_seccomp_answer(other, call));
    abort();
}

static void compare_all(const struct wherry_seccomp *one, const struct wherry_seccomp *other, uint8_t seed)
{
    for (unsigned arch = 0; arch < 4; arch++) {
        for (unsigned number = 0; number < 140; number++) {
            struct seccomp_data call = {.arch = arch < 2 ? constants[arch] : arch * 8U};

            for (unsigned nearby = 0; nearby < 3; nearby++) {
                call.nr = (int)(constant((uint8_t)(number + (number >= 128 ? 0 : 0))) + nearby - 1);
                for (unsigned argument = 0; argument < 6; argument++)
                    call.args[argument] = (uint64_t)constant((uint8_t)(seed * (argument + 1) + number)) << 32 |
                                          constant((uint8_t)(seed + number * 3 + argument));
                call.instruction_pointer = (uint64_t)seed * number;
                compare(one, other, &call);
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sock_filter first[INSTRUCTIONS_MAX], second[INSTRUCTIONS_MAX];
    size_t count = size / 4 < INSTRUCTIONS_MAX ? size / 4 : INSTRUCTIONS_MAX;
    struct wherry_seccomp before = {.filter = first}, after = {.filter = second};

    if (count == 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        first[i] = instruction(data + i * 4, count - 1 - i);
    memcpy(second, first, count * sizeof(first[0]));
    before.length = after.length = (unsigned short)count;
    seccomp_compact(second, &after.length);
    if (after.length > before.length)
        abort();
    compare_all(&before, &after, data[0]);
    return 0;
}
