/* The loop of the container's process; see child.h. */
#include "child.h"

#include "message.h"
#include "start_report.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* The exit status of a process whose program was never reached; nobody but the runtime sees it. */
#define EXIT_NOT_STARTED 255

void wherry_child_run(const struct wherry_plan *plan, int sync_fd)
{
    /* Too large for comfort on the stack of a recursive step, and there is one child a process. */
    static struct wherry_child child;
    struct wherry_error err = WHERRY_ERROR_INIT;

    child.plan = plan;
    child.sync_fd = sync_fd;
    child.root_fd = child.proc_fd = child.sys_fd = child.null_fd = child.empty_fd = -1;
    for (int lsm = 0; lsm < WHERRY_LSM_KINDS; lsm++)
        child.label_fds[lsm] = -1;
    /* A runtime that is killed half way must not leave a half-made container running. Taken back before it says
     * "created". */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* What is made has the mode that is asked for; the container's own mask is set with its user. */
    umask(0);
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->operations[i].step(&child, plan->operations[i].subject, &err) >= 0)
            continue;
        wherry_start_report_failure(plan->report, &err);
        if (wherry_message_send(sync_fd, WHERRY_MESSAGE_FAILED, 0, &err) < 0 && child.reported &&
            plan->report == NULL) {
            /* The runtime has gone after "created", and the one that starts it asks nothing: the container's own
             * standard error is what is left to say it on. */
            ssize_t ignored = write(STDERR_FILENO, err.message, __builtin_strlen(err.message));

            ignored += write(STDERR_FILENO, "\n", 1);
            (void)ignored;
        }
        break;
    }
    _exit(EXIT_NOT_STARTED);
}
