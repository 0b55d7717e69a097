/* User namespaces that serve as ID mappings of mounts. */
#pragma once

#include "wherry/spec.h"

/* A descriptor of a new user namespace with these mappings, which nobody lives in. */
int wherry_idmap_open(const struct wherry_id_mappings *uids, const struct wherry_id_mappings *gids,
                      struct wherry_error *err);
