// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* load.h   Elements of any float type as double, and the dot product that most ops are made of. */
#ifndef PATCHMARK_REFERENCE_LOAD_H
#define PATCHMARK_REFERENCE_LOAD_H

#include <math.h>

#include "elem.h"

static inline double load(const struct tensor *t, int64_t index)
{
    return t->elem == ELEM_F32 ? ((const float *)t->data)[index]
                               : elem_get(t->data, t->elem, index);
}

static inline double load_at(const struct tensor *t, int64_t row, int64_t column)
{
    return load(t, row * t->stride + column);
}

/* Row of a broadcast operand with `groups` rows that row s of `rows` meets. */
static inline int64_t group_of(int64_t s, int64_t rows, int64_t groups)
{
    return s / (rows / groups);
}

#define SPAN 256

/* `count` neighbouring elements, by way of f32, which holds every value of the smaller types. */
static inline void load_span(const struct tensor *t, int64_t first, int64_t count, double *out)
{
    float piece[SPAN];
    for (int64_t at = 0; at < count; at += SPAN) {
        int64_t n = count - at < SPAN ? count - at : SPAN;
        const char *from = (const char *)t->data + (size_t)(first + at) * elem_bytes(t->elem);
        elem_convert(piece, ELEM_F32, from, t->elem, n);
        for (int64_t i = 0; i < n; i++)
            out[at + i] = piece[i];
    }
}

/* sum of a[i] b[i]; adds the sum of |a[i] b[i]| to *mag where asked for. */
static inline double dot_span(const double *a, const double *b, int64_t count, double *mag)
{
    double sum = 0, size = 0;
    for (int64_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    for (int64_t i = 0; mag && i < count; i++)
        size += fabs(a[i] * b[i]);
    if (mag)
        *mag += size;
    return sum;
}

/* sum over `count` elements from a[at_a] and b[at_b] */
static inline double dot(const struct tensor *a, int64_t at_a, const struct tensor *b, int64_t at_b,
                         int64_t count, double *mag)
{
    double left[SPAN], right[SPAN], sum = 0;
    for (int64_t i = 0; i < count; i += SPAN) {
        int64_t n = count - i < SPAN ? count - i : SPAN;
        load_span(a, at_a + i, n, left);
        load_span(b, at_b + i, n, right);
        sum += dot_span(left, right, n, mag);
    }
    return sum;
}

static inline double sum_of_squares(const struct tensor *t, int64_t first, int64_t count)
{
    return dot(t, first, t, first, count, NULL);
}

#endif
