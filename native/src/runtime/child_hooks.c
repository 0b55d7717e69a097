/* Steps of the child: the hooks that belong to its place in the order; see child.h. */
#include "child.h"
#include "hooks.h"
#include "message.h"

#include <errno.h>
#include <unistd.h>

int wherry_child_await_runtime_hooks(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    int result = wherry_message_ask(child->sync_fd, WHERRY_MESSAGE_RUN_HOOKS, WHERRY_MESSAGE_HOOKS_DONE);

    (void)subject;
    return result < 0 ? wherry_error_set(err, -result, "wait for the runtime's hooks") : 0;
}

/* In the container's root, as with runc. */
int wherry_child_run_create_hooks(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    struct wherry_state_text state = child->plan->state;

    state.directory = NULL;
    if (child->root_fd >= 0 && fchdir(child->root_fd) < 0)
        return wherry_error_set(err, errno, "enter the root for createContainer hooks");
    return wherry_hooks_run(subject, "createContainer", &state, "creating", child->pid, err);
}

int wherry_child_run_start_hooks(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    struct wherry_state_text state = child->plan->state;

    state.directory = NULL;
    return wherry_hooks_run(subject, "startContainer", &state, "created", child->pid, err);
}
