// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "media/picture.h"

#include <stdlib.h>

#include "media/media_read.h"
#include "media/resample.h"

/* Of the images that CLIP was trained on, red, green and blue. */
static const double clip_mean[3] = {0.48145466, 0.4578275, 0.40821073};
static const double clip_std[3] = {0.26862954, 0.26130258, 0.27577711};

static enum status no_memory(struct fault *fault)
{
    return fault_set(fault, ST_NO_MEMORY, "out of memory for an image");
}

static enum status read_first(struct media_reader *r, const char *path, struct picture *out,
                              struct fault *fault)
{
    bool end = false;
    media_read_size(r, &out->width, &out->height);
    if (!(out->rgb = malloc((size_t)(out->width * out->height * 3))))
        return no_memory(fault);
    TRY(media_read_frame(r, out->rgb, &end, fault));
    return end ? fault_set(fault, ST_BAD_INPUT, "%s holds no image", path) : ST_OK;
}

enum status picture_read(const char *path, struct picture *out, struct fault *fault)
{
    struct media_reader *r;
    *out = (struct picture){0};
    TRY(media_read_open(path, 0, 0, &r, fault));
    const enum status status = read_first(r, path, out, fault);
    media_read_free(r);
    return status;
}

void picture_free(struct picture *p)
{
    free(p->rgb);
    *p = (struct picture){0};
}

static enum status resized(const struct picture *p, enum resample_filter filter, int64_t width,
                           int64_t height, uint8_t **out, struct fault *fault)
{
    if (!(*out = malloc((size_t)(width * height * 3))))
        return no_memory(fault);
    return resample_rgb(filter, p->rgb, p->width, p->height, *out, width, height, fault);
}

enum status picture_frame(const struct picture *p, const struct geometry *g, float **out,
                          struct fault *fault)
{
    uint8_t *rgb;
    enum status status = resized(p, RESAMPLE_LANCZOS, g->width, g->height, &rgb, fault);
    *out = malloc((size_t)(g->pad_height * g->pad_width * 3) * sizeof **out);
    if (status == ST_OK && !*out)
        status = no_memory(fault);
    for (int64_t y = 0; y < g->pad_height && status == ST_OK; y++)
        for (int64_t x = 0; x < g->pad_width; x++) {
            const int64_t row = y < g->height ? y : g->height - 1;
            const int64_t column = x < g->width ? x : g->width - 1;
            const uint8_t *from = rgb + (row * g->width + column) * 3;
            for (int c = 0; c < 3; c++)
                (*out)[(y * g->pad_width + x) * 3 + c] = 2.0f * ((float)from[c] / 255.0f) - 1.0f;
        }
    free(rgb);
    return status;
}

enum status picture_pixels(const struct picture *p, int64_t size, float **out, struct fault *fault)
{
    const bool wide = p->width > p->height;
    const int64_t shorter = wide ? p->height : p->width, longer = wide ? p->width : p->height;
    const int64_t rest = size * longer / shorter;
    const int64_t width = wide ? rest : size, height = wide ? size : rest;
    const int64_t left = (width - size) / 2, top = (height - size) / 2;
    uint8_t *rgb;
    enum status status = resized(p, RESAMPLE_CUBIC, width, height, &rgb, fault);
    *out = malloc((size_t)(size * size * 3) * sizeof **out);
    if (status == ST_OK && !*out)
        status = no_memory(fault);
    for (int64_t i = 0; i < size * size && status == ST_OK; i++) {
        const uint8_t *from = rgb + ((top + i / size) * width + left + i % size) * 3;
        for (int c = 0; c < 3; c++)
            (*out)[i * 3 + c] = (float)((from[c] / 255.0 - clip_mean[c]) / clip_std[c]);
    }
    free(rgb);
    return status;
}
