// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* ref.h   The definition that every variant must match, one function per op.
 *
 * ref_<op>(problem, output, row, value, mag) computes one row of one output in double.
 *   output  counts the op's written tensors in the order of its problem struct (0 is the first)
 *   row     counts rows of that output: for [B][S][N][D] outputs of attention, qkv and qk_norm_rope
 *           a row is one (b, s, n) with D values; elsewhere a row is all axes but the last, with
 *           the last axis as values (a pixel, a token)
 *   value   the row's values, not yet rounded to the output type
 *   mag     sum of |terms| behind each value, what rounding errors scale with (attention: sum of
 *           p |v| times (1 + max over j of sum_d |q k| scale)); may be NULL
 * Pure, thread-safe, reads inputs only; an op that may run in place is computed from inputs that
 * the caller has kept apart. Accumulates in double, compiled without contraction or fast-math.
 *
 * expand_<op>(ops, problem) runs a composite op as calls of its parts. */
#ifndef PATCHMARK_REF_H
#define PATCHMARK_REF_H

#include "op.h"

#define REF_DECLARE(folder, op)                                                                    \
    void ref_##op(const struct op##_problem *problem, int output, int64_t row, double *value,      \
                  double *mag);
OP_LIST(REF_DECLARE)
#undef REF_DECLARE

enum status expand_qkv(struct ops *ops, const struct qkv_problem *problem);
enum status expand_norm_conv3d(struct ops *ops, const struct norm_conv3d_problem *problem);

#endif
