// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* flash.h   Attention with an online softmax, in the vector words of the target header included
 * before it.
 *
 * Heads pass in groups. For a group all threads first pack
 *   keys    [key panel][D][TILE_COLS]      TILE_COLS keys side by side, zeros past Sk
 *   values  [D panel][Sk][TILE_COLS]       zeros past D
 * and then share its (head, row block) tasks. A task keeps scaled queries [rows][D], scores
 * [rows][keys] and outputs [rows][D rounded up] in its thread's scratch and walks over the keys in
 * blocks: scores = Q K^T, running maximum and sum, outputs += P V. Scores are in units of log2, and
 * outputs are divided by the sum once at the end. A row's order of operations depends on the knob
 * `keys` alone. */
#ifndef PATCHMARK_ATTENTION_FLASH_H
#define PATCHMARK_ATTENTION_FLASH_H

#include <math.h>
#include <omp.h>

#include "attention/attention/attention.h"

enum { KNOB_ROWS, KNOB_KEYS };
enum { TASKS_PER_THREAD = 3, SOFTMAX_VECS = 4 };

/* rows: multiples of TILE_ROWS; keys: multiples of TILE_COLS and of SOFTMAX_VECS vectors. */
// clang-format off
#define FLASH_KNOBS {{"rows", 4, {96, 48, 192, 24}}, {"keys", 4, {256, 128, 64, 512}}}
// clang-format on

/* Packed keys and values of a group stay within this where one head's do. */
#define GROUP_BYTES (INT64_C(256) << 20)
#define LOG2_E 1.4426950408889634

