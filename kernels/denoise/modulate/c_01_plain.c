// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* modulate/c_01_plain.c
 * Idea:     row by row: mean, squares about the mean, then scale and shift.
 * Differs:  the first of its op.   Bound: memory, the row is read from cache the second time.
 * Source:   adaptive layer norm of DiT (arXiv 2212.09748). */
#include "denoise/modulate/modulate.h"
#include "target/c.h"

static bool plan(const struct modulate_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!c_is(&p->x, ELEM_F32) || !c_is(&p->scale, ELEM_F32) || !c_is(&p->shift, ELEM_F32))
        need->reason = "x, scale and shift must be f32";
    else if (!c_is_float(&p->y))
        need->reason = "y must be f32, bf16 or f16";
    return !need->reason;
}

/* The row's centre (0 for rms) and the factor that brings it to unit size. */
static void statistics(const struct modulate_problem *p, const float *x, double *centre, double *r)
{
    double sum = 0, squares = 0, mean = 0;
    if (p->norm == MODULATE_LAYER) {
#pragma omp simd reduction(+ : sum)
        for (int64_t c = 0; c < p->C; c++)
            sum += x[c];
        mean = sum / (double)p->C;
    }
#pragma omp simd reduction(+ : squares)
    for (int64_t c = 0; c < p->C; c++)
        squares += (x[c] - mean) * (x[c] - mean);
    *centre = mean;
    *r = 1 / sqrt(squares / (double)p->C + p->eps);
}

static enum status run(const struct modulate_problem *p, const struct exec *exec)
{
    float one = p->form == MODULATE_ADALN ? 1 : 0;

#pragma omp parallel for num_threads(c_threads(exec, p->S)) schedule(static)
    for (int64_t s = 0; s < p->S; s++) {
        int64_t g = s / (p->S / p->G);
        const float *x = (const float *)p->x.data + s * p->x.stride;
        const float *scale = (const float *)p->scale.data + g * p->scale.stride;
        const float *shift = (const float *)p->shift.data + g * p->shift.stride;
        double centre, r;
        statistics(p, x, &centre, &r);
        for (int64_t c = 0; c < p->C; c += C_CHUNK) {
            int64_t part = c_min(C_CHUNK, p->C - c);
            float y[C_CHUNK];
            for (int64_t j = 0; j < part; j++)
                y[j] = (float)((x[c + j] - centre) * r) * (one + scale[c + j]) + shift[c + j];
            c_store_row(&p->y, s * p->y.stride + c, y, part);
        }
    }
    return ST_OK;
}

VARIANT(modulate, c_01_plain, .needs = 0, .numerics = NUM_F32);
