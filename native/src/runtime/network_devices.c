/* Moving network devices into a container's network namespace; see network_devices.h. Sources: OCI runtime-spec
 * config-linux.md "Network Devices", rtnetlink(7), network_namespaces(7). */
#include "network_devices.h"

#include "rtnetlink.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* As many names as are tried for a template, the kernel's own limit. */
#define NUMBERS_MAX 32768

/* What the kernel itself finds out about an address again. */
#define FLAGS_KEPT (IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN)

struct address {
    struct ifaddrmsg head;
    uint32_t flags;
    struct {
        size_t size;
        uint8_t bytes[16];
    } local, peer, broadcast;
    uint32_t metric;
    struct address *next;
};

struct wherry_moved_device {
    char name[IFNAMSIZ], name_inside[IFNAMSIZ];
    int index, index_inside;
    bool up; /* on the host */
    struct address *addresses;
    struct wherry_moved_device *next;
};

struct link {
    int index;
    unsigned flags;
};

static int take_link(const struct nlmsghdr *message, void *context)
{
    const struct ifinfomsg *head = NLMSG_DATA(message);
    struct link *link = context;

    if (message->nlmsg_type == RTM_NEWLINK)
        *link = (struct link){.index = head->ifi_index, .flags = head->ifi_flags};
    return 0;
}

/* 0, or -ENODEV when there is none of that name, or -errno. */
static int find_link(int fd, const char *name, struct link *link)
{
    const struct ifinfomsg head = {.ifi_family = AF_UNSPEC};
    struct wherry_rtnetlink_request request;

    wherry_rtnetlink_begin(&request, RTM_GETLINK, 0, &head, sizeof(head));
    wherry_rtnetlink_add(&request, IFLA_IFNAME, name, strlen(name) + 1);
    return wherry_rtnetlink_talk(fd, &request, take_link, link);
}

/* Moves a device between namespaces under the name that it has there; it is down after that. */
static int move_link(int fd, int index, int namespace, const char *name)
{
    const struct ifinfomsg head = {.ifi_family = AF_UNSPEC, .ifi_index = index};
    struct wherry_rtnetlink_request request;

    wherry_rtnetlink_begin(&request, RTM_NEWLINK, 0, &head, sizeof(head));
    wherry_rtnetlink_add(&request, IFLA_NET_NS_FD, &namespace, sizeof(namespace));
    wherry_rtnetlink_add(&request, IFLA_IFNAME, name, strlen(name) + 1);
    return wherry_rtnetlink_talk(fd, &request, NULL, NULL);
}

