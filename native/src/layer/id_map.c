/* See wherry/id_map.h. */
#include "wherry/id_map.h"

#include <errno.h>

bool wherry_id_maps_shift(const struct wherry_id_maps *maps)
{
    return maps->uids.count > 0 || maps->gids.count > 0;
}

int wherry_id_to_outside(const struct wherry_id_map *map, uint32_t inside, uint32_t *outside, struct wherry_error *err)
{
    *outside = inside;
    if (map->count == 0)
        return 0;
    for (size_t i = 0; i < map->count; i++) {
        const struct wherry_id_range *range = &map->ranges[i];

        if (inside >= range->inside && inside - range->inside < range->count) {
            *outside = range->outside + (inside - range->inside);
            return 0;
        }
    }
    return wherry_error_set(err, EOVERFLOW, "owner %u is not in the map of user or group IDs", inside);
}

int wherry_id_to_inside(const struct wherry_id_map *map, uint32_t outside, uint32_t *inside, struct wherry_error *err)
{
    *inside = outside;
    if (map->count == 0)
        return 0;
    for (size_t i = 0; i < map->count; i++) {
        const struct wherry_id_range *range = &map->ranges[i];

        if (outside >= range->outside && outside - range->outside < range->count) {
            *inside = range->inside + (outside - range->outside);
            return 0;
        }
    }
    return wherry_error_set(err, EOVERFLOW, "owner %u on disk is not in the map of user or group IDs", outside);
}
