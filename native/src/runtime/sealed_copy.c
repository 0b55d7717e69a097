/* Running from a copy of the own program that nobody can change; see sealed_copy.h.
 *
 * What is here may run before the C library is there: no errno, no library function, no stack protector (Makefile). */
#include "sealed_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not F_SEAL_WRITE: it fails with EBUSY while anything in the kernel still holds one of the pages just written, and it
 * waits for all CPUs to find that out. Without a shared mapping, of which there is none, this one forbids as much. */
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE)

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

/* The result or -errno, memfd_create(2) and all others alike. */
static long call(long number, long a, long b, long c, long d, long e)
{
#if WHERRY_SEALED_COPY_EARLY
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
#else
    long result = syscall(number, a, b, c, d, e);

    return result < 0 ? -errno : result;
#endif
}

static long copy(long from, long to)
{
    long size = call(SYS_lseek, from, 0, SEEK_END, 0, 0);
    int64_t at = 0;

    while (size >= 0 && at < size) {
        long sent = call(SYS_sendfile, to, from, (long)&at, size - at, 0);

        if (sent < 0 && sent != -EINTR)
            return sent;
        if (sent == 0)
            return -EIO;
    }
    return size < 0 ? size : 0;
}

/* A memfd that may be executed. A host can be set up to make them not executable unless it is asked for
 * (vm.memfd_noexec, since Linux 6.3); older kernels do not know the question. */
static long make_memfd(void)
{
    static const char name[] = "wherry-runtime";
    long fd = call(SYS_memfd_create, (long)name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC, 0, 0, 0);

    return fd != -EINVAL ? fd : call(SYS_memfd_create, (long)name, MFD_CLOEXEC | MFD_ALLOW_SEALING, 0, 0, 0);
}

/* 0: runs from a sealed copy already. Otherwise returns only on failure, with -errno. */
static long enter(char *const argv[], char *const envp[])
{
    long self = call(SYS_openat, AT_FDCWD, (long)"/proc/self/exe", O_RDONLY | O_CLOEXEC, 0, 0);
    long sealed = -1, seals, result;

    if (self < 0)
        return self;
    /* Only a memfd has seals; one with all of these is what this function makes. */
    seals = call(SYS_fcntl, self, F_GET_SEALS, 0, 0, 0);
    result = seals >= 0 && (seals & SEALS) == SEALS ? 0 : -EPERM;
    if (result < 0) {
        sealed = result = make_memfd();
        if (result >= 0)
            result = copy(self, sealed);
        if (result >= 0)
            result = call(SYS_fcntl, sealed, F_ADD_SEALS, SEALS, 0, 0);
        if (result >= 0)
            result = call(SYS_execveat, sealed, (long)"", (long)argv, (long)envp, AT_EMPTY_PATH);
    }
    call(SYS_close, self, 0, 0, 0, 0);
    if (sealed >= 0)
        call(SYS_close, sealed, 0, 0, 0, 0);
    return result;
}

int wherry_sealed_copy_enter(char *const argv[], char *const envp[], struct wherry_error *err)
{
    long result = enter(argv, envp);

    return result < 0 ? wherry_error_set(err, (int)-result, "run from a sealed copy of the own program") : 0;
}

static bool is_word(const char *text, const char *word)
{
    while (*text != '\0' && *text == *word) {
        text++;
        word++;
    }
    return *text == *word;
}

void wherry_sealed_copy_early(long *stack)
{
    char **argv = (char **)(stack + 1);
    long count = stack[0];

    /* Whatever word is one of the verbs: a copy too many is harmless. */
    for (long i = 1; i < count; i++) {
        if (is_word(argv[i], "create") || is_word(argv[i], "run") || is_word(argv[i], "exec")) {
            enter(argv, argv + count + 1);
            return;
        }
    }
}
