/* Netlink messages of the probes; see kernel_netlink.h. */
#include "kernel/kernel_netlink.h"

#include "wherry/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#define BUFFER_SIZE 1024
#define NAT_PRIORITY 100 /* "srcnat" */

/* Messages one after the other, for one send. Everything in here is far below the size, so nothing checks it. */
struct batch {
    size_t used;
    unsigned acknowledged; /* how many messages ask for an answer */
    uint32_t sequence;
    uint8_t bytes[BUFFER_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
};

static struct nlmsghdr *begin(struct batch *batch, uint16_t type, uint16_t flags, const void *head, size_t head_size)
{
    struct nlmsghdr *message = (struct nlmsghdr *)(void *)(batch->bytes + batch->used);

    *message = (struct nlmsghdr){.nlmsg_len = (uint32_t)NLMSG_LENGTH(head_size),
                                 .nlmsg_type = type,
                                 .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
                                 .nlmsg_seq = ++batch->sequence};
    memcpy(NLMSG_DATA(message), head, head_size);
    batch->acknowledged += (flags & NLM_F_ACK) != 0;
    return message;
}

static void end(struct batch *batch, const struct nlmsghdr *message)
{
    batch->used += NLMSG_ALIGN(message->nlmsg_len);
}

static struct nlattr *attribute(struct nlmsghdr *message, uint16_t type, const void *data, size_t size)
{
    struct nlattr *attr = (struct nlattr *)(void *)((uint8_t *)message + NLMSG_ALIGN(message->nlmsg_len));

    attr->nla_type = type;
    attr->nla_len = (uint16_t)(NLA_HDRLEN + size);
    if (size > 0)
        memcpy((uint8_t *)attr + NLA_HDRLEN, data, size);
    message->nlmsg_len = (uint32_t)(NLMSG_ALIGN(message->nlmsg_len) + NLA_ALIGN(attr->nla_len));
    return attr;
}

static void text(struct nlmsghdr *message, uint16_t type, const char *value)
{
    attribute(message, type, value, strlen(value) + 1);
}

/* Closes an attribute that holds others. */
static void close_nest(const struct nlmsghdr *message, struct nlattr *nest)
{
    nest->nla_len = (uint16_t)((const uint8_t *)message + message->nlmsg_len - (uint8_t *)nest);
}

/* Sends, and reads until every message is answered or one is refused. */
static int send_batch(const struct batch *batch, int protocol)
{
    cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    uint8_t answer[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
    unsigned answered = 0;

    if (fd < 0)
        return -errno;
    if (sendto(fd, batch->bytes, batch->used, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
        return -errno;
    while (answered < batch->acknowledged) {
        ssize_t got = recv(fd, answer, sizeof(answer), 0);
        size_t left = got < 0 ? 0 : (size_t)got;

        if (got < 0)
            return -errno;
        for (struct nlmsghdr *message = (struct nlmsghdr *)(void *)answer; NLMSG_OK(message, left);
             message = NLMSG_NEXT(message, left)) {
            const struct nlmsgerr *result = NLMSG_DATA(message);

            if (message->nlmsg_type != NLMSG_ERROR)
                continue;
            if (result->error != 0)
                return result->error;
            answered++;
        }
    }
    return 0;
}

int kernel_netlink_link(const char *kind, const char *name, const char *parent)
{
    const struct ifinfomsg head = {.ifi_family = AF_UNSPEC};
    const uint32_t vxlan_number = 1;
    struct batch batch = {.used = 0};
    struct nlmsghdr *message = begin(&batch, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &head, sizeof(head));
    struct nlattr *info;

    text(message, IFLA_IFNAME, name);
    if (parent != NULL) {
        uint32_t index = if_nametoindex(parent);

        if (index == 0)
            return -errno;
        attribute(message, IFLA_LINK, &index, sizeof(index));
    }
    info = attribute(message, IFLA_LINKINFO, NULL, 0);
    text(message, IFLA_INFO_KIND, kind);
    if (strcmp(kind, "vxlan") == 0) {
        struct nlattr *data = attribute(message, IFLA_INFO_DATA, NULL, 0);

        attribute(message, IFLA_VXLAN_ID, &vxlan_number, sizeof(vxlan_number));
        close_nest(message, data);
    }
    close_nest(message, info);
    end(&batch, message);
    return send_batch(&batch, NETLINK_ROUTE);
}

static struct nlmsghdr *begin_nft(struct batch *batch, uint16_t type, uint16_t flags, uint8_t family, uint16_t resource)
{
    const struct nfgenmsg head = {.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(resource)};

    return begin(batch, type, flags, &head, sizeof(head));
}

int kernel_netlink_nat_table(void)
{
    const uint16_t new_table = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE;
    const uint16_t new_chain = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN;
    const uint32_t hook = htonl(NF_INET_POST_ROUTING), priority = htonl(NAT_PRIORITY);
    struct batch batch = {.used = 0};
    struct nlmsghdr *message = begin_nft(&batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    struct nlattr *nest;

    end(&batch, message);
    message = begin_nft(&batch, new_table, NLM_F_CREATE | NLM_F_ACK, NFPROTO_INET, 0);
    text(message, NFTA_TABLE_NAME, "probe");
    end(&batch, message);
    message = begin_nft(&batch, new_chain, NLM_F_CREATE | NLM_F_ACK, NFPROTO_INET, 0);
    text(message, NFTA_CHAIN_TABLE, "probe");
    text(message, NFTA_CHAIN_NAME, "probe");
    nest = attribute(message, NFTA_CHAIN_HOOK | NLA_F_NESTED, NULL, 0);
    attribute(message, NFTA_HOOK_HOOKNUM, &hook, sizeof(hook));
    attribute(message, NFTA_HOOK_PRIORITY, &priority, sizeof(priority));
    close_nest(message, nest);
    text(message, NFTA_CHAIN_TYPE, "nat");
    end(&batch, message);
    message = begin_nft(&batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    end(&batch, message);
    return send_batch(&batch, NETLINK_NETFILTER);
}
