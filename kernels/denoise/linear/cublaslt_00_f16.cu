// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* linear/cublaslt_00_f16.cu
 * Idea:     cublaslt_00_bf16 for f16 operands; sums are f32 here too.
 * Differs:  the baseline that the others are measured against.   Bound: tensor cores.
 * Floor:    2 S K O flops: for S = 32760, K = 1536, O = 8960, 0.90 Tflop; at 989 Tflop/s (H200,
 *           dense 16-bit) 0.9 ms.
 * Source:   NVIDIA, cuBLAS: cublasLtMatmul, its types, epilogues and heuristic.
 * Outcome:  not yet run on a GPU. */
#include "denoise/linear/cublaslt.h"

static bool plan(const struct linear_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    return plan_as(p, ELEM_F16, need);
}

VARIANT(linear, cublaslt_00_f16, .needs = GPU_CUDA | LIB_CUBLASLT, .numerics = NUM_F16,
        .knob = CUBLASLT_KNOBS, .open = cublaslt_open, .close = cublaslt_close,
        .describe = describe);
