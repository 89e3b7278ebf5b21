// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* embedding.h   Rows of a table by number.
 *   y[s] = table[ids[s]]
 * Shapes: ids [S] i32, each in 0..V-1 (the caller sees to it); table [V][C] f32, bf16 or f16;
 *   y [S][C] f32, bf16 or f16. Strides: y free between rows; table packed.
 * Aliasing: none. Alignment: 64 bytes at each base. Numerics: one rounding. Memory: caller owns
 * all. Threads: exec.threads. Errors: none after plan() said yes. */
#ifndef PATCHMARK_EMBEDDING_H
#define PATCHMARK_EMBEDDING_H

#include "op.h"

struct embedding_problem {
    int64_t S, V, C;
    struct tensor ids, table, y;
};

#endif
