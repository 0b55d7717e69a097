/* Requests to the kernel's routing sockets, rtnetlink(7): one message out, its answers in. */
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>

/* More than any request that is made here needs. */
#define WHERRY_RTNETLINK_ROOM 512

struct wherry_rtnetlink_request {
    struct nlmsghdr header;
    char room[WHERRY_RTNETLINK_ROOM];
};

/* One answer of a dump or a query. */
typedef int wherry_rtnetlink_answer(const struct nlmsghdr *message, void *context);

/* A socket in the network namespace that the caller is in; -errno on failure. */
int wherry_rtnetlink_open(void);

/* Begins a request of `type` (RTM_*) with the flags NLM_F_*, of which NLM_F_REQUEST and NLM_F_ACK are added, and a body
 * such as struct ifinfomsg. */
void wherry_rtnetlink_begin(struct wherry_rtnetlink_request *request, uint16_t type, uint16_t flags, const void *body,
                            size_t size);

/* Adds an attribute. */
void wherry_rtnetlink_add(struct wherry_rtnetlink_request *request, uint16_t type, const void *data, size_t size);

/* Sends and hears all answers: 0, or -errno as the kernel says it, or the first negative value of `answer` (which may
 * be NULL). */
int wherry_rtnetlink_talk(int fd, struct wherry_rtnetlink_request *request, wherry_rtnetlink_answer *answer,
                          void *context);
