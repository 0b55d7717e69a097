/* The table of kernel options; see kernel_options.h. */
#include "kernel/kernel_options.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define V KERNEL_VERSION_OF

#define NECESSARY "generally necessary"
#define OPTIONAL "optional"
#define BRIDGE "network: bridge"
#define MACVLAN "network: macvlan"
#define IPVLAN "network: ipvlan"
#define OVERLAY "network: overlay"
#define ENCRYPTED "network: overlay, encrypted"
#define NFT "NAT: nft"
#define IPTABLES "NAT: iptables"
#define STORAGE_OVERLAY "storage: overlay"
#define STORAGE_LOOP "storage: loop"
#define STORAGE_BTRFS "storage: btrfs"
#define STORAGE_XFS "storage: xfs"
#define CGROUP_ANY "cgroup controllers"
#define CGROUP_V1 "cgroup controllers, v1"
#define CGROUP_V2 "cgroup controllers, v2"

#define YES KERNEL_REQUIRED
#define NO KERNEL_OPTIONAL
#define ON_V1 KERNEL_REQUIRED_ON_V1
#define ON_V2 KERNEL_REQUIRED_ON_V2

const struct kernel_option kernel_options[] = {
    {NECESSARY, "CONFIG_NAMESPACES", NULL, YES, 0, 0, "containers", "/proc/self/ns"},
    {NECESSARY, "CONFIG_PID_NS", NULL, YES, 0, 0, "containers: each has its own processes", "/proc/self/ns/pid"},
    {NECESSARY, "CONFIG_NET_NS", NULL, YES, 0, 0, "containers: each has its own network", "/proc/self/ns/net"},
    {NECESSARY, "CONFIG_IPC_NS", NULL, YES, 0, 0, "containers: each has its own shared memory and message queues",
     "/proc/self/ns/ipc"},
    {NECESSARY, "CONFIG_UTS_NS", NULL, YES, 0, 0, "containers: each has its own host name", "/proc/self/ns/uts"},
    {NECESSARY, "CONFIG_CGROUPS", NULL, YES, 0, 0, "limits, freezing, and finding a container's processes",
     "/proc/self/cgroup"},
    {NECESSARY, "CONFIG_UNIX98_PTYS", NULL, YES, 0, 0, "terminals in containers", "/proc/sys/kernel/pty"},
    {NECESSARY, "CONFIG_DEVPTS_MULTIPLE_INSTANCES", NULL, YES, 0, V(4, 7), "terminals of one container in another",
     NULL},
    {NECESSARY, "CONFIG_POSIX_MQUEUE", NULL, YES, 0, 0, "/dev/mqueue in containers", "/proc/sys/fs/mqueue"},
    {NECESSARY, "CONFIG_TMPFS", NULL, YES, 0, 0, "/dev and /dev/shm in containers", NULL},
    {NECESSARY, "CONFIG_UNIX", "unix", YES, 0, 0, "the agent's own socket", NULL},
    {NECESSARY, "CONFIG_SECCOMP", NULL, YES, 0, 0, "the default system call filter", "/proc/sys/kernel/seccomp"},
    {NECESSARY, "CONFIG_SECCOMP_FILTER", NULL, YES, 0, 0, "the default system call filter", "/proc/sys/kernel/seccomp"},
    {NECESSARY, "CONFIG_MEMFD_CREATE", NULL, YES, V(4, 18), 0, "starting the runtime from a sealed copy of itself",
     NULL},
    {NECESSARY, "CONFIG_KEYS", NULL, NO, 0, 0, "session keyrings of containers", "/proc/keys"},

    {BRIDGE, "CONFIG_BRIDGE", "bridge", YES, 0, 0, "bridge networks", NULL},
    {BRIDGE, "CONFIG_VETH", "veth", YES, 0, 0, "plugging containers into bridge networks", NULL},
    {BRIDGE, "CONFIG_BRIDGE_NETFILTER", "br_netfilter", NO, V(3, 18), 0,
     "published ports and isolation between containers of the same bridge, when the firewall works on addresses", NULL},
    {BRIDGE, "CONFIG_BRIDGE_VLAN_FILTERING", NULL, NO, 0, 0, "VLANs on bridge networks", NULL},
    {BRIDGE, "CONFIG_VLAN_8021Q", "8021q", NO, 0, 0, "networks on a VLAN of a host interface", NULL},
    {BRIDGE, "CONFIG_IPV6", "ipv6", NO, 0, 0, "networks with IPv6 subnets", NULL},

    {NFT, "CONFIG_NF_TABLES", "nf_tables", YES, 0, 0, "published ports, NAT and isolation of networks", NULL},
    {NFT, "CONFIG_NF_TABLES_INET", NULL, YES, V(4, 17), 0, "one firewall table for IPv4 and IPv6", NULL},
    {NFT, "CONFIG_NF_TABLES_INET", "nf_tables_inet", YES, 0, V(4, 17), "one firewall table for IPv4 and IPv6", NULL},
    {NFT, "CONFIG_NF_CONNTRACK", "nf_conntrack", YES, 0, 0, "NAT, and telling answers from new connections", NULL},
    {NFT, "CONFIG_NF_NAT", "nf_nat", YES, 0, 0, "NAT", NULL},
    {NFT, "CONFIG_NF_NAT_IPV4", "nf_nat_ipv4", YES, 0, V(5, 1), "NAT of IPv4", NULL},
    {NFT, "CONFIG_NF_NAT_NEEDED", NULL, YES, 0, V(5, 2), "NAT", NULL},
    {NFT, "CONFIG_NFT_NAT", "nft_nat", YES, 0, 0, "published ports", NULL},
    {NFT, "CONFIG_NFT_MASQ", "nft_masq", YES, 0, 0, "connections from containers to the outside", NULL},
    {NFT, "CONFIG_NFT_CT", "nft_ct", YES, 0, 0, "telling answers from new connections", NULL},
    {NFT, "CONFIG_NFT_CHAIN_NAT_IPV4", "nft_chain_nat_ipv4", YES, 0, V(5, 1), "NAT of IPv4", NULL},
    {NFT, "CONFIG_NFT_FIB_INET", "nft_fib_inet", YES, V(4, 10), 0, "published ports on all addresses of the host",
     NULL},
    {NFT, "CONFIG_NFT_REJECT_INET", "nft_reject_inet", NO, 0, 0, "refusing with an answer instead of silence", NULL},
    {NFT, "CONFIG_NFT_REDIR", "nft_redir", NO, 0, 0, "redirecting to ports of the host", NULL},
    {NFT, "CONFIG_NFT_COMPAT", "nft_compat", NO, 0, 0, "the command iptables-nft of others beside the agent's table",
     NULL},

    {IPTABLES, "CONFIG_IP_NF_FILTER", "iptable_filter", NO, 0, 0, "firewalls of others that use iptables", NULL},
    {IPTABLES, "CONFIG_IP_NF_NAT", "iptable_nat", NO, V(3, 7), 0, "NAT by iptables", NULL},
    {IPTABLES, "CONFIG_IP_NF_MANGLE", "iptable_mangle", NO, 0, 0, "marking of packets by iptables", NULL},
    {IPTABLES, "CONFIG_IP_NF_RAW", "iptable_raw", NO, 0, 0, "rules before connection tracking by iptables", NULL},
    {IPTABLES, "CONFIG_IP_NF_TARGET_MASQUERADE", NULL, NO, 0, 0, "masquerading by iptables", NULL},
    {IPTABLES, "CONFIG_IP_NF_TARGET_REDIRECT", NULL, NO, 0, 0, "redirecting by iptables", NULL},
    {IPTABLES, "CONFIG_IP6_NF_FILTER", "ip6table_filter", NO, 0, 0, "IPv6 firewalls of others that use ip6tables",
     NULL},
    {IPTABLES, "CONFIG_IP6_NF_NAT", "ip6table_nat", NO, V(3, 7), 0, "NAT of IPv6 by ip6tables", NULL},
    {IPTABLES, "CONFIG_IP6_NF_TARGET_MASQUERADE", NULL, NO, V(3, 7), 0, "masquerading of IPv6 by ip6tables", NULL},
    {IPTABLES, "CONFIG_NETFILTER_XT_MATCH_ADDRTYPE", "xt_addrtype", NO, 0, 0, "iptables rules by kind of address",
     NULL},
    {IPTABLES, "CONFIG_NETFILTER_XT_MATCH_CONNTRACK", "xt_conntrack", NO, 0, 0, "iptables rules by connection state",
     NULL},
    {IPTABLES, "CONFIG_NETFILTER_XT_MATCH_IPVS", "xt_ipvs", NO, 0, 0, "iptables rules for load-balanced connections",
     NULL},
    {IPTABLES, "CONFIG_NETFILTER_XT_MARK", "xt_mark", NO, 0, 0, "iptables rules by mark", NULL},

    {MACVLAN, "CONFIG_MACVLAN", "macvlan", NO, 0, 0, "macvlan networks", NULL},
    {MACVLAN, "CONFIG_DUMMY", "dummy", NO, 0, 0, "macvlan networks without a parent interface", NULL},
    {IPVLAN, "CONFIG_IPVLAN", "ipvlan", NO, V(3, 19), 0, "ipvlan networks", NULL},
    {OVERLAY, "CONFIG_VXLAN", "vxlan", NO, V(3, 7), 0, "networks across hosts (overlay)", NULL},
    {ENCRYPTED, "CONFIG_XFRM", NULL, NO, 0, 0, "encryption of overlay networks", NULL},
    {ENCRYPTED, "CONFIG_XFRM_USER", "xfrm_user", NO, 0, 0, "encryption of overlay networks", NULL},
    {ENCRYPTED, "CONFIG_XFRM_ALGO", "xfrm_algo", NO, 0, 0, "encryption of overlay networks", NULL},
    {ENCRYPTED, "CONFIG_INET_ESP", "esp4", NO, 0, 0, "encryption of overlay networks", NULL},
    {ENCRYPTED, "CONFIG_INET_XFRM_MODE_TRANSPORT", "xfrm4_mode_transport", NO, 0, V(5, 2),
     "encryption of overlay networks", NULL},
    {ENCRYPTED, "CONFIG_CRYPTO_AEAD", NULL, NO, 0, 0, "encryption of overlay networks", NULL},
    {ENCRYPTED, "CONFIG_CRYPTO_GCM", "gcm", NO, 0, 0, "encryption of overlay networks with AES-GCM", NULL},
    {ENCRYPTED, "CONFIG_CRYPTO_SEQIV", "seqiv", NO, 0, 0, "encryption of overlay networks with AES-GCM", NULL},
    {ENCRYPTED, "CONFIG_NETFILTER_XT_MATCH_BPF", "xt_bpf", NO, V(3, 9), 0,
     "dropping what arrives unencrypted, by iptables", NULL},

    {STORAGE_OVERLAY, "CONFIG_OVERLAY_FS", "overlay", YES, V(3, 18), 0, "the file systems of containers", NULL},
    {STORAGE_LOOP, "CONFIG_BLK_DEV_LOOP", "loop", NO, 0, 0, "volumes and images in files", NULL},
    {STORAGE_BTRFS, "CONFIG_BTRFS_FS", "btrfs", NO, 0, 0, "volumes on btrfs", NULL},
    {STORAGE_BTRFS, "CONFIG_BTRFS_FS_POSIX_ACL", NULL, NO, 0, 0, "access control lists in volumes on btrfs", NULL},
    {STORAGE_XFS, "CONFIG_XFS_FS", "xfs", NO, 0, 0, "volumes on xfs", NULL},
    {STORAGE_XFS, "CONFIG_XFS_QUOTA", NULL, NO, 0, 0, "size limits of containers and volumes on xfs", NULL},
    {STORAGE_XFS, "CONFIG_XFS_POSIX_ACL", NULL, NO, 0, 0, "access control lists in volumes on xfs", NULL},

    {CGROUP_ANY, "CONFIG_MEMCG", NULL, YES, V(3, 6), 0, "memory limits", NULL},
    {CGROUP_ANY, "CONFIG_CGROUP_SCHED", NULL, YES, 0, 0, "CPU shares and limits", NULL},
    {CGROUP_ANY, "CONFIG_FAIR_GROUP_SCHED", NULL, YES, 0, 0, "CPU shares", NULL},
    {CGROUP_ANY, "CONFIG_CFS_BANDWIDTH", NULL, YES, 0, 0, "CPU limits (cpus, cpu_quota)", NULL},
    {CGROUP_ANY, "CONFIG_CGROUP_PIDS", NULL, YES, V(4, 3), 0, "limits of the number of processes", NULL},
    {CGROUP_ANY, "CONFIG_CPUSETS", NULL, NO, 0, 0, "binding to CPUs and memory nodes (cpuset_cpus, cpuset_mems)", NULL},
    {CGROUP_ANY, "CONFIG_BLK_CGROUP", NULL, NO, 0, 0, "block device limits and weights", NULL},
    {CGROUP_ANY, "CONFIG_BLK_DEV_THROTTLING", NULL, NO, 0, 0, "block device limits (device_read_bps and others)", NULL},
    {CGROUP_ANY, "CONFIG_BFQ_GROUP_IOSCHED", NULL, NO, V(4, 12), 0, "block device weights", NULL},
    {CGROUP_ANY, "CONFIG_CFQ_GROUP_IOSCHED", NULL, NO, 0, V(5, 0), "block device weights", NULL},
    {CGROUP_ANY, "CONFIG_CGROUP_HUGETLB", NULL, NO, 0, 0, "limits of huge pages", NULL},
    {CGROUP_ANY, "CONFIG_CGROUP_RDMA", NULL, NO, V(4, 11), 0, "limits of RDMA", NULL},
    {CGROUP_ANY, "CONFIG_MEMCG_SWAP", NULL, NO, V(3, 6), V(6, 1), "limits of swap (memory_swap)", NULL},

    {CGROUP_V1, "CONFIG_MEMCG_V1", NULL, ON_V1, V(6, 11), 0, "memory limits", NULL},
    {CGROUP_V1, "CONFIG_CPUSETS_V1", NULL, NO, V(6, 12), 0, "binding to CPUs and memory nodes", NULL},
    {CGROUP_V1, "CONFIG_CGROUP_DEVICE", NULL, ON_V1, 0, 0, "keeping containers from the host's devices", NULL},
    {CGROUP_V1, "CONFIG_CGROUP_FREEZER", NULL, ON_V1, 0, 0, "pausing containers", NULL},
    {CGROUP_V1, "CONFIG_CGROUP_CPUACCT", NULL, NO, 0, 0, "CPU statistics", NULL},
    {CGROUP_V1, "CONFIG_NET_CLS_CGROUP", "cls_cgroup", NO, 0, 0, "traffic classes of containers", NULL},
    {CGROUP_V1, "CONFIG_CGROUP_NET_CLASSID", NULL, NO, V(3, 14), 0, "traffic classes of containers", NULL},
    {CGROUP_V1, "CONFIG_CGROUP_NET_PRIO", NULL, NO, V(3, 14), 0, "traffic priorities of containers", NULL},
    {CGROUP_V1, "CONFIG_RT_GROUP_SCHED", NULL, NO, 0, 0, "realtime CPU limits (cpu_rt_runtime)", NULL},

    {CGROUP_V2, "CONFIG_CGROUP_BPF", NULL, ON_V2, V(4, 10), 0, "keeping containers from the host's devices", NULL},
    {CGROUP_V2, "CONFIG_BPF_SYSCALL", NULL, ON_V2, V(3, 18), 0, "keeping containers from the host's devices",
     "/proc/sys/kernel/unprivileged_bpf_disabled"},
    {CGROUP_V2, "CONFIG_BLK_CGROUP_IOCOST", NULL, NO, V(5, 4), 0, "block device weights without BFQ", NULL},
    {CGROUP_V2, "CONFIG_PSI", NULL, NO, V(4, 20), 0, "pressure statistics", NULL},

    {OPTIONAL, "CONFIG_USER_NS", NULL, NO, 0, 0, "containers whose root is nobody on the host", "/proc/self/ns/user"},
    {OPTIONAL, "CONFIG_TIME_NS", NULL, NO, V(5, 6), 0, "containers with clocks of their own", "/proc/self/ns/time"},
    {OPTIONAL, "CONFIG_CGROUP_PERF", NULL, NO, 0, 0, "performance counters by container", NULL},
    {OPTIONAL, "CONFIG_CHECKPOINT_RESTORE", NULL, NO, 0, 0, "checkpoints of containers", NULL},
    {OPTIONAL, "CONFIG_SECURITY_APPARMOR", NULL, NO, 0, 0, "AppArmor profiles", NULL},
    {OPTIONAL, "CONFIG_SECURITY_SELINUX", NULL, NO, 0, 0, "SELinux labels", NULL},
    {OPTIONAL, "CONFIG_EXT4_FS", "ext4", NO, 0, 0, "data directories on ext4", NULL},
    {OPTIONAL, "CONFIG_EXT4_FS_SECURITY", NULL, NO, 0, 0, "file capabilities in images, on ext4", NULL},
    {OPTIONAL, "CONFIG_EXT4_FS_POSIX_ACL", NULL, NO, 0, 0, "access control lists, on ext4", NULL},
    {OPTIONAL, "CONFIG_BINFMT_MISC", "binfmt_misc", NO, 0, 0, "images of other processor architectures", NULL},
    {OPTIONAL, "CONFIG_FUSE_FS", "fuse", NO, 0, 0, "FUSE file systems in containers", NULL},
    {OPTIONAL, "CONFIG_TUN", "tun", NO, 0, 0, "VPNs in containers", NULL},
    {OPTIONAL, "CONFIG_IP_VS", "ip_vs", NO, 0, 0, "load balancing in the kernel", NULL},
    {OPTIONAL, "CONFIG_NF_NAT_FTP", "nf_nat_ftp", NO, 0, 0, "active FTP from containers", NULL},
};

const size_t kernel_options_count = sizeof(kernel_options) / sizeof(kernel_options[0]);

const struct kernel_option *kernel_option_find(const char *name)
{
    for (size_t i = 0; i < kernel_options_count; i++) {
        if (strcmp(kernel_options[i].name, name) == 0)
            return &kernel_options[i];
    }
    return NULL;
}

unsigned kernel_version_parse(const char *release)
{
    char *rest;
    unsigned long major, minor;

    if (!isdigit((unsigned char)release[0]))
        return 0;
    major = strtoul(release, &rest, 10);
    if (*rest != '.' || !isdigit((unsigned char)rest[1]))
        return 0;
    minor = strtoul(rest + 1, NULL, 10);
    if (major > 999 || minor > 999)
        return 0;
    return KERNEL_VERSION_OF((unsigned)major, (unsigned)minor);
}
