// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* op_help.h   What the adapters of ops share: entries of their tables, extents, tolerance rows. */
#ifndef PATCHMARK_OP_HELP_H
#define PATCHMARK_OP_HELP_H

#include "op_info.h"

#include "elem.h"
#include "ref.h"

/* ---- entries of op_info.dim ---- */

#define COUNT_MOST INT32_MAX
#define COUNT(OP, FIELD, FALLBACK)                                                                 \
    {                                                                                              \
        .name = #FIELD, .offset = offsetof(struct OP##_problem, FIELD), .fallback = FALLBACK,      \
        .least = 1, .most = COUNT_MOST                                                             \
    }
#define RANGE(OP, FIELD, FALLBACK, LEAST, MOST)                                                    \
    {                                                                                              \
        .name = #FIELD, .offset = offsetof(struct OP##_problem, FIELD), .fallback = FALLBACK,      \
        .least = LEAST, .most = MOST                                                               \
    }
#define SYMBOL(OP, FIELD, NAMES)                                                                   \
    {                                                                                              \
        .name = #FIELD, .offset = offsetof(struct OP##_problem, FIELD), .symbols = NAMES,          \
        .most = (int64_t)(sizeof NAMES / sizeof NAMES[0]) - 2                                      \
    }
#define FLAG(NAME, TENSOR, FALLBACK)                                                               \
    {                                                                                              \
        .name = NAME, .fallback = FALLBACK, .most = 1, .flag_tensor = (TENSOR) + 1                 \
    }
#define TYPE_OF(NAME, TENSOR, FALLBACK)                                                            \
    {                                                                                              \
        .name = NAME, .fallback = FALLBACK, .most = ELEM_COUNT - 1, .type_tensor = (TENSOR) + 1    \
    }

/* ---- entries of op_info.tensor; further members are given by name ---- */

#define TENSOR(OP, FIELD, ROLE, FILL, ...)                                                         \
    {                                                                                              \
        .name = #FIELD, .offset = offsetof(struct OP##_problem, FIELD), .role = ROLE,              \
        .fill = FILL, .alias = -1, __VA_ARGS__                                                     \
    }
#define OUTPUT(OP, FIELD, ALIAS, ...)                                                              \
    {                                                                                              \
        .name = #FIELD, .offset = offsetof(struct OP##_problem, FIELD), .role = ROLE_OUT,          \
        .alias = ALIAS, __VA_ARGS__                                                                \
    }
#define FREE_STRIDE .strided = true
#define ALWAYS(ELEM) .exact_type = true, .elem = ELEM

/* ---- extents ---- */

/* rows 0: absent. Sizes saturate instead of overflowing; what saturates is refused as too large. */
struct extent {
    int64_t rows, row_elems;
};

static inline int64_t times(int64_t a, int64_t b)
{
    int64_t product;
    return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

static inline bool extent_give(struct extent e, int64_t *rows, int64_t *row_elems)
{
    *rows = e.rows;
    *row_elems = e.row_elems;
    return e.rows > 0;
}

/* ---- checks ---- */

static inline enum status check_divides(const char *op, const char *part, int64_t a,
                                        const char *whole, int64_t b, struct fault *fault)
{
    if (b % a == 0)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "shape %s: %s=%lld must divide %s=%lld", op, part,
                     (long long)a, whole, (long long)b);
}

static inline enum status check_even(const char *op, const char *name, int64_t value,
                                     struct fault *fault)
{
    if (value % 2 == 0)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "shape %s: %s=%lld must be even", op, name,
                     (long long)value);
}

/* Room for a convolution's window along one axis, padding counted. */
static inline enum status check_window(const char *op, const char *axis, int64_t have,
                                       int64_t kernel, struct fault *fault)
{
    if (have >= kernel)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT,
                     "shape %s: %lld %s, padding counted, are fewer than the kernel's %lld", op,
                     (long long)have, axis, (long long)kernel);
}

static inline enum status check_past(const char *op, int64_t P, int64_t lead, struct fault *fault)
{
    if (P <= lead)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "shape %s: P=%lld past frames exceed lead=%lld", op,
                     (long long)P, (long long)lead);
}

/* Outputs that are either of the line's type or f32. */
static inline enum status check_out(const char *op, enum elem out, enum elem type,
                                    struct fault *fault)
{
    if (out == type || out == ELEM_F32)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT, "shape %s: out=%s must be f32 or the shape's type %s", op,
                     elem_name(out), elem_name(type));
}

/* ---- cuts (op_info.cut) ---- */

static inline int64_t cut_count(int64_t *count, int64_t units)
{
    if (units)
        *count = units;
    return *count;
}

