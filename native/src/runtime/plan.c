/* A plan's list and what it holds; see plan.h. */
#include "plan.h"

#include "child.h"
#include "priorities.h"
#include "start_report.h"

#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void wherry_plan_push(struct wherry_plan *plan, wherry_step *step, const void *subject)
{
    if (plan->count == plan->room) {
        size_t room = plan->room == 0 ? 64 : plan->room * 2;
        struct wherry_operation *larger = wherry_arena_array(&plan->arena, room, sizeof(*larger));

        if (larger == NULL) {
            plan->incomplete = true;
            return;
        }
        if (plan->count > 0)
            memcpy(larger, plan->operations, plan->count * sizeof(*larger));
        plan->operations = larger;
        plan->room = room;
    }
    plan->operations[plan->count++] = (struct wherry_operation){step, subject};
}

/* Whether a variable of that name has a place in the table already, of twice as many slots as there are variables;
 * takes one when not. */
static bool has_variable(const char **table, size_t slots, const char *variable)
{
    size_t length = (size_t)(strchr(variable, '=') - variable) + 1;
    size_t at = 5381;

    for (size_t i = 0; i < length; i++)
        at = at * 33 + (unsigned char)variable[i];
    for (at %= slots; table[at] != NULL; at = (at + 1) % slots) {
        if (strncmp(table[at], variable, length) == 0)
            return true;
    }
    table[at] = variable;
    return false;
}

/* The environment with one slot more than it has, for HOME, which only the container's own user database can tell. Of
 * a variable that is given twice the last one counts, as where it is overridden for one process; getenv(3) would find
 * the first. */
static int prepare_environment(struct wherry_plan *plan, const struct wherry_process *process, struct wherry_error *err)
{
    struct wherry_identity *identity = &plan->identity;
    size_t count = process->env_count, kept = count;
    cleanup_free const char **table = calloc(2 * count + 1, sizeof(*table));
    char **all = wherry_arena_array(&plan->arena, count + 2, sizeof(char *));

    if (all == NULL || table == NULL)
        return wherry_error_set(err, ENOMEM, "process.env");
    for (size_t i = count; i-- > 0;) {
        if (has_variable(table, 2 * count + 1, process->env[i]))
            continue;
        memcpy(&all[--kept], &process->env[i], sizeof(char *));
        if (strncmp(process->env[i], "HOME=", 5) == 0)
            identity->has_home = true;
    }
    identity->environment = all + kept;
    identity->environment_count = count - kept;
    return 0;
}

/* A label that the kernel could not apply is refused; that nothing confines the process is so without AppArmor anyway.
 */
static int prepare_labels(struct wherry_identity *identity, struct wherry_error *err)
{
    static const char *const fields[] = {
        [WHERRY_LSM_APPARMOR] = "apparmorProfile", [WHERRY_LSM_SELINUX] = "selinuxLabel"};

    for (int i = 0; i < WHERRY_LSM_KINDS; i++) {
        const char *label = identity->process->labels[i];
        cleanup_close int root = -1;

        if (label == NULL)
            continue;
        root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (wherry_lsm_is_enabled((enum wherry_lsm)i, root))
            identity->labels[i] = label;
        else if (i != WHERRY_LSM_APPARMOR || strcmp(label, "unconfined") != 0)
            return wherry_error_set(err, 0, "process.%s: %s: this kernel runs without %s", fields[i], label,
                                    wherry_lsm_name((enum wherry_lsm)i));
    }
    return 0;
}

bool wherry_identity_has_labels(const struct wherry_identity *identity)
{
    return identity->labels[WHERRY_LSM_APPARMOR] != NULL || identity->labels[WHERRY_LSM_SELINUX] != NULL;
}

