// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check.c   Runs a variant as a check wants it, on other data and then twice on its own, between
 * guard bands and on poison; what it left is compared in check_rows.c. */
#include "check/check.h"

#include <stdlib.h>
#include <string.h>

#include "check/check_rows.h"
#include "elem.h"

#define LARGE_BYTES ((size_t)1 << 20) /* worth waking threads for */

/* ---- outputs --------------------------------------------------------------------------------- */

bool check_fail(struct check_result *r, enum status status, const char *format, ...)
{
    if (r->status == ST_OK) {
        va_list args;
        va_start(args, format);
        vsnprintf(r->text, sizeof r->text, format, args);
        va_end(args);
        r->status = status;
    }
    return false;
}

static bool shares_memory(const struct problem *p, int index)
{
    const void *data = problem_tensor_const(p, index)->data;
    int alias = op_table[p->op]->tensor[index].alias;
    return alias >= 0 && problem_tensor_const(p, alias)->data == data;
}

/* Optional outputs do not exist: the reference's number of an output is its place among
 * ROLE_OUT. */
static bool outputs_find(struct check *c)
{
    const struct problem *p = &c->bound->operands->problem;
    for (int i = 0; i < OP_TENSORS_MAX && c->info->tensor[i].name; i++) {
        if (c->info->tensor[i].role != ROLE_OUT)
            continue;
        struct output *o = &c->output[c->outputs++];
        o->name = c->info->tensor[i].name;
        o->tensor = problem_tensor_const(p, i);
        if (!tensor_given(o->tensor) ||
            !c->info->extent(problem_body(p), i, &o->rows, &o->row_elems) || o->rows == 0)
            continue;
        o->ref_elems = c->info->ref_row_elems(problem_body(p), i);
        o->ref_rows = o->rows * (o->row_elems / o->ref_elems);
        o->poisoned = !shares_memory(p, i);
        o->tolerance = problem_tolerance(c->info, o->tensor->elem, c->numerics);
        if (!o->tolerance)
            return check_fail(c->result, ST_WRONG,
                              "%s states no tolerance for output type %s and this numerics class",
                              c->info->name, elem_name(o->tensor->elem));
    }
    return true;
}

static size_t row_bytes(const struct output *o)
{
    return (size_t)o->row_elems * elem_bytes(o->tensor->elem);
}

static const unsigned char *row_at(const struct output *o, int64_t row)
{
    return (const unsigned char *)o->tensor->data +
           (size_t)(row * o->tensor->stride) * elem_bytes(o->tensor->elem);
}

static size_t outputs_bytes(const struct check *c)
{
    size_t sum = 0;
    for (int k = 0; k < c->outputs; k++)
        sum += (size_t)c->output[k].rows * row_bytes(&c->output[k]);
    return sum;
}

static int64_t outputs_rows(const struct check *c)
{
    int64_t sum = 0;
    for (int k = 0; k < c->outputs; k++)
        sum += c->output[k].rows;
    return sum;
}

/* One number for a row of bytes. Every step is one-to-one for a given word, so rows that differ in
 * one word never share it, and others do by a chance of 2^-64. */
