// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* conv3d/cudnn_00_f32.cu
 * Idea:     cuDNN's convolution on f32 operands without TF32: engines that use tensor cores or
 *           convert their inputs are passed over. The library adds the bias; where there is aux, a
 *           kernel of ours adds both.
 * Differs:  the baseline that the others are measured against.   Bound: f32 FMA.
 * Floor:    2 To Ho Wo O C 27 flops: for 4 frames of 480 x 832, C = O = 96, 0.79 Tflop; at 67
 *           Tflop/s (H200, f32) 12 ms.
 * Source:   NVIDIA, cuDNN backend API: convolution forward, pointwise fusion, numerical notes.
 * Outcome:  not yet run on a GPU. */
#include "decode/conv3d/cudnn.h"

static bool plan(const struct conv3d_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    return plan_as(p, ELEM_F32, need);
}

VARIANT(conv3d, cudnn_00_f32, .needs = GPU_CUDA | LIB_CUDNN, .numerics = NUM_F32,
        .knob = CONV_KNOBS, .prepare = prepare, .open = cudnn_open, .close = cudnn_close,
        .describe = describe);