static int map_listener_slot(struct wherry_plan *plan, struct wherry_error *err)
{
    void *mapped = mmap(NULL, sizeof(*plan->listener_slot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (mapped == MAP_FAILED)
        return wherry_error_set(err, errno, "map memory for the seccomp listener");
    plan->listener_slot = mapped;
    return 0;
}

/* Of a user namespace whose maker could not drop groups either, user_namespaces(7). */
static bool are_groups_fixed(void)
{
    char answer[8] = "";
    cleanup_close int fd = open("/proc/self/setgroups", O_RDONLY | O_CLOEXEC);

    return fd >= 0 && read(fd, answer, sizeof(answer) - 1) > 0 && strncmp(answer, "deny", 4) == 0;
}

int wherry_identity_prepare(struct wherry_plan *plan, const struct wherry_process *process,
                            const struct wherry_execution_domain *domain, struct json_object *seccomp,
                            const char *cache_dir, struct wherry_error *err)
{
    struct wherry_identity *identity = &plan->identity;

    identity->process = process;
    identity->domain = domain;
    plan->groups_fixed = geteuid() != 0 || are_groups_fixed();
    if (prepare_environment(plan, process, err) < 0 || prepare_labels(identity, err) < 0 ||
        wherry_capabilities_parse(process->capabilities, plan->in_user_namespace, &identity->capabilities, err) < 0 ||
        wherry_rlimits_parse(process->rlimits, &identity->rlimits, err) < 0)
        return -1;
    if (seccomp == NULL)
        return 0;
    if (wherry_seccomp_compile(seccomp, cache_dir, &identity->seccomp, err) < 0)
        return -1;
    return wherry_seccomp_listens(&identity->seccomp) ? map_listener_slot(plan, err) : 0;
}

/* What the process does itself that its parent cannot do for it. */
static void push_birth(struct wherry_plan *plan)
{
    const struct wherry_process *process = plan->identity.process;

    if (plan->birth != WHERRY_BIRTH_BY_CLONE) {
        wherry_plan_push(plan, wherry_child_be_born, NULL);
        wherry_plan_push(plan, wherry_child_new_session, NULL);
        if (process->terminal)
            wherry_plan_push(plan, wherry_child_take_terminal, NULL);
    }
    /* Last of them the priorities: a process with a deadline can clone no more, and all that is left clones nothing. */
    if (wherry_priorities_wanted(process))
        wherry_plan_push(plan, wherry_child_await_priorities, NULL);
}

void wherry_plan_push_identity(struct wherry_plan *plan)
{
    struct wherry_identity *identity = &plan->identity;
    const struct wherry_process *process = identity->process;

    /* Before no_new_privs, which forbids a label that permits more; through descriptors that are closed right after. */
    if (wherry_identity_has_labels(identity))
        wherry_plan_push(plan, wherry_child_write_labels, identity);
    /* What has served to set the container up is of no use from here on, and some of it is the host's; a created
     * container may wait for its start for long, and others may join it meanwhile. */
    wherry_plan_push(plan, wherry_child_close_descriptors, NULL);
    /* After the terminal has replaced the standard streams, while the process may still give files away. */
    wherry_plan_push(plan, wherry_child_own_streams, process);
    /* As root first: a directory that only root may enter is a lawful working directory. */
    wherry_plan_push(plan, wherry_child_change_directory, process->cwd);
    /* In the cgroup, which decides on what can be had; a filter or the new user could forbid them. */
    if (identity->domain->has_personality)
        wherry_plan_push(plan, wherry_child_set_personality, identity->domain);
    if (identity->domain->memory_policy != NULL)
        wherry_plan_push(plan, wherry_child_set_memory_policy, identity->domain->memory_policy);
    if (plan->birth != WHERRY_BIRTH_LAST)
        push_birth(plan);
    /* A filter without no_new_privs needs CAP_SYS_ADMIN, seccomp(2): before the capabilities are dropped. */
    if (identity->seccomp.length > 0 && !process->no_new_privileges)
        wherry_plan_push(plan, wherry_child_install_seccomp, &identity->seccomp);
    /* Limits may only be raised with CAP_SYS_RESOURCE: before it is dropped. */
    if (identity->rlimits.count > 0)
        wherry_plan_push(plan, wherry_child_set_rlimits, &identity->rlimits);
    wherry_plan_push(plan, wherry_child_change_user, identity);
    /* Some directories only let their own user in. */
    wherry_plan_push(plan, wherry_child_change_directory_again, process->cwd);
    if (process->no_new_privileges)
        wherry_plan_push(plan, wherry_child_set_no_new_privileges, NULL);
    if (plan->birth == WHERRY_BIRTH_LAST)
        push_birth(plan);
    /* As the user, in the directory, and with the /proc/self that the program will have. */
    wherry_plan_push(plan, wherry_child_find_program, identity);
    /* While the runtime is there that hands the listener over; by the time of `start` it has gone. */
    if (process->no_new_privileges && wherry_seccomp_listens(&identity->seccomp))
        wherry_plan_push(plan, wherry_child_install_seccomp, &identity->seccomp);
}

void wherry_plan_push_late_filter(struct wherry_plan *plan)
{
    struct wherry_identity *identity = &plan->identity;

    if (!plan->filtered && identity->seccomp.length > 0 && identity->process->no_new_privileges &&
        !wherry_seccomp_listens(&identity->seccomp))
        wherry_plan_push(plan, wherry_child_install_seccomp, &identity->seccomp);
    plan->filtered = true;
}

void wherry_plan_push_execute(struct wherry_plan *plan)
{
    wherry_plan_push_late_filter(plan);
    wherry_plan_push(plan, wherry_child_execute, &plan->identity);
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void wherry_plan_free(struct wherry_plan *plan)
{
    for (const struct wherry_planned_bind *bind = plan->binds; bind != NULL; bind = bind->next)
        close_fd(bind->tree);
    close_fd(plan->root_tree);
    close_fd(plan->idmap_fd);
    close_fd(plan->start_fd);
    if (plan->listener_slot != NULL)
        munmap(plan->listener_slot, sizeof(*plan->listener_slot));
    if (plan->report != NULL)
        munmap(plan->report, sizeof(*plan->report));
    close_fd(plan->console_socket);
    close_fd(plan->pidfd);
    wherry_seccomp_free(&plan->identity.seccomp);
    wherry_arena_free(&plan->arena);
    *plan = (struct wherry_plan)WHERRY_PLAN_INIT;
}
