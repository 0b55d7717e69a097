/* Signals by name. */
#pragma once

#include "wherry/error.h"

/* "9", "KILL", "SIGKILL", "sigkill", "RTMIN+3": the number, or negative with `err` set. */
int wherry_signal_parse(const char *text, struct wherry_error *err);
