/* A connection to a D-Bus peer or bus; see dbus_connection.h. */
#include "dbus_connection.h"

#include "wherry/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define LINE_MAX_BYTES 512

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

static int await(struct dbus_connection *connection, short events, struct wherry_error *err)
{
    struct pollfd poll_fd = {.fd = connection->fd, .events = events};

    for (;;) {
        int64_t left = connection->deadline - now();
        int ready = left > 0 ? poll(&poll_fd, 1, (int)left) : 0;

        if (ready > 0)
            return 0;
        if (ready == 0)
            return wherry_error_set(err, ETIMEDOUT, "D-Bus: no answer");
        if (errno != EINTR)
            return wherry_error_set(err, errno, "D-Bus: poll");
    }
}

static int send_all(struct dbus_connection *connection, const void *data, size_t length, struct wherry_error *err)
{
    const unsigned char *at = data;

    while (length > 0) {
        ssize_t sent = send(connection->fd, at, length, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EAGAIN) {
            int result = await(connection, POLLOUT, err);

            if (result < 0)
                return result;
            continue;
        }
        if (sent < 0 && errno != EINTR)
            return wherry_error_set(err, errno, "D-Bus: send");
        at += sent > 0 ? sent : 0;
        length -= sent > 0 ? (size_t)sent : 0;
    }
    return 0;
}

static int receive(struct dbus_connection *connection, void *data, size_t length, struct wherry_error *err)
{
    unsigned char *at = data;

    while (length > 0) {
        ssize_t got = recv(connection->fd, at, length, MSG_DONTWAIT);

        if (got == 0)
            return wherry_error_set(err, EPIPE, "D-Bus: the other side has hung up");
        if (got < 0 && errno == EAGAIN) {
            int result = await(connection, POLLIN, err);

            if (result < 0)
                return result;
            continue;
        }
        if (got < 0 && errno != EINTR)
            return wherry_error_set(err, errno, "D-Bus: receive");
        at += got > 0 ? got : 0;
        length -= got > 0 ? (size_t)got : 0;
    }
    return 0;
}

/* One line of the authentication, without its end. Byte by byte: what follows BEGIN is no text any more. */
static int receive_line(struct dbus_connection *connection, char line[LINE_MAX_BYTES], struct wherry_error *err)
{
    for (size_t used = 0; used + 1 < LINE_MAX_BYTES; used++) {
        int result = receive(connection, &line[used], 1, err);

        if (result < 0)
            return result;
        if (used > 0 && line[used] == '\n' && line[used - 1] == '\r') {
            line[used - 1] = '\0';
            return 0;
        }
    }
    return wherry_error_set(err, EPROTO, "D-Bus: a line that is too long");
}

/* EXTERNAL: the kernel tells the other side who this is; its number is said in hexadecimal digits of its digits. */
static int authenticate(struct dbus_connection *connection, struct wherry_error *err)
{
    char uid[16], request[64] = "", line[LINE_MAX_BYTES];
    size_t used;
    int result;

    snprintf(uid, sizeof(uid), "%u", (unsigned)geteuid());
    used = (size_t)snprintf(request + 1, sizeof(request) - 1, "AUTH EXTERNAL ") + 1;
    for (const char *at = uid; *at != '\0'; at++)
        used += (size_t)snprintf(request + used, sizeof(request) - used, "%02x", (unsigned)*at);
    /* BEGIN does not wait for the answer: systemd's side goes to sleep on a call that it has read together with it. */
    used += (size_t)snprintf(request + used, sizeof(request) - used, "\r\nBEGIN\r\n");
    /* With the NUL byte before it that every connection begins with. */
    result = send_all(connection, request, used, err);
    if (result >= 0)
        result = receive_line(connection, line, err);
    if (result >= 0 && strncmp(line, "OK ", 3) != 0)
        return wherry_error_set(err, EACCES, "D-Bus: not let in: %.100s", line);
    return result < 0 ? result : 0;
}

/* One address, of which only unix sockets are known. 0: of another kind. */
static int parse_address(const char *address, size_t length, struct sockaddr_un *socket_address)
{
    static const char *const kinds[] = {"unix:path=", "unix:abstract="};

    for (size_t i = 0; i < 2; i++) {
        size_t prefix = strlen(kinds[i]);
        size_t path = length > prefix ? strcspn(address + prefix, ",;") : 0;

        if (path == 0 || strncmp(address, kinds[i], prefix) != 0)
            continue;
        if (i + path >= sizeof(socket_address->sun_path))
            return 0;
        memset(socket_address, 0, sizeof(*socket_address));
        socket_address->sun_family = AF_UNIX;
        memcpy(socket_address->sun_path + i, address + prefix, path);
        return (int)(offsetof(struct sockaddr_un, sun_path) + i + path + (i == 0));
    }
    return 0;
}

