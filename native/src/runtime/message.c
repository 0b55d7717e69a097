/* Messages between the runtime and the container's process; see message.h. */
#include "message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

/* Room for what comes beside a message, aligned as the macros of cmsg(3) want it. */
union extras {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int) * WHERRY_CGROUP_HIERARCHIES_MAX) + CMSG_SPACE(sizeof(struct ucred))];
};

int wherry_message_send_fds(int fd, enum wherry_message_kind kind, pid_t pid, const struct wherry_message_fds *fds)
{
    struct wherry_message message = {.kind = kind, .pid = pid};
    struct iovec data = {.iov_base = &message, .iov_len = sizeof(message)};
    union extras extras = {.room = {0}};
    struct msghdr packet = {.msg_iov = &data, .msg_iovlen = 1};
    ssize_t sent;

    if (fds->count > 0) {
        extras.header = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int) * fds->count)};
        memcpy(CMSG_DATA(&extras.header), fds->fds, sizeof(int) * fds->count);
        packet.msg_control = &extras;
        packet.msg_controllen = CMSG_SPACE(sizeof(int) * fds->count);
    }
    do {
        sent = sendmsg(fd, &packet, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

int wherry_message_send_fd(int fd, enum wherry_message_kind kind, int passed)
{
    const struct wherry_message_fds fds = {.fds = {passed}, .count = 1};

    return wherry_message_send_fds(fd, kind, 0, &fds);
}

/* Descriptors that nobody expects are closed. */
static void take_fds(const struct cmsghdr *header, struct wherry_message_fds *fds, size_t most)
{
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

    for (size_t i = 0; i < count; i++) {
        int one;

        memcpy(&one, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
        if (fds->count < most)
            fds->fds[fds->count++] = one;
        else
            close(one);
    }
}

/* What came beside the message: descriptors, and the sender where the socket asks for it. */
static void take_extras(struct msghdr *packet, struct wherry_message_fds *fds, size_t most, pid_t *sender)
{
    for (struct cmsghdr *header = CMSG_FIRSTHDR(packet); header != NULL; header = CMSG_NXTHDR(packet, header)) {
        struct ucred who;

        if (header->cmsg_level != SOL_SOCKET)
            continue;
        if (header->cmsg_type == SCM_RIGHTS)
            take_fds(header, fds, most);
        if (header->cmsg_type == SCM_CREDENTIALS) {
            memcpy(&who, CMSG_DATA(header), sizeof(who));
            *sender = who.pid;
        }
    }
}

/* Takes up to `most` descriptors. `*sender` is left as it is when the socket does not
 * ask for it. */
static int receive(int fd, struct wherry_message *message, pid_t *sender, struct wherry_message_fds *fds, size_t most)
{
    struct iovec data = {.iov_base = message, .iov_len = sizeof(*message)};
    union extras extras = {.room = {0}};
    struct msghdr packet = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &extras};
    ssize_t got;

    fds->count = 0;
    /* A process that ends with unread messages resets the connection, which is told once, ahead of what it has said:
     * its last words come after that, or the end of file. */
    do {
        packet.msg_controllen = CMSG_SPACE(sizeof(int) * most) + CMSG_SPACE(sizeof(struct ucred));
        got = recvmsg(fd, &packet, MSG_CMSG_CLOEXEC);
    } while (got < 0 && (errno == EINTR || errno == ECONNRESET));
    if (got <= 0)
        return got < 0 ? -errno : 0;
    take_extras(&packet, fds, most, sender);
    if (got != sizeof(*message))
        return -EPROTO;
    /* A sender that the container has got hold of is not to be trusted with the end of a string. */
    message->error.message[sizeof(message->error.message) - 1] = '\0';
    message->fd = most == 1 && fds->count > 0 ? fds->fds[0] : -1;
    return 1;
}

int wherry_message_receive_fds(int fd, struct wherry_message *message, struct wherry_message_fds *fds)
{
    pid_t ignored;

    return receive(fd, message, &ignored, fds, WHERRY_CGROUP_HIERARCHIES_MAX);
}

int wherry_message_receive(int fd, struct wherry_message *message)
{
    struct wherry_message_fds fds;
    pid_t ignored;

    return receive(fd, message, &ignored, &fds, 1);
}

int wherry_message_ask_for_senders(int fd)
{
    int on = 1;

    return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ? -errno : 0;
}

int wherry_message_receive_from(int fd, struct wherry_message *message, pid_t *sender)
{
    struct wherry_message_fds fds;
    pid_t who = 0;
    int result = receive(fd, message, &who, &fds, 1);

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
