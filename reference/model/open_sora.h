// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* open_sora.h   The Open-Sora transformers by their figures alone: tokens, parameters and work of a
 * forward, layer by layer as their own code builds them. No network of theirs runs here. */
#ifndef PATCHMARK_OPEN_SORA_H
#define PATCHMARK_OPEN_SORA_H

#include "model/denoiser.h"

enum open_sora_form {
    OPEN_SORA_ALTERNATING = 0, /* 1.2: blocks over a frame's tokens and over frames in turn */
    OPEN_SORA_STREAMS          /* 2.0: two streams of text and video, then one */
};

struct open_sora_config {
    enum open_sora_form form;
    int64_t chunk_frames;  /* ALTERNATING: what its autoencoder takes at a time */
    int64_t single_layers; /* STREAMS: blocks of the one stream, after `layers` of two */
    int64_t pooled_dim;    /* STREAMS: the prompt as one vector */
};

extern const struct denoiser_family open_sora_family;

#endif
