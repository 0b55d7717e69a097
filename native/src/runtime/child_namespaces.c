/* Steps of the child: being let in, user, cgroup and joined namespaces, names, session; see child.h. */
#include "child.h"
#include "message.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int wherry_child_await_admission(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    struct wherry_message message;
    int got = wherry_message_receive_fds(child->sync_fd, &message, &child->groups);

    (void)subject;
    if (got <= 0)
        return wherry_error_set(err, got < 0 ? -got : EPIPE, "wait for the runtime");
    if (message.kind != WHERRY_MESSAGE_ADMITTED)
        return wherry_error_set(err, EPROTO, "wait for the runtime: message %d", (int)message.kind);
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return wherry_error_set(err, errno, "make the process undumpable");
    child->pid = message.pid;
    return 0;
}

/* The raw system calls: glibc's wrappers would signal all threads of a process that has only this one. */
int wherry_child_become_root(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    (void)subject;
    /* The groups of the host's root would otherwise stay, unmapped but in force for permission checks. */
    if (syscall(SYS_setgroups, 0, NULL) < 0 && !(errno == EPERM && child->plan->groups_fixed))
        return wherry_error_set(err, errno, "drop supplementary groups in the user namespace");
    if (syscall(SYS_setresgid, 0, 0, 0) < 0)
        return wherry_error_set(err, errno, "take group 0 of the user namespace");
    if (syscall(SYS_setresuid, 0, 0, 0) < 0)
        return wherry_error_set(err, errno, "take user 0 of the user namespace");
    /* A change of IDs clears the one, and sets the other to whatever fs.suid_dumpable says, prctl(2). */
    prctl(PR_SET_PDEATHSIG, 9);
    prctl(PR_SET_DUMPABLE, 0);
    return 0;
}

int wherry_child_enter_cgroup(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    int result = wherry_cgroup_attach_self(child->groups.fds, child->groups.count);

    (void)subject;
    for (size_t i = 0; i < child->groups.count; i++)
        close(child->groups.fds[i]);
    child->groups.count = 0;
    return result < 0 ? wherry_error_set(err, -result, "enter the container's cgroups") : 0;
}

int wherry_child_make_namespaces(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const int *flags = subject;

    (void)child;
    return unshare(*flags) < 0 ? wherry_error_set(err, errno, "make namespaces") : 0;
}

int wherry_child_new_cgroup_namespace(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    (void)child;
    (void)subject;
    return unshare(CLONE_NEWCGROUP) < 0 ? wherry_error_set(err, errno, "make a cgroup namespace") : 0;
}

int wherry_child_join_mount_namespace(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    int fd = open(subject, O_RDONLY | O_CLOEXEC);

    (void)child;
    if (fd < 0)
        return wherry_error_set(err, errno, "open mount namespace %s", (const char *)subject);
    if (setns(fd, CLONE_NEWNS) < 0)
        return wherry_error_set(err, errno, "join mount namespace %s", (const char *)subject);
    close(fd);
    return 0;
}

int wherry_child_join_container(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const int *flags = subject;

    if (setns(child->plan->pidfd, *flags) < 0)
        return wherry_error_set(err, errno, "join the container's namespaces");
    return 0;
}

/* By clone, not clone3: that is what filters let pass, because they can see its flags. */
int wherry_child_be_born(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    /* Who carries a listener looks for it in the table of descriptors that this process has been given. */
    unsigned long files = child->plan->listener_slot != NULL ? CLONE_FILES : 0;
    long pid = syscall(SYS_clone, CLONE_PARENT | files, NULL, NULL, NULL, NULL);
    int result;

    (void)subject;
    if (pid < 0)
        return wherry_error_set(err, errno, "make the process in the container's pid namespace");
    if (pid > 0)
        _exit(0);
    /* The runtime learns the number from the message's credentials, which the kernel translates for it. */
    result = wherry_message_send(child->sync_fd, WHERRY_MESSAGE_CLONED, 0, NULL);
    return result < 0 ? wherry_error_set(err, -result, "report to the runtime") : 0;
}

int wherry_child_new_keyring(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    (void)child;
    (void)subject;
    /* An anonymous one. A kernel without keyrings has none to hide, and a user's quota of them is not worth a failure:
     * the session keyring of the caller is then out of reach by its permissions alone. */
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS && errno != EDQUOT)
        return wherry_error_set(err, errno, "make a session keyring");
    return 0;
}

int wherry_child_new_session(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    (void)child;
    (void)subject;
    return setsid() < 0 ? wherry_error_set(err, errno, "start a session") : 0;
}

int wherry_child_set_hostname(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const char *name = subject;

    (void)child;
    return sethostname(name, strlen(name)) < 0 ? wherry_error_set(err, errno, "set hostname %s", name) : 0;
}

int wherry_child_set_domainname(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const char *name = subject;

    (void)child;
    return setdomainname(name, strlen(name)) < 0 ? wherry_error_set(err, errno, "set domainname %s", name) : 0;
}