/* Rows of which each S / G meet one row of a broadcast operand: whole groups, or part of one. */
static inline int64_t cut_rows(int64_t *S, int64_t *G, int64_t units)
{
    const int64_t share = *S / *G;
    if (!units)
        return *S;
    *G = units < share ? 1 : units / share;
    *S = units < share ? units : *G * share;
    return *S;
}

/* Cells of `cell` rows each. */
static inline int64_t cut_cells(int64_t *rows, int64_t cell, int64_t units)
{
    if (units)
        *rows = units * cell;
    return *rows / cell;
}

/* Outputs of a window along one axis; those that remain lie inside, where every tap meets data. */
static inline int64_t cut_window(int64_t *size, int64_t *before, int64_t *behind, int64_t kernel,
                                 int64_t stride, int64_t units)
{
    const int64_t have = (*size + *before + *behind - kernel) / stride + 1;
    if (!units || units >= have)
        return have;
    *size = (units - 1) * stride + kernel;
    *before = *behind = 0;
    return units;
}

/* Of ops bound by memory. */
static inline double no_flops(const void *problem)
{
    (void)problem;
    return 0;
}

/* ---- tolerances ----
 * A sum of n terms in f32, one after the other, is off by about eps sum|terms| / 4 where the terms
 * vary in sign (a random walk of rounding errors over a random walk of partial sums) and by
 * 0.12 sqrt(n) eps sum|terms| where they do not, as in norms; blocked sums are better. abs = 32
 * covers the latter up to n = 5000 at four standard deviations, and still sees a factor of 1.001 in
 * sums of 10^4 terms that vary in sign. In eps of a 16-bit type the same error is 2^-16 (bf16) or
 * 2^-13 (f16) of that, and rel = 1 lets the last rounding fall on the other side. l2 is a ceiling
 * for random data; 16-bit outputs may differ by one rounding where a single value carries the
 * norm. */
#define TOLERANCE_SUMS                                                                             \
    {ELEM_F32, NUM_F32, 2, 32, 1e-5}, {ELEM_F32, NUM_BF16, 2, 64, 2e-5},                           \
        {ELEM_F32, NUM_F16, 2, 64, 2e-5}, {ELEM_BF16, NUM_F32, 1, 5e-4, 8e-3},                     \
        {ELEM_BF16, NUM_BF16, 1, 1e-3, 8e-3}, {ELEM_F16, NUM_F32, 1, 4e-3, 1e-3},                  \
    {                                                                                              \
        ELEM_F16, NUM_F16, 1, 8e-3, 1e-3                                                           \
    }

/* A handful of operations per value and no long sum. */
#define TOLERANCE_FEW                                                                              \
    {ELEM_F32, NUM_F32, 4, 4, 1e-6}, {ELEM_BF16, NUM_F32, 1, 1e-4, 8e-3},                          \
        {ELEM_BF16, NUM_BF16, 1, 1e-4, 8e-3}, {ELEM_F16, NUM_F32, 1, 1e-3, 1e-3},                  \
    {                                                                                              \
        ELEM_F16, NUM_F16, 1, 1e-3, 1e-3                                                           \
    }

/* Moves data: at most one rounding, which is the right one; l2 only marks the row as given. */
#define EXACT 0, 0, 1e-12
#define TOLERANCE_EXACT                                                                            \
    {ELEM_F32, NUM_F32, EXACT}, {ELEM_BF16, NUM_F32, EXACT}, {ELEM_BF16, NUM_BF16, EXACT},         \
        {ELEM_F16, NUM_F32, EXACT},                                                                \
    {                                                                                              \
        ELEM_F16, NUM_F16, EXACT                                                                   \
    }

/* Winograd transforms in f32: F(4 x 4, 3 x 3) loses about one decimal digit, larger tiles a little
 * more (Lavin and Gray, arXiv 1509.09308). */
#define TOLERANCE_WINOGRAD                                                                         \
    {ELEM_F32, NUM_WINOGRAD, 2, 128, 1e-4}, {ELEM_BF16, NUM_WINOGRAD, 1, 2e-3, 8e-3},              \
    {                                                                                              \
        ELEM_F16, NUM_WINOGRAD, 1, 1.6e-2, 1e-3                                                    \
    }

/* Calls the reference through the type that the table needs. */
#define OP_REF(OP)                                                                                 \
    static void ref(const void *problem, int output, int64_t row, double *value, double *mag)      \
    {                                                                                              \
        ref_##OP(problem, output, row, value, mag);                                                \
    }

#define OP_IDENTITY(OP, FOLDER)                                                                    \
    .id = OP_##OP, .name = #OP, .folder = #FOLDER, .problem_bytes = sizeof(struct OP##_problem)

#endif
