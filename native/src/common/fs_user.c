/* See wherry/fs_user.h. */
#include "wherry/fs_user.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

int wherry_fs_user_become(uid_t uid, gid_t gid, struct wherry_error *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

    if (syscall(SYS_capget, &header, sets) < 0)
        return wherry_error_set(err, errno, "read capabilities");
    setfsgid(gid);
    setfsuid(uid); /* takes away those about files (capabilities(7), "Effect of user ID changes on capabilities") */
    if (syscall(SYS_capset, &header, sets) < 0)
        return wherry_error_set(err, errno, "raise capabilities");
    /* They return what was before, not whether they worked. */
    if ((uid_t)setfsuid((uid_t)-1) != uid || (gid_t)setfsgid((gid_t)-1) != gid)
        return wherry_error_set(err, EPERM, "become %u:%u for file systems", uid, gid);
    return 0;
}
