/*
 * Owners of files, shifted: "inside" is what an archive says and a container sees, "outside" what stands on disk
 * (user_namespaces(7), "User and group ID mappings").
 */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wherry_id_range {
    uint32_t inside, outside, count;
};

struct wherry_id_map {
    const struct wherry_id_range *ranges;
    size_t count; /* 0: every number stands for itself */
};

struct wherry_id_maps {
    struct wherry_id_map uids, gids;
};

/* Whether any number means another one. */
bool wherry_id_maps_shift(const struct wherry_id_maps *maps);

/* Fails with EOVERFLOW for a number that the map does not have. */
int wherry_id_to_outside(const struct wherry_id_map *map, uint32_t inside, uint32_t *outside, struct wherry_error *err);
int wherry_id_to_inside(const struct wherry_id_map *map, uint32_t outside, uint32_t *inside, struct wherry_error *err);
