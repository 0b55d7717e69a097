/* Handing the descriptor of a filter's listener to the agent that serves it; see seccomp_listener.h. */
#include "seccomp_listener.h"

#include "wherry/cleanup.h"
#include "wherry/file.h"
#include "wherry/json.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* The name by which the specification knows the only descriptor that is sent. */
#define DESCRIPTOR "seccompFd"

static int connect_agent(const char *path, struct wherry_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return wherry_error_set(err, errno, "socket");
    if (strlen(path) >= sizeof(address.sun_path))
        return wherry_error_set(err, ENAMETOOLONG, "linux.seccomp.listenerPath: %s", path);
    strcpy(address.sun_path, path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return wherry_error_set(err, errno, "linux.seccomp.listenerPath: failed to connect with seccomp agent at %s",
                                path);
    return wherry_steal_fd(&fd);
}

static struct json_object *describe(const struct wherry_seccomp *seccomp, pid_t pid,
                                    const struct wherry_container *container, enum wherry_status status)
{
    struct json_object *object = json_object_new_object(), *names = json_object_new_array();

    if (object == NULL || names == NULL) {
        json_object_put(object);
        json_object_put(names);
        return NULL;
    }
    json_object_array_add(names, json_object_new_string(DESCRIPTOR));
    json_object_object_add(object, "ociVersion", json_object_new_string(container->oci_version));
    json_object_object_add(object, "fds", names);
    json_object_object_add(object, "pid", json_object_new_int(pid));
    if (seccomp->listener_metadata != NULL)
        json_object_object_add(object, "metadata", json_object_new_string(seccomp->listener_metadata));
    json_object_object_add(object, "state", wherry_container_state(container, status));
    return object;
}

/* The descriptor goes with the first bytes; a text that does not fit the socket's buffer follows in pieces. */
static int send_text(int fd, const char *text, size_t length, int listener)
{
    struct iovec data = {.iov_base = (void *)text, .iov_len = length};
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    ssize_t sent;

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &listener, sizeof(int));
    do {
        sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    for (size_t done = (size_t)sent; sent >= 0 && done < length; done += (size_t)sent)
        sent = send(fd, text + done, length - done, MSG_NOSIGNAL);
    return sent < 0 ? -errno : 0;
}

int wherry_seccomp_listener_send(const struct wherry_seccomp *seccomp, int listener, pid_t pid,
                                 const struct wherry_container *container, enum wherry_status status,
                                 struct wherry_error *err)
{
    cleanup_json struct json_object *object = describe(seccomp, pid, container, status);
    cleanup_close int agent = -1;
    const char *text;
    size_t length = 0;
    int result;

    if (object == NULL)
        return wherry_error_set(err, ENOMEM, "state for the seccomp agent");
    agent = connect_agent(seccomp->listener_path, err);
    if (agent < 0)
        return agent;
    text = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
    result = send_text(agent, text, length, listener);
    return result < 0 ? wherry_error_set(err, -result, "linux.seccomp.listenerPath: send to %s", seccomp->listener_path)
                      : 0;
}
