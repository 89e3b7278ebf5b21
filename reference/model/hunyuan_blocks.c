// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* hunyuan_blocks.c   The blocks of the HunyuanVideo transformer. Both streams lie in one buffer,
 * video first, so that attention over both needs no copy: a stream is a view of its rows. */
#include <stdlib.h>

#include "attention/qkv/qkv.h"
#include "denoise/elementwise/elementwise.h"
#include "denoise/linear/linear.h"
#include "denoise/modulate/modulate.h"
#include "model/hunyuan.h"

/* Rows of the modulation of a stream, and of a block of one stream: the first three. */
enum { SHIFT_ATTENTION = 0, SCALE_ATTENTION, GATE_ATTENTION, SHIFT_MLP, SCALE_MLP, GATE_MLP };
#define SINGLE_ROWS 3
/* Rows of the refiner's. */
enum { REFINER_GATE_ATTENTION = 0, REFINER_GATE_MLP, REFINER_ROWS };

#define REFINER_MLP_RATIO 4

/* ---- weights --------------------------------------------------------------------------------- */

struct stream_names {
    const char *modulation, *q, *k, *v, *o, *norm_q, *norm_k, *up, *down;
};

static const struct stream_names stream_names[HUNYUAN_STREAMS] = {
    {"norm1.linear", "attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "attn.norm_q.weight",
     "attn.norm_k.weight", "ff.net.0.proj", "ff.net.2"},
    {"norm1_context.linear", "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj",
     "attn.to_add_out", "attn.norm_added_q.weight", "attn.norm_added_k.weight",
     "ff_context.net.0.proj", "ff_context.net.2"},
};

enum status hunyuan_load_mlp(struct ops *ops, const char *prefix, const char *up, const char *down,
                             int64_t F, int64_t K, int64_t C, struct hunyuan_mlp *out)
{
    TRY(layer_load_linear(ops, prefix, up, 2, F, K, 0, true, &out->up));
    return layer_load_linear(ops, prefix, down, 2, C, F, 0, true, &out->down);
}

/* norm_q NULL: heads without norms */
static enum status load_heads(const struct hunyuan *h, const char *prefix,
                              const struct stream_names *n, struct hunyuan_heads *out)
{
    struct ops *ops = h->ops;
    const int64_t D = h->config->D;
    *out = (struct hunyuan_heads){.norm_q = NO_TENSOR, .norm_k = NO_TENSOR};
    TRY(layer_load_linear(ops, prefix, n->q, 2, h->C, h->C, 0, true, &out->q));
    TRY(layer_load_linear(ops, prefix, n->k, 2, h->C, h->C, 0, true, &out->k));
    TRY(layer_load_linear(ops, prefix, n->v, 2, h->C, h->C, 0, true, &out->v));
    if (!n->norm_q)
        return ST_OK;
    TRY(layer_load(ops, prefix, n->norm_q, WEIGHT_GAIN, 0, DIMS(D), &out->norm_q));
    return layer_load(ops, prefix, n->norm_k, WEIGHT_GAIN, 0, DIMS(D), &out->norm_k);
}

static enum status load_stream(const struct hunyuan *h, const char *prefix,
                               const struct stream_names *n, struct hunyuan_stream *out)
{
    struct ops *ops = h->ops;
    TRY(layer_load_linear(ops, prefix, n->modulation, 2, HUNYUAN_ROWS * h->C, h->C, 0, true,
                          &out->modulation));
    TRY(load_heads(h, prefix, n, &out->heads));
    TRY(layer_load_linear(ops, prefix, n->o, 2, h->C, h->C, 0, true, &out->o));
    return hunyuan_load_mlp(ops, prefix, n->up, n->down, h->config->F, h->C, h->C, &out->mlp);
}

static enum status load_single(const struct hunyuan *h, const char *prefix,
                               struct hunyuan_single *out)
{
    struct ops *ops = h->ops;
    const int64_t C = h->C, F = h->config->F;
    TRY(layer_load_linear(ops, prefix, "norm.linear", 2, SINGLE_ROWS * C, C, 0, true,
                          &out->modulation));
    TRY(load_heads(h, prefix, &stream_names[HUNYUAN_VIDEO], &out->heads));
    TRY(layer_load_linear(ops, prefix, "proj_mlp", 2, F, C, 0, true, &out->up));
    return layer_load_linear(ops, prefix, "proj_out", 2, C, C + F, 0, true, &out->out);
}

