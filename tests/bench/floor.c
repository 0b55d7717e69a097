/*
 * What the kernel itself takes for a container, as the measure for runtimes: nothing is read, recorded or checked here.
 *
 *   floor run ROOTFS GROUP PROGRAM [ARG...]   a container's life: its control groups made, the clone with all
 *                                             namespaces, the mounts of `runc spec`, pivot_root, exec, its end, and the
 *                                             control groups removed
 *   floor exec PID GROUP PROGRAM [ARG...]     a further process in the container of process PID: control groups and
 *                                             namespaces entered, exec, its end
 *
 * GROUP is a path below every mounted v1 hierarchy. Exits with the program's status.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAMESPACES (CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS)
#define HIERARCHIES_MAX 20

struct hierarchy {
    char controllers[64], link[64], group[256];
    int tasks;
};

static struct hierarchy hierarchies[HIERARCHIES_MAX];
static int hierarchy_count;

static void must(long result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    _exit(125);
}

/* The v1 hierarchies: their controllers as the mount options name them. */
static void find_hierarchies(const char *group)
{
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    struct mntent *entry;

    while (mounts != NULL && hierarchy_count < HIERARCHIES_MAX && (entry = getmntent(mounts)) != NULL) {
        struct hierarchy *hierarchy = &hierarchies[hierarchy_count];
        const char *options = entry->mnt_opts;

        if (strcmp(entry->mnt_type, "cgroup") != 0)
            continue;
        /* "rw,relatime,cpu" or "rw,relatime,xattr,name=systemd": the last word, which is enough on a host with one
         * controller a hierarchy. */
        options = strrchr(options, ',') != NULL ? strrchr(options, ',') + 1 : options;
        snprintf(hierarchy->controllers, sizeof(hierarchy->controllers), "%s", options);
        snprintf(hierarchy->link, sizeof(hierarchy->link), "sys/fs/cgroup/%s", strrchr(entry->mnt_dir, '/') + 1);
        snprintf(hierarchy->group, sizeof(hierarchy->group), "%s/%s", entry->mnt_dir, group);
        hierarchy_count++;
    }
    if (mounts != NULL)
        endmntent(mounts);
}

static void open_tasks(void)
{
    for (int i = 0; i < hierarchy_count; i++) {
        char path[300];

        snprintf(path, sizeof(path), "%s/tasks", hierarchies[i].group);
        hierarchies[i].tasks = open(path, O_WRONLY | O_CLOEXEC);
        must(hierarchies[i].tasks, path);
    }
}

/* A new v1 cpuset takes nobody before it has processors and memory. */
static void fill_cpuset(const char *group)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};

    for (int i = 0; i < 2; i++) {
        char path[300], value[256];
        ssize_t length;
        int fd;

        snprintf(path, sizeof(path), "%s/../%s", group, files[i]);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        must(fd, path);
        length = read(fd, value, sizeof(value));
        must(length, path);
        close(fd);
        snprintf(path, sizeof(path), "%s/%s", group, files[i]);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        must(fd, path);
        must(write(fd, value, (size_t)length), path);
        close(fd);
    }
}

static void make_groups(void)
{
    for (int i = 0; i < hierarchy_count; i++) {
        must(mkdir(hierarchies[i].group, 0755), hierarchies[i].group);
        if (strcmp(hierarchies[i].controllers, "cpuset") == 0)
            fill_cpuset(hierarchies[i].group);
    }
}

static void enter_groups(void)
{
    for (int i = 0; i < hierarchy_count; i++)
        must(write(hierarchies[i].tasks, "0", 1), "enter the control groups");
}

/* The mounts of `runc spec`, in its order. */
static void mount_all(const char *rootfs)
{
    unsigned long plain = MS_NOSUID | MS_NOEXEC | MS_NODEV;

    must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "make / private");
    must(mount(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL), rootfs);
    must(chdir(rootfs), rootfs);
    must(mount("proc", "proc", "proc", 0, NULL), "proc");
    must(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"), "dev");
    must(mkdir("dev/pts", 0755), "dev/pts");
    must(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"),
         "dev/pts");
    must(mkdir("dev/shm", 0755), "dev/shm");
    must(mount("shm", "dev/shm", "tmpfs", plain, "mode=1777,size=65536k"), "dev/shm");
    must(mkdir("dev/mqueue", 0755), "dev/mqueue");
    must(mount("mqueue", "dev/mqueue", "mqueue", plain, NULL), "dev/mqueue");
    must(mount("sysfs", "sys", "sysfs", plain | MS_RDONLY, NULL), "sys");
    must(mount("cgroup", "sys/fs/cgroup", "tmpfs", plain, "mode=755"), "sys/fs/cgroup");
    for (int i = 0; i < hierarchy_count; i++) {
        must(mkdir(hierarchies[i].link, 0755), hierarchies[i].link);
        must(mount("cgroup", hierarchies[i].link, "cgroup", plain | MS_RDONLY, hierarchies[i].controllers),
             hierarchies[i].link);
    }
    must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    must(umount2(".", MNT_DETACH), "detach the old root");
    must(chdir("/"), "/");
}

static int end_of(pid_t pid)
{
    int status;

    must(waitpid(pid, &status, 0), "wait");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(const char *rootfs, char **argv)
{
    struct clone_args args = {.flags = NAMESPACES, .exit_signal = SIGCHLD};
    long pid;
    int status;

    make_groups();
    open_tasks();
    pid = syscall(SYS_clone3, &args, sizeof(args));
    must(pid, "clone");
    if (pid == 0) {
        enter_groups();
        must(unshare(CLONE_NEWCGROUP), "cgroup namespace");
        mount_all(rootfs);
        execv(argv[0], argv);
        must(-1, argv[0]);
    }
    status = end_of((pid_t)pid);
    for (int i = 0; i < hierarchy_count; i++)
        must(rmdir(hierarchies[i].group), hierarchies[i].group);
    return status;
}

static int enter(const char *target, char **argv)
{
    int pidfd = (int)syscall(SYS_pidfd_open, atoi(target), 0);
    pid_t pid;

    must(pidfd, "pidfd_open");
    open_tasks();
    must(setns(pidfd, CLONE_NEWPID), "join the pid namespace");
    pid = fork();
    must(pid, "fork");
    if (pid == 0) {
        enter_groups();
        must(setns(pidfd, (NAMESPACES & ~CLONE_NEWPID) | CLONE_NEWCGROUP), "join the namespaces");
        execv(argv[0], argv);
        must(-1, argv[0]);
    }
    return end_of(pid);
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: floor run ROOTFS GROUP PROGRAM [ARG...] | floor exec PID GROUP PROGRAM [ARG...]\n");
        return 2;
    }
    find_hierarchies(argv[3]);
    return strcmp(argv[1], "run") == 0 ? run(argv[2], argv + 4) : enter(argv[2], argv + 4);
}
