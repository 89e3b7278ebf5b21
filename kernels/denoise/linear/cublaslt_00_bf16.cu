// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* linear/cublaslt_00_bf16.cu
 * Idea:     cuBLASLt on the bf16 tensor cores, sums in f32; what the library cannot add in f32 is
 *           added by a kernel of ours behind it.
 * Differs:  the baseline that the others are measured against.   Bound: tensor cores, then the
 *           traffic of the f32 sums where a kernel follows.
 * Floor:    2 S K O flops: for S = 32760, K = 1536, O = 8960, 0.90 Tflop; at 989 Tflop/s (H200,
 *           dense 16-bit) 0.9 ms. A kernel behind it moves 10 S O bytes: at 4.8 TB/s 0.6 ms.
 * Source:   NVIDIA, cuBLAS: cublasLtMatmul, its types, epilogues and heuristic.
 * Outcome:  not yet run on a GPU. */
#include "denoise/linear/cublaslt.h"

static bool plan(const struct linear_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    return plan_as(p, ELEM_BF16, need);
}

VARIANT(linear, cublaslt_00_bf16, .needs = GPU_SM80 | LIB_CUBLASLT, .numerics = NUM_BF16,
        .knob = CUBLASLT_KNOBS, .open = cublaslt_open, .close = cublaslt_close,
        .describe = describe);
