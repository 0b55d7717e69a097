/* See links.h. Open addressing with linear probing; nothing is ever removed. */
#include "layer/links.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct wherry_link {
    dev_t device;
    ino_t inode;
    char *path; /* owned; NULL: a free slot */
};

static struct wherry_link *slot_of(const struct wherry_links *links, dev_t device, ino_t inode)
{
    uint64_t hash = ((uint64_t)inode ^ (uint64_t)device << 40) * 0x9e3779b97f4a7c15ULL;

    for (size_t at = (size_t)(hash >> 20);; at++) {
        struct wherry_link *link = &links->slots[at & (links->room - 1)];

        if (link->path == NULL || (link->inode == inode && link->device == device))
            return link;
    }
}

static int make_room(struct wherry_links *links, struct wherry_error *err)
{
    struct wherry_links grown = {.count = links->count, .room = links->room > 0 ? 2 * links->room : 64};

    if (links->room > 0 && links->count < links->room / 2)
        return 0;
    grown.slots = calloc(grown.room, sizeof(*grown.slots));
    if (grown.slots == NULL)
        return wherry_error_set(err, ENOMEM, "hard links");
    for (size_t i = 0; i < links->room; i++)
        if (links->slots[i].path != NULL)
            *slot_of(&grown, links->slots[i].device, links->slots[i].inode) = links->slots[i];
    free(links->slots);
    *links = grown;
    return 0;
}

int wherry_links_find(struct wherry_links *links, const struct stat *status, const char *path, const char **first,
                      struct wherry_error *err)
{
    struct wherry_link *link;
    int ret = make_room(links, err);

    *first = NULL;
    if (ret < 0)
        return ret;
    link = slot_of(links, status->st_dev, status->st_ino);
    *first = link->path;
    if (link->path != NULL)
        return 0;
    *link = (struct wherry_link){.device = status->st_dev, .inode = status->st_ino, .path = strdup(path)};
    if (link->path == NULL)
        return wherry_error_set(err, ENOMEM, "hard links");
    links->count++;
    return 0;
}

void wherry_links_free(struct wherry_links *links)
{
    for (size_t i = 0; i < links->room; i++)
        free(links->slots[i].path);
    free(links->slots);
    memset(links, 0, sizeof(*links));
}
