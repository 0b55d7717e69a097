/* Calls to systemd's manager; see systemd_unit.h. */
#include "systemd_unit.h"

#include "dbus_connection.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVICE "org.freedesktop.systemd1"
#define MANAGER SERVICE ".Manager"
#define OBJECT "/org/freedesktop/systemd1"
#define TIMEOUT 30000
#define JOBS_MAX 8

/* Jobs of one unit that have been heard to end. */
struct jobs {
    const char *unit;
    size_t count;
    struct {
        char path[128];
        char result[32];
    } list[JOBS_MAX];
};

/* JobRemoved(u id, o job, s unit, s result) */
static void note_job(const struct dbus_message *message, void *data)
{
    struct jobs *jobs = data;
    const char *path, *unit, *result;
    uint32_t id;
    size_t at = 0;

    if (strcmp(message->member, "JobRemoved") != 0 || strcmp(message->signature, "uoss") != 0 ||
        !dbus_read_u32(message, &at, &id) || !dbus_read_string(message, &at, &path) ||
        !dbus_read_string(message, &at, &unit) || !dbus_read_string(message, &at, &result) ||
        strcmp(unit, jobs->unit) != 0 || jobs->count == JOBS_MAX)
        return;
    snprintf(jobs->list[jobs->count].path, sizeof(jobs->list[0].path), "%s", path);
    snprintf(jobs->list[jobs->count++].result, sizeof(jobs->list[0].result), "%s", result);
}

static const char *job_result(const struct jobs *jobs, const char *path)
{
    for (size_t i = 0; i < jobs->count; i++) {
        if (strcmp(jobs->list[i].path, path) == 0)
            return jobs->list[i].result;
    }
    return NULL;
}

/* An address below XDG_RUNTIME_DIR; "" without one. */
static void user_address(const char *name, char address[256])
{
    const char *directory = getenv("XDG_RUNTIME_DIR");

    address[0] = '\0';
    if (directory != NULL && snprintf(address, 256, "unix:path=%s/%s", directory, name) >= 256)
        address[0] = '\0';
}

static int connect_first(struct dbus_connection *connection, struct wherry_error *err)
{
    bool user = geteuid() != 0;
    const char *given = getenv(user ? "DBUS_SESSION_BUS_ADDRESS" : "DBUS_SYSTEM_BUS_ADDRESS");
    char direct[256] = "unix:path=/run/systemd/private", bus[256] = "unix:path=/run/dbus/system_bus_socket";
    int result;

    if (user) {
        user_address("systemd/private", direct);
        user_address("bus", bus);
    }
    if (given != NULL && given[0] != '\0')
        return dbus_connect(connection, given, true, TIMEOUT, err);
    result = direct[0] != '\0' ? dbus_connect(connection, direct, false, TIMEOUT, err) : -ENOENT;
    if (result >= 0)
        return result;
    return bus[0] != '\0' ? dbus_connect(connection, bus, true, TIMEOUT, err)
                          : wherry_error_set(err, ENOENT, "XDG_RUNTIME_DIR is not set");
}

static struct dbus_call manager_call(const struct dbus_connection *connection, const char *member,
                                     const char *signature)
{
    return (struct dbus_call){.destination = connection->bus ? SERVICE : NULL,
                              .path = OBJECT,
                              .interface = MANAGER,
                              .member = member,
                              .signature = signature};
}

/* Calls, and gives back the call's body. */
static int call(struct dbus_connection *connection, struct dbus_call *one, struct dbus_message *reply,
                char error_name[128], struct wherry_error *err)
{
    int result = dbus_call(connection, one, reply, error_name, err);

    dbus_writer_free(&one->body);
    return result;
}

/* The same where the reply does not matter. */
static int call_only(struct dbus_connection *connection, struct dbus_call *one, struct wherry_error *err)
{
    struct dbus_message reply = {.data = NULL};
    int result = call(connection, one, &reply, NULL, err);

    free(reply.data);
    return result;
}

/* A bus passes on only what is asked for, and the manager tells a bus about jobs only when asked to. */
static int listen_on_bus(struct dbus_connection *connection, struct wherry_error *err)
{
    struct dbus_call match = {.destination = "org.freedesktop.DBus",
                              .path = "/org/freedesktop/DBus",
                              .interface = "org.freedesktop.DBus",
                              .member = "AddMatch",
                              .signature = "s"};
    struct dbus_call subscribe = manager_call(connection, "Subscribe", NULL);
    int result;

    dbus_write_string(&match.body, "type='signal',sender='" SERVICE "',interface='" MANAGER "',member='JobRemoved'");
    result = call_only(connection, &match, err);
    return result < 0 ? result : call_only(connection, &subscribe, err);
}

static int connect_manager(struct dbus_connection *connection, struct jobs *jobs, struct wherry_error *err)
{
    int result = connect_first(connection, err);

    if (result < 0)
        return wherry_error_prefix(err, "--systemd-cgroup: systemd cannot be reached");
    connection->handler = jobs->unit != NULL ? note_job : NULL;
    connection->data = jobs;
    if (connection->bus && jobs->unit != NULL)
        result = listen_on_bus(connection, err);
    if (result < 0)
        dbus_disconnect(connection);
    return result;
}

static int reset(struct dbus_connection *connection, const char *unit, struct wherry_error *err)
{
    struct dbus_call one = manager_call(connection, "ResetFailedUnit", "s");

    dbus_write_string(&one.body, unit);
    return call_only(connection, &one, err);
}

