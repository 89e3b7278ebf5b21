// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "support/plain_ops.h"

#include <stdlib.h>
#include <string.h>

#include "elem.h"
#include "variant/registry.h"

#define PLAIN_VARIANT "c_01_plain"

struct block {
    struct block *next;
    void *data;
    size_t bytes; /* 0: a weight */
    bool staged;  /* ends with its stage */
};

struct plain_ops {
    struct ops ops; /* first, so that the hooks find the rest */
    struct fault fault;
    struct plain_config config;
    enum stage stage;
    bool within; /* a stage */
    struct block *blocks;
    size_t live_bytes, peak_bytes;
};

static struct plain_ops *owner(struct ops *ops) { return (struct plain_ops *)ops; }

/* ---- memory ---------------------------------------------------------------------------------- */

static void *take(struct plain_ops *p, size_t bytes, bool weight)
{
    struct block *b = malloc(sizeof *b);
    void *data = aligned_alloc(TENSOR_ALIGN, (bytes + TENSOR_ALIGN) / TENSOR_ALIGN * TENSOR_ALIGN);
    if (!b || !data)
        abort();
    *b = (struct block){
        .next = p->blocks, .data = data, .bytes = weight ? 0 : bytes, .staged = p->within};
    p->blocks = b;
    p->live_bytes += b->bytes;
    if (p->live_bytes > p->peak_bytes)
        p->peak_bytes = p->live_bytes;
    return data;
}

static void drop(struct plain_ops *p, struct block **at)
{
    struct block *b = *at;
    *at = b->next;
    p->live_bytes -= b->bytes;
    free(b->data);
    free(b);
}

static enum status plain_alloc(struct ops *ops, struct tensor *t, enum elem elem, int64_t rows,
                               int64_t row_elems, const char *name)
{
    (void)name;
    const size_t bytes = (size_t)(rows * row_elems) * elem_bytes(elem);
    *t = (struct tensor){.data = take(owner(ops), bytes, false), .stride = row_elems, .elem = elem};
    memset(t->data, 0xff, bytes);
    return ST_OK;
}

static void plain_release(struct ops *ops, struct tensor *t)
{
    for (struct block **at = &owner(ops)->blocks; *at; at = &(*at)->next)
        if ((*at)->data == t->data) {
            drop(owner(ops), at);
            return;
        }
    abort();
}

/* Parts that share tensor names are drawn from streams of their own. */
static const char *stream_prefix(enum stage stage)
{
    return stage == STAGE_DENOISE_LOW ? "transformer_2."
           : stage == STAGE_IMAGE     ? "image_encoder."
                                      : "";
}

static enum status plain_weight(struct ops *ops, struct tensor *t, const struct weight_spec *spec)
{
    struct plain_ops *p = owner(ops);
    const bool large = spec->kind == WEIGHT_MATRIX || spec->kind == WEIGHT_EMBEDDING;
    int64_t elems = 1;
    for (int i = 0; i < spec->rank; i++)
        elems *= spec->dim[i];
    *t = (struct tensor){.elem = large ? p->config.type : ELEM_F32, .stride = elems, .weight = 1};
    t->data = take(p, (size_t)elems * elem_bytes(t->elem), true);
    float *values = malloc((size_t)elems * sizeof *values);
    if (!values)
        abort();
    char name[256];
    struct weight_spec named = *spec;
    snprintf(name, sizeof name, "%s%s", stream_prefix(p->stage), spec->name);
    named.name = name;
    weights_synthetic(p->config.seed, p->config.fill, &named, 0, elems, values);
    elem_convert(t->data, t->elem, values, ELEM_F32, elems);
    free(values);
    return ST_OK;
}

static enum elem host_elem(enum elem elem)
{
    return elem == ELEM_BF16 || elem == ELEM_F16 ? ELEM_F32 : elem;
}

static enum status plain_put(struct ops *ops, const struct tensor *t, const void *host,
                             int64_t rows, int64_t row_elems)
{
    (void)ops;
    const enum elem from = host_elem(t->elem);
    for (int64_t r = 0; r < rows; r++)
        elem_convert((char *)t->data + (size_t)(r * t->stride) * elem_bytes(t->elem), t->elem,
                     (const char *)host + (size_t)(r * row_elems) * elem_bytes(from), from,
                     row_elems);
    return ST_OK;
}

