/* Names of scopes and slices; see systemd_name.h. */
#include "systemd_name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FIELD "linux.cgroupsPath"
#define SLICE ".slice"

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);

    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static bool is_unit_name(const char *text)
{
    return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@")] == '\0';
}

/* "a-b.slice" is inside "a.slice": writes "/a.slice/a-b.slice". */
static int expand_slice(const char *slice, char *group, size_t room, struct wherry_error *err)
{
    size_t length = strlen(slice) - strlen(SLICE), used = 0;

    group[0] = '\0';
    if (strcmp(slice, "-" SLICE) == 0)
        return 0;
    for (size_t i = 0; i <= length; i++) {
        if (i < length && slice[i] != '-')
            continue;
        /* No part may be empty. */
        if (i == 0 || slice[i - 1] == '-')
            return wherry_error_set(err, EINVAL, FIELD ": \"%s\": is not the name of a slice", slice);
        used += (size_t)snprintf(group + used, room - used, "/%.*s" SLICE, (int)i, slice);
        if (used >= room)
            return wherry_error_set(err, ENAMETOOLONG, FIELD ": \"%s\"", slice);
    }
    return 0;
}

/* Copies one of the three parts; *at goes on behind the colon that ends it. */
static bool take_part(const char **at, char part[SYSTEMD_NAME_MAX], bool last)
{
    size_t length = last ? strlen(*at) : strcspn(*at, ":");

    if (length >= SYSTEMD_NAME_MAX || (!last && (*at)[length] != ':'))
        return false;
    memcpy(part, *at, length);
    part[length] = '\0';
    *at += length + !last;
    return true;
}

static int check(const struct systemd_name *name, const char *last, struct wherry_error *err)
{
    if (last[0] == '\0' || !is_unit_name(name->unit))
        return wherry_error_set(err, EINVAL, FIELD ": \"%s\": is not the name of a unit", name->unit);
    if (ends_with(last, SLICE))
        return wherry_error_set(err, ENOTSUP, FIELD ": \"%s\": a container is a scope, and no slice", last);
    if (!is_unit_name(name->slice) || !ends_with(name->slice, SLICE) || strlen(name->slice) == strlen(SLICE))
        return wherry_error_set(err, EINVAL, FIELD ": \"%s\": is not the name of a slice", name->slice);
    return 0;
}

int systemd_name_parse(const char *cgroups_path, const char *id, bool user, struct systemd_name *name,
                       struct wherry_error *err)
{
    char prefix[SYSTEMD_NAME_MAX] = "wherry", last[SYSTEMD_NAME_MAX] = "";
    const char *at = cgroups_path;
    size_t used;
    int result;

    name->slice[0] = '\0';
    if (at == NULL || *at == '\0')
        snprintf(last, sizeof(last), "%s", id);
    else if (!take_part(&at, name->slice, false) || !take_part(&at, prefix, false) || !take_part(&at, last, true))
        return wherry_error_set(err, EINVAL, FIELD ": \"%s\": must be SLICE:PREFIX:NAME with --systemd-cgroup",
                                cgroups_path);
    if (name->slice[0] == '\0')
        snprintf(name->slice, sizeof(name->slice), "%s", user ? "user" SLICE : "system" SLICE);
    if ((size_t)snprintf(name->unit, sizeof(name->unit), "%s%s%s.scope", prefix, prefix[0] != '\0' ? "-" : "", last) >=
        sizeof(name->unit))
        return wherry_error_set(err, ENAMETOOLONG, FIELD ": \"%s\"", cgroups_path);
    result = check(name, last, err);
    if (result >= 0)
        result = expand_slice(name->slice, name->group, sizeof(name->group), err);
    if (result < 0)
        return result;
    used = strlen(name->group);
    if ((size_t)snprintf(name->group + used, sizeof(name->group) - used, "/%s", name->unit) >=
        sizeof(name->group) - used)
        return wherry_error_set(err, ENAMETOOLONG, FIELD ": \"%s\"", name->unit);
    return 0;
}
