// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* embedding.c   Definition of embedding.h. */
#include "text/embedding/embedding.h"
#include "ops/load.h"
#include "ref.h"

void ref_embedding(const struct embedding_problem *p, int output, int64_t row, double *value,
                   double *mag)
{
    (void)output;
    int64_t id = ((const int32_t *)p->ids.data)[row];
    for (int64_t c = 0; c < p->C; c++) {
        value[c] = load(&p->table, id * p->C + c);
        if (mag)
            mag[c] = fabs(value[c]);
    }
}
