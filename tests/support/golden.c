// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "support/golden.h"
#include "support/mini.h"

#define THREADS 2

struct safetensors *golden_open(const char *name)
{
    char path[256];
    struct fault fault = {0};
    struct safetensors *file;
    snprintf(path, sizeof path, "tests/golden/%s.safetensors", name);
    if (safetensors_open(path, &file, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    return file;
}

float *golden_values(struct safetensors *file, const char *name, int64_t count)
{
    struct fault fault = {0};
    const struct safetensor *tensor = safetensors_find(file, name);
    if (!tensor)
        fail_msg("no golden tensor %s", name);
    int64_t elems = 1;
    for (int i = 0; i < tensor->rank; i++)
        elems *= tensor->dim[i];
    assert_int_equal(elems, count);
    float *values = malloc((size_t)count * sizeof *values);
    if (safetensors_read(file, tensor, 0, count, values, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    return values;
}

void golden_close(const char *what, const float *got, const float *want, int64_t count,
                  double limit)
{
    const double error = mini_relative_l2(got, want, count);
    if (!(error <= limit))
        fail_msg("%s: relative L2 error %.3g, allowed %.3g", what, error, limit);
}

struct plain_ops *golden_ops(enum fill fill)
{
    return plain_ops_new(&(struct plain_config){
        .seed = MINI_SEED, .fill = fill, .type = ELEM_F32, .threads = THREADS});
}

void golden_check(const struct plain_ops *p, enum status status)
{
    if (status != ST_OK)
        fail_msg("status %d: %s", (int)status, plain_ops_fault(p));
}

float *golden_transposed(const float *from, int64_t rows, int64_t columns)
{
    float *to = malloc((size_t)(rows * columns) * sizeof *to);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            to[j * rows + i] = from[i * columns + j];
    return to;
}
