/* Filters made shorter; see seccomp_compact.h. */
#include "runtime/seccomp_compact.h"

#include "wherry/cleanup.h"

#include <linux/bpf_common.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARCHITECTURES_MAX 16
#define OFFSET_MAX 255 /* jt and jf are bytes */

#define LOAD (BPF_LD | BPF_W | BPF_ABS)
#define RETURN (BPF_RET | BPF_K)
#define GOTO (BPF_JMP | BPF_JA)
#define IF_EQUAL (BPF_JMP | BPF_JEQ | BPF_K)
#define IF_GREATER (BPF_JMP | BPF_JGT | BPF_K)
#define IF_GREATER_OR_EQUAL (BPF_JMP | BPF_JGE | BPF_K)

/* What a program comes to, as far as architecture and number decide it. */
struct outcome {
    bool computed; /* goes on with arguments, at instruction `value`; otherwise returns `value` */
    uint32_t value;
};

/* All numbers from `first` to that of the next range have the same outcome. */
struct range {
    uint32_t first;
    struct outcome outcome;
};

struct compaction {
    const struct sock_filter *old;
    size_t length;
    uint32_t architectures[ARCHITECTURES_MAX + 1]; /* those that are asked for, and one that is not */
    size_t architecture_count;                     /* without the latter */
    uint32_t *firsts;                              /* where a new range of numbers can begin */
    size_t first_count;
    struct range *ranges; /* of the architecture in hand */
    size_t range_count;
    size_t *moved; /* where the instructions that deal with arguments have gone */
    /* The new program grows from its end to its beginning: where a jump goes is known when it is written. */
    struct sock_filter *code;
    size_t at;
    bool full;
};

/* As the kernel demands it of every program: jumps stay inside, and nothing runs over the end. */
static bool is_sound(const struct sock_filter *program, size_t length)
{
    for (size_t pc = 0; pc < length; pc++) {
        size_t left = length - pc - 1;

        if (program[pc].code == GOTO
                ? program[pc].k >= left
                : BPF_CLASS(program[pc].code) == BPF_JMP && (program[pc].jt >= left || program[pc].jf >= left))
            return false;
    }
    return length > 0 && program[length - 1].code == RETURN;
}

static bool is_known(const struct compaction *work, uint32_t architecture)
{
    for (size_t i = 0; i < work->architecture_count; i++) {
        if (work->architectures[i] == architecture)
            return true;
    }
    return false;
}

/* Follows `program` for one system call until it returns or reads an argument. False: not understood. */
static bool follow(const struct compaction *work, const struct sock_filter *program, size_t length,
                   uint32_t architecture, uint32_t number, struct outcome *outcome)
{
    enum { NOTHING, ARCHITECTURE, NUMBER } held = NOTHING;
    uint32_t value = 0;

    for (size_t pc = 0; pc < length; pc++) {
        const struct sock_filter *at = &program[pc];
        bool holds;

        if (at->code == LOAD && at->k == offsetof(struct seccomp_data, arch)) {
            held = ARCHITECTURE;
            value = architecture;
            continue;
        }
        if (at->code == LOAD && at->k == offsetof(struct seccomp_data, nr)) {
            held = NUMBER;
            value = number;
            continue;
        }
        if (at->code == LOAD || at->code == RETURN) {
            *outcome = (struct outcome){.computed = at->code == LOAD, .value = at->code == LOAD ? (uint32_t)pc : at->k};
            return true;
        }
        if (at->code == GOTO) {
            pc += at->k;
            continue;
        }
        /* Of architectures only those are tried that are known: nothing may come of a comparison with another. */
        if (held == NOTHING || (held == ARCHITECTURE && (at->code != IF_EQUAL || !is_known(work, at->k))))
            return false;
        if (at->code == IF_EQUAL)
            holds = value == at->k;
        else if (at->code == IF_GREATER)
            holds = value > at->k;
        else if (at->code == IF_GREATER_OR_EQUAL)
            holds = value >= at->k;
        else
            return false;
        pc += holds ? at->jt : at->jf;
    }
    return false;
}

/* The architectures that the program asks for, and one more for all others. `held` is what the accumulator may hold at
 * each instruction, as bits; jumps only go forward. */
