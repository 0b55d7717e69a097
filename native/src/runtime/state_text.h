/* The state document as hooks get it, in pieces between which status and pid are put. */
#pragma once

#include "plan.h"
#include "wherry/container.h"

int wherry_state_text_prepare(const struct wherry_container *container, struct wherry_arena *arena,
                              struct wherry_state_text *text, struct wherry_error *err);
