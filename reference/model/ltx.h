// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* ltx.h   LTX-Video: one stream of video tokens, a latent cell each, cross attention to T5 text of
 * which padding takes no part. Positions are seconds and pixels. */
#ifndef PATCHMARK_LTX_H
#define PATCHMARK_LTX_H

#include "model/denoiser.h"

struct ltx_config {
    /* 1: a latent frame stands where its first pixel frame stands, the first one at 0, as the
     * pipeline of 0.9.5 and later has it; 0: latent frames are equally far apart */
    int64_t pixel_frames;
};

/* Longest extents of a position: fractions of them are rotated by. */
#define LTX_SECONDS 20.0f
#define LTX_PIXELS 2048.0f

/* Of queries and keys over all heads, in LTX-Video. */
#define LTX_QK_EPS 1e-5

/* The flow shift of the published pipelines: it grows with the tokens of the video. */
double ltx_shift(int64_t tokens);

extern const struct denoiser_family ltx_family, ltx_2_family;

#endif
