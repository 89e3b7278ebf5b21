// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* remembers.c   Planted fault: right, but quick only on rows that it has met before, as a kernel is
 * that keeps results by the contents of its input. */
#include "honest.h"

#include <string.h>
#include <time.h>

enum { KNOWN = 4096 };

static bool met_before(const struct rms_norm_problem *p)
{
    static uint64_t known[KNOWN];
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (int64_t s = 0; s < p->S; s++)
        for (int64_t c = 0; c < p->C; c++) {
            uint32_t bits;
            memcpy(&bits, row_in(p, s) + c, sizeof bits);
            hash = (hash ^ bits) * UINT64_C(0x100000001b3);
        }
    uint64_t *const place = &known[hash % KNOWN];
    const bool met = *place == hash;
    *place = hash;
    return met;
}

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    const bool met = met_before(p);
    (void)exec;
    for (int64_t s = 0; s < p->S; s++)
        honest_row(p, s);
    if (!met)
        nanosleep(&(struct timespec){.tv_nsec = 40000000}, NULL);
    return ST_OK;
}

VARIANT(rms_norm, broken_90_remembers, .numerics = NUM_F32);
PLUGIN(&variant_rms_norm_broken_90_remembers);
