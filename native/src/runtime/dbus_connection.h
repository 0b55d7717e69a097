/*
 * A connection to a D-Bus peer or bus over a unix socket: authenticated, one call at a time, signals taken meanwhile.
 *
 * Source: D-Bus Specification, "Authentication Protocol", "Server Addresses", "Message Bus Messages".
 */
#pragma once

#include "dbus_message.h"
#include "wherry/error.h"

#include <stdbool.h>
#include <stdint.h>

/* Is told of every signal that arrives; the message ends with the call. */
typedef void dbus_signal_handler(const struct dbus_message *message, void *data);

struct dbus_connection {
    int fd;
    bool bus; /* there is a message bus between: calls have a destination */
    uint32_t serial;
    int64_t deadline; /* in milliseconds of CLOCK_MONOTONIC */
    dbus_signal_handler *handler;
    void *data;
};

#define DBUS_CONNECTION_INIT                                                                                           \
    {                                                                                                                  \
        .fd = -1                                                                                                       \
    }

/* Connects to an address ("unix:path=/run/dbus/system_bus_socket", also unix:abstract=, and several with ";" between)
 * and says who this process is. On a bus it also gets its name. All of the connection's life has to happen within
 * `milliseconds`. */
int dbus_connect(struct dbus_connection *connection, const char *address, bool bus, int milliseconds,
                 struct wherry_error *err);

/* Calls a method and waits for its reply, whose `data` the caller frees. An error reply becomes `err`; `error_name`,
 * which may be NULL, receives its name ("" for other failures). */
int dbus_call(struct dbus_connection *connection, const struct dbus_call *call, struct dbus_message *reply,
              char error_name[128], struct wherry_error *err);

/* Waits for one more message and hands it to the handler if it is a signal. */
int dbus_wait(struct dbus_connection *connection, struct wherry_error *err);

void dbus_disconnect(struct dbus_connection *connection);
