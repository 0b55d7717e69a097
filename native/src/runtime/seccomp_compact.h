/*
 * Filters made shorter: libseccomp compares a number with every system call that a profile names; what follows from it
 * are a few ranges of numbers with the same answer.
 *
 * The kernel translates and compiles a filter each time that it is installed, at a cost that goes with its length:
 * Docker's default profile is 1,246 instructions as libseccomp writes it and some 350 here, 0.2 ms of every container's
 * start.
 */
#pragma once

#include <linux/filter.h>

/* Rewrites `filter` in place when a shorter program is found that provably gives the same answer to every system call:
 * the answer is derived from the program itself, for each architecture and each range of numbers between the constants
 * that occur in it; what depends on arguments is taken over instruction by instruction. A program that does anything
 * else with architecture and number than to compare them, or for which memory runs out, is left as it is. */
void seccomp_compact(struct sock_filter *filter, unsigned short *length);
