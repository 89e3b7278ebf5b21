// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* qkv.h   Composite: the three projections of self attention with norm and rotation.
 *   q = qk_norm_rope(x wq^T + bq; nq, nbq), k = qk_norm_rope(x wk^T + bk; nk, nbk), v = x wv^T + bv
 *   norm and rope as in qk_norm_rope.h. Without a variant it expands into linear x 3 and
 *   qk_norm_rope x 2.
 * Shapes: x [B][S][C]; wq, wk, wv [N D][C]; bq, bk, bv [N D] f32; nq, nk f32 as `weight` there;
 *   nbq, nbk f32 as `bias` there; cos, sin f32 as there; q, k, v [B][S][N][D]. Strides: x, q, k, v
 *   free between tokens.
 *   x, q, k, v of one type f32, bf16 or f16; the three matrices of one type.
 * Aliasing: none. Alignment: 64 bytes at each base.
 * Numerics: f32 accumulation; a fused variant rounds once, the expansion also before the norm.
 * Memory: caller owns all. Threads: exec.threads. Errors: none after plan() said yes.
 * Source: Wan 2.1 self attention. */
#ifndef PATCHMARK_QKV_H
#define PATCHMARK_QKV_H

#include "attention/qk_norm_rope/qk_norm_rope.h"
#include "op.h"

struct qkv_problem {
    int64_t B, S, C, N, D;
    int64_t norm; /* enum qk_norm */
    int64_t rope; /* enum qk_rope */
    double eps;
    struct tensor x, wq, wk, wv, bq, bk, bv, nq, nk, cos, sin, q, k, v;
    struct tensor nbq, nbk;
};

#endif