static int set_up(int fd, int index)
{
    const struct ifinfomsg head = {
        .ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    struct wherry_rtnetlink_request request;

    wherry_rtnetlink_begin(&request, RTM_NEWLINK, 0, &head, sizeof(head));
    return wherry_rtnetlink_talk(fd, &request, NULL, NULL);
}

static void take_bytes(const struct rtattr *attribute, uint8_t bytes[16], size_t *size)
{
    *size = RTA_PAYLOAD(attribute);
    if (*size > 16)
        *size = 0;
    memcpy(bytes, RTA_DATA(attribute), *size);
}

static void take_attributes(const struct nlmsghdr *message, struct address *address)
{
    const struct ifaddrmsg *head = NLMSG_DATA(message);
    int left = (int)IFA_PAYLOAD(message);

    address->head = *head;
    address->flags = head->ifa_flags;
    for (const struct rtattr *at = IFA_RTA(head); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
        if (at->rta_type == IFA_FLAGS)
            memcpy(&address->flags, RTA_DATA(at), sizeof(address->flags));
        else if (at->rta_type == IFA_RT_PRIORITY)
            memcpy(&address->metric, RTA_DATA(at), sizeof(address->metric));
        else if (at->rta_type == IFA_LOCAL)
            take_bytes(at, address->local.bytes, &address->local.size);
        else if (at->rta_type == IFA_ADDRESS)
            take_bytes(at, address->peer.bytes, &address->peer.size);
        else if (at->rta_type == IFA_BROADCAST)
            take_bytes(at, address->broadcast.bytes, &address->broadcast.size);
    }
}

struct collection {
    struct wherry_arena *arena;
    struct wherry_moved_device *device;
    struct address **end;
};

/* Those that the specification has kept: permanent ones of global scope. */
static int take_address(const struct nlmsghdr *message, void *context)
{
    const struct ifaddrmsg *head = NLMSG_DATA(message);
    struct collection *collection = context;
    struct address *address;

    if (message->nlmsg_type != RTM_NEWADDR || (int)head->ifa_index != collection->device->index ||
        head->ifa_scope != RT_SCOPE_UNIVERSE)
        return 0;
    address = wherry_arena_array(collection->arena, 1, sizeof(*address));
    if (address == NULL)
        return -ENOMEM;
    take_attributes(message, address);
    if ((address->flags & IFA_F_PERMANENT) == 0)
        return 0;
    *collection->end = address;
    collection->end = &address->next;
    return 0;
}

static int collect_addresses(struct wherry_network_devices *devices, struct wherry_moved_device *device)
{
    const struct ifaddrmsg head = {.ifa_family = AF_UNSPEC, .ifa_index = (unsigned)device->index};
    struct collection collection = {&devices->arena, device, &device->addresses};
    struct wherry_rtnetlink_request request;

    wherry_rtnetlink_begin(&request, RTM_GETADDR, NLM_F_DUMP, &head, sizeof(head));
    return wherry_rtnetlink_talk(devices->own_socket, &request, take_address, &collection);
}

static int add_address(int fd, int index, const struct address *address)
{
    struct ifaddrmsg head = address->head;
    uint32_t flags = address->flags & FLAGS_KEPT;
    struct wherry_rtnetlink_request request;

    head.ifa_index = (unsigned)index;
    head.ifa_flags = (uint8_t)flags;
    wherry_rtnetlink_begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof(head));
    wherry_rtnetlink_add(&request, IFA_FLAGS, &flags, sizeof(flags));
    if (address->local.size > 0)
        wherry_rtnetlink_add(&request, IFA_LOCAL, address->local.bytes, address->local.size);
    if (address->peer.size > 0)
        wherry_rtnetlink_add(&request, IFA_ADDRESS, address->peer.bytes, address->peer.size);
    if (address->broadcast.size > 0)
        wherry_rtnetlink_add(&request, IFA_BROADCAST, address->broadcast.bytes, address->broadcast.size);
    if (address->metric != 0)
        wherry_rtnetlink_add(&request, IFA_RT_PRIORITY, &address->metric, sizeof(address->metric));
    return wherry_rtnetlink_talk(fd, &request, NULL, NULL);
}

static int add_addresses(int fd, int index, const struct address *addresses)
{
    for (; addresses != NULL; addresses = addresses->next) {
        int result = add_address(fd, index, addresses);

        if (result < 0)
            return result;
    }
    return 0;
}

/* "eth%d" becomes the first that is free. The kernel would choose the same, and not tell which. */
static int choose_name(int fd, const char *wanted, char name[IFNAMSIZ])
{
    size_t length = strlen(wanted);
    struct link link = {0};
    int result = 0;

    if (length < 2 || strcmp(wanted + length - 2, "%d") != 0) {
        snprintf(name, IFNAMSIZ, "%s", wanted);
        result = find_link(fd, name, &link);
        return result == -ENODEV ? 0 : result < 0 ? result : -EEXIST;
    }
    for (int number = 0; number < NUMBERS_MAX && result == 0; number++) {
        if (snprintf(name, IFNAMSIZ, "%.*s%d", (int)length - 2, wanted, number) >= IFNAMSIZ)
            return -ENAMETOOLONG;
        result = find_link(fd, name, &link);
    }
    return result == -ENODEV ? 0 : result < 0 ? result : -ENFILE;
}

static int describe_link(struct wherry_network_devices *devices, const struct wherry_net_device *wanted,
                         struct wherry_moved_device *device, struct wherry_error *err)
{
    struct link link = {0};
    int result = find_link(devices->own_socket, wanted->name, &link);

