/*
 * Capability sets by name: read from OCI process.capabilities in the parent, put into force in the child.
 *
 * Sources: capabilities(7), OCI runtime-spec config.md "capabilities".
 */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

/* One bit a capability, bit CAP_CHOWN is the lowest. */
struct wherry_capabilities {
    uint64_t bounding;
    uint64_t effective;
    uint64_t permitted;
    uint64_t inheritable;
    uint64_t ambient;
    uint64_t lacking; /* asked for, and taken out because they cannot be granted */
    char unknown[64]; /* names asked for that mean nothing here, joined by ", " and cut to fit */
};

#define WHERRY_CAPABILITIES_INIT                                                                                       \
    {                                                                                                                  \
        .bounding = 0                                                                                                  \
    }

/*
 * Reads the five sets; `capabilities` NULL means five empty sets. What cannot be granted is dropped and noted in
 * `lacking`, a name that is unknown in `unknown`, for a warning, as the specification demands ("MUST be logged as a
 * warning"): what the calling process lacks in its own bounding or permitted set, effective ones that are
 * not permitted, ambient ones that are not permitted and inheritable. With `all` nothing is lacking in the calling
 * process: who makes or joins a user namespace has every capability there, user_namespaces(7).
 */
int wherry_capabilities_parse(struct json_object *capabilities, bool all, struct wherry_capabilities *out,
                              struct wherry_error *err);

/* "CAP_CHOWN", or NULL for a number that has no name here. */
const char *wherry_capability_name(unsigned number);

/* Writes the names in `set`, joined by ", ", to `text`; cut to fit. For warnings. */
void wherry_capabilities_describe(uint64_t set, char *text, size_t size);

/* Child side, all async-signal-safe, each returns 0 or -errno. In this order: limit_bounding while CAP_SETPCAP is still
 * effective, keep across the change of user, setuid, apply. */
int wherry_capabilities_limit_bounding(const struct wherry_capabilities *capabilities);
int wherry_capabilities_keep(void);
int wherry_capabilities_apply(const struct wherry_capabilities *capabilities);
