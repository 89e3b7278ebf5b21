// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* conv3d/openblas_00_im2col.c
 * Idea:     the input under a strip of output pixels is copied out tap by tap, one time tap at a
 *           time, and multiplied with the turned weights by a one-thread sgemm per strip.
 * Differs:  the baseline that the others are measured against.
 *           Bound: the library's, and the copy's memory traffic.
 * Source:   im2col as in Caffe (arXiv 1408.5093); OpenBLAS. */
#include "decode/conv3d/conv3d.h"

#include <cblas.h>
#include <omp.h>
#include <string.h>

#define PIXELS 256 /* of a strip at most */
#define SCRATCH_ELEMS                                                                              \
    (INT64_C(1) << 24) /* copied input, all threads together, if the problem has it */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static bool is_f32(const struct tensor *t)
{
    return t->elem == ELEM_F32 && t->scale_layout == SCALE_NONE;
}

static int64_t output_pixels(const struct conv3d_problem *p)
{
    return conv3d_To(p) * conv3d_Ho(p) * conv3d_Wo(p);
}

static int64_t column_elems(const struct conv3d_problem *p) { return p->kh * p->kw * p->C; }

/* Pixels that scratch has room for, all threads together. */
static int64_t scratch_pixels(const struct conv3d_problem *p)
{
    int64_t room = SCRATCH_ELEMS / column_elems(p);
    return least(output_pixels(p), room > PIXELS ? room : PIXELS);
}

static bool plan(const struct conv3d_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    if (!is_f32(&p->x) || !is_f32(&p->w) || !is_f32(&p->y) || (p->P > 0 && !is_f32(&p->past)))
        need->reason = "sgemm takes x, past, w and y in f32 only";
    else if ((tensor_given(&p->bias) && !is_f32(&p->bias)) ||
             (tensor_given(&p->aux) && !is_f32(&p->aux)))
        need->reason = "bias and aux must be f32";
    else if (column_elems(p) > INT32_MAX || p->O > INT32_MAX)
        need->reason = "sgemm counts in 32 bits";
    need->scratch_bytes = (size_t)(scratch_pixels(p) * column_elems(p)) * sizeof(float);
    need->packed_bytes = (size_t)(p->O * p->kt * column_elems(p)) * sizeof(float);
    return !need->reason;
}

/* [O][C][taps] becomes [taps][C][O]. */
static enum status prepare(const void *problem, const struct exec *exec, void *packed)
{
    const struct conv3d_problem *p = problem;
    int64_t taps = p->kt * p->kh * p->kw;
    const float *w = p->w.data;
    float *to = packed;
#pragma omp parallel for num_threads(exec->threads) schedule(static)
    for (int64_t c = 0; c < p->C; c++)
        for (int64_t tap = 0; tap < taps; tap++)
            for (int64_t o = 0; o < p->O; o++)
                to[(tap * p->C + c) * p->O + o] = w[(o * p->C + c) * taps + tap];
    return ST_OK;
}

/* Frame t of the input, counted from the first zero frame; NULL for a zero frame. */
static const float *frame_of(const struct conv3d_problem *p, int64_t t)
{
    int64_t elems = p->H * p->W * p->C;
    if (t >= p->lead)
        return (const float *)p->x.data + (t - p->lead) * elems;
    return t >= p->lead - p->P ? (const float *)p->past.data + (t - p->lead + p->P) * elems : NULL;
}

/* What lies under the taps [kh][kw][C] of one output pixel, zeros outside the frame. */
static void copy_column(const struct conv3d_problem *p, const float *frame, int64_t r, int64_t q,
                        float *column)
{
    int64_t left = q * p->sw - p->pad_left, taps = p->kw * p->C;
    int64_t k0 = left < 0 ? least(-left, p->kw) : 0;
    int64_t k1 = p->W - left < k0 ? k0 : least(p->kw, p->W - left);
    for (int64_t j = 0; j < p->kh; j++, column += taps) {
        int64_t row = r * p->sh + j - p->pad_top;
        if (!frame || row < 0 || row >= p->H) {
            memset(column, 0, (size_t)taps * sizeof *column);
            continue;
        }
        memset(column, 0, (size_t)(k0 * p->C) * sizeof *column);
        memcpy(column + k0 * p->C, frame + (row * p->W + left + k0) * p->C,
               (size_t)((k1 - k0) * p->C) * sizeof *column);
        memset(column + k1 * p->C, 0, (size_t)((p->kw - k1) * p->C) * sizeof *column);
    }
}

/* The sums begin as bias + aux, read before the pixel is written: y may be aux. */
static void start(const struct conv3d_problem *p, int64_t first, int64_t pixels)
{
    const float *bias = p->bias.data, *aux = p->aux.data;
    float *y = p->y.data;
    for (int64_t i = first; i < first + pixels; i++)
        for (int64_t o = 0; o < p->O; o++)
            y[i * p->O + o] = (tensor_given(&p->bias) ? bias[o] : 0) +
                              (tensor_given(&p->aux) ? aux[i * p->O + o] : 0);
}

static void convolve(const struct conv3d_problem *p, const float *packed, int64_t first,
                     int64_t pixels, float *columns)
{
    int64_t Ho = conv3d_Ho(p), Wo = conv3d_Wo(p), K = column_elems(p);
    float *y = (float *)p->y.data + first * p->O;
    start(p, first, pixels);
    for (int64_t i = 0; i < p->kt; i++) {
        for (int64_t j = 0; j < pixels; j++) {
            int64_t at = first + j, t = at / Wo / Ho * p->st + i;
            copy_column(p, frame_of(p, t), at / Wo % Ho, at % Wo, columns + j * K);
        }
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)pixels, (blasint)p->O,
                    (blasint)K, 1, columns, (blasint)K, packed + i * K * p->O, (blasint)p->O, 1, y,
                    (blasint)p->O);
    }
}

static enum status run(const struct conv3d_problem *p, const struct exec *exec)
{
    int64_t total = output_pixels(p), room = scratch_pixels(p),
            threads = least(exec->threads, room);
    int64_t pixels = least(PIXELS, room / threads), strips = (total + pixels - 1) / pixels;

    /* the setting is the process's, and another variant of the library may have changed it */
    openblas_set_num_threads(1);
#pragma omp parallel for num_threads((int)least(threads, strips)) schedule(static)
    for (int64_t strip = 0; strip < strips; strip++) {
        int64_t first = strip * pixels;
        float *columns = (float *)exec->scratch + omp_get_thread_num() * pixels * column_elems(p);
        convolve(p, exec->packed, first, least(pixels, total - first), columns);
    }
    return ST_OK;
}

static enum status open(const struct exec *exec, void **handle)
{
    (void)exec;
    openblas_set_num_threads(1);
    *handle = NULL;
    return ST_OK;
}

VARIANT(conv3d, openblas_00_im2col, .needs = 0, .numerics = NUM_F32, .prepare = prepare,
        .open = open);
