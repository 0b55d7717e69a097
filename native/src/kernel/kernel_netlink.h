/*
 * The few netlink messages of the probes. All are for a network namespace that ends with the calling process; they
 * allocate nothing and return 0 or -errno. Sources: rtnetlink(7), the kernel's uapi headers if_link.h and nf_tables.h.
 */
#pragma once

/* Makes a link of `kind`, above `parent` (NULL: none; a vxlan gets a number, a veth its peer from the kernel). */
int kernel_netlink_link(const char *kind, const char *name, const char *parent);

/* Makes an nftables table of family inet with a chain of type nat. */
int kernel_netlink_nat_table(void);
