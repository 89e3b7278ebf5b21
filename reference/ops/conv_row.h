// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* conv_row.h   One output pixel of conv3d, with norm_silu in front where gamma is given. */
#ifndef PATCHMARK_REFERENCE_CONV_ROW_H
#define PATCHMARK_REFERENCE_CONV_ROW_H

#include "decode/conv3d/conv3d.h"
#include "ops/activation.h"
#include "ops/load.h"

/* Factor of one pixel's channels before gamma. */
static inline double pixel_factor(const struct tensor *x, int64_t pixel, int64_t C)
{
    double length = sqrt(sum_of_squares(x, pixel * C, C));
    return sqrt((double)C) / (length < 1e-12 ? 1e-12 : length); /* NaN stays NaN, unlike in fmax */
}

/* Input pixel (t, y, x), t counted from the first zero frame; NULL where the contract has zeros. */
static inline const struct tensor *conv_source(const struct conv3d_problem *p, int64_t t, int64_t y,
                                               int64_t x, int64_t *pixel)
{
    int64_t zeros = p->lead - p->P;
    if (t < zeros || y < 0 || y >= p->H || x < 0 || x >= p->W)
        return NULL;
    bool past = t < p->lead;
    *pixel = ((past ? t - zeros : t - p->lead) * p->H + y) * p->W + x;
    return past ? &p->past : &p->x;
}

#define WINDOW 2048

/* Channels first .. first + count - 1 under the window of one output pixel, in the order of the
 * weights: [channel][i][j][k]. */
static inline void conv_gather(const struct conv3d_problem *p, const struct tensor *gamma,
                               int64_t row, int64_t first, int64_t count, double *value,
                               double *size)
{
    int64_t Wo = conv3d_Wo(p), Ho = conv3d_Ho(p), taps = p->kt * p->kh * p->kw, pixel = 0;
    int64_t t0 = row / (Wo * Ho) * p->st, y0 = row / Wo % Ho * p->sh - p->pad_top;
    int64_t x0 = row % Wo * p->sw - p->pad_left;
    for (int64_t tap = 0; tap < taps; tap++) {
        int64_t k = tap % p->kw, j = tap / p->kw % p->kh, i = tap / (p->kw * p->kh);
        const struct tensor *from = conv_source(p, t0 + i, y0 + j, x0 + k, &pixel);
        double factor = from && gamma ? pixel_factor(from, pixel, p->C) : 1;
        for (int64_t c = 0; c < count; c++) {
            double x = from ? load(from, pixel * p->C + first + c) : 0;
            if (from && gamma)
                x *= factor * load(gamma, first + c);
            value[c * taps + tap] = gamma ? silu(x) : x;
            size[c * taps + tap] = gamma ? SILU_SLOPE * fabs(x) : fabs(x);
        }
    }
}

static inline void conv_row(const struct conv3d_problem *p, const struct tensor *gamma, int64_t row,
                            double *value, double *mag)
{
    double in[WINDOW], size[WINDOW], w[WINDOW];
    int64_t taps = p->kt * p->kh * p->kw, step = WINDOW / taps;
    for (int64_t o = 0; o < p->O; o++) {
        double bias = tensor_given(&p->bias) ? load(&p->bias, o) : 0;
        double aux = tensor_given(&p->aux) ? load(&p->aux, row * p->O + o) : 0;
        value[o] = bias + aux;
        if (mag)
            mag[o] = fabs(bias) + fabs(aux);
    }
    for (int64_t c = 0; c < p->C; c += step) {
        int64_t count = p->C - c < step ? p->C - c : step;
        conv_gather(p, gamma, row, c, count, in, size);
        for (int64_t o = 0; o < p->O; o++) {
            load_span(&p->w, (o * p->C + c) * taps, count * taps, w);
            value[o] += dot_span(w, in, count * taps, NULL);
            for (int64_t i = 0; mag && i < count * taps; i++)
                mag[o] += fabs(w[i]) * size[i];
        }
    }
}

#endif
