/* Requests to the kernel's routing sockets; see rtnetlink.h. */
#include "rtnetlink.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel fills at most this much of one answer, netlink(7). */
#define ANSWER_SIZE 32768

int wherry_rtnetlink_open(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), on = 1;

    if (fd < 0)
        return -errno;
    /* A dump sees only what its request asks for. Kernels without it send more, which is looked through anyway. */
    (void)setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
    return fd;
}

void wherry_rtnetlink_begin(struct wherry_rtnetlink_request *request, uint16_t type, uint16_t flags, const void *body,
                            size_t size)
{
    memset(request, 0, sizeof(*request));
    request->header.nlmsg_len = (uint32_t)NLMSG_LENGTH(size);
    request->header.nlmsg_type = type;
    request->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    request->header.nlmsg_seq = 1;
    memcpy(NLMSG_DATA(&request->header), body, size);
}

void wherry_rtnetlink_add(struct wherry_rtnetlink_request *request, uint16_t type, const void *data, size_t size)
{
    struct rtattr *attribute = (struct rtattr *)(void *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));

    attribute->rta_type = type;
    attribute->rta_len = (unsigned short)RTA_LENGTH(size);
    memcpy(RTA_DATA(attribute), data, size);
    request->header.nlmsg_len = (uint32_t)(NLMSG_ALIGN(request->header.nlmsg_len) + RTA_ALIGN(attribute->rta_len));
}

/* 1 when the last message is among these, 0 when more will come, negative as wherry_rtnetlink_talk. */
static int hear(char *buffer, ssize_t got, wherry_rtnetlink_answer *answer, void *context)
{
    struct nlmsghdr *message = (struct nlmsghdr *)(void *)buffer;

    for (int left = (int)got; NLMSG_OK(message, (unsigned)left); message = NLMSG_NEXT(message, left)) {
        int result = 0;

        if (message->nlmsg_type == NLMSG_ERROR) {
            const struct nlmsgerr *error = NLMSG_DATA(message);

            return error->error != 0 ? error->error : 1;
        }
        if (message->nlmsg_type == NLMSG_DONE)
            return 1;
        if (answer != NULL)
            result = answer(message, context);
        if (result < 0)
            return result;
    }
    return 0;
}

int wherry_rtnetlink_talk(int fd, struct wherry_rtnetlink_request *request, wherry_rtnetlink_answer *answer,
                          void *context)
{
    char buffer[ANSWER_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    int result = 0;

    if (send(fd, request, request->header.nlmsg_len, 0) < 0)
        return -errno;
    while (result == 0) {
        ssize_t got = recv(fd, buffer, sizeof(buffer), 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        result = hear(buffer, got, answer, context);
    }
    return result < 0 ? result : 0;
}