static enum status load_refiner(const struct hunyuan *h, const char *prefix,
                                struct hunyuan_refiner_block *out)
{
    static const struct stream_names names = {.q = "attn.to_q", .k = "attn.to_k", .v = "attn.to_v"};
    struct ops *ops = h->ops;
    const int64_t C = h->C;
    TRY(layer_load_norm(ops, prefix, "norm1", C, &out->norm_1));
    TRY(load_heads(h, prefix, &names, &out->heads));
    TRY(layer_load_linear(ops, prefix, "attn.to_out.0", 2, C, C, 0, true, &out->o));
    TRY(layer_load_norm(ops, prefix, "norm2", C, &out->norm_2));
    TRY(hunyuan_load_mlp(ops, prefix, "ff.net.0.proj", "ff.net.2", REFINER_MLP_RATIO * C, C, C,
                         &out->mlp));
    return layer_load_linear(ops, prefix, "norm_out.linear", 2, REFINER_ROWS * C, C, 0, true,
                             &out->gates);
}

enum status hunyuan_load_blocks(struct hunyuan *h)
{
    char prefix[LAYER_NAME_MAX];
    h->refiner = calloc((size_t)h->own->refiner_layers + 1, sizeof *h->refiner);
    h->dual = calloc((size_t)h->config->layers + 1, sizeof *h->dual);
    h->single = calloc((size_t)h->own->single_layers + 1, sizeof *h->single);
    if (!h->refiner || !h->dual || !h->single)
        return fault_set(h->ops->fault, ST_NO_MEMORY, "no memory for the transformer's layers");
    for (int64_t i = 0; i < h->own->refiner_layers; i++) {
        snprintf(prefix, sizeof prefix, "context_embedder.token_refiner.refiner_blocks.%d.",
                 (int)i);
        TRY(load_refiner(h, prefix, &h->refiner[i]));
    }
    for (int64_t i = 0; i < h->config->layers; i++) {
        snprintf(prefix, sizeof prefix, "transformer_blocks.%d.", (int)i);
        for (int k = 0; k < HUNYUAN_STREAMS; k++)
            TRY(load_stream(h, prefix, &stream_names[k], &h->dual[i].stream[k]));
    }
    for (int64_t i = 0; i < h->own->single_layers; i++) {
        snprintf(prefix, sizeof prefix, "single_transformer_blocks.%d.", (int)i);
        TRY(load_single(h, prefix, &h->single[i]));
    }
    return ST_OK;
}

/* ---- steps of a block ------------------------------------------------------------------------ */

enum status hunyuan_run_mlp(struct hunyuan *h, const struct hunyuan_mlp *m, int64_t S,
                            struct tensor x, int activation, int epilogue, struct tensor aux,
                            struct tensor gate, struct tensor y)
{
    struct ops *ops = h->ops;
    struct tensor hidden;
    TRY(ops->alloc(ops, &hidden, ops->type, S, m->up.O, "mlp"));
    TRY(layer_linear_with(ops, &m->up, S, x, activation, NO_TENSOR, NO_TENSOR, hidden));
    TRY(layer_linear_with(ops, &m->down, S, hidden, epilogue, aux, gate, y));
    ops->release(ops, &hidden);
    return ST_OK;
}

enum status hunyuan_silu(struct hunyuan *h, struct tensor a, struct tensor y)
{
    const struct elementwise_problem p = {
        .S = 1, .C = h->C, .G = 1, .kind = ELEMENTWISE_SILU, .a = a, .y = y};
    return h->ops->elementwise(h->ops, &p);
}

enum status hunyuan_add(struct hunyuan *h, int64_t S, struct tensor a, struct tensor b,
                        struct tensor y)
{
    const struct elementwise_problem p = {
        .S = S, .C = h->C, .G = 1, .kind = ELEMENTWISE_ADD, .a = a, .b = b, .y = y};
    return h->ops->elementwise(h->ops, &p);
}

enum status hunyuan_modulate(struct hunyuan *h, int64_t S, struct tensor x, struct tensor scale,
                             struct tensor shift, struct tensor y)
{
    const struct modulate_problem p = {.S = S,
                                       .C = h->C,
                                       .G = 1,
                                       .norm = MODULATE_LAYER,
                                       .form = MODULATE_ADALN,
                                       .eps = h->config->eps,
                                       .x = x,
                                       .scale = scale,
                                       .shift = shift,
                                       .y = y};
    return h->ops->modulate(h->ops, &p);
}

