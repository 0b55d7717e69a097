/* Asking a compiled filter what it would answer; see wherry/seccomp.h. Sources: seccomp(2), the kernel's
 * Documentation/networking/filter.rst. */
#include "wherry/seccomp.h"

#include <linux/audit.h>
#include <linux/bpf_common.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define OWN_ARCHITECTURE 0 /* of no machine: every filter that looks at it refuses */
#endif

static bool compare(uint16_t code, uint32_t left, uint32_t right)
{
    switch (BPF_OP(code)) {
    case BPF_JEQ:
        return left == right;
    case BPF_JGT:
        return left > right;
    case BPF_JGE:
        return left >= right;
    default:
        return (left & right) != 0; /* BPF_JSET */
    }
}

uint32_t wherry_seccomp_answer(const struct wherry_seccomp *seccomp, const struct seccomp_data *call)
{
    uint32_t accumulator = 0;

    if (seccomp->length == 0)
        return SECCOMP_RET_ALLOW;
    /* Jumps go forward only, so that this ends. */
    for (size_t at = 0; at < seccomp->length; at++) {
        const struct sock_filter *instruction = &seccomp->filter[at];

        switch (instruction->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            if (instruction->k > sizeof(*call) - sizeof(accumulator))
                return SECCOMP_RET_KILL_PROCESS;
            memcpy(&accumulator, (const char *)call + instruction->k, sizeof(accumulator));
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            accumulator &= instruction->k;
            break;
        case BPF_JMP | BPF_JA:
            at += instruction->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
        case BPF_JMP | BPF_JGT | BPF_K:
        case BPF_JMP | BPF_JGE | BPF_K:
        case BPF_JMP | BPF_JSET | BPF_K:
            at += compare(instruction->code, accumulator, instruction->k) ? instruction->jt : instruction->jf;
            break;
        case BPF_RET | BPF_K:
            return instruction->k;
        default:
            return SECCOMP_RET_KILL_PROCESS;
        }
    }
    return SECCOMP_RET_KILL_PROCESS;
}

uint32_t wherry_seccomp_evaluate(const struct wherry_seccomp *seccomp, int number, const uint64_t arguments[6])
{
    struct seccomp_data call = {.nr = number, .arch = OWN_ARCHITECTURE};

    memcpy(call.args, arguments, sizeof(call.args));
    return wherry_seccomp_answer(seccomp, &call);
}
