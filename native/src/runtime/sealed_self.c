/* Running from the own program in a form that nobody can change; see sealed_self.h.
 *
 * What is here may run before the C library is there: no errno, no library function, no stack protector (Makefile).
 * The overlay is tried first: it copies nothing, and the pages of the program are the ones that are in memory already.
 * The copy is a third of what the kernel takes for a whole `exec`. */
#include "sealed_self.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <linux/mount.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Not F_SEAL_WRITE: it fails with EBUSY while anything in the kernel still holds one of the pages just written, and it
 * waits for all CPUs to find that out. Without a shared mapping, of which there is none, this one forbids as much. */
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE)

/* An overlay without a writable layer has two of others. This one comes second and so hides nothing, is there wherever
 * containers are made, and has no programs beside it. */
#define SECOND_LAYER "/dev"

/* What fsconfig(2) takes for a string, with its end. */
#define LAYERS_MAX 256

/* As the kernel names a program that was executed by its descriptor alone, execveat(2). */
#define BY_DESCRIPTOR "/dev/fd/"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

/* The result or -errno, memfd_create(2) and all others alike. */
static long call(long number, long a, long b, long c, long d, long e)
{
#if WHERRY_SEALED_SELF_EARLY
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

/* A descriptor of the copy or -errno. */
static long make_copy(long self)
{
    long sealed = make_memfd();
    long result = sealed;

    if (result >= 0)
        result = copy(self, sealed);
    if (result >= 0)
        result = call(SYS_fcntl, sealed, F_ADD_SEALS, SEALS, 0, 0);
    if (result < 0 && sealed >= 0)
        call(SYS_close, sealed, 0, 0, 0, 0);
    return result < 0 ? result : sealed;
}

static bool begins_with(const char *text, const char *start)
{
    while (*start != '\0' && *text == *start) {
        text++;
        start++;
    }
    return *start == '\0';
}

/* What an overlay of the program's directory has as layers, and where in it the program's name begins; NULL: the path
 * cannot be written there, or the second layer would lie within the first or hold it. */
static const char *find_layers(char layers[LAYERS_MAX], char path[PATH_MAX])
{
    static const char second[] = ":" SECOND_LAYER;
    long length = call(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)path, PATH_MAX - 1, 0);
    long directory = 0;

    if (length <= 0 || path[0] != '/')
        return NULL;
    path[length] = '\0';
    for (long i = 0; i < length; i++) {
        if (path[i] == '/')
            directory = i;
        else if (path[i] == ':' || path[i] == ',' || path[i] == '\\')
            return NULL;
    }
    if (directory == 0 || directory + (long)sizeof(second) > LAYERS_MAX ||
        (begins_with(path, SECOND_LAYER) && path[sizeof(SECOND_LAYER) - 1] == '/'))
        return NULL;
    for (long i = 0; i < directory; i++)
        layers[i] = path[i];
    for (long i = 0; i < (long)sizeof(second); i++)
        layers[directory + i] = second[i];
    return path + directory + 1;
}

/* An overlay in a mount of its own, which is in no mount namespace: a descriptor or -errno. */
static long mount_overlay(const char *layers)
{
    long overlay = call(SYS_fsopen, (long)"overlay", FSOPEN_CLOEXEC, 0, 0, 0);
    long result = overlay;

    if (result >= 0)
        result = call(SYS_fsconfig, overlay, FSCONFIG_SET_STRING, (long)"lowerdir", (long)layers, 0);
    if (result >= 0)
        result = call(SYS_fsconfig, overlay, FSCONFIG_SET_STRING, (long)"xino", (long)"off", 0);
    if (result >= 0)
        result = call(SYS_fsconfig, overlay, FSCONFIG_CMD_CREATE, 0, 0, 0);
    if (result >= 0)
        result =
            call(SYS_fsmount, overlay, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0, 0);
    if (overlay >= 0)
        call(SYS_close, overlay, 0, 0, 0, 0);
    return result;
}

static bool is_read_only_overlay(long fd)
{
    struct statfs status;

    return call(SYS_fstatfs, fd, (long)&status, 0, 0, 0) == 0 && status.f_type == OVERLAYFS_SUPER_MAGIC &&
           (status.f_flags & ST_RDONLY) != 0;
}

