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
    {NECESSARY, "CONFIG_NAMESPACES", NULL, YES, 0, 0, "containers"},
    {NECESSARY, "CONFIG_PID_NS", NULL, YES, 0, 0, "containers: each has its own processes"},
    {NECESSARY, "CONFIG_NET_NS", NULL, YES, 0, 0, "containers: each has its own network"},
    {NECESSARY, "CONFIG_IPC_NS", NULL, YES, 0, 0, "containers: each has its own shared memory and message queues"},
    {NECESSARY, "CONFIG_UTS_NS", NULL, YES, 0, 0, "containers: each has its own host name"},
    {NECESSARY, "CONFIG_CGROUPS", NULL, YES, 0, 0, "limits, freezing, and finding a container's processes"},
    {NECESSARY, "CONFIG_UNIX98_PTYS", NULL, YES, 0, 0, "terminals in containers"},
    {NECESSARY, "CONFIG_DEVPTS_MULTIPLE_INSTANCES", NULL, YES, 0, V(4, 7), "terminals of one container in another"},
    {NECESSARY, "CONFIG_POSIX_MQUEUE", NULL, YES, 0, 0, "/dev/mqueue in containers"},
    {NECESSARY, "CONFIG_TMPFS", NULL, YES, 0, 0, "/dev and /dev/shm in containers"},
    {NECESSARY, "CONFIG_UNIX", "unix", YES, 0, 0, "the agent's own socket"},
    {NECESSARY, "CONFIG_SECCOMP", NULL, YES, 0, 0, "the default system call filter"},
    {NECESSARY, "CONFIG_SECCOMP_FILTER", NULL, YES, 0, 0, "the default system call filter"},
    {NECESSARY, "CONFIG_MEMFD_CREATE", NULL, YES, V(4, 18), 0, "starting the runtime from a sealed copy of itself"},
    {NECESSARY, "CONFIG_KEYS", NULL, NO, 0, 0, "session keyrings of containers"},

    {BRIDGE, "CONFIG_BRIDGE", "bridge", YES, 0, 0, "bridge networks"},
    {BRIDGE, "CONFIG_VETH", "veth", YES, 0, 0, "plugging containers into bridge networks"},
    {BRIDGE, "CONFIG_BRIDGE_NETFILTER", "br_netfilter", NO, V(3, 18), 0,
     "published ports and isolation between containers of the same bridge, when the firewall works on addresses"},
    {BRIDGE, "CONFIG_BRIDGE_VLAN_FILTERING", NULL, NO, 0, 0, "VLANs on bridge networks"},
    {BRIDGE, "CONFIG_VLAN_8021Q", "8021q", NO, 0, 0, "networks on a VLAN of a host interface"},
    {BRIDGE, "CONFIG_IPV6", "ipv6", NO, 0, 0, "networks with IPv6 subnets"},

    {NFT, "CONFIG_NF_TABLES", "nf_tables", YES, 0, 0, "published ports, NAT and isolation of networks"},
    {NFT, "CONFIG_NF_TABLES_INET", NULL, YES, V(4, 17), 0, "one firewall table for IPv4 and IPv6"},
    {NFT, "CONFIG_NF_TABLES_INET", "nf_tables_inet", YES, 0, V(4, 17), "one firewall table for IPv4 and IPv6"},
    {NFT, "CONFIG_NF_CONNTRACK", "nf_conntrack", YES, 0, 0, "NAT, and telling answers from new connections"},
    {NFT, "CONFIG_NF_NAT", "nf_nat", YES, 0, 0, "NAT"},
    {NFT, "CONFIG_NF_NAT_IPV4", "nf_nat_ipv4", YES, 0, V(5, 1), "NAT of IPv4"},
    {NFT, "CONFIG_NF_NAT_NEEDED", NULL, YES, 0, V(5, 2), "NAT"},
    {NFT, "CONFIG_NFT_NAT", "nft_nat", YES, 0, 0, "published ports"},
    {NFT, "CONFIG_NFT_MASQ", "nft_masq", YES, 0, 0, "connections from containers to the outside"},
    {NFT, "CONFIG_NFT_CT", "nft_ct", YES, 0, 0, "telling answers from new connections"},
    {NFT, "CONFIG_NFT_CHAIN_NAT_IPV4", "nft_chain_nat_ipv4", YES, 0, V(5, 1), "NAT of IPv4"},
    {NFT, "CONFIG_NFT_FIB_INET", "nft_fib_inet", YES, V(4, 10), 0, "published ports on all addresses of the host"},
    {NFT, "CONFIG_NFT_REJECT_INET", "nft_reject_inet", NO, 0, 0, "refusing with an answer instead of silence"},
    {NFT, "CONFIG_NFT_REDIR", "nft_redir", NO, 0, 0, "redirecting to ports of the host"},
    {NFT, "CONFIG_NFT_COMPAT", "nft_compat", NO, 0, 0, "the command iptables-nft of others beside the agent's table"},

    {IPTABLES, "CONFIG_IP_NF_FILTER", "iptable_filter", NO, 0, 0, "firewalls of others that use iptables"},
    {IPTABLES, "CONFIG_IP_NF_NAT", "iptable_nat", NO, V(3, 7), 0, "NAT by iptables"},
    {IPTABLES, "CONFIG_IP_NF_MANGLE", "iptable_mangle", NO, 0, 0, "marking of packets by iptables"},
    {IPTABLES, "CONFIG_IP_NF_RAW", "iptable_raw", NO, 0, 0, "rules before connection tracking by iptables"},
    {IPTABLES, "CONFIG_IP_NF_TARGET_MASQUERADE", NULL, NO, 0, 0, "masquerading by iptables"},
    {IPTABLES, "CONFIG_IP_NF_TARGET_REDIRECT", NULL, NO, 0, 0, "redirecting by iptables"},
    {IPTABLES, "CONFIG_IP6_NF_FILTER", "ip6table_filter", NO, 0, 0, "IPv6 firewalls of others that use ip6tables"},
    {IPTABLES, "CONFIG_IP6_NF_NAT", "ip6table_nat", NO, V(3, 7), 0, "NAT of IPv6 by ip6tables"},
    {IPTABLES, "CONFIG_IP6_NF_TARGET_MASQUERADE", NULL, NO, V(3, 7), 0, "masquerading of IPv6 by ip6tables"},
    {IPTABLES, "CONFIG_NETFILTER_XT_MATCH_ADDRTYPE", "xt_addrtype", NO, 0, 0, "iptables rules by kind of address"},
    {IPTABLES, "CONFIG_NETFILTER_XT_MATCH_CONNTRACK", "xt_conntrack", NO, 0, 0, "iptables rules by connection state"},
    {IPTABLES, "CONFIG_NETFILTER_XT_MATCH_IPVS", "xt_ipvs", NO, 0, 0, "iptables rules for load-balanced connections"},
    {IPTABLES, "CONFIG_NETFILTER_XT_MARK", "xt_mark", NO, 0, 0, "iptables rules by mark"},

    {MACVLAN, "CONFIG_MACVLAN", "macvlan", NO, 0, 0, "macvlan networks"},
    {MACVLAN, "CONFIG_DUMMY", "dummy", NO, 0, 0, "macvlan networks without a parent interface"},
    {IPVLAN, "CONFIG_IPVLAN", "ipvlan", NO, V(3, 19), 0, "ipvlan networks"},
    {OVERLAY, "CONFIG_VXLAN", "vxlan", NO, V(3, 7), 0, "networks across hosts (overlay)"},
    {ENCRYPTED, "CONFIG_XFRM", NULL, NO, 0, 0, "encryption of overlay networks"},
    {ENCRYPTED, "CONFIG_XFRM_USER", "xfrm_user", NO, 0, 0, "encryption of overlay networks"},
    {ENCRYPTED, "CONFIG_XFRM_ALGO", "xfrm_algo", NO, 0, 0, "encryption of overlay networks"},
    {ENCRYPTED, "CONFIG_INET_ESP", "esp4", NO, 0, 0, "encryption of overlay networks"},
    {ENCRYPTED, "CONFIG_INET_XFRM_MODE_TRANSPORT", "xfrm4_mode_transport", NO, 0, V(5, 2),
     "encryption of overlay networks"},
    {ENCRYPTED, "CONFIG_CRYPTO_AEAD", NULL, NO, 0, 0, "encryption of overlay networks"},
    {ENCRYPTED, "CONFIG_CRYPTO_GCM", "gcm", NO, 0, 0, "encryption of overlay networks with AES-GCM"},
    {ENCRYPTED, "CONFIG_CRYPTO_SEQIV", "seqiv", NO, 0, 0, "encryption of overlay networks with AES-GCM"},
    {ENCRYPTED, "CONFIG_NETFILTER_XT_MATCH_BPF", "xt_bpf", NO, V(3, 9), 0,
     "dropping what arrives unencrypted, by iptables"},

    {STORAGE_OVERLAY, "CONFIG_OVERLAY_FS", "overlay", YES, V(3, 18), 0, "the file systems of containers"},
    {STORAGE_LOOP, "CONFIG_BLK_DEV_LOOP", "loop", NO, 0, 0, "volumes and images in files"},
    {STORAGE_BTRFS, "CONFIG_BTRFS_FS", "btrfs", NO, 0, 0, "volumes on btrfs"},
    {STORAGE_BTRFS, "CONFIG_BTRFS_FS_POSIX_ACL", NULL, NO, 0, 0, "access control lists in volumes on btrfs"},
    {STORAGE_XFS, "CONFIG_XFS_FS", "xfs", NO, 0, 0, "volumes on xfs"},
    {STORAGE_XFS, "CONFIG_XFS_QUOTA", NULL, NO, 0, 0, "size limits of containers and volumes on xfs"},
    {STORAGE_XFS, "CONFIG_XFS_POSIX_ACL", NULL, NO, 0, 0, "access control lists in volumes on xfs"},

    {CGROUP_ANY, "CONFIG_MEMCG", NULL, YES, V(3, 6), 0, "memory limits"},
    {CGROUP_ANY, "CONFIG_CGROUP_SCHED", NULL, YES, 0, 0, "CPU shares and limits"},
    {CGROUP_ANY, "CONFIG_FAIR_GROUP_SCHED", NULL, YES, 0, 0, "CPU shares"},
    {CGROUP_ANY, "CONFIG_CFS_BANDWIDTH", NULL, YES, 0, 0, "CPU limits (cpus, cpu_quota)"},
    {CGROUP_ANY, "CONFIG_CGROUP_PIDS", NULL, YES, V(4, 3), 0, "limits of the number of processes"},
    {CGROUP_ANY, "CONFIG_CPUSETS", NULL, NO, 0, 0, "binding to CPUs and memory nodes (cpuset_cpus, cpuset_mems)"},
    {CGROUP_ANY, "CONFIG_BLK_CGROUP", NULL, NO, 0, 0, "block device limits and weights"},
    {CGROUP_ANY, "CONFIG_BLK_DEV_THROTTLING", NULL, NO, 0, 0, "block device limits (device_read_bps and others)"},
    {CGROUP_ANY, "CONFIG_BFQ_GROUP_IOSCHED", NULL, NO, V(4, 12), 0, "block device weights"},
    {CGROUP_ANY, "CONFIG_CFQ_GROUP_IOSCHED", NULL, NO, 0, V(5, 0), "block device weights"},
    {CGROUP_ANY, "CONFIG_CGROUP_HUGETLB", NULL, NO, 0, 0, "limits of huge pages"},
    {CGROUP_ANY, "CONFIG_CGROUP_RDMA", NULL, NO, V(4, 11), 0, "limits of RDMA"},
    {CGROUP_ANY, "CONFIG_MEMCG_SWAP", NULL, NO, V(3, 6), V(6, 1), "limits of swap (memory_swap)"},

    {CGROUP_V1, "CONFIG_MEMCG_V1", NULL, ON_V1, V(6, 11), 0, "memory limits"},
    {CGROUP_V1, "CONFIG_CPUSETS_V1", NULL, NO, V(6, 12), 0, "binding to CPUs and memory nodes"},
    {CGROUP_V1, "CONFIG_CGROUP_DEVICE", NULL, ON_V1, 0, 0, "keeping containers from the host's devices"},
    {CGROUP_V1, "CONFIG_CGROUP_FREEZER", NULL, ON_V1, 0, 0, "pausing containers"},
    {CGROUP_V1, "CONFIG_CGROUP_CPUACCT", NULL, NO, 0, 0, "CPU statistics"},
    {CGROUP_V1, "CONFIG_NET_CLS_CGROUP", "cls_cgroup", NO, 0, 0, "traffic classes of containers"},
    {CGROUP_V1, "CONFIG_CGROUP_NET_CLASSID", NULL, NO, V(3, 14), 0, "traffic classes of containers"},
    {CGROUP_V1, "CONFIG_CGROUP_NET_PRIO", NULL, NO, V(3, 14), 0, "traffic priorities of containers"},
    {CGROUP_V1, "CONFIG_RT_GROUP_SCHED", NULL, NO, 0, 0, "realtime CPU limits (cpu_rt_runtime)"},

    {CGROUP_V2, "CONFIG_CGROUP_BPF", NULL, ON_V2, V(4, 10), 0, "keeping containers from the host's devices"},
    {CGROUP_V2, "CONFIG_BPF_SYSCALL", NULL, ON_V2, V(3, 18), 0, "keeping containers from the host's devices"},
    {CGROUP_V2, "CONFIG_BLK_CGROUP_IOCOST", NULL, NO, V(5, 4), 0, "block device weights without BFQ"},
    {CGROUP_V2, "CONFIG_PSI", NULL, NO, V(4, 20), 0, "pressure statistics"},

    {OPTIONAL, "CONFIG_USER_NS", NULL, NO, 0, 0, "containers whose root is nobody on the host"},
    {OPTIONAL, "CONFIG_TIME_NS", NULL, NO, V(5, 6), 0, "containers with clocks of their own"},
    {OPTIONAL, "CONFIG_CGROUP_PERF", NULL, NO, 0, 0, "performance counters by container"},
    {OPTIONAL, "CONFIG_CHECKPOINT_RESTORE", NULL, NO, 0, 0, "checkpoints of containers"},
    {OPTIONAL, "CONFIG_SECURITY_APPARMOR", NULL, NO, 0, 0, "AppArmor profiles"},
    {OPTIONAL, "CONFIG_SECURITY_SELINUX", NULL, NO, 0, 0, "SELinux labels"},
    {OPTIONAL, "CONFIG_EXT4_FS", "ext4", NO, 0, 0, "data directories on ext4"},
    {OPTIONAL, "CONFIG_EXT4_FS_SECURITY", NULL, NO, 0, 0, "file capabilities in images, on ext4"},
    {OPTIONAL, "CONFIG_EXT4_FS_POSIX_ACL", NULL, NO, 0, 0, "access control lists, on ext4"},
    {OPTIONAL, "CONFIG_BINFMT_MISC", "binfmt_misc", NO, 0, 0, "images of other processor architectures"},
    {OPTIONAL, "CONFIG_FUSE_FS", "fuse", NO, 0, 0, "FUSE file systems in containers"},
    {OPTIONAL, "CONFIG_TUN", "tun", NO, 0, 0, "VPNs in containers"},
    {OPTIONAL, "CONFIG_IP_VS", "ip_vs", NO, 0, 0, "load balancing in the kernel"},
    {OPTIONAL, "CONFIG_NF_NAT_FTP", "nf_nat_ftp", NO, 0, 0, "active FTP from containers"},
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
