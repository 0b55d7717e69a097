/*
 * gzip of a rotated log: FILE becomes FILE.gz, by rename, in a process of its own (this program again, with
 * --compress). While it works it holds a lock on FILE.gz.tmp; it outlives the monitor that started it.
 */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>

#define LOG_COMPRESS_OPTION "--compress"

/* Starts the process; its pid, or a negative errno. */
int log_compress_start(const char *path);

/* Whether such a process works on the file, whoever started it. What one that was killed left behind is removed. */
bool log_compress_is_busy(const char *path);

/* What the process does. A file that was given another name meanwhile stays as it is. */
int log_compress_run(const char *path, struct wherry_error *err);
