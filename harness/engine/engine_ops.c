// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* engine_ops.c   struct ops as the engine fills it: every call is looked up, then counted, noted or
 * executed; memory comes from the stage's arena; stages load and free their weights. */
#include "base/patchmark.h"
#include "elem.h"
#include "engine/case.h"
#include "engine/engine_state.h"
#include "variant/library.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct engine *engine_of(struct ops *ops) { return (struct engine *)ops; }

/* ---- calls ---- */

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static enum status note(struct engine *e, struct site *site, const struct problem *p)
{
    struct stage_figures *f = &e->stage[site->stage].figures;
    f->scratch_bytes = larger(f->scratch_bytes, site->resolved.need.scratch_bytes);
    if (site->calls == 1)
        f->state_bytes += site->resolved.need.state_bytes;
    return weight_uses(e, p, &site->resolved);
}

static enum status run_variant(struct engine *e, struct site *site, const struct problem *p)
{
    const struct resolved *r = &site->resolved;
    struct exec exec = device_exec(e);
    exec.scratch = e->scratch;
    exec.knob = r->knob;
    if (r->need.packed_bytes)
        exec.packed = weights_packed(e, p, r);
    TRY(state_take(e, site));
    exec.state = site->state;
    TRY(library_open(r->entry->variant, &exec, &e->fault));
    enum status s = r->entry->variant->run(&p->attention, &exec);
    if (s == ST_OK)
        return s;
    char line[256];
    struct fault why = {{0}};
    if (e->gpu && !e->capturing)
        gpu_sync(e->gpu, &why); /* what the device says of it */
    shape_print(p, line, sizeof line);
    return fault_set(&e->fault, s, "%s/%s failed on %s%s%s", r->entry->op, r->entry->name, line,
                     why.text[0] ? ": " : "", why.text);
}

static enum status execute(struct engine *e, struct site *site, const void *problem)
{
    struct problem p = {.op = site->problem.op};
    memcpy(&p.attention, problem, op_table[p.op]->problem_bytes);
    int64_t start = clock_ns();
    TRY(weights_ready(e, &p));
    enum status s = site->resolved.serve == SERVE_REFERENCE
                        ? reference_run(&p, e->config.threads, &e->fault)
                        : run_variant(e, site, &p);
    e->enqueue_ns += clock_ns() - start;
    if (s == ST_OK && e->config.op_times)
        s = device_wait(e);
    site->run_ns += clock_ns() - start;
    e->flops_done += site->flops;
    progress_show(e, false);
    return interrupted_by ? fault_set(&e->fault, ST_INTERRUPTED, "interrupted") : s;
}

static enum status call(struct ops *ops, enum op_id op, const void *problem)
{
    struct engine *e = engine_of(ops);
    struct site *site;
    if (e->current == OUTSIDE)
        return fault_set(&e->fault, ST_WRONG, "%s is called outside of a stage",
                         op_table[op]->name);
    TRY(site_of(e, op, problem, &site));
    site->calls += ops->mode != MODE_EXECUTE;
    if (site->resolved.serve == SERVE_EXPAND)
        return op_table[op]->expand(ops, problem);
    if (ops->mode == MODE_EXECUTE)
        return execute(e, site, problem);
    e->stage[site->stage].figures.calls++;
    e->stage[site->stage].figures.flops += site->flops;
    if (ops->mode == MODE_COUNT)
        return ST_OK;
    struct problem p = {.op = op};
    memcpy(&p.attention, problem, op_table[op]->problem_bytes);
    return note(e, site, &p);
}