/* Waits for the end of the job that `reply` names. */
static int await_job(struct dbus_connection *connection, struct jobs *jobs, const struct dbus_message *reply,
                     struct wherry_error *err)
{
    const char *path, *outcome;
    size_t at = 0;

    if (strcmp(reply->signature, "o") != 0 || !dbus_read_string(reply, &at, &path))
        return wherry_error_set(err, EPROTO, "unit %s: systemd's reply names no job", jobs->unit);
    while ((outcome = job_result(jobs, path)) == NULL) {
        int result = dbus_wait(connection, err);

        if (result < 0)
            return wherry_error_prefix(err, "unit %s: wait for its job", jobs->unit);
    }
    if (strcmp(outcome, "done") != 0)
        return wherry_error_set(err, 0, "unit %s: systemd's job ended as \"%s\"", jobs->unit, outcome);
    return 0;
}

static int start(struct dbus_connection *connection, struct jobs *jobs, const struct systemd_properties *properties,
                 char error_name[128], struct wherry_error *err)
{
    struct dbus_call one = manager_call(connection, "StartTransientUnit", "ssa(sv)a(sa(sv))");
    struct dbus_message reply = {.data = NULL};
    struct wherry_error ignored;
    int result;

    dbus_write_string(&one.body, jobs->unit);
    dbus_write_string(&one.body, "replace");
    systemd_properties_write(properties, &one.body);
    dbus_write_array_end(&one.body, dbus_write_array_begin(&one.body, 8), 8);
    result = call(connection, &one, &reply, error_name, err);
    if (result >= 0) {
        result = await_job(connection, jobs, &reply, err);
        if (result < 0)
            reset(connection, jobs->unit, &ignored);
    }
    free(reply.data);
    return result < 0 ? wherry_error_prefix(err, "start %s", jobs->unit) : 0;
}

int systemd_unit_start(const char *unit, const struct systemd_properties *properties, struct wherry_error *err)
{
    struct dbus_connection connection = DBUS_CONNECTION_INIT;
    struct jobs jobs = {.unit = unit};
    struct wherry_error ignored;
    char error_name[128];
    int result = connect_manager(&connection, &jobs, err);

    if (result < 0)
        return result;
    result = start(&connection, &jobs, properties, error_name, err);
    /* What a container of that name left when it failed is kept by systemd until somebody has seen it. */
    if (result < 0 && strcmp(error_name, SERVICE ".UnitExists") == 0 && reset(&connection, unit, &ignored) >= 0)
        result = start(&connection, &jobs, properties, error_name, err);
    dbus_disconnect(&connection);
    return result;
}

int systemd_unit_set(const char *unit, const struct systemd_properties *properties, struct wherry_error *err)
{
    struct dbus_connection connection = DBUS_CONNECTION_INIT;
    struct jobs jobs = {.unit = NULL};
    struct dbus_call one;
    int result;

    if (properties->count == 0)
        return 0;
    result = connect_manager(&connection, &jobs, err);
    if (result < 0)
        return result;
    one = manager_call(&connection, "SetUnitProperties", "sba(sv)");
    dbus_write_string(&one.body, unit);
    dbus_write_u32(&one.body, 1); /* runtime: until the next boot */
    systemd_properties_write(properties, &one.body);
    result = call_only(&connection, &one, err);
    dbus_disconnect(&connection);
    return result < 0 ? wherry_error_prefix(err, "change %s", unit) : 0;
}

int systemd_unit_stop(const char *unit, struct wherry_error *err)
{
    struct dbus_connection connection = DBUS_CONNECTION_INIT;
    struct jobs jobs = {.unit = unit};
    struct dbus_message reply = {.data = NULL};
    struct wherry_error ignored;
    struct dbus_call one;
    char error_name[128];
    int result = connect_manager(&connection, &jobs, err);

    if (result < 0)
        return result;
    one = manager_call(&connection, "StopUnit", "ss");
    dbus_write_string(&one.body, unit);
    dbus_write_string(&one.body, "replace");
    result = call(&connection, &one, &reply, error_name, err);
    if (result >= 0)
        result = await_job(&connection, &jobs, &reply, err);
    else if (strcmp(error_name, SERVICE ".NoSuchUnit") == 0)
        result = 0;
    free(reply.data);
    reset(&connection, unit, &ignored);
    dbus_disconnect(&connection);
    return result < 0 ? wherry_error_prefix(err, "stop %s", unit) : 0;
}

int systemd_manager_group(char group[SYSTEMD_GROUP_MAX], struct wherry_error *err)
{
    struct dbus_connection connection = DBUS_CONNECTION_INIT;
    struct dbus_message reply = {.data = NULL};
    struct jobs jobs = {.unit = NULL};
    const char *type, *text;
    struct dbus_call one;
    size_t at = 0;
    int result = connect_manager(&connection, &jobs, err);

    if (result < 0)
        return result;
    one = manager_call(&connection, "Get", "ss");
    one.interface = "org.freedesktop.DBus.Properties";
    dbus_write_string(&one.body, MANAGER);
    dbus_write_string(&one.body, "ControlGroup");
    result = call(&connection, &one, &reply, NULL, err);
    dbus_disconnect(&connection);
    if (result >= 0 && (!dbus_read_signature(&reply, &at, &type) || strcmp(type, "s") != 0 ||
                        !dbus_read_string(&reply, &at, &text) || strlen(text) >= SYSTEMD_GROUP_MAX))
        result = wherry_error_set(err, EPROTO, "systemd does not tell its control group");
    if (result >= 0)
        snprintf(group, SYSTEMD_GROUP_MAX, "%s", strcmp(text, "/") == 0 ? "" : text);
    free(reply.data);
    return result;
}
