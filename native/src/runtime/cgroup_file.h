/*
 * The small files of control group directories. Their names and values are the kernel's; nothing here follows a link.
 */
#pragma once

#include "wherry/cgroup.h"
#include "wherry/error.h"

#include <stddef.h>

/* The directory's descriptor, opened on first use; it stays the directory's own. */
int cgroup_directory_open(struct wherry_cgroup_directory *directory, struct wherry_error *err);

/* Reads up to size - 1 bytes and cuts the last newline. Returns the length, or -errno. */
int cgroup_file_read(int directory, const char *file, char *text, size_t size);

/* Writes `text` in one write. Returns 0 or -errno. */
int cgroup_file_write(int directory, const char *file, const char *text);

/* The directory that carries the controller, or NULL. */
struct wherry_cgroup_directory *cgroup_directory_of(struct wherry_cgroup *cg, unsigned controller);

/* Waits, from 50 microseconds, doubled in every `round`, to 20 milliseconds. Returns the microseconds waited. */
unsigned cgroup_wait(unsigned round);