static int connect_any(const char *addresses, struct wherry_error *err)
{
    int code = EINVAL;

    for (const char *at = addresses; *at != '\0';) {
        size_t length = strcspn(at, ";");
        struct sockaddr_un address;
        int size = parse_address(at, length, &address);
        cleanup_close int fd = size > 0 ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;

        if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, (socklen_t)size) == 0)
            return wherry_steal_fd(&fd);
        if (size > 0)
            code = errno;
        at += length + (at[length] == ';');
    }
    return wherry_error_set(err, code, "D-Bus: connect to %s", addresses);
}

static int say_hello(struct dbus_connection *connection, struct wherry_error *err)
{
    struct dbus_call call = {.destination = "org.freedesktop.DBus",
                             .path = "/org/freedesktop/DBus",
                             .interface = "org.freedesktop.DBus",
                             .member = "Hello"};
    struct dbus_message reply = {.data = NULL};
    int result = dbus_call(connection, &call, &reply, NULL, err);

    free(reply.data);
    return result;
}

int dbus_connect(struct dbus_connection *connection, const char *address, bool bus, int milliseconds,
                 struct wherry_error *err)
{
    int result;

    *connection = (struct dbus_connection){.bus = bus, .deadline = now() + milliseconds};
    connection->fd = connect_any(address, err);
    if (connection->fd < 0)
        return connection->fd;
    result = authenticate(connection, err);
    if (result >= 0 && bus)
        result = say_hello(connection, err);
    if (result < 0)
        dbus_disconnect(connection);
    return result < 0 ? result : 0;
}

static int receive_message(struct dbus_connection *connection, struct dbus_message *message, struct wherry_error *err)
{
    cleanup_free unsigned char *data = NULL;
    unsigned char head[DBUS_HEAD];
    size_t length = 0;
    int result = receive(connection, head, sizeof(head), err);

    if (result >= 0)
        result = dbus_message_length(head, &length, err);
    if (result < 0)
        return result;
    data = malloc(length);
    if (data == NULL)
        return wherry_error_set(err, ENOMEM, "D-Bus message");
    memcpy(data, head, sizeof(head));
    result = receive(connection, data + sizeof(head), length - sizeof(head), err);
    if (result >= 0)
        result = dbus_message_read(data, length, message, err);
    if (result >= 0)
        (void)wherry_steal_pointer(&data);
    return result;
}

int dbus_wait(struct dbus_connection *connection, struct wherry_error *err)
{
    struct dbus_message message;
    int result = receive_message(connection, &message, err);

    if (result < 0)
        return result;
    if (message.type == DBUS_SIGNAL && connection->handler != NULL)
        connection->handler(&message, connection->data);
    free(message.data);
    return 0;
}

static int report(const struct dbus_call *call, const struct dbus_message *reply, char error_name[128],
                  struct wherry_error *err)
{
    const char *text = "";
    size_t at = 0;

    if (reply->signature[0] != 's' || !dbus_read_string(reply, &at, &text))
        text = "";
    if (error_name != NULL)
        snprintf(error_name, 128, "%s", reply->error);
    return wherry_error_set(err, 0, "%s: %s (%s)", call->member, text, reply->error);
}

int dbus_call(struct dbus_connection *connection, const struct dbus_call *call, struct dbus_message *reply,
              char error_name[128], struct wherry_error *err)
{
    struct dbus_writer message = DBUS_WRITER_INIT;
    uint32_t serial = ++connection->serial;
    int result = dbus_message_write(call, serial, &message, err);

    if (error_name != NULL)
        error_name[0] = '\0';
    if (result >= 0)
        result = send_all(connection, message.data, message.length, err);
    dbus_writer_free(&message);
    while (result >= 0) {
        result = receive_message(connection, reply, err);
        if (result < 0)
            break;
        if (reply->type == DBUS_SIGNAL && connection->handler != NULL)
            connection->handler(reply, connection->data);
        if (reply->reply_serial == serial && reply->type == DBUS_METHOD_RETURN)
            return 0;
        if (reply->reply_serial == serial && reply->type == DBUS_ERROR)
            result = report(call, reply, error_name, err);
        free(reply->data);
        reply->data = NULL;
    }
    return result;
}

void dbus_disconnect(struct dbus_connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
}
