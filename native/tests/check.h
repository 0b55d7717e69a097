/*
 * The smallest test framework that names what failed and goes on.
 *
 *   static void a_limit_is_written(void) { CHECK(x == 1); CHECK_TEXT(name, "memory.max"); }
 *   int main(void) { RUN(a_limit_is_written); return check_result(); }
 *
 * Each test runs in a process of its own, so that one may lose capabilities, install a filter or crash.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int check_failures;  /* in the process of one test */
static int check_failed;    /* tests, in the main process */
static int check_run_count; /* tests, in the main process */

#define CHECK_SKIPPED 77

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                     \
            check_failures++;                                                                                          \
        }                                                                                                              \
    } while (0)

/* A call of the library that must succeed; `err` is its error object. */
#define CHECK_OK(call, err)                                                                                            \
    do {                                                                                                               \
        if ((call) < 0) {                                                                                              \
            printf("%s:%d: %s: %s\n", __FILE__, __LINE__, #call, (err).message);                                       \
            check_failures++;                                                                                          \
        }                                                                                                              \
    } while (0)

/* A call that must fail with a message in which `part` stands. */
#define CHECK_FAILS(call, err, part)                                                                                   \
    do {                                                                                                               \
        (err).message[0] = '\0';                                                                                       \
        if ((call) >= 0 || strstr((err).message, part) == NULL) {                                                      \
            printf("%s:%d: %s: expected a failure that says \"%s\", got \"%s\"\n", __FILE__, __LINE__, #call, part,    \
                   (err).message);                                                                                     \
            check_failures++;                                                                                          \
        }                                                                                                              \
    } while (0)

#define CHECK_TEXT(actual, expected)                                                                                   \
    do {                                                                                                               \
        const char *check_actual = (actual), *check_expected = (expected);                                             \
        if (check_actual == NULL || strcmp(check_actual, check_expected) != 0) {                                       \
            printf("%s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, #actual,                                   \
                   check_actual == NULL ? "(null)" : check_actual, check_expected);                                    \
            check_failures++;                                                                                          \
        }                                                                                                              \
    } while (0)

/* Ends the test without a verdict, with the reason. */
#define SKIP(reason)                                                                                                   \
    do {                                                                                                               \
        printf("  skipped: %s\n", reason);                                                                             \
        fflush(stdout);                                                                                                \
        _exit(CHECK_SKIPPED);                                                                                          \
    } while (0)

static inline void check_run(const char *name, void (*test)(void))
{
    int status = 0;
    pid_t pid;

    check_run_count++;
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        test();
        /* exit, not _exit: the leak checker of the sanitizers runs there. */
        exit(check_failures > 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid ||
        !(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == CHECK_SKIPPED))) {
        printf("FAILED %s (status 0x%x)\n", name, (unsigned)status);
        check_failed++;
    }
}

#define RUN(test) check_run(#test, test)

static inline int check_result(void)
{
    printf("%d of %d failed\n", check_failed, check_run_count);
    return check_failed > 0;
}
