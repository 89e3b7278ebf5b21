// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* linear/cublaslt_00_f32.cu
 * Idea:     cuBLASLt on f32 operands without TF32, bias and residual in the library; the other
 *           epilogues in a kernel of ours behind it.
 * Differs:  the baseline that the others are measured against.   Bound: f32 FMA.
 * Floor:    2 S K O flops: for S = 32760, K = 1536, O = 8960, 0.90 Tflop; at 67 Tflop/s (H200, f32)
 *           13.5 ms.
 * Source:   NVIDIA, cuBLAS: cublasLtMatmul, its types, epilogues and heuristic.
 * Outcome:  not yet run on a GPU. */
#include "denoise/linear/cublaslt.h"

static bool plan(const struct linear_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    return plan_as(p, ELEM_F32, need);
}

VARIANT(linear, cublaslt_00_f32, .needs = GPU_CUDA | LIB_CUBLASLT, .numerics = NUM_F32,
        .knob = CUBLASLT_KNOBS, .open = cublaslt_open, .close = cublaslt_close,
        .describe = describe);
