// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* attention/cudnn_00_f16.c
 * Idea:     cudnn_00_bf16 for f16 operands.
 * Differs:  the baseline that the others are measured against.   Bound: tensor cores.
 * Floor:    4 N S S D flops: for S = 32760, N = 12, D = 128, 6.59 Tflop; at 989 Tflop/s (H200,
 *           dense 16-bit) 6.7 ms.
 * Source:   NVIDIA, cuDNN backend API: scaled dot product attention; FlashAttention-3 (arXiv
 *           2407.08608).
 * Outcome:  not yet run on a GPU. */
#include "attention/attention/cudnn.h"

static bool plan(const struct attention_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    return plan_as(p, ELEM_F16, need);
}

VARIANT(attention, cudnn_00_f16, .needs = GPU_SM80 | LIB_CUDNN, .numerics = NUM_F16,
        .knob = SDPA_KNOBS, .open = open_sdpa, .close = cudnn_close, .describe = describe);