/* All rows of a modulation are one product with the one row of the signal. */
static enum status project_rows(struct hunyuan *h, const struct layer_linear *l,
                                struct tensor signal, struct tensor rows)
{
    rows.stride = l->O;
    return layer_linear(h->ops, l, 1, signal, rows);
}

static enum status project_heads(struct hunyuan *h, const struct hunyuan_heads *a, int64_t S,
                                 bool rope, struct tensor x, struct tensor q, struct tensor k,
                                 struct tensor v)
{
    const struct qkv_problem p = {.B = 1,
                                  .S = S,
                                  .C = h->C,
                                  .N = h->config->N,
                                  .D = h->config->D,
                                  .norm = tensor_given(&a->norm_q) ? QK_NORM_HEAD : QK_NORM_NONE,
                                  .rope = rope,
                                  .eps = h->config->eps,
                                  .x = x,
                                  .wq = a->q.w,
                                  .wk = a->k.w,
                                  .wv = a->v.w,
                                  .bq = a->q.bias,
                                  .bk = a->k.bias,
                                  .bv = a->v.bias,
                                  .nq = a->norm_q,
                                  .nk = a->norm_k,
                                  .cos = rope ? h->cos : NO_TENSOR,
                                  .sin = rope ? h->sin : NO_TENSOR,
                                  .q = q,
                                  .k = k,
                                  .v = v};
    return h->ops->qkv(h->ops, &p);
}

static enum status attend(struct hunyuan *h, int64_t S, struct tensor q, struct tensor k,
                          struct tensor v, struct tensor o)
{
    return layer_attend(h->ops, 1, h->config->N, h->config->D, S, S, q, k, v, o);
}

struct joint {
    struct tensor q, k, v;
};

static enum status joint_new(struct hunyuan *h, int64_t S, struct joint *j)
{
    struct ops *ops = h->ops;
    TRY(ops->alloc(ops, &j->q, ops->type, S, h->C, "joint.q"));
    TRY(ops->alloc(ops, &j->k, ops->type, S, h->C, "joint.k"));
    return ops->alloc(ops, &j->v, ops->type, S, h->C, "joint.v");
}

static void joint_release(struct hunyuan *h, struct joint *j)
{
    h->ops->release(h->ops, &j->v);
    h->ops->release(h->ops, &j->k);
    h->ops->release(h->ops, &j->q);
}

/* ---- the refiner ----------------------------------------------------------------------------- */

/* Self attention over the rows of text, then an MLP, each behind a gate of time and text. */
static enum status refine_block(struct hunyuan *h, const struct hunyuan_refiner_block *b,
                                int64_t count, struct tensor signal, struct tensor x,
                                struct tensor u)
{
    struct tensor gates = h->rows[HUNYUAN_TEXT];
    struct joint j;
    TRY(project_rows(h, &b->gates, signal, gates));
    TRY(layer_norm(h->ops, count, h->C, h->config->eps, x, &b->norm_1, u));
    TRY(joint_new(h, count, &j));
    TRY(project_heads(h, &b->heads, count, false, u, j.q, j.k, j.v));
    TRY(attend(h, count, j.q, j.k, j.v, u));
    joint_release(h, &j);
    TRY(layer_linear_with(h->ops, &b->o, count, u, EPI_GATE, x,
                          layer_row(gates, REFINER_GATE_ATTENTION), x));
    TRY(layer_norm(h->ops, count, h->C, h->config->eps, x, &b->norm_2, u));
    return hunyuan_run_mlp(h, &b->mlp, count, u, EPI_SILU, EPI_GATE, x,
                           layer_row(gates, REFINER_GATE_MLP), x);
}

enum status hunyuan_refine(struct hunyuan *h, int64_t count, struct tensor vector, struct tensor x)
{
    struct ops *ops = h->ops;
    struct tensor signal, u;
    TRY(ops->alloc(ops, &signal, ops->type, 1, h->C, "refiner.signal"));
    TRY(ops->alloc(ops, &u, ops->type, count, h->C, "refiner.u"));
    TRY(hunyuan_silu(h, vector, signal));
    for (int64_t i = 0; i < h->own->refiner_layers; i++)
        TRY(refine_block(h, &h->refiner[i], count, signal, x, u));
    ops->release(ops, &u);
    ops->release(ops, &signal);
    return ST_OK;
}

/* ---- blocks of two streams ------------------------------------------------------------------- */

