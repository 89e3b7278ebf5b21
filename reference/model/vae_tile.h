// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* vae_tile.h   Tiles of a frame that overlap, and the blending of their seams, so that large frames
 * pass through the video autoencoder in the memory of small ones. A tile passes whole in time. */
#ifndef PATCHMARK_VAE_TILE_H
#define PATCHMARK_VAE_TILE_H

#include "model/model.h"

/* In pixels, both multiples of scale_space; size 0: frames are not cut. */
struct vae_tiling {
    int64_t size, stride;
};

/* Three quarters of a tile, as published: 192 of 256. */
int64_t vae_tile_stride(const struct vae_config *config, int64_t size);
enum status vae_tiling_check(const struct vae_config *config, const struct vae_tiling *tiling,
                             struct fault *fault);

/* How a plane of H x W is cut. One tile where the plane is no larger. */
struct vae_cut {
    int64_t H, W, size, stride;
    int64_t rows, columns;
};
/* `pixels`: how many of a side make one of the plane's places. */
struct vae_cut vae_cut_of(const struct vae_tiling *tiling, int64_t H, int64_t W, int64_t pixels);

/* Tile number i, line by line. What is kept of it begins at its upper left corner. */
struct vae_tile {
    int64_t row, column;
    int64_t y, x, H, W;
    int64_t keep_H, keep_W;
};
struct vae_tile vae_tile_at(const struct vae_cut *cut, int64_t i);

/* What later tiles are blended with: the lower and right edges of earlier ones, of all frames. */
struct vae_seams {
    struct vae_cut cut;
    int64_t frames, channels;
    int64_t unit; /* squares of unit x unit have one weight: pixels that the network folds */
    float *above; /* [frames][columns][size - stride][size][channels] */
    float *left;  /* [frames][size][size - stride][channels] */
};

/* Bytes that seams take on the host. */
int64_t vae_seams_bytes(const struct vae_cut *cut, int64_t frames, int64_t channels);
/* Memory only where `ops` executes. */
enum status vae_seams_new(struct ops *ops, const struct vae_cut *cut, int64_t frames,
                          int64_t channels, int64_t unit, struct vae_seams *out);
/* Frames first .. first + count - 1 of a tile, [count][H][W][channels]: what overlaps becomes a
 * mixture with the tile above, then with the one on the left, and the tile's own edges are kept.
 * Tiles come in order. */
void vae_seams_blend(struct vae_seams *s, const struct vae_tile *tile, int64_t first, int64_t count,
                     float *data);
void vae_seams_free(struct vae_seams *s);

#endif
