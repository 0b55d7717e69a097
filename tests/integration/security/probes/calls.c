/*
 * Tries system calls that a container has no business with, by every way into this kernel, and prints what comes of it:
 *
 *     calls            "WAY NAME ERRNO" a line; ERRNO is a symbolic name, or "done" where the call succeeded
 *
 * WAY is "native", and on x86-64 "x32" (the number with bit 30) and "i386" (int 0x80). The arguments are such that a
 * kernel that lets the call through refuses it for another reason than permission, or does something harmless: what
 * answers EPERM (clone3: ENOSYS) has been stopped by the filter, when the caller holds all capabilities.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOWHERE (-1L) /* no address, no descriptor, no identifier */
#define NEW_USER 0x10000000L
#define NEW_NAMESPACES 0x6E020000L
#define AF_ALG_NUMBER 38L
#define AF_VSOCK_NUMBER 40L
#define NO_RANDOMIZE 0x0040000L

struct call {
    const char *name;
    long native, i386; /* -1: the machine has no such call */
    long arguments[6];
};

#if defined(__x86_64__)
#define I386(number) (number)
#else
#define I386(number) -1
#endif
#ifndef SYS_kexec_file_load
#define SYS_kexec_file_load -1
#endif
#ifdef __x86_64__
#define X86(number) (number)
#else
#define X86(number) -1
#endif

static const struct call calls[] = {
    {"acct", SYS_acct, I386(51), {NOWHERE}},
    {"add_key", SYS_add_key, I386(286), {NOWHERE, NOWHERE, NOWHERE, NOWHERE, 0}},
    {"bpf", SYS_bpf, I386(357), {NOWHERE, 0, 0}},
    {"clock_settime", SYS_clock_settime, I386(264), {NOWHERE, NOWHERE}},
    {"clone-user", SYS_clone, I386(120), {NEW_USER | 0x800 /* CLONE_SIGHAND without CLONE_VM */, 0, 0, 0, 0}},
    {"clone-others", SYS_clone, I386(120), {NEW_NAMESPACES | 0x800, 0, 0, 0, 0}},
    {"clone3", 435, I386(435), {NOWHERE, 0}},
    {"create_module", X86(174), I386(127), {NOWHERE, 0}},
    {"delete_module", SYS_delete_module, I386(129), {NOWHERE, 0}},
    {"fanotify_init", SYS_fanotify_init, I386(338), {NOWHERE, NOWHERE}},
    {"finit_module", SYS_finit_module, I386(350), {NOWHERE, NOWHERE, NOWHERE}},
    {"fsconfig", 431, I386(431), {NOWHERE, NOWHERE, 0, 0, 0}},
    {"fsmount", 432, I386(432), {NOWHERE, NOWHERE, NOWHERE}},
    {"fsopen", 430, I386(430), {NOWHERE, NOWHERE}},
    {"fspick", 433, I386(433), {NOWHERE, NOWHERE, NOWHERE}},
    {"get_kernel_syms", X86(177), I386(130), {NOWHERE}},
    {"get_mempolicy", SYS_get_mempolicy, I386(275), {NOWHERE, NOWHERE, 0, 0, NOWHERE}},
    {"init_module", SYS_init_module, I386(128), {0, 0, NOWHERE}},
    {"io_uring_enter", 426, I386(426), {NOWHERE, 0, 0, NOWHERE, 0, 0}},
    {"io_uring_register", 427, I386(427), {NOWHERE, NOWHERE, 0, 0}},
    {"io_uring_setup", 425, I386(425), {0, NOWHERE}},
    {"ioperm", X86(173), I386(101), {NOWHERE, NOWHERE, 0}},
    {"iopl", X86(172), I386(110), {99}},
    {"kcmp", SYS_kcmp, I386(349), {NOWHERE, NOWHERE, NOWHERE, 0, 0}},
    {"kexec_load", SYS_kexec_load, I386(283), {0, 0, 0, NOWHERE}},
    {"kexec_file_load", SYS_kexec_file_load, -1, {NOWHERE, NOWHERE, 0, 0, NOWHERE}},
    {"keyctl", SYS_keyctl, I386(288), {NOWHERE, 0, 0, 0, 0}},
    {"lookup_dcookie", SYS_lookup_dcookie, I386(253), {0, 0, 0}},
    {"mbind", SYS_mbind, I386(274), {1, 0, NOWHERE, 0, 0, NOWHERE}},
    {"migrate_pages", SYS_migrate_pages, I386(294), {NOWHERE, 0, 0, 0}},
    {"mount", SYS_mount, I386(21), {NOWHERE, NOWHERE, NOWHERE, 0, 0}},
    {"mount_setattr", 442, I386(442), {NOWHERE, NOWHERE, NOWHERE, 0, 0}},
    {"move_mount", 429, I386(429), {NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE}},
    {"move_pages", SYS_move_pages, I386(317), {NOWHERE, 0, 0, 0, 0, NOWHERE}},
    {"nfsservctl", SYS_nfsservctl, I386(169), {NOWHERE, 0, 0}},
    {"open_by_handle_at", SYS_open_by_handle_at, I386(342), {NOWHERE, NOWHERE, 0}},
    {"open_tree", 428, I386(428), {NOWHERE, NOWHERE, NOWHERE}},
    {"perf_event_open", SYS_perf_event_open, I386(336), {NOWHERE, 0, 0, NOWHERE, NOWHERE}},
    {"personality", SYS_personality, I386(136), {NO_RANDOMIZE}},
    {"pidfd_getfd", 438, I386(438), {NOWHERE, NOWHERE, NOWHERE}},
    {"pivot_root", SYS_pivot_root, I386(217), {NOWHERE, NOWHERE}},
    {"process_madvise", 440, I386(440), {NOWHERE, NOWHERE, 1, NOWHERE, NOWHERE}},
    {"query_module", X86(178), I386(167), {NOWHERE, NOWHERE, 0, 0, 0}},
    {"quotactl", SYS_quotactl, I386(131), {NOWHERE, NOWHERE, 0, 0}},
    {"quotactl_fd", 443, I386(443), {NOWHERE, NOWHERE, 0, 0}},
    {"reboot", SYS_reboot, I386(88), {0, 0, 0, 0}},
    {"request_key", SYS_request_key, I386(287), {NOWHERE, NOWHERE, NOWHERE, 0}},
    {"set_mempolicy", SYS_set_mempolicy, I386(276), {NOWHERE, 0, 0}},
    {"setdomainname", SYS_setdomainname, I386(121), {NOWHERE, NOWHERE}},
    {"sethostname", SYS_sethostname, I386(74), {NOWHERE, NOWHERE}},
    {"setns", SYS_setns, I386(346), {NOWHERE, NOWHERE}},
    {"settimeofday", SYS_settimeofday, I386(79), {NOWHERE, NOWHERE}},
    {"socket-alg", SYS_socket, I386(359), {AF_ALG_NUMBER, NOWHERE, NOWHERE}},
    {"socket-vsock", SYS_socket, I386(359), {AF_VSOCK_NUMBER, NOWHERE, NOWHERE}},
    {"socketcall", -1, I386(102), {1 /* SYS_SOCKET */, NOWHERE}},
    {"stime", -1, I386(25), {NOWHERE}},
    {"swapoff", SYS_swapoff, I386(115), {NOWHERE}},
    {"swapon", SYS_swapon, I386(87), {NOWHERE, 0}},
    {"_sysctl", X86(156), I386(149), {NOWHERE}},
    {"sysfs", X86(139), I386(135), {NOWHERE, 0, 0}},
    {"syslog", SYS_syslog, I386(103), {NOWHERE, 0, 0}},
    {"umount2", SYS_umount2, I386(52), {NOWHERE, 0}},
    {"umount", -1, I386(22), {NOWHERE}},
    {"unshare-user", SYS_unshare, I386(310), {NEW_USER | 1}},
    {"unshare-mount", SYS_unshare, I386(310), {0x00020000 | 1}},
    {"uselib", X86(134), I386(86), {NOWHERE}},
    {"userfaultfd", SYS_userfaultfd, I386(374), {NOWHERE}},
    {"ustat", X86(136), I386(62), {0, NOWHERE}},
    {"vhangup", SYS_vhangup, I386(111), {0}},
    {"vm86", -1, I386(166), {NOWHERE, NOWHERE}},
    {"vm86old", -1, I386(113), {NOWHERE}},
};

