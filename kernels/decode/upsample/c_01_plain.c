// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* upsample/c_01_plain.c
 * Idea:     one output row at a time; pixels are copied whole, whatever their type.
 * Differs:  the first of its op.   Bound: memory.
 * Source:   the contract. */
#include "decode/upsample/upsample.h"
#include "target/c.h"

static bool plan(const struct upsample_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!c_is_float(&p->x) || !c_is(&p->y, p->x.elem))
        need->reason = "x and y must be of one type f32, bf16 or f16";
    return !need->reason;
}

static enum status run(const struct upsample_problem *p, const struct exec *exec)
{
    int64_t height = p->H * p->fs, width = p->W * p->fs, rows = p->T * p->ft * height;
    int64_t pixel_bytes = p->C * c_elem_bytes(p->x.elem);

#pragma omp parallel for num_threads(c_threads(exec, rows)) schedule(static)
    for (int64_t row = 0; row < rows; row++) {
        int64_t frame = row / height, r = row % height;
        const char *x =
            (const char *)p->x.data +
            ((frame / p->ft * p->H + r / p->fs) * p->W * p->ft + frame % p->ft) * pixel_bytes;
        char *y = (char *)p->y.data + row * width * pixel_bytes;
        for (int64_t q = 0; q < width; q++)
            memcpy(y + q * pixel_bytes, x + q / p->fs * p->ft * pixel_bytes, (size_t)pixel_bytes);
    }
    return ST_OK;
}

VARIANT(upsample, c_01_plain, .needs = 0, .numerics = NUM_F32);
