// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* kernels_cache.h   Which cache state a contest is run in: the same for all of its arms, for it is
 * part of the case. */
#ifndef PATCHMARK_KERNELS_CACHE_H
#define PATCHMARK_KERNELS_CACHE_H

#include "contest/rotation.h"

struct cache_choice {
    enum cache_state state;
    size_t cache_bytes; /* twice as much goes through between two turns of the same copy */
    char why[200];      /* of a default that cannot be had here: what stands in its way; else "" */
};


/* asked NULL: the op's own, or hot with the reason where that cannot be had. An explicit state that
 * cannot be had is ST_REFUSED or ST_NO_MEMORY with the sentence. `arms` are alive at once and share
 * half of room_bytes; cache_bytes 0: unknown. */
enum status cache_choose(const struct problem *p, const char *asked, int arms, size_t cache_bytes,
                         size_t room_bytes, struct cache_choice *out, struct fault *fault);

#endif