/* One stream's rows of the joint sequence. */
struct share {
    const struct hunyuan_stream *weights;
    struct tensor rows; /* of the modulation */
    int64_t first, count;
};

static enum status enter_stream(struct hunyuan *h, const struct share *s, struct tensor signal,
                                bool rope, struct tensor x, struct tensor u, const struct joint *j)
{
    struct tensor in = layer_row(u, s->first);
    TRY(project_rows(h, &s->weights->modulation, signal, s->rows));
    TRY(hunyuan_modulate(h, s->count, layer_row(x, s->first), layer_row(s->rows, SCALE_ATTENTION),
                         layer_row(s->rows, SHIFT_ATTENTION), in));
    return project_heads(h, &s->weights->heads, s->count, rope, in, layer_row(j->q, s->first),
                         layer_row(j->k, s->first), layer_row(j->v, s->first));
}

/* u holds the attention's output. */
static enum status leave_stream(struct hunyuan *h, const struct share *s, struct tensor x,
                                struct tensor u)
{
    x = layer_row(x, s->first);
    u = layer_row(u, s->first);
    TRY(layer_linear_with(h->ops, &s->weights->o, s->count, u, EPI_GATE, x,
                          layer_row(s->rows, GATE_ATTENTION), x));
    TRY(hunyuan_modulate(h, s->count, x, layer_row(s->rows, SCALE_MLP),
                         layer_row(s->rows, SHIFT_MLP), u));
    return hunyuan_run_mlp(h, &s->weights->mlp, s->count, u, EPI_GELU, EPI_GATE, x,
                           layer_row(s->rows, GATE_MLP), x);
}

static enum status dual_block(struct hunyuan *h, const struct hunyuan_dual *b, int64_t count,
                              struct tensor signal, struct tensor x, struct tensor u)
{
    const struct share share[HUNYUAN_STREAMS] = {
        {&b->stream[HUNYUAN_VIDEO], h->rows[HUNYUAN_VIDEO], 0, h->S},
        {&b->stream[HUNYUAN_TEXT], h->rows[HUNYUAN_TEXT], h->S, count},
    };
    struct joint j;
    TRY(joint_new(h, h->S + count, &j));
    for (int i = 0; i < HUNYUAN_STREAMS; i++)
        TRY(enter_stream(h, &share[i], signal, i == HUNYUAN_VIDEO, x, u, &j));
    TRY(attend(h, h->S + count, j.q, j.k, j.v, u));
    joint_release(h, &j);
    for (int i = 0; i < HUNYUAN_STREAMS; i++)
        TRY(leave_stream(h, &share[i], x, u));
    return ST_OK;
}

/* ---- blocks of one stream -------------------------------------------------------------------- */

/* Attention and MLP write side by side into one wide buffer, which the last layer reads whole. */
static enum status single_block(struct hunyuan *h, const struct hunyuan_single *b, int64_t count,
                                struct tensor signal, struct tensor x, struct tensor u)
{
    struct ops *ops = h->ops;
    const int64_t S = h->S + count;
    struct tensor rows = h->rows[HUNYUAN_VIDEO], wide;
    struct joint j;
    TRY(project_rows(h, &b->modulation, signal, rows));
    TRY(hunyuan_modulate(h, S, x, layer_row(rows, SCALE_ATTENTION),
                         layer_row(rows, SHIFT_ATTENTION), u));
    TRY(ops->alloc(ops, &wide, ops->type, S, h->C + h->config->F, "wide"));
    TRY(joint_new(h, S, &j));
    TRY(project_heads(h, &b->heads, S, true, u, j.q, j.k, j.v));
    TRY(attend(h, S, j.q, j.k, j.v, wide));
    joint_release(h, &j);
    TRY(layer_linear_with(ops, &b->up, S, u, EPI_GELU, NO_TENSOR, NO_TENSOR,
                          layer_view(wide, h->C)));
    TRY(layer_linear_with(ops, &b->out, S, wide, EPI_GATE, x, layer_row(rows, GATE_ATTENTION), x));
    ops->release(ops, &wide);
    return ST_OK;
}

enum status hunyuan_run_blocks(struct hunyuan *h, int64_t count, struct tensor signal,
                               struct tensor x, struct tensor u)
{
    for (int64_t i = 0; i < h->config->layers; i++)
        TRY(dual_block(h, &h->dual[i], count, signal, x, u));
    for (int64_t i = 0; i < h->own->single_layers; i++)
        TRY(single_block(h, &h->single[i], count, signal, x, u));
    return ST_OK;
}
