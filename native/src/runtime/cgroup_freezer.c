/* Freezing and thawing: freezer.state on v1, cgroup.freeze on v2. */
#include "runtime/cgroup_file.h"
#include "runtime/cgroup_layout.h"
#include "runtime/cgroup_make.h"
#include "wherry/cgroup.h"

#include <errno.h>
#include <string.h>

#define FREEZE_US 10000000U
/* A v1 group in which processes are being made can stay FREEZING for ever; thawing for an instant lets them settle. */
#define V1_KICK_EVERY 8U

static int is_frozen(const struct wherry_cgroup_directory *directory)
{
    char text[256];
    int result =
        cgroup_file_read(directory->fd, directory->unified ? "cgroup.events" : "freezer.state", text, sizeof(text));

    if (result < 0)
        return result;
    return directory->unified ? strstr(text, "frozen 1") != NULL : strcmp(text, "FROZEN") == 0;
}

static int request(const struct wherry_cgroup_directory *directory, bool frozen)
{
    if (directory->unified)
        return cgroup_file_write(directory->fd, "cgroup.freeze", frozen ? "1" : "0");
    return cgroup_file_write(directory->fd, "freezer.state", frozen ? "FROZEN" : "THAWED");
}

static int wait_frozen(const struct wherry_cgroup_directory *directory, struct wherry_error *err)
{
    unsigned waited = 0;

    for (unsigned round = 0; waited < FREEZE_US; round++) {
        int result = is_frozen(directory);

        if (result > 0)
            return 0;
        if (result < 0)
            return wherry_error_set(err, -result, "read the freezer of %s", directory->path);
        if (!directory->unified && round % V1_KICK_EVERY == V1_KICK_EVERY - 1 && request(directory, false) == 0) {
            waited += cgroup_wait(0);
            (void)request(directory, true);
        }
        waited += cgroup_wait(round);
    }
    (void)request(directory, false);
    return wherry_error_set(err, ETIMEDOUT, "freeze %s: not all processes stopped", directory->path);
}

int cgroup_refuse_frozen(struct wherry_cgroup *cg, struct wherry_error *err)
{
    struct wherry_cgroup_directory *directory = cgroup_directory_of(cg, CGROUP_FREEZER);
    int result;

    if (directory == NULL)
        return 0;
    result = cgroup_directory_open(directory, err);
    if (result < 0)
        return result;
    result = is_frozen(directory);
    if (result <= 0)
        return result < 0 ? wherry_error_set(err, -result, "read the freezer of %s", directory->path) : 0;
    return wherry_error_set(err, EBUSY, "linux.cgroupsPath: %s: container's cgroup unexpectedly frozen",
                            directory->path);
}

int wherry_cgroup_freeze(struct wherry_cgroup *cg, bool frozen, struct wherry_error *err)
{
    struct wherry_cgroup_directory *directory = cgroup_directory_of(cg, CGROUP_FREEZER);
    int result;

    if (directory == NULL)
        return wherry_error_set(err, ENOTSUP, "the freezer controller is not mounted on this host");
    result = cgroup_directory_open(directory, err);
    if (result < 0)
        return result;
    result = request(directory, frozen);
    if (result < 0)
        return wherry_error_set(err, -result, "%s %s", frozen ? "freeze" : "thaw", directory->path);
    return frozen ? wait_frozen(directory, err) : 0;
}
