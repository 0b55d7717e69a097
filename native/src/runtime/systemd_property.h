/*
 * Properties of a systemd unit: from limits, device rules and annotations, written as D-Bus's a(sv).
 *
 * Sources: org.freedesktop.systemd1(5), systemd.resource-control(5), the text form of GVariant for annotations.
 */
#pragma once

#include "dbus_message.h"
#include "runtime/cgroup_devices.h"
#include "runtime/cgroup_setting.h"
#include "wherry/arena.h"
#include "wherry/cgroup.h"
#include "wherry/error.h"

#include <stddef.h>
#include <stdint.h>

struct json_object;

#define SYSTEMD_ANNOTATION "org.systemd.property."

struct systemd_property {
    const char *name;
    const char *signature; /* s, b, n, q, i, u, x, t, as, au, ay or a(ss) */
    uint64_t number;       /* of a single number or boolean */
    const char **texts;    /* of s, as and a(ss) */
    const uint32_t *numbers;
    const unsigned char *bytes;
    size_t count; /* of texts, numbers or bytes */
};

struct systemd_properties {
    struct wherry_arena arena;
    struct systemd_property *list;
    size_t count, room;
};

#define SYSTEMD_PROPERTIES_INIT                                                                                        \
    {                                                                                                                  \
        .arena = WHERRY_ARENA_INIT, .list = NULL                                                                       \
    }

/* Appends; what it refers to has to outlive the list (literals, or from its arena). */
int systemd_properties_add(struct systemd_properties *properties, struct systemd_property property,
                           struct wherry_error *err);
int systemd_properties_add_text(struct systemd_properties *properties, const char *name, const char *text,
                                struct wherry_error *err);
int systemd_properties_add_number(struct systemd_properties *properties, const char *name, const char *signature,
                                  uint64_t number, struct wherry_error *err);

/* Those settings that systemd knows too, so that it does not put its own in their place when it applies a unit anew.
 * Those that it does not know are in the files alone. */
int systemd_properties_add_settings(struct systemd_properties *properties, const struct cgroup_settings *settings,
                                    struct wherry_cgroup *cg, struct wherry_error *err);

/* On v1, where systemd writes the rules of a unit anew and in place of others: the same rules, as far as it knows them.
 */
int systemd_properties_add_devices(struct systemd_properties *properties, const struct cgroup_device_rules *rules,
                                   struct wherry_error *err);

/* Annotations org.systemd.property.NAME: VALUE in GVariant's text form; NAME ending in "Sec" is in seconds. */
int systemd_properties_add_annotations(struct systemd_properties *properties, struct json_object *annotations,
                                       struct wherry_error *err);

void systemd_properties_write(const struct systemd_properties *properties, struct dbus_writer *body);
void systemd_properties_free(struct systemd_properties *properties);

static inline void cleanup_systemd_properties_free(struct systemd_properties *properties)
{
    systemd_properties_free(properties);
}

#define cleanup_systemd_properties __attribute__((cleanup(cleanup_systemd_properties_free)))
