// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "media/resample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHANNELS 3
#define WEIGHT_BITS 22 /* weights are whole multiples of 2^-22 */

static const double pi = 3.14159265358979323846;

/* ---- filters --------------------------------------------------------------------------------- */

/* Cubic convolution (Keys 1981) with a = -1/2. */
static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static double sinc(double x) { return x == 0 ? 1 : sin(pi * x) / (pi * x); }

static double lanczos(double x) { return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0; }

static const struct {
    double (*value)(double);
    double reach;
} filters[] = {[RESAMPLE_CUBIC] = {cubic, 2}, [RESAMPLE_LANCZOS] = {lanczos, 3}};

/* ---- one axis -------------------------------------------------------------------------------- */

/* Of every pixel of the result: which pixels it is a mean of, and their weights. */
struct axis {
    int64_t most;           /* weights kept per pixel */
    int64_t *first, *count; /* [to] */
    int32_t *weight;        /* [to][most] */
};

static void axis_free(struct axis *a)
{
    free(a->first);
    free(a->count);
    free(a->weight);
}

/* The weights of result pixel `i`, which add up to one before they are rounded. */
static void fill_pixel(struct axis *a, enum resample_filter filter, int64_t i, int64_t from,
                       double scale, double *value)
{
    const double grown = fmax(scale, 1), reach = filters[filter].reach * grown;
    const double centre = ((double)i + 0.5) * scale;
    const int64_t first = (int64_t)fmax(centre - reach + 0.5, 0);
    const int64_t end = (int64_t)fmin(centre + reach + 0.5, (double)from);
    double sum = 0;
    a->first[i] = first;
    a->count[i] = end - first;
    for (int64_t k = 0; k < end - first; k++)
        sum += value[k] = filters[filter].value(((double)(first + k) - centre + 0.5) / grown);
    for (int64_t k = 0; k < end - first; k++)
        a->weight[i * a->most + k] =
            (int32_t)(value[k] / sum * (1 << WEIGHT_BITS) + copysign(0.5, value[k]));
}

static enum status axis_new(enum resample_filter filter, int64_t from, int64_t to, struct axis *a,
                            struct fault *fault)
{
    const double scale = (double)from / (double)to;
    a->most = 2 * (int64_t)ceil(filters[filter].reach * fmax(scale, 1)) + 1;
    a->first = calloc((size_t)to, sizeof *a->first);
    a->count = calloc((size_t)to, sizeof *a->count);
    a->weight = calloc((size_t)(to * a->most), sizeof *a->weight);
    double *value = calloc((size_t)a->most, sizeof *value);
    const bool whole = a->first && a->count && a->weight && value;
    for (int64_t i = 0; whole && i < to; i++)
        fill_pixel(a, filter, i, from, scale, value);
    free(value);
    return whole ? ST_OK : fault_set(fault, ST_NO_MEMORY, "out of memory for resampling an image");
}

static uint8_t to_byte(int64_t sum)
{
    const int64_t value = (sum + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* `lines` lines whose pixels lie `step` bytes apart, the lines themselves `line` bytes. */
static void apply(const struct axis *a, int64_t to, const uint8_t *from, int64_t step,
                  int64_t lines, int64_t from_line, uint8_t *out, int64_t out_line)
{
    for (int64_t l = 0; l < lines; l++)
        for (int64_t i = 0; i < to; i++)
            for (int64_t c = 0; c < CHANNELS; c++) {
                const uint8_t *at = from + l * from_line + a->first[i] * step + c;
                int64_t sum = 0;
                for (int64_t k = 0; k < a->count[i]; k++)
                    sum += (int64_t)a->weight[i * a->most + k] * at[k * step];
                out[l * out_line + i * step + c] = to_byte(sum);
            }
}

/* ---- both axes ------------------------------------------------------------------------------- */

static enum status columns(enum resample_filter filter, const uint8_t *from, int64_t width,
                           int64_t height, uint8_t *to, int64_t to_width, struct fault *fault)
{
    struct axis a = {0};
    if (width == to_width) {
        memcpy(to, from, (size_t)(width * height * CHANNELS));
        return ST_OK;
    }
    const enum status status = axis_new(filter, width, to_width, &a, fault);
    if (status == ST_OK)
        apply(&a, to_width, from, CHANNELS, height, width * CHANNELS, to, to_width * CHANNELS);
    axis_free(&a);
    return status;
}

static enum status rows(enum resample_filter filter, const uint8_t *from, int64_t width,
                        int64_t height, uint8_t *to, int64_t to_height, struct fault *fault)
{
    struct axis a = {0};
    if (height == to_height) {
        memcpy(to, from, (size_t)(width * height * CHANNELS));
        return ST_OK;
    }
    const enum status status = axis_new(filter, height, to_height, &a, fault);
    if (status == ST_OK)
        apply(&a, to_height, from, width * CHANNELS, width, CHANNELS, to, CHANNELS);
    axis_free(&a);
    return status;
}

/* An axis that keeps its length is left alone; where columns grow and rows shrink, rows are first. */
enum status resample_rgb(enum resample_filter filter, const uint8_t *from, int64_t width,
                         int64_t height, uint8_t *to, int64_t to_width, int64_t to_height,
                         struct fault *fault)
{
    const bool rows_first = to_width > width && to_height < height;
    const int64_t middle_width = rows_first ? width : to_width;
    const int64_t middle_height = rows_first ? to_height : height;
    uint8_t *middle = malloc((size_t)(middle_width * middle_height * CHANNELS));
    if (!middle)
        return fault_set(fault, ST_NO_MEMORY, "out of memory for resampling an image");
    enum status status = ST_OK;
    if (rows_first)
        status = rows(filter, from, width, height, middle, to_height, fault);
    else
        status = columns(filter, from, width, height, middle, to_width, fault);
    if (status == ST_OK && rows_first)
        status = columns(filter, middle, width, to_height, to, to_width, fault);
    else if (status == ST_OK)
        status = rows(filter, middle, to_width, height, to, to_height, fault);
    free(middle);
    return status;
}
