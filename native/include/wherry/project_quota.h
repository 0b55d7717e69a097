/*
 * Limits on the space that a directory takes: project quotas (quotactl(2), PRJQUOTA; ioctl_fsgetxattr,
 * FS_XFLAG_PROJINHERIT), which ext4 and xfs have when they are made and mounted with them. Linux 5.14 (quotactl_fd(2)).
 */
#pragma once

#include "wherry/error.h"

#include <stdint.h>

/* Puts the directory, and what is made below it from now on, into a project. */
int wherry_project_assign(const char *directory, uint32_t project, struct wherry_error *err);

/* The project of a directory in *project; 0: none. */
int wherry_project_of(const char *directory, uint32_t *project, struct wherry_error *err);

/* Bounds the project on the file system that the directory is on, in bytes; 0 takes the bound back. */
int wherry_project_limit(const char *directory, uint32_t project, uint64_t bytes, struct wherry_error *err);
