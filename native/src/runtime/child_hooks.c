/* Steps of the child: the hooks that belong to its place in the order; see child.h. */
#include "child.h"
#include "hooks.h"
#include "message.h"

#include <errno.h>

int wherry_child_await_runtime_hooks(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    struct wherry_message message;
    int got;

    (void)subject;
    got = wherry_message_send(child->sync_fd, WHERRY_MESSAGE_RUN_HOOKS, 0, NULL);
    if (got == 0)
        got = wherry_message_receive(child->sync_fd, &message);
    if (got <= 0)
        return wherry_error_set(err, got < 0 ? -got : EPIPE, "wait for the runtime's hooks");
    if (message.kind != WHERRY_MESSAGE_HOOKS_DONE)
        return wherry_error_set(err, EPROTO, "wait for the runtime's hooks: message %d", (int)message.kind);
    return 0;
}

int wherry_child_run_create_hooks(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    return wherry_hooks_run(subject, "createContainer", &child->plan->state, "creating", child->pid, err);
}

int wherry_child_run_start_hooks(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    return wherry_hooks_run(subject, "startContainer", &child->plan->state, "created", child->pid, err);
}
