/* Steps of the child: the hooks that belong to its place in the order; see child.h. */
#include "child.h"
#include "hooks.h"
#include "message.h"

int wherry_child_await_runtime_hooks(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    int result = wherry_message_ask(child->sync_fd, WHERRY_MESSAGE_RUN_HOOKS, WHERRY_MESSAGE_HOOKS_DONE);

    (void)subject;
    return result < 0 ? wherry_error_set(err, -result, "wait for the runtime's hooks") : 0;
}

int wherry_child_run_create_hooks(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    return wherry_hooks_run(subject, "createContainer", &child->plan->state, "creating", child->pid, err);
}

int wherry_child_run_start_hooks(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    return wherry_hooks_run(subject, "startContainer", &child->plan->state, "created", child->pid, err);
}