static uint64_t row_hash(const unsigned char *at, size_t bytes)
{
    uint64_t hash = bytes, word = 0;
    for (; bytes >= sizeof word; at += sizeof word, bytes -= sizeof word) {
        memcpy(&word, at, sizeof word);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    word = 0;
    memcpy(&word, at, bytes);
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static int threads_for(const struct operands *o, size_t bytes)
{
    return bytes >= LARGE_BYTES && o->threads > 1 ? o->threads : 1;
}

/* What the outputs hold, one number a row: as good as a copy, and the size of none. */
static void outputs_take(const struct check *c, uint64_t *to)
{
    int threads = threads_for(c->bound->operands, outputs_bytes(c));
    for (int k = 0; k < c->outputs; k++) {
        const struct output *o = &c->output[k];
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
        for (int64_t row = 0; row < o->rows; row++)
            to[row] = row_hash(row_at(o, row), row_bytes(o));
        to += o->rows;
    }
}

/* *output and *row name the first row that differs. */
static bool takes_equal(const struct check *c, const uint64_t *a, const uint64_t *b, int *output,
                        int64_t *row)
{
    for (int k = 0; k < c->outputs; k++) {
        for (int64_t i = 0; i < c->output[k].rows; i++, a++, b++) {
            if (*a != *b) {
                *output = k;
                *row = i;
                return false;
            }
        }
    }
    return true;
}

uint64_t check_outputs_hash(const struct operands *operands)
{
    const struct op_info *info = op_table[operands->problem.op];
    uint64_t sum = 0;
    for (int i = 0; i < OP_TENSORS_MAX && info->tensor[i].name; i++) {
        struct output o = {.tensor = problem_tensor_const(&operands->problem, i)};
        if (info->tensor[i].role != ROLE_OUT || !tensor_given(o.tensor) ||
            !info->extent(problem_body(&operands->problem), i, &o.rows, &o.row_elems))
            continue;
        int threads = threads_for(operands, (size_t)o.rows * row_bytes(&o));
#pragma omp parallel for num_threads(threads) reduction(+ : sum) if (threads > 1)
        for (int64_t row = 0; row < o.rows; row++) {
            uint64_t named[3] = {(uint64_t)i, (uint64_t)row,
                                 row_hash(row_at(&o, row), row_bytes(&o))};
            sum += row_hash((const unsigned char *)named, sizeof named);
        }
    }
    return sum;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static bool run_once(struct bound *b, struct check_result *r)
{
    struct fault fault = {""};
    operands_poison(b->operands);
    bound_alive(b);
    enum status status = bound_run_checked(b, &fault);
    bound_alive(b);
    if (status == ST_OK)
        status = bound_intact(b, &fault);
    return status == ST_OK || check_fail(r, status, "%s", fault.text);
}

static bool refill(struct bound *b, uint64_t seed, enum pattern pattern, struct check_result *r)
{
    struct fault fault = {""};
    operands_fill(b->operands, seed, pattern);
    bound_alive(b);
    enum status status = bound_prepare(b, &fault);
    return status == ST_OK || check_fail(r, status, "%s", fault.text);
}

/* What the outputs held after the run on other data, and after the first of two on this. */
struct takes {
    uint64_t *decoy, *first, *last;
};

/* Another set of data in the same memory, then the data at hand twice. Results kept from the run
 * before, by address or in a static, show as a wrong first run or as two runs that differ. An input
 * that was changed is found after the first; one that is changed and put back, when the last run is
 * not let write to it. */
static bool run_all(struct check *c, const struct takes *t)
{
    struct bound *b = c->bound;
    struct check_result *r = c->result;
    uint64_t seed = b->operands->seed;
    enum pattern pattern = b->operands->pattern;
    bool ok = refill(b, seed + 0x1000, PATTERN_RANDOM, r) && run_once(b, r);
    outputs_take(c, t->decoy);
    if (r->status == ST_DEVICE || !refill(b, seed, pattern, r) || !ok || !run_once(b, r))
        return false;
    outputs_take(c, t->first);
    operands_protect(b->operands, !b->mirror.gpu);
    bool ran = run_once(b, r);
    operands_protect(b->operands, false);
    outputs_take(c, t->last);
    return ran;
}

static bool runs_agree(struct check *c, const struct takes *t)
{
    int k = 0;
    int64_t row = 0;
    if (!takes_equal(c, t->first, t->last, &k, &row))
        return check_fail(c->result, ST_WRONG,
                          "two runs on the same data differ in %s row %lld: stale, unwritten or "
                          "not deterministic",
                          c->output[k].name, (long long)row);
    /* Few possible values may agree by chance; a page of them does not. */
    if (outputs_bytes(c) >= 64 && c->bound->operands->pattern == PATTERN_RANDOM &&
        takes_equal(c, t->decoy, t->last, &k, &row))
        return check_fail(c->result, ST_WRONG,
                          "the output did not change with the data: it is that of the run before");
    return true;
}

static void check_outputs(struct check *c, uint64_t seed, double seconds)
{
    int64_t all = 0, checked = 0;
    bool ok = true;
    for (int k = 0; k < c->outputs; k++) {
        all += c->output[k].rows * c->output[k].row_elems;
        if (ok && c->output[k].rows > 0)
            ok = check_rows(c, k, seed, seconds, &checked);
    }
    c->result->checked_ratio = all > 0 ? (double)checked / (double)all : 1;
}

#define SAMPLE_SECONDS 0.5 /* see struct check */

void check_bound(struct bound *b, uint64_t seed, double seconds, struct check_result *out)
{
    check_bound_within(b, seed, seconds, SAMPLE_SECONDS, out);
}

void check_bound_within(struct bound *b, uint64_t seed, double seconds, double sample_seconds,
                        struct check_result *out)
{
    *out = (struct check_result){.status = ST_OK};
    struct check c = {.bound = b,
                      .info = op_table[b->operands->problem.op],
                      .result = out,
                      .sample_seconds = sample_seconds};
    c.numerics = b->variant->numerics;
    if (!outputs_find(&c))
        return;
    size_t rows = (size_t)outputs_rows(&c);
    uint64_t *numbers = malloc((3 * rows + 1) * sizeof *numbers);
    if (!numbers) {
        check_fail(out, ST_NO_MEMORY, "no memory to keep what the outputs held");
        return;
    }
    struct takes takes = {numbers, numbers + rows, numbers + 2 * rows};
    bool ran = run_all(&c, &takes);
    c.pristine = operands_pristine(b->operands);
    if (ran && runs_agree(&c, &takes))
        check_outputs(&c, seed, seconds);
    free(numbers);
}

enum status check_replay(struct bound *b, uint64_t seed, struct fault *fault)
{
    struct check_result result = {.status = ST_OK};
    if (refill(b, seed, PATTERN_RANDOM, &result) && run_once(b, &result))
        return ST_OK;
    return fault_set(fault, result.status, "%s", result.text);
}