static void say(const char *way, const char *name, long result)
{
    const char *what = result >= 0 ? "done" : strerrorname_np((int)-result);

    printf("%s %s %s\n", way, name, what != NULL ? what : "?");
    fflush(stdout);
}

static long call_native(long number, const long arguments[6])
{
    long result = syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);

    return result < 0 ? -errno : result;
}

#ifdef __x86_64__
#define X32_BIT 0x40000000L

/* Argument five goes by rdi and six by rbp, which the compiler keeps: none of these calls needs the sixth. */
static long call_i386(long number, const long arguments[6])
{
    int32_t result;

    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(arguments[0]), "c"(arguments[1]), "d"(arguments[2]), "S"(arguments[3]),
                       "D"(arguments[4])
                     : "memory", "r8", "r9", "r10", "r11");
    return result;
}
#endif

/* A child for each: what a call does to its caller, to death, it does to that one. */
static void attempt(const char *way, const struct call *call, long (*make)(long, const long[6]), long number)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        say(way, call->name, make(number, call->arguments));
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0)
        say(way, call->name, -errno);
    else if (WIFSIGNALED(status))
        printf("%s %s killed-by-%d\n", way, call->name, WTERMSIG(status));
    fflush(stdout);
}

int main(void)
{
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        const struct call *call = &calls[i];

        if (call->native >= 0)
            attempt("native", call, call_native, call->native);
#ifdef __x86_64__
        if (call->native >= 0)
            attempt("x32", call, call_native, call->native | X32_BIT);
        if (call->i386 >= 0)
            attempt("i386", call, call_i386, call->i386);
#endif
    }
    return 0;
}
