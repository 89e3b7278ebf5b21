// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* conv3d.c   Definition of conv3d.h. */
#include "decode/conv3d/conv3d.h"
#include "ops/conv_row.h"
#include "ref.h"

void ref_conv3d(const struct conv3d_problem *p, int output, int64_t row, double *value, double *mag)
{
    (void)output;
    conv_row(p, NULL, row, value, mag);
}