static bool find_architectures(struct compaction *work)
{
    enum { NOTHING = 1, ARCHITECTURE = 2, NUMBER = 4 };
    cleanup_free uint8_t *held = calloc(work->length + 1, sizeof(*held));
    uint32_t other = 1;

    if (held == NULL)
        return false;
    held[0] = NOTHING;
    for (size_t pc = 0; pc < work->length; pc++) {
        const struct sock_filter *at = &work->old[pc];

        if (at->code == LOAD && at->k == offsetof(struct seccomp_data, arch))
            held[pc + 1] |= held[pc] != 0 ? ARCHITECTURE : 0;
        else if (at->code == LOAD && at->k == offsetof(struct seccomp_data, nr))
            held[pc + 1] |= held[pc] != 0 ? NUMBER : 0;
        else if (at->code == GOTO)
            held[pc + 1 + at->k] |= held[pc];
        else if (BPF_CLASS(at->code) == BPF_JMP) {
            held[pc + 1 + at->jt] |= held[pc];
            held[pc + 1 + at->jf] |= held[pc];
        }
        if (at->code != IF_EQUAL || (held[pc] & ARCHITECTURE) == 0 || is_known(work, at->k))
            continue;
        if (work->architecture_count == ARCHITECTURES_MAX)
            return false;
        work->architectures[work->architecture_count++] = at->k;
    }
    while (is_known(work, other))
        other++;
    work->architectures[work->architecture_count] = other;
    return true;
}

static int compare(const void *one, const void *other)
{
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;

    return a < b ? -1 : a > b;
}

/* Between two neighbours of this list no comparison of the program comes out differently. */
static void find_firsts(struct compaction *work)
{
    size_t unique = 0;

    work->firsts[work->first_count++] = 0;
    for (size_t pc = 0; pc < work->length; pc++) {
        const struct sock_filter *at = &work->old[pc];

        if (BPF_CLASS(at->code) != BPF_JMP || at->code == GOTO)
            continue;
        work->firsts[work->first_count++] = at->k;
        if (at->k != UINT32_MAX)
            work->firsts[work->first_count++] = at->k + 1;
    }
    qsort(work->firsts, work->first_count, sizeof(work->firsts[0]), compare);
    for (size_t i = 0; i < work->first_count; i++) {
        if (i == 0 || work->firsts[i] != work->firsts[unique - 1])
            work->firsts[unique++] = work->firsts[i];
    }
    work->first_count = unique;
}

static bool find_ranges(struct compaction *work, uint32_t architecture)
{
    work->range_count = 0;
    for (size_t i = 0; i < work->first_count; i++) {
        struct range *last = work->range_count > 0 ? &work->ranges[work->range_count - 1] : NULL;
        struct outcome outcome;

        if (!follow(work, work->old, work->length, architecture, work->firsts[i], &outcome))
            return false;
        if (last != NULL && last->outcome.computed == outcome.computed && last->outcome.value == outcome.value)
            continue;
        work->ranges[work->range_count++] = (struct range){.first = work->firsts[i], .outcome = outcome};
    }
    return true;
}

/* Puts one instruction in front of the new program; returns its place. */
static size_t emit(struct compaction *work, struct sock_filter instruction)
{
    if (work->at == 0) {
        work->full = true;
        return 0;
    }
    work->code[--work->at] = instruction;
    return work->at;
}

/* A place from which the next instruction reaches `target`: itself, or a jump to it. `extra` instructions may still
 * come between. */
static size_t within_reach(struct compaction *work, size_t target, size_t extra)
{
    if (target - work->at + extra <= OFFSET_MAX)
        return target;
    return emit(work, (struct sock_filter){.code = GOTO, .k = (uint32_t)(target - work->at)});
}

static size_t emit_branch(struct compaction *work, uint16_t code, uint32_t constant, size_t yes, size_t no)
{
    yes = within_reach(work, yes, 1);
    no = within_reach(work, no, 0);
    return emit(work,
                (struct sock_filter){
                    .code = code, .jt = (uint8_t)(yes - work->at), .jf = (uint8_t)(no - work->at), .k = constant});
}

static size_t emit_outcome(struct compaction *work, struct outcome outcome)
{
    if (outcome.computed)
        return work->moved[outcome.value];
    for (size_t i = work->at; i < work->length && i < work->at + OFFSET_MAX / 2; i++) {
        if (work->code[i].code == RETURN && work->code[i].k == outcome.value)
            return i;
    }
    return emit(work, (struct sock_filter){.code = RETURN, .k = outcome.value});
}

/* A binary search in the ranges from `low` up to and without `high`. */
static size_t emit_search(struct compaction *work, size_t low, size_t high)
{
    size_t middle = low + (high - low) / 2, upper, lower;

    if (high - low == 1)
        return emit_outcome(work, work->ranges[low].outcome);
    upper = emit_search(work, middle, high);
    lower = emit_search(work, low, middle);
    return emit_branch(work, IF_GREATER_OR_EQUAL, work->ranges[middle].first, upper, lower);
}

