// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* golden.h   Reading tests/golden and comparing with it; what fails ends the test. */
#ifndef PATCHMARK_GOLDEN_H
#define PATCHMARK_GOLDEN_H

#include "support/plain_ops.h"
#include "weights/safetensors.h"

/* tests/golden/<name>.safetensors; safetensors_free() it. */
struct safetensors *golden_open(const char *name);
/* The `count` values of a tensor; free() them. */
float *golden_values(struct safetensors *file, const char *name, int64_t count);
/* Relative L2 error of all values together. */
void golden_close(const char *what, const float *got, const float *want, int64_t count,
                  double limit);

/* Plain ops with the weights that the goldens were made with. */
struct plain_ops *golden_ops(enum fill fill);
void golden_check(const struct plain_ops *p, enum status status);

/* [rows][columns] -> [columns][rows], in new memory */
float *golden_transposed(const float *from, int64_t rows, int64_t columns);

#endif
