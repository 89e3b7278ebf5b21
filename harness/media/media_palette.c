// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* Median cut after Heckbert, "Color image quantization for frame buffer display" (1982), over bins
 * of 5 bits per channel; integers only, so every machine chooses the same colours. */
#include "media/media_palette.h"

#include <stdlib.h>

#define BIN_BITS 5
#define BINS (1 << 3 * BIN_BITS)
#define BIN_SHIFT (8 - BIN_BITS)
#define DITHER_LEVELS 16 /* peak to peak; about the spacing of 256 colours in a photograph */

struct bin {
    uint64_t weight, sum[3]; /* pixels and their channels */
};

struct box {
    int first, count; /* its bins are order[first .. first + count) */
    uint64_t weight;
    int axis, extent; /* its widest channel, in bins */
};

struct palette {
    struct bin bin[BINS];
    uint16_t order[BINS];
    struct box box[PALETTE_COLORS];
    int boxes;
    uint8_t color[PALETTE_COLORS][3];
    int16_t nearest[BINS]; /* -1: not looked up since the colours were chosen */
};

struct palette *palette_new(void) { return calloc(1, sizeof(struct palette)); }

void palette_free(struct palette *p) { free(p); }

static int bin_of(const uint8_t *rgb)
{
    return rgb[0] >> BIN_SHIFT << 2 * BIN_BITS | rgb[1] >> BIN_SHIFT << BIN_BITS |
           rgb[2] >> BIN_SHIFT;
}

static int channel_of(int bin, int axis)
{
    return bin >> (2 - axis) * BIN_BITS & ((1 << BIN_BITS) - 1);
}

static void measure_box(const struct palette *p, struct box *box)
{
    box->weight = 0;
    box->extent = -1;
    for (int i = 0; i < box->count; i++)
        box->weight += p->bin[p->order[box->first + i]].weight;
    for (int axis = 0; axis < 3; axis++) {
        int least = 1 << BIN_BITS, most = -1;
        for (int i = 0; i < box->count; i++) {
            int c = channel_of(p->order[box->first + i], axis);
            least = c < least ? c : least;
            most = c > most ? c : most;
        }
        if (most - least > box->extent) {
            box->extent = most - least;
            box->axis = axis;
        }
    }
}

/* Counting sort of a box's bins along its widest channel. */
static void sort_box(struct palette *p, const struct box *box)
{
    uint16_t sorted[BINS];
    int at[(1 << BIN_BITS) + 1] = {0};
    uint16_t *order = p->order + box->first;
    for (int i = 0; i < box->count; i++)
        at[channel_of(order[i], box->axis) + 1]++;
    for (int c = 0; c < 1 << BIN_BITS; c++)
        at[c + 1] += at[c];
    for (int i = 0; i < box->count; i++)
        sorted[at[channel_of(order[i], box->axis)]++] = order[i];
    for (int i = 0; i < box->count; i++)
        order[i] = sorted[i];
}

/* The box whose halving helps most; -1 where every box is a single bin. */
static int widest_box(const struct palette *p)
{
    int best = -1;
    uint64_t most = 0;
    for (int i = 0; i < p->boxes; i++) {
        uint64_t gain = p->box[i].weight * (uint64_t)(p->box[i].extent * p->box[i].extent);
        if (gain > most) {
            most = gain;
            best = i;
        }
    }
    return best;
}

/* Cuts at the median pixel, each half keeping at least one bin. */
static void split_box(struct palette *p, int index)
{
    struct box *box = &p->box[index];
    sort_box(p, box);
    uint64_t below = 0;
    int cut = 1;
    for (int i = 0; i + 1 < box->count; i++) {
        below += p->bin[p->order[box->first + i]].weight;
        cut = i + 1;
        if (2 * below >= box->weight)
            break;
    }
    struct box *upper = &p->box[p->boxes++];
    *upper = (struct box){.first = box->first + cut, .count = box->count - cut};
    box->count = cut;
    measure_box(p, box);
    measure_box(p, upper);
}

static void add_frame(struct palette *p, const uint8_t *rgb, int64_t pixels)
{
    for (int b = 0; b < BINS; b++) {
        struct bin *bin = &p->bin[b];
        uint64_t half = bin->weight / 2;
        for (int c = 0; c < 3; c++)
            bin->sum[c] = half ? bin->sum[c] * half / bin->weight : 0;
        bin->weight = half;
    }
    for (int64_t i = 0; i < pixels; i++, rgb += 3) {
        struct bin *bin = &p->bin[bin_of(rgb)];
        bin->weight++;
        for (int c = 0; c < 3; c++)
            bin->sum[c] += rgb[c];
    }
}

static void average_box(const struct palette *p, const struct box *box, uint8_t color[3])
{
    for (int c = 0; c < 3; c++) {
        uint64_t sum = 0;
        for (int i = 0; i < box->count; i++)
            sum += p->bin[p->order[box->first + i]].sum[c];
        color[c] = (uint8_t)((sum + box->weight / 2) / box->weight);
    }
}

void palette_choose(struct palette *p, const uint8_t *rgb, int64_t pixels,
                    uint32_t colors[PALETTE_COLORS])
{
    add_frame(p, rgb, pixels);
    int used = 0;
    for (int b = 0; b < BINS; b++) {
        p->nearest[b] = -1;
        if (p->bin[b].weight > 0)
            p->order[used++] = (uint16_t)b;
    }
    p->box[0] = (struct box){.count = used};
    p->boxes = 1;
    measure_box(p, &p->box[0]);
    for (int i; p->boxes < PALETTE_COLORS && (i = widest_box(p)) >= 0;)
        split_box(p, i);
    for (int i = 0; i < PALETTE_COLORS; i++) {
        average_box(p, &p->box[i < p->boxes ? i : 0], p->color[i]);
        colors[i] = 0xFF000000u | (uint32_t)p->color[i][0] << 16 | (uint32_t)p->color[i][1] << 8 |
                    p->color[i][2];
    }
}

static uint8_t nearest_color(struct palette *p, const uint8_t *rgb)
{
    int bin = bin_of(rgb);
    if (p->nearest[bin] >= 0)
        return (uint8_t)p->nearest[bin];
    int best = 0, least = INT32_MAX;
    for (int i = 0; i < p->boxes; i++) {
        int distance = 0;
        for (int c = 0; c < 3; c++) {
            int middle = (channel_of(bin, c) << BIN_SHIFT) + (1 << (BIN_SHIFT - 1));
            int d = middle - p->color[i][c];
            distance += d * d * (c == 1 ? 2 : 1); /* the eye weighs green most */
        }
        if (distance < least) {
            least = distance;
            best = i;
        }
    }
    p->nearest[bin] = (int16_t)best;
    return (uint8_t)best;
}

/* Bayer's 8 x 8 matrix, 0 .. 63: bits of x ^ y and y interleaved, the lowest first. */
static int bayer(int64_t x, int64_t y)
{
    int value = 0;
    for (int bit = 0; bit < 3; bit++)
        value = value << 2 | (int)((x ^ y) >> bit & 1) << 1 | (int)(y >> bit & 1);
    return value;
}

void palette_map(struct palette *p, const uint8_t *rgb, int64_t width, int64_t row, uint8_t *out)
{
    for (int64_t x = 0; x < width; x++, rgb += 3) {
        int shift = (2 * bayer(x, row) - 63) * DITHER_LEVELS / 128;
        uint8_t shifted[3];
        for (int c = 0; c < 3; c++) {
            int v = rgb[c] + shift;
            shifted[c] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
        }
        out[x] = nearest_color(p, shifted);
    }
}
