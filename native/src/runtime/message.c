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

/* A process that was killed with unread messages resets the connection: for the reader it is gone all the same. */
static int check(ssize_t got, struct wherry_message *message)
{
    if (got < 0)
        return errno == ECONNRESET ? 0 : -errno;
    if (got == 0)
        return 0;
    if (got != sizeof(*message))
        return -EPROTO;
    /* A sender that the container has got hold of is not to be trusted with the end of a string. */
    message->error.message[sizeof(message->error.message) - 1] = '\0';
    return 1;
}

int wherry_message_receive(int fd, struct wherry_message *message)
{
    ssize_t got;

    do {
        got = recv(fd, message, sizeof(*message), 0);
    } while (got < 0 && errno == EINTR);
    return check(got, message);
}

int wherry_message_ask_for_senders(int fd)
{
    int on = 1;

    return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ? -errno : 0;
}

int wherry_message_receive_from(int fd, struct wherry_message *message, pid_t *sender)
{
    struct iovec data = {.iov_base = message, .iov_len = sizeof(*message)};
    union {
        char space[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr header = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)};
    const struct cmsghdr *item;
    struct ucred who;
    ssize_t got;
    int result;

    do {
        got = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    result = check(got, message);
    if (result <= 0)
        return result;
    item = CMSG_FIRSTHDR(&header);
    if (item == NULL || item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_CREDENTIALS)
        return -EPROTO;
    memcpy(&who, CMSG_DATA(item), sizeof(who));
    *sender = who.pid;
    return 1;
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