struct layout {
    int64_t rows, keys;             /* block of queries, block of keys */
    int64_t width;                  /* D rounded up to TILE_COLS */
    int64_t key_elems, value_elems; /* packed, one head */
    int64_t heads;                  /* of a group */
    int64_t threads;                /* as many as there is work for */
    int64_t thread_elems;           /* scratch of one thread */
};

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t round_up(int64_t a, int64_t to) { return ceil_div(a, to) * to; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static struct layout layout_of(const struct attention_problem *p, const int64_t *knob,
                               int64_t threads)
{
    struct layout l = {.keys = knob[KNOB_KEYS], .width = round_up(p->D, TILE_COLS)};
    l.key_elems = round_up(p->Sk, TILE_COLS) * p->D;
    l.value_elems = p->Sk * l.width;
    const int64_t head_bytes = (l.key_elems + l.value_elems) * (int64_t)sizeof(float);
    l.heads = least(p->B * p->N, most(1, GROUP_BYTES / head_bytes));
    /* Fewer rows than the knob says where threads would go without work. */
    const int64_t share = ceil_div(p->Sq * l.heads, threads * TASKS_PER_THREAD);
    l.rows = least(knob[KNOB_ROWS], round_up(share, TILE_ROWS));
    l.threads = least(threads, l.heads * most(ceil_div(p->Sq, l.rows), ceil_div(p->Sk, TILE_COLS)));
    l.thread_elems = round_up(l.rows * (p->D + l.keys + l.width + 2), TILE_COLS);
    return l;
}

/* One thread's view of one task. */
struct block {
    int64_t head, row; /* head counts b N + n */
    int rows;
    const float *keys, *values; /* packed, of this head */
    float *query, *score, *sum; /* [rows][D], [rows][l.keys], [rows][l.width] */
    float *peak, *total;        /* [rows]: running maximum and sum of probabilities */
};

/* Element [b][s][n][0] of a tensor with `tokens` tokens in a clip. */
static float *row_of(const struct tensor *t, const struct attention_problem *p, int64_t tokens,
                     int64_t head, int64_t s)
{
    return (float *)t->data + (head / p->N * tokens + s) * t->stride + head % p->N * p->D;
}

/* ---- packing ---- */

static void pack_keys(const struct attention_problem *p, int64_t head, int64_t panel, float *to)
{
    const int64_t s = panel * TILE_COLS;
    panel_pack(row_of(&p->k, p, p->Sk, head, s), p->k.stride, least(TILE_COLS, p->Sk - s), p->D,
               to + s * p->D);
}

/* TILE_COLS rows of values, cut at every TILE_COLS columns. */
static void pack_values(const struct attention_problem *p, int64_t head, int64_t panel, float *to)
{
    const int64_t end = least(p->Sk, (panel + 1) * TILE_COLS);
    for (int64_t s = panel * TILE_COLS; s < end; s++) {
        const float *v = row_of(&p->v, p, p->Sk, head, s);
        for (int64_t d = 0; d < p->D; d += TILE_COLS)
            for (int i = 0; i < TILE_COLS; i += LANES) {
                const int64_t left = p->D - d - i;
                vec_store(to + d * p->Sk + s * TILE_COLS + i,
                          left > 0 ? vec_load_partial(v + d + i, (int)least(LANES, left))
                                   : vec_zero());
            }
    }
}

/* ---- one block ---- */

static void block_start(const struct attention_problem *p, const struct layout *l, struct block *b)
{
    const float scale = (float)(p->scale * LOG2_E);
    for (int r = 0; r < b->rows; r++) {
        const float *q = row_of(&p->q, p, p->Sq, b->head, b->row + r);
        for (int64_t d = 0; d < p->D; d++)
            b->query[r * p->D + d] = q[d] * scale;
        for (int64_t d = 0; d < l->width; d++)
            b->sum[r * l->width + d] = 0.0f;
        b->peak[r] = -INFINITY;
        b->total[r] = 0.0f;
    }
}

static void block_scores(const struct attention_problem *p, const struct layout *l,
                         const struct block *b, int64_t key, int64_t count)
{
    for (int64_t j = 0; j < count; j += TILE_COLS)
        for (int r = 0; r < b->rows; r += TILE_ROWS)
            tile_multiply((int)least(TILE_ROWS, b->rows - r), p->D, b->query + r * p->D, p->D,
                          b->keys + (key + j) * p->D, b->score + r * l->keys + j, l->keys, false);
}

static void row_bias(const struct attention_problem *p, const struct block *b, int64_t row,
                     int64_t key, int64_t count, float *score)
{
    const float *bias =
        (const float *)p->bias.data + b->head % p->N * (p->Sq + p->Sk - 1) + key - row + p->Sq - 1;
    for (int64_t j = 0; j < count; j++)
        score[j] += bias[j] * (float)LOG2_E;
}

/* Scores become probabilities relative to the running maximum; what was summed under a smaller
 * maximum shrinks by the same factor. NaN and +inf scores reach the total, for inf - inf is NaN;
 * while every score is -inf the maximum counts as 0, so that a later finite one still wins. */
static void row_softmax(const struct layout *l, int64_t count, float *score, float *sum,
                        float *peak, float *total)
{
    const int64_t end = round_up(count, SOFTMAX_VECS * LANES);
    for (int64_t j = count; j < end; j++)
        score[j] = -INFINITY;

    vec m[SOFTMAX_VECS], t[SOFTMAX_VECS];
    for (int i = 0; i < SOFTMAX_VECS; i++) {
        m[i] = vec_all(*peak);
        t[i] = vec_zero();
    }
    for (int64_t j = 0; j < end; j += SOFTMAX_VECS * LANES)
        for (int i = 0; i < SOFTMAX_VECS; i++)
            m[i] = vec_max(vec_load(score + j + i * LANES), m[i]);
    const float top = vec_largest(vec_max(vec_max(m[0], m[1]), vec_max(m[2], m[3])));
    const vec base = vec_all(top == -INFINITY ? 0.0f : top);

    for (int64_t j = 0; j < end; j += SOFTMAX_VECS * LANES)
        for (int i = 0; i < SOFTMAX_VECS; i++) {
            const vec e = vec_exp2_down(vec_sub(vec_load(score + j + i * LANES), base));
            vec_store(score + j + i * LANES, e);
            t[i] = vec_add(t[i], e);
        }
    const float added = vec_sum(vec_add(vec_add(t[0], t[1]), vec_add(t[2], t[3])));

    if (top != *peak) {
        const vec shrink = vec_exp2_down(vec_sub(vec_all(*peak), base));
        *total *= vec_sum(shrink) / LANES;
        for (int64_t d = 0; d < l->width; d += LANES)
            vec_store(sum + d, vec_mul(vec_load(sum + d), shrink));
        *peak = top;
    }
    *total += added;
}

static void block_outputs(const struct attention_problem *p, const struct layout *l,
                          const struct block *b, int64_t key, int64_t count)
{
    for (int64_t d = 0; d < l->width; d += TILE_COLS)
        for (int r = 0; r < b->rows; r += TILE_ROWS)
            tile_multiply((int)least(TILE_ROWS, b->rows - r), count, b->score + r * l->keys,
                          l->keys, b->values + d * p->Sk + key * TILE_COLS,
                          b->sum + r * l->width + d, l->width, true);
}

static void block_finish(const struct attention_problem *p, const struct layout *l,
                         const struct block *b)
{
    for (int r = 0; r < b->rows; r++) {
        float *o = row_of(&p->o, p, p->Sq, b->head, b->row + r);
        const vec inverse = vec_all(1.0f / b->total[r]);
        for (int64_t d = 0; d < p->D; d += LANES)
            vec_store_partial(o + d, (int)least(LANES, p->D - d),
                              vec_mul(vec_load(b->sum + r * l->width + d), inverse));
    }
}

static void block_run(const struct attention_problem *p, const struct layout *l, struct block *b,
                      float *scratch)
{
    b->query = scratch;
    b->score = b->query + l->rows * p->D;
    b->sum = b->score + l->rows * l->keys;
    b->peak = b->sum + l->rows * l->width;
    b->total = b->peak + l->rows;
    block_start(p, l, b);
    for (int64_t key = 0; key < p->Sk; key += l->keys) {
        const int64_t count = least(l->keys, p->Sk - key);
        block_scores(p, l, b, key, count);
        for (int r = 0; r < b->rows; r++) {
            float *score = b->score + r * l->keys;
            if (tensor_given(&p->bias))
                row_bias(p, b, b->row + r, key, count, score);
            row_softmax(l, count, score, b->sum + r * l->width, b->peak + r, b->total + r);
        }
        block_outputs(p, l, b, key, count);
    }
    block_finish(p, l, b);
}

/* ---- the op ---- */

static enum status run(const struct attention_problem *p, const struct exec *exec)
{
    const struct layout l = layout_of(p, exec->knob, exec->threads);
    float *keys = exec->scratch;
    float *values = keys + l.heads * l.key_elems;
    float *own = values + l.heads * l.value_elems;
    const int64_t panels = ceil_div(p->Sk, TILE_COLS);
    const int64_t blocks = ceil_div(p->Sq, l.rows);
#pragma omp parallel num_threads((int)l.threads)
    for (int64_t first = 0; first < p->B * p->N; first += l.heads) {
        const int64_t heads = least(l.heads, p->B * p->N - first);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < heads * panels; i++) {
            const int64_t h = i / panels;
            pack_keys(p, first + h, i % panels, keys + h * l.key_elems);
            pack_values(p, first + h, i % panels, values + h * l.value_elems);
        }
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < heads * blocks; i++) {
            const int64_t h = i / blocks, row = i % blocks * l.rows;
            struct block b = {.head = first + h,
                              .row = row,
                              .rows = (int)least(l.rows, p->Sq - row),
                              .keys = keys + h * l.key_elems,
                              .values = values + h * l.value_elems};
            block_run(p, &l, &b, own + omp_get_thread_num() * l.thread_elems);
        }
    }
    return ST_OK;
}

static bool plan(const struct attention_problem *p, const int64_t *knob, struct need *need)
{
    const struct tensor *all[] = {&p->q, &p->k, &p->v, &p->o};
    for (int i = 0; i < (int)(sizeof all / sizeof *all); i++)
        if (all[i]->elem != ELEM_F32 || all[i]->scale_layout != SCALE_NONE) {
            need->reason = "serves unscaled f32 tensors only";
            return false;
        }
    /* Fewer threads than announced may come: what the hungriest number takes. */
    int64_t elems = 0;
    for (int64_t threads = 1; threads <= need->threads; threads++) {
        const struct layout l = layout_of(p, knob, threads);
        elems = most(elems, l.heads * (l.key_elems + l.value_elems) + l.threads * l.thread_elems);
    }
    need->scratch_bytes = (size_t)elems * sizeof(float);
    return true;
}

#endif
