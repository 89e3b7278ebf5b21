// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* ltx_2.h   LTX-2: a stream of video and one of sound. In every block each attends to itself and to
 * its own text, then the two attend to each other by time alone, then the MLPs. What comes before
 * the transformer, Gemma and its connectors, is not here: text rows are the connectors' outputs,
 * those for the video beside those for the sound. The connectors fill up a prompt with rows of
 * their own, so in published runs all rows are real. Latents: the rows of the sound follow the
 * cells of the grid. */
#ifndef PATCHMARK_LTX_2_H
#define PATCHMARK_LTX_2_H

#include "model/ltx.h"

struct ltx_2_config {
    int64_t audio_channels; /* in and out, as many as the video's */
    int64_t audio_N, audio_D, audio_F;
    int64_t sample_rate, hop, scale; /* samples of a second, of a spectrum; spectra of a row */
    double gate_time;                /* the time that gates between the streams see: a factor */
};

#endif
