// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* roofline_matmul.c   Products of square matrices by the library variants of linear: what a machine
 * reaches in practice, beside what its units could. Verified like any other variant. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check/check.h"
#include "machine/device.h"
#include "roofline/roofline.h"
#include "timing/measure.h"

#define SIDE_GRAIN 256
#define SIDE_LEAST 512
#define SIDE_MOST 4096 /* on the CPU: three matrices of 64 MiB */
#define SIDE_MOST_DEVICE 8192
#define CHECK_SECONDS 0.5

static const char *const types[] = {"f32", "bf16", "f16"};

/* The side of a product that takes about `seconds` at `peak`. */
static int64_t side_for(double peak, double seconds)
{
    int64_t most = device_kind() == DEVICE_CUDA ? SIDE_MOST_DEVICE : SIDE_MOST;
    int64_t side = (int64_t)cbrt(peak * seconds / 2) / SIDE_GRAIN * SIDE_GRAIN;
    return side < SIDE_LEAST ? SIDE_LEAST : side > most ? most : side;
}

static enum status bind(struct roof_figure *f, const struct registry_entry *entry)
{
    struct problem shape;
    struct check_result result;
    TRY(shape_parse(f->shape, &shape, &f->why));
    f->operands = calloc(1, sizeof *f->operands);
    f->bound = calloc(1, sizeof *f->bound);
    if (!f->operands || !f->bound)
        return fault_set(&f->why, ST_NO_MEMORY, "no memory for a product of matrices");
    TRY(operands_new(&shape, false, false, f->operands, &f->why));
    f->operands->threads = f->threads;
    operands_fill(f->operands, 1, PATTERN_RANDOM);
    TRY(bound_new(entry->variant, NULL, f->operands, f->threads, f->bound, &f->why));
    TRY(bound_prepare(f->bound, &f->why));
    check_bound(f->bound, 1, CHECK_SECONDS, &result);
    f->work = problem_flops(&f->operands->problem);
    return result.status == ST_OK ? ST_OK : fault_set(&f->why, result.status, "%s", result.text);
}

void roof_free_matmul(struct roof_figure *f)
{
    if (f->bound)
        bound_free(f->bound);
    if (f->operands)
        operands_free(f->operands);
    free(f->bound);
    free(f->operands);
    f->bound = NULL;
    f->operands = NULL;
}

/* What a variant says no to is no row: it is another type's. */
static bool add_one(struct roofline *r, const struct registry_entry *entry, const char *type,
                    int threads, int64_t side)
{
    struct roof_figure *f = roof_add(r, ROOF_MATMUL, "matmul", threads);
    if (!f)
        return false;
    f->type = type;
    f->unit = entry->name;
    f->side = side;
    if (device_kind() == DEVICE_CUDA)
        f->units_rate = gpu_peak_flops(&r->gpu, entry->variant->numerics);
    snprintf(f->shape, sizeof f->shape, "linear:S=%lld,K=%lld,O=%lld,bias=0,type=%s",
             (long long)side, (long long)side, (long long)side, type);
    f->status = bind(f, entry);
    if (f->status == ST_OK)
        return true;
    roof_free_matmul(f);
    if (f->status == ST_REFUSED)
        r->count--;
    return f->status != ST_REFUSED;
}

void roof_add_matmuls(struct roofline *r, int threads, double peak, double seconds)
{
    int variants = 0, added = 0;
    const struct registry_entry *entry = registry(&variants);
    int64_t side = side_for(peak, seconds);
    struct fault why;
    for (int i = 0; i < variants; i++) {
        const struct registry_entry *e = &entry[i];
        bool library = !strcmp(e->op, "linear") && variant_number(e->name) == 0 && e->variant;
        if (!library || needs_device(e->variant->needs) != device_kind())
            continue;
        why.text[0] = '\0';
        bool usable = registry_usable(e, &why) == ST_OK;
        for (size_t t = 0; usable && t < sizeof types / sizeof *types; t++)
            added += add_one(r, e, types[t], threads, side);
    }
    struct roof_figure *none = added ? NULL : roof_add(r, ROOF_MATMUL, "matmul", threads);
    if (none)
        none->status = fault_set(&none->why, ST_NOT_BUILT,
                                 "no library variant of linear runs here; 'patchmark list variants'"
                                 " says why");
}

static enum status run_many(void *user, int64_t iterations)
{
    for (int64_t i = 0; i < iterations; i++)
        TRY(bound_run(user));
    return ST_OK;
}

double roof_matmul_seconds(struct roof_figure *f)
{
    double seconds = 0, wall;
    struct gpu *gpu = f->bound->mirror.gpu;
    f->status =
        gpu ? measure_events(gpu, f->unit, run_many, f->bound, 1, 1, &seconds, &wall, &f->why)
            : measure_block(BACKEND_LOOP, f->unit, run_many, f->bound, 1, 1, &seconds, &f->why);
    return f->status == ST_OK ? seconds : 0;
}
