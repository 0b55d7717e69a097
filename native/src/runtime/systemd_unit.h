/*
 * The manager's calls for one scope: started, changed, stopped. Source: org.freedesktop.systemd1(5).
 *
 * Root talks to the system's manager, by DBUS_SYSTEM_BUS_ADDRESS if that is set, else directly (/run/systemd/private)
 * or over the system bus; anybody else to his own, below XDG_RUNTIME_DIR.
 */
#pragma once

#include "systemd_name.h"
#include "systemd_property.h"
#include "wherry/error.h"

/* Starts a transient scope and waits until it is there. A unit of that name that has failed is given up for it. */
int systemd_unit_start(const char *unit, const struct systemd_properties *properties, struct wherry_error *err);

/* Changes properties of a running unit until the next boot. */
int systemd_unit_set(const char *unit, const struct systemd_properties *properties, struct wherry_error *err);

/* Stops it, waits until it is gone, and forgets that it failed. One that is not there is no error. */
int systemd_unit_stop(const char *unit, struct wherry_error *err);

/* The manager's own group, below which all others are: "" for the system's. */
int systemd_manager_group(char group[SYSTEMD_GROUP_MAX], struct wherry_error *err);
