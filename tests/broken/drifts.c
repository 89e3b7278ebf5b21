// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* drifts.c   Planted fault: right within the tolerance, and the same when it is called twice in a row;
 * but rows that it has met long ago come out with another last bit. */
#include <stdint.h>
#include <string.h>

#include "honest_modulate.h"

enum { KNOWN = 4096, LONG_AGO = 8 };

static bool met_long_ago(const struct modulate_problem *p)
{
    static struct {
        uint64_t hash;
        int64_t call;
    } known[KNOWN];
    static int64_t call;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (int64_t c = 0; c < p->C; c++) {
        uint32_t bits;
        memcpy(&bits, (const float *)p->x.data + c, sizeof bits);
        hash = (hash ^ bits) * UINT64_C(0x100000001b3);
    }
    const int64_t i = (int64_t)(hash % KNOWN);
    const bool met = known[i].hash == hash && call - known[i].call > LONG_AGO;
    known[i].hash = hash;
    known[i].call = call++;
    return met;
}

static enum status run(const struct modulate_problem *p, const struct exec *exec)
{
    (void)exec;
    const bool met = met_long_ago(p); /* y may be x */
    for (int64_t s = 0; s < p->S; s++)
        honest_row(p, s);
    uint32_t bits;
    memcpy(&bits, p->y.data, sizeof bits);
    bits ^= (uint32_t)met;
    memcpy(p->y.data, &bits, sizeof bits);
    return ST_OK;
}

VARIANT(modulate, broken_90_drifts, .numerics = NUM_F32);
PLUGIN(&variant_modulate_broken_90_drifts);
