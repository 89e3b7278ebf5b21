// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* YUV4MPEG2, every pixel with its own chroma (C444), so no size is odd. */
#include "media/media_format.h"

#include <inttypes.h>
#include <stdlib.h>

/* Kr 0.299, Kb 0.114 and Kr 0.2126, Kb 0.0722 (ITU-R BT.601, BT.709); luma spans 219 levels, chroma
 * 224. Each chroma row sums to 0, so grey has exactly 128. */
const struct media_matrix media_bt601 = {
    {16829, 33039, 6416}, {-9714, -19071, 28785}, {28784, -24103, -4681}};
const struct media_matrix media_bt709 = {
    {11966, 40254, 4064}, {-6596, -22189, 28785}, {28784, -26145, -2639}};

static enum status begin(struct media_writer *w, struct fault *fault)
{
    char line[160];
    int n = snprintf(line, sizeof line,
                     "YUV4MPEG2 W%" PRId64 " H%" PRId64 " F%" PRId64 ":%" PRId64
                     " Ip A1:1 C444 XCOLORRANGE=LIMITED\n",
                     w->width, w->height, w->rate, w->rate_base);
    w->state = malloc((size_t)(w->width * w->height) * 3);
    if (!w->state)
        return fault_set(fault, ST_NO_MEMORY, "out of memory for a frame of %s", w->path);
    return out_file_write(&w->out, line, (size_t)n, fault);
}

static enum status frame(struct media_writer *w, const uint8_t *rgb, struct fault *fault)
{
    int64_t pixels = w->width * w->height;
    uint8_t *y = w->state, *cb = y + pixels, *cr = cb + pixels;
    for (int64_t i = 0; i < pixels; i++, rgb += 3) {
        const int32_t sum[3] = {rgb[0], rgb[1], rgb[2]};
        y[i] = media_luma(&media_bt601, rgb);
        cb[i] = media_chroma(media_bt601.cb, sum, 0);
        cr[i] = media_chroma(media_bt601.cr, sum, 0);
    }
    TRY(out_file_write(&w->out, "FRAME\n", 6, fault));
    return out_file_write(&w->out, y, (size_t)pixels * 3, fault);
}

static enum status end(struct media_writer *w, struct fault *fault)
{
    (void)w;
    (void)fault;
    return ST_OK;
}

static void drop(struct media_writer *w)
{
    free(w->state);
    w->state = NULL;
}

const struct media_kind media_y4m = {".y4m", false, false, 65535, true, begin, frame, end, drop};
