// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* conv3d/cudnn_00_f16.cu
 * Idea:     cudnn_00_bf16 for f16 operands: sums stay in f32, engines that add in f16 are passed
 *           over.
 * Differs:  the baseline that the others are measured against.   Bound: tensor cores.
 * Floor:    2 To Ho Wo O C 27 flops: for 4 frames of 480 x 832, C = O = 96, 0.79 Tflop; at 989
 *           Tflop/s (H200, dense 16-bit) 0.8 ms.
 * Source:   NVIDIA, cuDNN backend API: convolution forward, pointwise fusion, numerical notes.
 * Outcome:  not yet run on a GPU. */
#include "decode/conv3d/cudnn.h"

static bool plan(const struct conv3d_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    return plan_as(p, ELEM_F16, need);
}

VARIANT(conv3d, cudnn_00_f16, .needs = GPU_SM80 | LIB_CUDNN, .numerics = NUM_F16,
        .knob = CONV_KNOBS, .prepare = prepare, .open = cudnn_open, .close = cudnn_close,
        .describe = describe);
