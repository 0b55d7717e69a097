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

int wherry_message_send_fd(int fd, enum wherry_message_kind kind, int passed)
{
    struct wherry_message message = {.kind = kind};
    struct iovec data = {.iov_base = &message, .iov_len = sizeof(message)};
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr packet = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&packet);
    ssize_t sent;

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &passed, sizeof(int));
    do {
        sent = sendmsg(fd, &packet, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

/* What came beside the message: a descriptor, and the sender where the socket asks for it. */
static void take_extras(struct msghdr *packet, struct wherry_message *message, pid_t *sender)
{
    for (struct cmsghdr *header = CMSG_FIRSTHDR(packet); header != NULL; header = CMSG_NXTHDR(packet, header)) {
        struct ucred who;

        if (header->cmsg_level != SOL_SOCKET)
            continue;
        if (header->cmsg_type == SCM_RIGHTS)
            memcpy(&message->fd, CMSG_DATA(header), sizeof(int));
        if (header->cmsg_type == SCM_CREDENTIALS) {
            memcpy(&who, CMSG_DATA(header), sizeof(who));
            *sender = who.pid;
        }
    }
}

/* The same as wherry_message_receive; `*sender` is left as it is when the socket does not ask for it. */
static int receive(int fd, struct wherry_message *message, pid_t *sender)
{
    struct iovec data = {.iov_base = message, .iov_len = sizeof(*message)};
    union {
        char space[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr packet = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)};
    ssize_t got;

    do {
        got = recvmsg(fd, &packet, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    /* A process that was killed with unread messages resets the connection: for the reader it is gone all the same. */
    if (got < 0)
        return errno == ECONNRESET ? 0 : -errno;
    if (got == 0)
        return 0;
    if (got != sizeof(*message))
        return -EPROTO;
    /* A sender that the container has got hold of is not to be trusted with the end of a string. */
    message->error.message[sizeof(message->error.message) - 1] = '\0';
    message->fd = -1;
    take_extras(&packet, message, sender);
    return 1;
}

int wherry_message_receive(int fd, struct wherry_message *message)
{
    pid_t ignored;

    return receive(fd, message, &ignored);
}

int wherry_message_ask_for_senders(int fd)
{
    int on = 1;

    return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ? -errno : 0;
}

int wherry_message_receive_from(int fd, struct wherry_message *message, pid_t *sender)
{
    pid_t who = 0;
    int result = receive(fd, message, &who);

    if (result > 0 && who <= 0)
        return -EPROTO;
    *sender = who;
    return result;
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
