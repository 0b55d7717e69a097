/* Moving network devices of the host into a container's network namespace; linux.netDevices. */
#pragma once

#include "wherry/arena.h"
#include "wherry/error.h"
#include "wherry/spec.h"

#include <sys/types.h>

struct wherry_moved_device;

/* What has been moved, to be moved back should the container not come about. */
struct wherry_network_devices {
    int own, target;               /* network namespaces; -1 */
    int own_socket, target_socket; /* netlink, in each of them; -1 */
    struct wherry_arena arena;
    struct wherry_moved_device *moved; /* the last one first */
};

#define WHERRY_NETWORK_DEVICES_INIT                                                                                    \
    {                                                                                                                  \
        .own = -1, .target = -1, .own_socket = -1, .target_socket = -1                                                 \
    }

/* Moves the spec's devices into the network namespace of process `pid`, with their permanent addresses of global scope,
 * and sets them up. On failure what has been moved is in `devices`. */
int wherry_network_devices_move(const struct wherry_spec *spec, pid_t pid, struct wherry_network_devices *devices,
                                struct wherry_error *err);

/* Moves all of them back, with their names and addresses, and as up or down as they were; what fails is left. */
void wherry_network_devices_return(struct wherry_network_devices *devices);

/* Forgets them: they are the container's. */
void wherry_network_devices_free(struct wherry_network_devices *devices);
