/* The runtime's side of making a process: clone, admission, hooks, and the conversation until it is created. Private to
 * create.c and exec.c. */
#pragma once

#include "message.h"
#include "plan.h"
#include "wherry/runtime.h"

#include <stdint.h>

struct wherry_launch {
    const struct wherry_plan *plan;
    uint64_t flags;                   /* of clone3(2) */
    int cgroup_fd;                    /* for CLONE_INTO_CGROUP; -1: none */
    int user_fd;                      /* a user namespace to be born in; -1: none */
    struct wherry_message_fds groups; /* by which the child enters its cgroups; handed over when it is admitted */
    pid_t pid;
    int sync_fd;   /* to the child; -1 before and after */
    pid_t carrier; /* brings the descriptor of the filter's listener; 0: none, or it has come */
    const struct wherry_container *container; /* what the listener's agent is told about */
    enum wherry_status status;
};

#define WHERRY_LAUNCH_INIT                                                                                             \
    {                                                                                                                  \
        .cgroup_fd = -1, .user_fd = -1, .sync_fd = -1                                                                  \
    }

/* Clones the child, which walks the plan. The child is in `launch->pid`. */
int wherry_launch_clone(struct wherry_launch *launch, struct wherry_error *err);

/* The same by way of another process, for launch->user_fd and for a filter with a listener: wherry_launch_clone turns
 * to it. `sync_fd` and `child_fd` are the ends of the conversation. */
int wherry_launch_clone_between(struct wherry_launch *launch, int sync_fd, int child_fd, struct wherry_error *err);

/* Ends the carrier, if there still is one. */
void wherry_launch_end_carrier(struct wherry_launch *launch);

/* Waits until the process that stays has been made by the one that was cloned, and tells its number. */
int wherry_launch_receive_cloned(int sync_fd, pid_t *pid, struct wherry_error *err);

/* The child has another one be born in its place and ends: from here on that one is the child. */
int wherry_launch_follow(struct wherry_launch *launch, struct wherry_error *err);

/* Lets the child go on: whatever had to be done to it from outside is done. A child that has failed meanwhile is no
 * error here: its message waits for wherry_launch_expect. */
int wherry_launch_admit(struct wherry_launch *launch, struct wherry_error *err);

/* The next message of the child, which has to be `expected`; a failure of the child becomes the error. With `expected`
 * 0 the end of file is expected, that is to say exec. */
int wherry_launch_expect(struct wherry_launch *launch, int expected, struct wherry_error *err);

/* Waits until everything but the program's execution is done: for the child to say so, and for the listener of its
 * filter, which is handed to its agent. */
int wherry_launch_expect_created(struct wherry_launch *launch, struct wherry_error *err);

/* The next message, whichever it is: 1; 0 at end of file. */
int wherry_launch_next(struct wherry_launch *launch, struct wherry_message *message, struct wherry_error *err);

/* Kills and reaps the child, if there is one, and closes the socket. */
void wherry_launch_abort(struct wherry_launch *launch);

/* Fails when the process has a terminal and the options do not say where it goes, or name a socket for one that it has
 * not. A terminal that the runtime joins to its own has the size of that from the beginning: set later, the size of a
 * quick program would be none, and a slow one would be interrupted (SIGWINCH). */
int wherry_launch_check_console(const struct wherry_launch_options *options, struct wherry_process *process,
                                struct wherry_error *err);

/* The socket that a terminal's master is sent to, connected; -1 without an error when the options name none (0 is
 * returned). */
int wherry_launch_open_console(const struct wherry_launch_options *options, int *fd, struct wherry_error *err);

/* What the container's process is told of the sockets that the caller hands over, as sd_listen_fds(3) wants it: it is
 * pid 1. */
int wherry_launch_add_environment(const struct wherry_launch_options *options, struct wherry_process *process,
                                  struct wherry_arena *arena, struct wherry_error *err);

/* Sends a pidfd of the process to the socket at `path`, as one message with the text `name` (the interface of runc's
 * pidfd sockets: "standard" for a container, "setns" for a further process). */
int wherry_launch_send_pidfd(const char *path, const char *name, pid_t pid, struct wherry_error *err);

/* Writes the number of the process to a file, by rename. */
int wherry_launch_write_pid(const char *path, pid_t pid, struct wherry_error *err);

/* Sets the child's scheduler and I/O priority when it asks for it, if its process object does. */
int wherry_launch_set_priorities(struct wherry_launch *launch, const struct wherry_process *process,
                                 struct wherry_error *err);

/* Sets oom_score_adj of the child. */
int wherry_launch_set_oom_score(pid_t pid, const struct wherry_process *process, struct wherry_error *err);

/* Gives pipes among the standard streams to the process's user, so that it can open /dev/stdout and its like anew: from
 * inside a user namespace it cannot be done, because who made them is nobody there. `pid` is a process that is in the
 * namespace already. What cannot be given away is left as it is. */
void wherry_launch_own_streams(pid_t pid, const struct wherry_process *process);

/* The warning about capabilities that were left out, or an empty text. */
void wherry_launch_describe_lacking(const struct wherry_capabilities *capabilities, char text[WHERRY_WARNING_MAX]);