/* Whether the file that was found by its name is the one that this process runs from. Another can be in its place, or
 * lie below it where the program is a mount of its own. An overlay hands on the inode's number, not the device's. */
static bool is_same(long self, long found)
{
    struct statx one, other;
    unsigned mask = STATX_INO | STATX_SIZE | STATX_MTIME;

    return call(SYS_statx, self, (long)"", AT_EMPTY_PATH, mask, (long)&one) == 0 &&
           call(SYS_statx, found, (long)"", AT_EMPTY_PATH, mask, (long)&other) == 0 && one.stx_ino == other.stx_ino &&
           one.stx_size == other.stx_size && one.stx_mtime.tv_sec == other.stx_mtime.tv_sec &&
           one.stx_mtime.tv_nsec == other.stx_mtime.tv_nsec;
}

/* A descriptor of the program in such an overlay or -errno. */
static long make_overlay(long self)
{
    char path[PATH_MAX], layers[LAYERS_MAX];
    const char *name = find_layers(layers, path);
    long mount = name != NULL ? mount_overlay(layers) : -ENAMETOOLONG;
    long fd;

    if (mount < 0)
        return mount;
    fd = call(SYS_openat, mount, (long)name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0, 0);
    call(SYS_close, mount, 0, 0, 0, 0);
    if (fd < 0 || (is_read_only_overlay(fd) && is_same(self, fd)))
        return fd;
    call(SYS_close, fd, 0, 0, 0, 0);
    return -ESTALE;
}

/* `executed` is the name by which this process was executed. A copy is told by its seals, which only a memfd has; an
 * overlay by being one to which nobody can write, entered by its descriptor. */
static bool is_sealed(long self, const char *executed)
{
    long seals = call(SYS_fcntl, self, F_GET_SEALS, 0, 0, 0);

    if (seals >= 0)
        return (seals & SEALS) == SEALS;
    return executed != NULL && begins_with(executed, BY_DESCRIPTOR) && is_read_only_overlay(self);
}

/* Returns only on failure, with -errno. */
static long execute(long sealed, char *const argv[], char *const envp[])
{
    long result = sealed;

    if (sealed >= 0) {
        result = call(SYS_execveat, sealed, (long)"", (long)argv, (long)envp, AT_EMPTY_PATH);
        call(SYS_close, sealed, 0, 0, 0, 0);
    }
    return result;
}

/* 0: runs sealed already. Otherwise returns only on failure, with -errno. */
static long enter(char *const argv[], char *const envp[], const char *executed)
{
    long self = call(SYS_openat, AT_FDCWD, (long)"/proc/self/exe", O_RDONLY | O_CLOEXEC, 0, 0);
    long result = 0;

    if (self < 0)
        return self;
    if (!is_sealed(self, executed)) {
        execute(make_overlay(self), argv, envp);
        result = execute(make_copy(self), argv, envp);
    }
    call(SYS_close, self, 0, 0, 0, 0);
    return result;
}

int wherry_sealed_self_enter(char *const argv[], char *const envp[], struct wherry_error *err)
{
    long result = enter(argv, envp, (const char *)getauxval(AT_EXECFN));

    return result < 0 ? wherry_error_set(err, (int)-result, "run from a sealed form of the own program") : 0;
}

static bool is_word(const char *text, const char *word)
{
    while (*text != '\0' && *text == *word) {
        text++;
        word++;
    }
    return *text == *word;
}

/* The name by which the program was executed, from the auxiliary vector behind the environment. */
static const char *find_executed(char *const envp[])
{
    const long *entry;

    while (*envp != NULL)
        envp++;
    for (entry = (const long *)(envp + 1); entry[0] != AT_NULL; entry += 2) {
        if (entry[0] == AT_EXECFN)
            return (const char *)entry[1];
    }
    return NULL;
}

void wherry_sealed_self_early(long *stack)
{
    char **argv = (char **)(stack + 1);
    long count = stack[0];
    char **envp = argv + count + 1;

    /* Whatever word is one of the verbs: a time too many is harmless. */
    for (long i = 1; i < count; i++) {
        if (is_word(argv[i], "create") || is_word(argv[i], "run") || is_word(argv[i], "exec")) {
            enter(argv, envp, find_executed(envp));
            return;
        }
    }
}