#define CALL_DEFINE(folder, op)                                                                    \
    static enum status call_##op(struct ops *ops, const struct op##_problem *problem)              \
    {                                                                                              \
        return call(ops, OP_##op, problem);                                                        \
    }
OP_LIST(CALL_DEFINE)
#undef CALL_DEFINE

/* ---- memory ---- */

/* Addresses of a trace: never read, but apart from each other and from NULL, those that outlive a
 * stage from the stage's own too. */
static char *traced_slab(int arena) { return (char *)((uintptr_t)(arena + 1) << 46); }

static char *slab_of(const struct engine *e)
{
    return e->ops.mode == MODE_EXECUTE ? e->slab[e->current] : traced_slab(e->current);
}

static enum status engine_alloc(struct ops *ops, struct tensor *t, enum elem elem, int64_t rows,
                                int64_t row_elems, const char *name)
{
    struct engine *e = engine_of(ops);
    size_t bytes, offset;
    if (__builtin_mul_overflow((size_t)rows, (size_t)row_elems, &bytes) ||
        __builtin_mul_overflow(bytes, elem_bytes(elem), &bytes) ||
        arena_take(&e->arena[e->current], bytes, &offset) != ST_OK)
        return fault_set(&e->fault, ST_NO_MEMORY,
                         "%s of %lld x %lld elements does not fit any memory", name,
                         (long long)rows, (long long)row_elems);
    *t = (struct tensor){.data = slab_of(e) + offset, .elem = elem, .stride = row_elems};
    return ST_OK;
}

static void engine_release(struct ops *ops, struct tensor *t)
{
    struct engine *e = engine_of(ops);
    if (t->data)
        arena_give(&e->arena[e->current], (size_t)((char *)t->data - slab_of(e)));
    memset(t, 0, sizeof *t);
}

static enum status engine_weight(struct ops *ops, struct tensor *t, const struct weight_spec *spec)
{
    struct engine *e = engine_of(ops);
    return ops->mode == MODE_EXECUTE ? weight_bind(e, t, spec) : weight_note(e, t, spec);
}

static enum status engine_put(struct ops *ops, const struct tensor *t, const void *host,
                              int64_t rows, int64_t row_elems)
{
    return ops->mode == MODE_EXECUTE ? tensor_put(engine_of(ops), t, host, rows, row_elems) : ST_OK;
}

static enum status engine_get(struct ops *ops, const struct tensor *t, void *host, int64_t rows,
                              int64_t row_elems)
{
    if (ops->mode == MODE_EXECUTE)
        return tensor_get(engine_of(ops), t, host, rows, row_elems);
    if (t->weight)
        weight_keep(engine_of(ops), t);
    return ST_OK;
}

/* ---- stages ---- */

static enum status engine_enter(struct ops *ops, enum stage stage)
{
    struct engine *e = engine_of(ops);
    if (e->current != OUTSIDE)
        return fault_set(&e->fault, ST_WRONG, "a stage is entered within another");
    e->current = (int)stage;
    e->step = 0;
    e->marked = 0;
    e->weights_seen = 0;
    arena_clear(&e->arena[stage]);
    if (ops->mode != MODE_EXECUTE)
        return ST_OK;
    int64_t start = clock_ns();
    struct stage_plan *plan = &e->stage[stage];
    TRY(slab_take(e, &e->slab[stage], e->arena[stage].peak_bytes));
    TRY(slab_take(e, &e->scratch, plan->figures.scratch_bytes));
    TRY(weights_enter(e, stage));
    TRY(device_wait(e));
    e->entered_ns = clock_ns();
    e->stage_hooks_ns = e->hooks_ns;
    plan->figures.load_ns = e->entered_ns - start;
    return ST_OK;
}

static enum status engine_leave(struct ops *ops, enum stage stage)
{
    struct engine *e = engine_of(ops);
    if (ops->mode == MODE_EXECUTE) {
        if (stage_denoises(stage))
            TRY(steps_end(e));
        TRY(device_wait(e));
        e->stage[stage].figures.run_ns =
            clock_ns() - e->entered_ns - (e->hooks_ns - e->stage_hooks_ns);
        slab_drop(e, &e->slab[stage]);
        slab_drop(e, &e->scratch);
        weights_leave(e);
    }
    e->current = OUTSIDE;
    e->step = 0;
    return ST_OK;
}

static enum status engine_step(struct ops *ops, int index, int count)
{
    struct engine *e = engine_of(ops);
    e->step = stage_denoises((enum stage)e->current) ? index + 1 : 0;
    e->step_count = count;
    return ops->mode == MODE_EXECUTE && e->step ? step_begin(e) : ST_OK;
}

void engine_ops_fill(struct engine *e)
{
    e->ops = (struct ops){
#define CALL_MEMBER(folder, op) .op = call_##op,
        OP_LIST(CALL_MEMBER)
#undef CALL_MEMBER
            .alloc = engine_alloc,
        .release = engine_release,
        .weight = engine_weight,
        .put = engine_put,
        .get = engine_get,
        .enter = engine_enter,
        .leave = engine_leave,
        .step = engine_step,
        .fault = &e->fault,
        .type = e->config.type,
    };
    e->current = OUTSIDE;
}
