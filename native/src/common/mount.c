/* See wherry/mount.h. */
#include "wherry/mount.h"

#include <errno.h>
#include <sys/mount.h>

int wherry_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data,
                 struct wherry_error *err)
{
    if (mount(source, target, type, flags, data) < 0)
        return wherry_error_set(err, errno, "mount %s", target);
    return 0;
}
