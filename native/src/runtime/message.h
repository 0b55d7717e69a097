/*
 * What the runtime and the process that it makes for a container say to each other, over a SOCK_SEQPACKET pair: one
 * message, one packet. The end of file on the runtime's side means that the process has executed the container's
 * program (or has died), because its end is close-on-exec.
 */
#pragma once

#include "wherry/cgroup.h"
#include "wherry/error.h"

#include <sys/types.h>

enum wherry_message_kind {
    WHERRY_MESSAGE_ADMITTED = 1, /* to the child: mapped and in its cgroup; `pid` is its own as the host sees it */
    WHERRY_MESSAGE_RUN_HOOKS, /* to the runtime: the namespaces are there and all is mounted, run the runtime's hooks */
    WHERRY_MESSAGE_HOOKS_DONE,     /* to the child: they have run */
    WHERRY_MESSAGE_SET_PRIORITIES, /* to the runtime: the process is in its cgroup, set its scheduler and I/O priority
                                    */
    WHERRY_MESSAGE_PRIORITIES_SET, /* to the child: they are set */
    WHERRY_MESSAGE_CLONED,         /* to the runtime: the process that stays has been made, `pid` is its number */
    WHERRY_MESSAGE_LISTENER, /* to the runtime: the filter is installed, its listener's descriptor comes with this */
    WHERRY_MESSAGE_CREATED,  /* to the runtime: everything is prepared, only the program is not executed yet */
    WHERRY_MESSAGE_EXECUTE,  /* to the child of `run`: it is on record, execute the program */
    WHERRY_MESSAGE_FAILED,   /* to the runtime: `error` says why; the child is ending */
};

struct wherry_message {
    enum wherry_message_kind kind;
    pid_t pid;
    int fd; /* a descriptor that came with the message and is the receiver's; -1: none */
    struct wherry_error error;
};

/* 0, or -errno. A reader that is gone is -EPIPE and no signal. Async-signal-safe. */
int wherry_message_send(int fd, enum wherry_message_kind kind, pid_t pid, const struct wherry_error *error);

/* The same with a descriptor. */
int wherry_message_send_fd(int fd, enum wherry_message_kind kind, int passed);

/* Descriptors that go with a message, as many as a container has control groups at most. */
struct wherry_message_fds {
    int fds[WHERRY_CGROUP_HIERARCHIES_MAX];
    size_t count;
};

/* The same with descriptors, of which the reader gets copies. */
int wherry_message_send_fds(int fd, enum wherry_message_kind kind, pid_t pid, const struct wherry_message_fds *fds);

/* Sends `question` and waits for `answer`: 0, or -errno; -EPROTO when something else comes. Async-signal-safe. */
int wherry_message_ask(int fd, enum wherry_message_kind question, enum wherry_message_kind answer);

/* 1 when a message was read, 0 at end of file, -errno. Async-signal-safe. */
int wherry_message_receive(int fd, struct wherry_message *message);

/* Asks the kernel to tell who has sent what is received on `fd` from now on: 0, or -errno. */
int wherry_message_ask_for_senders(int fd);

/* The same as wherry_message_receive, and the number of the sender as this process sees it: the kernel's word, which
 * the message's own `pid` is not. -EPROTO where it was not asked to tell. */
int wherry_message_receive_from(int fd, struct wherry_message *message, pid_t *sender);

/* The same of a message that may bring descriptors, which are the caller's to close. Async-signal-safe. */
int wherry_message_receive_fds(int fd, struct wherry_message *message, struct wherry_message_fds *fds);
