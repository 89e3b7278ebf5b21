// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* clip.h   Whole clips through the video autoencoder: chunk by chunk, in whole frames or in tiles.
 * Each is a stage: entered, its weights loaded, left. */
#ifndef PATCHMARK_CLIP_H
#define PATCHMARK_CLIP_H

#include "model/generate.h"

/* rgb [frames][height][width][3] of the geometry's size asked for -> cells [T][H][W][C], normalised
 * latents, as STAGE_ENCODE. Where the padded clip is larger, edges and the last frame are repeated.
 * rgb and cells are looked at only where ops executes. */
enum status clip_encode(struct ops *ops, const struct model_config *model,
                        const struct geometry *grid, const struct vae_tiling *tiling,
                        const uint8_t *rgb, float *cells);

/* cells [clips][T][H][W][C] -> frames for the sink, in order, one clip after the other, as
 * STAGE_DECODE. Whole frames leave with their chunk; tiles need memory of the host for all frames of
 * a clip. */
enum status clip_decode(struct ops *ops, const struct model_config *model,
                        const struct geometry *grid, const struct vae_tiling *tiling,
                        const float *cells, int64_t clips, const struct generate_sink *sink);

/* Bytes of the host that both hold at most. */
int64_t clip_host_bytes(const struct model_config *model, const struct geometry *grid,
                        const struct vae_tiling *tiling, bool floats);

#endif
