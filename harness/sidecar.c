// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "sidecar.h"

#include <stdlib.h>

/* ---- samples in memory ----------------------------------------------------------------------- */

static bool make_room(struct raw *r, int64_t more)
{
    int64_t room = r->room ? r->room : 256;
    while (room < r->count + more)
        room *= 2;
    if (room == r->room)
        return true;
    struct raw_sample *grown = realloc(r->at, (size_t)room * sizeof *grown);
    if (!grown)
        return false;
    r->at = grown;
    r->room = room;
    return true;
}

bool raw_add(struct raw *r, const double *seconds, int64_t count, double mhz, uint8_t flags)
{
    if (!make_room(r, count))
        return false;
    for (int64_t i = 0; i < count; i++)
        r->at[r->count++] = (struct raw_sample){seconds[i], (float)mhz, flags, r->blocks};
    r->blocks++;
    return true;
}

void raw_free(struct raw *r)
{
    free(r->at);
    *r = (struct raw){0};
}
