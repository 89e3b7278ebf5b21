// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* input_edited.c   Planted fault: clears the first value of its input when done. */
#include "honest.h"

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    (void)exec;
    for (int64_t s = 0; s < p->S; s++)
        honest_row(p, s);
    ((float *)p->x.data)[0] = 0;
    return ST_OK;
}

VARIANT(rms_norm, broken_90_input_edited, .numerics = NUM_F32);
PLUGIN(&variant_rms_norm_broken_90_input_edited);
