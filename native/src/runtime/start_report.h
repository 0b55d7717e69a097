/*
 * What becomes of a created container between `start` and its program: written by the container's process, read by the
 * runtime that starts it, which is not the one that has made it.
 *
 * Only containers have one whose startContainer or poststart hooks make `start` wait for the program. It is a mapped
 * file of the container's record, so that the process needs no system call to write it, which its filter might forbid.
 */
#pragma once

#include "wherry/error.h"

struct wherry_start_report {
    int executing; /* everything is done but the program's execution, which has a message only when it fails */
    char message[WHERRY_ERROR_MAX];
};

/* Makes the file in the record's directory and maps it; the plan that it is given to unmaps it. */
int wherry_start_report_make(int directory, struct wherry_start_report **report, struct wherry_error *err);

/* Fails with what the process had to say, or because it has ended without a word. For when it has ended or executed its
 * program. */
int wherry_start_report_read(int directory, struct wherry_error *err);

/* The process's side; `report` may be NULL. Async-signal-safe. */
void wherry_start_report_executing(struct wherry_start_report *report);
void wherry_start_report_failure(struct wherry_start_report *report, const struct wherry_error *err);