static void mark_reachable(const struct compaction *work, bool *reachable)
{
    for (size_t pc = 0; pc < work->length; pc++) {
        const struct sock_filter *at = &work->old[pc];

        if (!reachable[pc] || at->code == RETURN)
            continue;
        if (at->code == GOTO) {
            reachable[pc + 1 + at->k] = true;
        } else if (BPF_CLASS(at->code) == BPF_JMP) {
            reachable[pc + 1 + at->jt] = true;
            reachable[pc + 1 + at->jf] = true;
        } else {
            reachable[pc + 1] = true;
        }
    }
}

/* Takes over what deals with arguments, in its old order: no jump becomes longer than it was. */
static bool move_computations(struct compaction *work)
{
    cleanup_free bool *reachable = calloc(work->length + 1, sizeof(*reachable));

    if (reachable == NULL)
        return false;
    for (size_t i = 0; i <= work->architecture_count; i++) {
        if (!find_ranges(work, work->architectures[i]))
            return false;
        for (size_t j = 0; j < work->range_count; j++) {
            if (work->ranges[j].outcome.computed)
                reachable[work->ranges[j].outcome.value] = true;
        }
    }
    mark_reachable(work, reachable);
    for (size_t pc = work->length; pc-- > 0;) {
        struct sock_filter moved = work->old[pc];

        if (!reachable[pc])
            continue;
        if (moved.code == GOTO) {
            moved.k = (uint32_t)(work->moved[pc + 1 + moved.k] - work->at);
        } else if (BPF_CLASS(moved.code) == BPF_JMP) {
            moved.jt = (uint8_t)(work->moved[pc + 1 + moved.jt] - work->at);
            moved.jf = (uint8_t)(work->moved[pc + 1 + moved.jf] - work->at);
        }
        work->moved[pc] = emit(work, moved);
    }
    return true;
}

/* The block for one architecture. */
static size_t emit_block(struct compaction *work, uint32_t architecture)
{
    if (!find_ranges(work, architecture))
        work->full = true;
    else if (work->range_count == 1)
        return emit_outcome(work, work->ranges[0].outcome);
    else
        (void)emit_search(work, 0, work->range_count);
    return emit(work, (struct sock_filter){.code = LOAD, .k = offsetof(struct seccomp_data, nr)});
}

static void emit_all(struct compaction *work)
{
    size_t blocks[ARCHITECTURES_MAX + 1] = {0}, next;

    /* The first that is asked for, which is the machine's own, comes to lie next to the beginning. */
    for (size_t i = work->architecture_count + 1; i-- > 0;)
        blocks[i] = emit_block(work, work->architectures[i]);
    next = blocks[work->architecture_count];
    for (size_t i = work->architecture_count; i-- > 0;)
        next = emit_branch(work, IF_EQUAL, work->architectures[i], blocks[i], next);
    emit(work, (struct sock_filter){.code = LOAD, .k = offsetof(struct seccomp_data, arch)});
}

/* Asks both programs: what was derived must be what was written. */
static bool agree(const struct compaction *work)
{
    for (size_t i = 0; i <= work->architecture_count; i++) {
        for (size_t j = 0; j < work->first_count; j++) {
            struct outcome before, after;

            if (!follow(work, work->old, work->length, work->architectures[i], work->firsts[j], &before) ||
                !follow(work, work->code + work->at, work->length - work->at, work->architectures[i], work->firsts[j],
                        &after) ||
                before.computed != after.computed)
                return false;
            if (after.value != (before.computed ? work->moved[before.value] - work->at : before.value))
                return false;
        }
    }
    return true;
}

void seccomp_compact(struct sock_filter *filter, unsigned short *length)
{
    cleanup_free uint32_t *firsts = calloc(2 * (size_t)*length + 1, sizeof(*firsts));
    cleanup_free struct range *ranges = calloc(2 * (size_t)*length + 1, sizeof(*ranges));
    cleanup_free size_t *moved = calloc((size_t)*length + 1, sizeof(*moved));
    cleanup_free struct sock_filter *code = calloc(*length, sizeof(*code));
    struct compaction work = {.old = filter,
                              .length = *length,
                              .firsts = firsts,
                              .ranges = ranges,
                              .moved = moved,
                              .code = code,
                              .at = *length};

    if (firsts == NULL || ranges == NULL || moved == NULL || code == NULL || !is_sound(filter, *length) ||
        !find_architectures(&work))
        return;
    find_firsts(&work);
    if (!move_computations(&work))
        return;
    emit_all(&work);
    if (work.full || work.at == 0 || !agree(&work))
        return;
    *length = (unsigned short)(work.length - work.at);
    memcpy(filter, code + work.at, *length * sizeof(*filter));
}