    if (result < 0)
        return wherry_error_set(err, -result, "linux.netDevices.%s", wanted->name);
    snprintf(device->name, sizeof(device->name), "%s", wanted->name);
    device->index = link.index;
    device->up = (link.flags & IFF_UP) != 0;
    result = choose_name(devices->target_socket, wanted->name_inside, device->name_inside);
    if (result < 0)
        return wherry_error_set(err, -result, "linux.netDevices.%s.name: %s: in the container's network namespace",
                                wanted->name, wanted->name_inside);
    result = collect_addresses(devices, device);
    return result < 0 ? wherry_error_set(err, -result, "linux.netDevices.%s: read its addresses", wanted->name) : 0;
}

static int move_one(struct wherry_network_devices *devices, const struct wherry_net_device *wanted,
                    struct wherry_error *err)
{
    struct wherry_moved_device *device = wherry_arena_array(&devices->arena, 1, sizeof(*device));
    struct link link = {0};
    int result;

    if (device == NULL)
        return wherry_error_set(err, ENOMEM, "linux.netDevices.%s", wanted->name);
    if (describe_link(devices, wanted, device, err) < 0)
        return -1;
    result = move_link(devices->own_socket, device->index, devices->target, device->name_inside);
    if (result == 0) {
        device->next = devices->moved;
        devices->moved = device;
        /* Its number may be another one now. */
        result = find_link(devices->target_socket, device->name_inside, &link);
        device->index_inside = link.index;
    }
    if (result < 0)
        return wherry_error_set(err, -result, "linux.netDevices.%s: move into the container's network namespace",
                                wanted->name);
    result = add_addresses(devices->target_socket, device->index_inside, device->addresses);
    if (result < 0)
        return wherry_error_set(err, -result, "linux.netDevices.%s: give it its addresses again", wanted->name);
    result = set_up(devices->target_socket, device->index_inside);
    return result < 0 ? wherry_error_set(err, -result, "linux.netDevices.%s: set it up", wanted->name) : 0;
}

/* A socket belongs to the namespace in which it was made. */
static int open_target_socket(struct wherry_network_devices *devices, struct wherry_error *err)
{
    int fd, code;

    if (setns(devices->target, CLONE_NEWNET) < 0)
        return wherry_error_set(err, errno, "linux.netDevices: enter the container's network namespace");
    fd = wherry_rtnetlink_open();
    code = setns(devices->own, CLONE_NEWNET) < 0 ? errno : 0;
    if (fd >= 0)
        devices->target_socket = fd;
    if (fd < 0 || code != 0)
        return wherry_error_set(err, code != 0 ? code : -fd, "linux.netDevices: the container's network namespace");
    return 0;
}

static int open_namespaces(struct wherry_network_devices *devices, pid_t pid, struct wherry_error *err)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
    devices->own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    devices->target = open(path, O_RDONLY | O_CLOEXEC);
    if (devices->own < 0 || devices->target < 0)
        return wherry_error_set(err, errno, "linux.netDevices: open network namespaces");
    devices->own_socket = wherry_rtnetlink_open();
    if (devices->own_socket < 0)
        return wherry_error_set(err, -devices->own_socket, "linux.netDevices: open a netlink socket");
    return open_target_socket(devices, err);
}

int wherry_network_devices_move(const struct wherry_spec *spec, pid_t pid, struct wherry_network_devices *devices,
                                struct wherry_error *err)
{
    if (open_namespaces(devices, pid, err) < 0)
        return -1;
    for (size_t i = 0; i < spec->net_device_count; i++) {
        if (move_one(devices, &spec->net_devices[i], err) < 0)
            return -1;
    }
    return 0;
}

void wherry_network_devices_return(struct wherry_network_devices *devices)
{
    for (const struct wherry_moved_device *device = devices->moved; device != NULL; device = device->next) {
        struct link link = {0};

        if (move_link(devices->target_socket, device->index_inside, devices->own, device->name) < 0 ||
            find_link(devices->own_socket, device->name, &link) < 0)
            continue;
        (void)add_addresses(devices->own_socket, link.index, device->addresses);
        if (device->up)
            (void)set_up(devices->own_socket, link.index);
    }
    devices->moved = NULL;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void wherry_network_devices_free(struct wherry_network_devices *devices)
{
    close_fd(devices->own);
    close_fd(devices->target);
    close_fd(devices->own_socket);
    close_fd(devices->target_socket);
    wherry_arena_free(&devices->arena);
    *devices = (struct wherry_network_devices)WHERRY_NETWORK_DEVICES_INIT;
}
