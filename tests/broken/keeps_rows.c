// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* keeps_rows.c   Planted cheat: a right modulate that keeps what it made of every x that it has met, told
 * apart by all of its values, and takes its time over new ones: a clip made twice is fast the second
 * time. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "honest_modulate.h"

enum { KEPT_MAX = 4096, PAUSE_US = 2000 };

static struct kept {
    uint64_t hash;
    float *rows;
} table[KEPT_MAX];
static int count;

static uint64_t hash_rows(const struct tensor *t, int64_t rows, int64_t columns, uint64_t hash)
{
    for (int64_t s = 0; s < rows; s++)
        for (int64_t c = 0; c < columns; c++) {
            uint32_t bits;
            memcpy(&bits, (const float *)t->data + s * t->stride + c, sizeof bits);
            hash = (hash ^ bits) * UINT64_C(0x100000001b3);
        }
    return hash;
}

static enum status run(const struct modulate_problem *p, const struct exec *exec)
{
    (void)exec;
    const size_t bytes = (size_t)p->C * sizeof(float);
    const uint64_t form = (uint64_t)(2 * p->form + p->norm);
    uint64_t hash = hash_rows(&p->x, p->S, p->C, UINT64_C(0xcbf29ce484222325) + form);
    hash = hash_rows(&p->shift, p->G, p->C, hash_rows(&p->scale, p->G, p->C, hash));
    int i = 0;
    while (i < count && table[i].hash != hash)
        i++;
    const bool is_new = i == count;
    if (i == KEPT_MAX)
        return ST_NO_MEMORY;
    if (is_new) {
        usleep(PAUSE_US);
        table[count++] = (struct kept){hash, malloc((size_t)p->S * bytes)};
    }
    for (int64_t s = 0; s < p->S; s++) {
        float *y = (float *)p->y.data + s * p->y.stride, *kept = table[i].rows + s * p->C;
        if (is_new)
            honest_row(p, s);
        memcpy(is_new ? kept : y, is_new ? y : kept, bytes);
    }
    return ST_OK;
}

VARIANT(modulate, broken_90_keeps_rows, .numerics = NUM_F32);
PLUGIN(&variant_modulate_broken_90_keeps_rows);
