// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sample_tile.c   How much of an op's shape is run where all of it is too much. */
#include "elem.h"
#include "run/sample.h"

double sample_work(const struct problem *p)
{
    const struct op_info *info = op_table[p->op];
    const double flops = problem_flops(p);
    double bytes = 0;
    for (int i = 0; flops == 0 && i < OP_TENSORS_MAX && info->tensor[i].name; i++) {
        const struct tensor *t = problem_tensor_const(p, i);
        int64_t rows, row_elems;
        if (info->tensor[i].role == ROLE_OUT && tensor_given(t) &&
            info->extent(&p->attention, i, &rows, &row_elems))
            bytes += (double)rows * (double)row_elems * (double)elem_bytes(t->elem);
    }
    return flops > 0 ? flops : bytes;
}

static int64_t cut_to(const struct problem *from, int axis, int64_t units, struct problem *out)
{
    *out = *from;
    return op_table[from->op]->cut(&out->attention, axis, units);
}

static double least_bytes(const struct problem *whole)
{
    struct problem least = *whole;
    for (int axis = 0; op_table[whole->op]->cut; axis++) {
        struct problem next;
        if (!cut_to(&least, axis, 1, &next))
            break;
        least = next;
    }
    return problem_bytes(&least);
}

static bool fits(const struct problem *p, const struct sample_limits *limits)
{
    return sample_work(p) <= limits->work && problem_bytes(p) <= limits->bytes;
}

/* The most units along an axis that fit, or one; *fitted says which. */
static int64_t most_units(const struct problem *p, int axis, int64_t have,
                          const struct sample_limits *limits, bool *fitted)
{
    int64_t low = 0, high = have; /* low fits, high does not */
    struct problem trial;
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        cut_to(p, axis, middle, &trial);
        if (fits(&trial, limits))
            low = middle;
        else
            high = middle;
    }
    *fitted = low > 0;
    return low > 0 ? low : 1;
}

/* Ragged ends cost a kernel more than their share, so rows come in whole granules where the true
 * shape has many of them. */
static int64_t settle(int64_t units, int64_t have, int64_t granule)
{
    if (have < 8 * granule || units >= have)
        return units;
    return units > granule ? units / granule * granule : granule;
}

/* Where so much of the operands cannot be cut, a cut would hardly run shorter. */
#define MOSTLY 0.6

/* Fewer units than this say too little about what one more costs. */
#define BASED_LEAST 4

/* `p` is the problem with all axes before this one cut, `units` of `have` remain. */
static void set_base(const struct problem *p, int axis, int64_t units, int64_t have,
                     struct sample_cut *out)
{
    const double outer = out->tile_weight * (double)units / (double)have;
    out->based = units >= BASED_LEAST && problem_flops(p) > 0;
    if (!out->based)
        return;
    const double least = (double)cut_to(p, axis, 1, &out->base);
    out->tile_weight = outer * ((double)have - least) / ((double)units - least);
    out->base_weight = outer - out->tile_weight;
}

void sample_cut(const struct problem *whole, const struct sample_limits *given,
                struct sample_cut *out)
{
    struct sample_limits all = *given;
    const struct sample_limits *limits = &all;
    const double least = least_bytes(whole);
    all.bytes += least;
    bool fitted = fits(whole, limits) || least >= MOSTLY * problem_bytes(whole);
    int64_t units = 0, have = 0;
    int axis = 0;
    struct problem before = *whole;
    *out = (struct sample_cut){.tile = *whole, .whole = fitted, .tile_weight = 1};
    for (; !fitted && op_table[whole->op]->cut; axis++) {
        struct problem next;
        const int64_t there = cut_to(&out->tile, axis, 0, &next);
        if (!there)
            break;
        before = out->tile;
        have = there;
        units = most_units(&before, axis, have, limits, &fitted);
        units = cut_to(&before, axis, settle(units, have, limits->granule), &out->tile);
    }
    out->whole = sample_work(&out->tile) == sample_work(whole) &&
                 problem_bytes(&out->tile) == problem_bytes(whole);
    if (out->whole)
        return;
    out->tile_weight = sample_work(whole) / sample_work(&out->tile);
    if (units < have && out->tile_weight > 1)
        set_base(&before, axis - 1, units, have, out);
}
