/* Messages between the runtime and the container's process; see message.h. */
#include "message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int wherry_message_send(int fd, enum wherry_message_kind kind, pid_t pid, const struct wherry_error *error)
{
    struct wherry_message message = {.kind = kind, .pid = pid};
    ssize_t sent;

    if (error != NULL)
        message.error = *error;
    do {
        sent = send(fd, &message, sizeof(message), MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

int wherry_message_receive(int fd, struct wherry_message *message)
{
    ssize_t got;

    do {
        got = recv(fd, message, sizeof(*message), 0);
    } while (got < 0 && errno == EINTR);
    /* A process that was killed with unread messages resets the connection: for the reader it is gone all the same. */
    if (got < 0)
        return errno == ECONNRESET ? 0 : -errno;
    if (got == 0)
        return 0;
    return got == sizeof(*message) ? 1 : -EPROTO;
}

int wherry_message_ask(int fd, enum wherry_message_kind question, enum wherry_message_kind answer)
{
    struct wherry_message message;
    int result = wherry_message_send(fd, question, 0, NULL);

    if (result < 0)
        return result;
    result = wherry_message_receive(fd, &message);
    if (result <= 0)
        return result < 0 ? result : -EPIPE;
    return message.kind == answer ? 0 : -EPROTO;
}
