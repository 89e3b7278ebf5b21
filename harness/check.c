// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check.c   Runs a variant as a check wants it, on other data and then twice on its own, between
 * guard bands and on poison; what it left is compared in check_rows.c. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "check_rows.h"
#include "elem.h"

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

static void outputs_copy(const struct check *c, unsigned char *to)
{
    for (int k = 0; k < c->outputs; k++) {
        const struct output *o = &c->output[k];
        for (int64_t row = 0; row < o->rows; row++, to += row_bytes(o))
            memcpy(to, row_at(o, row), row_bytes(o));
    }
}

/* Rows are compared bit by bit; *output and *row name the first that differs. */
static bool outputs_equal(const struct check *c, const unsigned char *to, int *output, int64_t *row)
{
    for (int k = 0; k < c->outputs; k++) {
        const struct output *o = &c->output[k];
        for (int64_t i = 0; i < o->rows; i++, to += row_bytes(o)) {
            if (memcmp(to, row_at(o, i), row_bytes(o)) != 0) {
                *output = k;
                *row = i;
                return false;
            }
        }
    }
    return true;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static bool memory_intact(const struct bound *b, struct check_result *r)
{
    static const char *const names[] = {"scratch", "packed weights", "state"};
    const struct guarded *blocks[] = {&b->scratch, &b->packed, &b->state};
    char where[256];
    if (!operands_intact(b->operands, where, sizeof where))
        return check_fail(r, ST_WRONG, "%s", where);
    for (int i = 0; i < 3; i++) {
        int64_t offset = 0;
        if (!guarded_intact(blocks[i], &offset))
            return check_fail(r, ST_WRONG, "wrote outside of its %s (byte %lld of %zu)", names[i],
                              (long long)offset, blocks[i]->bytes);
    }
    return true;
}

static bool run_once(struct bound *b, struct check_result *r)
{
    operands_poison(b->operands);
    guarded_poison(&b->scratch);
    bound_alive(b);
    enum status status = bound_run(b);
    bound_alive(b);
    if (status != ST_OK)
        return check_fail(r, status, "run() reported an error");
    return memory_intact(b, r);
}

static bool refill(struct bound *b, uint64_t seed, enum pattern pattern, struct check_result *r)
{
    struct fault fault = {""};
    operands_fill(b->operands, seed, pattern);
    bound_alive(b);
    enum status status = bound_prepare(b, &fault);
    return status == ST_OK || check_fail(r, status, "%s", fault.text);
}

/* Another set of data in the same memory, then the data at hand twice. Results kept from the run
 * before, by address or in a static, show as a wrong first run or as two runs that differ. */
static bool run_all(struct check *c, unsigned char *decoy, unsigned char *first)
{
    struct bound *b = c->bound;
    struct check_result *r = c->result;
    uint64_t seed = b->operands->seed;
    enum pattern pattern = b->operands->pattern;
    bool ok = refill(b, seed + 0x1000, PATTERN_RANDOM, r) && run_once(b, r);
    outputs_copy(c, decoy);
    if (!refill(b, seed, pattern, r) || !ok || !run_once(b, r))
        return false;
    outputs_copy(c, first);
    return run_once(b, r);
}

static bool runs_agree(struct check *c, const unsigned char *decoy, const unsigned char *first)
{
    int k = 0;
    int64_t row = 0;
    if (!outputs_equal(c, first, &k, &row))
        return check_fail(c->result, ST_WRONG,
                          "two runs on the same data differ in %s row %lld: stale, unwritten or "
                          "not deterministic",
                          c->output[k].name, (long long)row);
    /* Few possible values may agree by chance; a page of them does not. */
    if (outputs_bytes(c) >= 64 && c->bound->operands->pattern == PATTERN_RANDOM &&
        outputs_equal(c, decoy, &k, &row))
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

void check_bound(struct bound *b, uint64_t seed, double seconds, struct check_result *out)
{
    *out = (struct check_result){.status = ST_OK};
    struct check c = {.bound = b, .info = op_table[b->operands->problem.op], .result = out};
    c.numerics = b->variant->numerics;
    if (!outputs_find(&c))
        return;
    size_t bytes = outputs_bytes(&c);
    unsigned char *copies = malloc(2 * bytes + 1);
    if (!copies) {
        check_fail(out, ST_NO_MEMORY, "no memory to keep two copies of the outputs");
        return;
    }
    bool ran = run_all(&c, copies, copies + bytes);
    c.pristine = operands_pristine(b->operands);
    if (ran && runs_agree(&c, copies, copies + bytes))
        check_outputs(&c, seed, seconds);
    free(copies);
}