static enum status plain_get(struct ops *ops, const struct tensor *t, void *host, int64_t rows,
                             int64_t row_elems)
{
    (void)ops;
    const enum elem to = host_elem(t->elem);
    for (int64_t r = 0; r < rows; r++)
        elem_convert((char *)host + (size_t)(r * row_elems) * elem_bytes(to), to,
                     (const char *)t->data + (size_t)(r * t->stride) * elem_bytes(t->elem), t->elem,
                     row_elems);
    return ST_OK;
}

static void drop_blocks(struct plain_ops *p, bool all)
{
    for (struct block **at = &p->blocks; *at;)
        if (all || (*at)->staged)
            drop(p, at);
        else
            at = &(*at)->next;
}

static enum status plain_enter(struct ops *ops, enum stage stage)
{
    struct plain_ops *p = owner(ops);
    drop_blocks(p, false);
    p->peak_bytes = p->live_bytes;
    p->stage = stage;
    p->within = true;
    return ST_OK;
}

static enum status plain_leave(struct ops *ops, enum stage stage)
{
    (void)stage;
    drop_blocks(owner(ops), false);
    owner(ops)->within = false;
    return ST_OK;
}

static enum status plain_step(struct ops *ops, int index, int count)
{
    (void)ops, (void)index, (void)count;
    return ST_OK;
}

/* ---- ops ------------------------------------------------------------------------------------- */

static enum status run_packed(struct plain_ops *p, const struct variant *v, const void *problem,
                              struct exec *exec, void *packed)
{
    if (v->prepare)
        TRY(v->prepare(problem, exec, packed));
    exec->packed = packed;
    const enum status status = v->run(problem, exec);
    return status == ST_OK ? status : fault_set(&p->fault, status, "%s failed", v->op);
}

static enum status run_op(struct ops *ops, enum op_id op, const char *name, const void *problem)
{
    struct plain_ops *p = owner(ops);
    const struct registry_entry *entry = registry_find(op, PLAIN_VARIANT);
    int64_t knob[KNOB_MAX] = {0};
    struct need need = {.threads = p->config.threads};
    if (!entry || !entry->variant)
        return fault_set(&p->fault, ST_NOT_BUILT, "%s/%s is not built", name, PLAIN_VARIANT);
    variant_default_knobs(entry->variant, knob);
    if (!entry->variant->plan(problem, knob, &need))
        return fault_set(&p->fault, ST_REFUSED, "%s/%s: %s", name, PLAIN_VARIANT, need.reason);
    void *scratch = aligned_alloc(TENSOR_ALIGN,
                                  need.scratch_bytes / TENSOR_ALIGN * TENSOR_ALIGN + TENSOR_ALIGN);
    void *packed =
        aligned_alloc(TENSOR_ALIGN, need.packed_bytes / TENSOR_ALIGN * TENSOR_ALIGN + TENSOR_ALIGN);
    void *state = calloc(1, need.state_bytes + 1);
    struct exec exec = {
        .threads = p->config.threads, .scratch = scratch, .state = state, .knob = knob};
    const enum status status = run_packed(p, entry->variant, problem, &exec, packed);
    free(state);
    free(packed);
    free(scratch);
    return status;
}

#define DEFINE_OP(folder, op)                                                                      \
    static enum status plain_##op(struct ops *ops, const struct op##_problem *problem)             \
    {                                                                                              \
        return run_op(ops, OP_##op, #op, problem);                                                 \
    }
OP_LIST(DEFINE_OP)

struct plain_ops *plain_ops_new(const struct plain_config *config)
{
    struct plain_ops *p = calloc(1, sizeof *p);
    if (!p)
        abort();
    p->config = *config;
#define SET_OP(folder, op) p->ops.op = plain_##op;
    OP_LIST(SET_OP)
    p->ops.alloc = plain_alloc;
    p->ops.release = plain_release;
    p->ops.weight = plain_weight;
    p->ops.put = plain_put;
    p->ops.get = plain_get;
    p->ops.enter = plain_enter;
    p->ops.leave = plain_leave;
    p->ops.step = plain_step;
    p->ops.fault = &p->fault;
    p->ops.mode = MODE_EXECUTE;
    p->ops.type = config->type;
    return p;
}

void plain_ops_free(struct plain_ops *p)
{
    drop_blocks(p, true);
    free(p);
}

struct ops *plain_ops_table(struct plain_ops *p) { return &p->ops; }

const char *plain_ops_fault(const struct plain_ops *p) { return p->fault.text; }

size_t plain_ops_peak_bytes(const struct plain_ops *p) { return p->peak_bytes; }
