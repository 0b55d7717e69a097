/* Probes of the network: which links and NAT tables can be made, and whether the host forwards. */
#include "kernel/kernel_netlink.h"
#include "kernel/kernel_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netfilter_ipv4/ip_tables.h>

static int make_bridge(void)
{
    return kernel_netlink_link("bridge", "probe0", NULL);
}

static int make_veth(void)
{
    return kernel_netlink_link("veth", "probe0", NULL);
}

static int make_vxlan(void)
{
    return kernel_netlink_link("vxlan", "probe0", NULL);
}

/* A parent for those that need one, of whatever this kernel can make. */
static int make_parent(void)
{
    static const char *const kinds[] = {"bridge", "veth", "dummy"};
    int result = -ENODEV;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && result < 0; i++)
        result = kernel_netlink_link(kinds[i], "parent0", NULL);
    return result;
}

static int make_macvlan(void)
{
    int result = make_parent();

    return result < 0 ? result : kernel_netlink_link("macvlan", "probe0", "parent0");
}

static int make_ipvlan(void)
{
    int result = make_parent();

    return result < 0 ? result : kernel_netlink_link("ipvlan", "probe0", "parent0");
}

/* Asking for the table of a new network namespace makes it. */
static int make_iptables_nat(void)
{
    struct ipt_getinfo info = {.name = "nat"};
    socklen_t length = sizeof(info);
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);

    if (fd < 0)
        return -errno;
    return getsockopt(fd, IPPROTO_IP, IPT_SO_GET_INFO, &info, &length) < 0 ? -errno : 0;
}

static const struct kernel_probe probes[] = {
    {"network: bridge", "bridge link", "CONFIG_BRIDGE", "bridge", true, "bridge networks", "modprobe bridge",
     CLONE_NEWNET, make_bridge},
    {"network: bridge", "veth link", "CONFIG_VETH", "veth", true, "plugging containers into bridge networks",
     "modprobe veth", CLONE_NEWNET, make_veth},
    {"network: macvlan", "macvlan link", "CONFIG_MACVLAN", "macvlan", false, "macvlan networks", "modprobe macvlan",
     CLONE_NEWNET, make_macvlan},
    {"network: ipvlan", "ipvlan link", "CONFIG_IPVLAN", "ipvlan", false, "ipvlan networks", "modprobe ipvlan",
     CLONE_NEWNET, make_ipvlan},
    {"network: overlay", "vxlan link", "CONFIG_VXLAN", "vxlan", false, "networks across hosts (overlay)",
     "modprobe vxlan", CLONE_NEWNET, make_vxlan},
    {"NAT: nft", "nft NAT table", "CONFIG_NF_TABLES", "nf_tables", true,
     "published ports, and connections from containers to the outside",
     "modprobe nf_tables nft_chain_nat, or build the kernel with CONFIG_NF_TABLES_INET and CONFIG_NFT_NAT",
     CLONE_NEWNET, kernel_netlink_nat_table},
    {"NAT: iptables", "iptables NAT table", "CONFIG_IP_NF_NAT", "iptable_nat", false, "NAT by iptables (legacy)",
     "modprobe iptable_nat", CLONE_NEWNET, make_iptables_nat},
};

static const struct sysctl {
    const char *group;
    const char *name;
    const char *path;
    const char *module; /* that brings the file */
    const char *breaks;
    const char *remedy;
} sysctls[] = {
    {"network: bridge", "net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward", NULL,
     "connections between containers and other hosts",
     "the agent switches it on when it makes a bridge network; by hand: sysctl -w net.ipv4.ip_forward=1"},
    {"network: bridge", "net.ipv6.conf.all.forwarding", "/proc/sys/net/ipv6/conf/all/forwarding", "ipv6",
     "IPv6 connections between containers and other hosts",
     "the agent switches it on when it makes an IPv6 network; by hand: sysctl -w net.ipv6.conf.all.forwarding=1"},
    {"network: bridge", "net.bridge.bridge-nf-call-iptables", "/proc/sys/net/bridge/bridge-nf-call-iptables",
     "br_netfilter", "firewall rules of addresses between containers of the same bridge",
     "modprobe br_netfilter; sysctl -w net.bridge.bridge-nf-call-iptables=1"},
};

static int check_sysctl(const struct sysctl *sysctl, struct wherry_kernel_report *report, struct wherry_error *err)
{
    struct wherry_kernel_finding finding = {
        .group = sysctl->group,
        .name = sysctl->name,
        .module = sysctl->module,
        .breaks = sysctl->breaks,
        .state = WHERRY_KERNEL_FAILED,
    };
    int fd = open(sysctl->path, O_RDONLY | O_CLOEXEC);
    char value = '0';

    if (fd >= 0) {
        if (read(fd, &value, 1) == 1 && value != '0')
            finding.state = WHERRY_KERNEL_OK;
        close(fd);
    }
    return kernel_report_add(report, err, &finding, "%s", finding.state == WHERRY_KERNEL_OK ? "" : sysctl->remedy);
}

int kernel_probe_network(const struct kernel_view *view, struct wherry_kernel_report *report, struct wherry_error *err)
{
    int result = 0;

    for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]) && result >= 0; i++)
        result = kernel_probe_run(&probes[i], view, report, err);
    for (size_t i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]) && result >= 0; i++)
        result = check_sysctl(&sysctls[i], report, err);
    return result;
}
