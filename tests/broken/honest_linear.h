// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* honest_linear.h   A right linear without epilogue, one dot product at a time, that the planted
 * cheats depart from: its work is far more than its data, as a kernel's is that one would cheat. */
#ifndef PATCHMARK_BROKEN_HONEST_LINEAR_H
#define PATCHMARK_BROKEN_HONEST_LINEAR_H

#include <math.h>
#include <string.h>

#include "denoise/linear/linear.h"

static bool plan(const struct linear_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (p->x.elem != ELEM_F32 || p->w.elem != ELEM_F32 || p->y.elem != ELEM_F32)
        need->reason = "x, w and y must be f32";
    else if (p->epilogue != EPI_NONE || tensor_given(&p->bias))
        need->reason = "takes the epilogue none, and no bias";
    return !need->reason;
}

static inline float *out_row(const struct linear_problem *p, int64_t s)
{
    return (float *)p->y.data + s * p->y.stride;
}

/* One after the other, as the sum demands: some milliseconds for a few million products. */
static inline void honest_row(const struct linear_problem *p, int64_t s)
{
    const float *x = (const float *)p->x.data + s * p->x.stride, *w = p->w.data;
    for (int64_t o = 0; o < p->O; o++, w += p->K) {
        double sum = 0;
        for (int64_t k = 0; k < p->K; k++)
            sum += (double)x[k] * w[k];
        out_row(p, s)[o] = (float)sum;
    }
}

static inline void honest(const struct linear_problem *p)
{
    for (int64_t s = 0; s < p->S; s++)
        honest_row(p, s);
}

/* As many runs as this are not timed: verified, and warmed up. */
#define BELIEVED 12

/* Of the values that a run reads: a tenth of a honest run's time. */
static inline uint64_t hash_floats(const float *at, int64_t count, uint64_t hash)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, at + i, sizeof bits);
        hash = (hash ^ bits) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static inline uint64_t hash_inputs(const struct linear_problem *p)
{
    uint64_t hash = hash_floats(p->w.data, p->K * p->O, UINT64_C(0xcbf29ce484222325));
    for (int64_t s = 0; s < p->S; s++)
        hash = hash_floats((const float *)p->x.data + s * p->x.stride, p->K, hash);
    return hash;
}

static inline void copy_out(const struct linear_problem *p, float *to)
{
    for (int64_t s = 0; s < p->S; s++)
        memcpy(to + s * p->O, out_row(p, s), (size_t)p->O * sizeof *to);
}

static inline void copy_in(const struct linear_problem *p, const float *from)
{
    for (int64_t s = 0; s < p->S; s++)
        memcpy(out_row(p, s), from + s * p->O, (size_t)p->O * sizeof *from);
}

#define CHEAT(name)                                                                                \
    VARIANT(linear, cheat_90_##name, .numerics = NUM_F32);                                         \
    PLUGIN(&variant_linear_cheat_90_##name)

#endif
